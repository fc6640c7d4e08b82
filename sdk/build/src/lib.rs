//! Turns plugin packages into WebAssembly components.
//!
//! Two callers: build scripts of crates that carry components ([`for_build_script`], [`bundle_for_build_script`]), and
//! tools for authors ([`build_plugin`]). Both make one cargo call for a [`Target`]; a missing one is installed where rustup is there. What a component may import is not checked here: the host does that.

mod bundle;
mod cargo;
mod target;

use std::path::{Path, PathBuf};

use cargo::{Artifact, Call};
pub use target::Target;

/// A component that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// The package's name without the prefix `flowcell-plugin-`.
    pub name: String,
    /// Where the component is.
    pub path: PathBuf,
}

/// Why there is no component. Its text is one sentence for the person at the keyboard.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The target is not installed and could not be.
    #[error(
        "the Rust target {triple} is missing and {why}; install it: `rustup target add {triple}`, or the package of \
         your distribution that has it"
    )]
    Target {
        /// Which one.
        triple: &'static str,
        /// Why not.
        why: String,
    },
    /// A program could not be started.
    #[error("`{program}` could not be started: {source}")]
    Start {
        /// Which one.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// The compiler refused the plugin; it has said why.
    #[error("the plugin did not compile; the compiler's messages stand above")]
    Compile,
    /// The package makes no component.
    #[error(
        "the package `{0}` makes no component; its Cargo.toml needs `crate-type = [\"cdylib\", \"rlib\"]` in [lib]"
    )]
    NoComponent(String),
    /// The folder is no plugin.
    #[error("{0} has no Cargo.toml; name the folder of a plugin, or make one with `flowcell plugin new`")]
    NoPlugin(PathBuf),
    /// Which plugins there are cannot be said.
    #[error("the plugins of the bundle cannot be found: {0}")]
    Metadata(String),
    /// Something that a build script always has is missing.
    #[error("{0} is not set; `for_build_script` is for build scripts, which cargo calls")]
    Environment(&'static str),
    /// A file could not be copied.
    #[error("{path} could not be written: {source}")]
    Write {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// For a build script: builds packages of the workspace that the script's package belongs to, with the profile
/// `guest`, and puts each component to `OUT_DIR/NAME.wasm`. An error ends the script with its sentence as the build's
/// error.
///
/// Where [`Target::Bare`] cannot be had, cargo says so and the packages are built for [`Target::Wasi`], which does the
/// same with slower sandboxes.
///
/// NAME is the package's name without the prefix `flowcell-plugin-`. The nested build has target folders of its own
/// in OUT_DIR, for cargo locks those in use, and sees neither the flags nor the wrappers of the outer one. Cargo is
/// told to run the script again when a source of the packages, the interface or the lock file changes.
///
/// ```no_run
/// // In build.rs; the crate says include_bytes!(concat!(env!("OUT_DIR"), "/webhook.wasm")).
/// use flowcell_sdk_build::{Target, for_build_script};
/// for_build_script(Target::Bare, &["flowcell-plugin-webhook"]);
/// ```
pub fn for_build_script(target: Target, packages: &[&str]) -> Vec<Component> {
    or_exit(build_for_script(target, packages))
}

/// For a build script: builds the plugin in each folder beside the script, and writes OUT_DIR/bundle.rs, a slice of
/// `Bundled { name, wasm }` for `include!`. A folder is a plugin whose Cargo.toml has `[package.metadata.flowcell]` with
/// `target = "bare"`, or `"wasi"` where it needs a clock, randomness or standard output. Everything else is as in
/// [`for_build_script`].
///
/// ```no_run
/// // In build.rs; the crate says include!(concat!(env!("OUT_DIR"), "/bundle.rs")).
/// flowcell_sdk_build::bundle_for_build_script();
/// ```
#[expect(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]
pub fn bundle_for_build_script() {
    let folder = or_exit(variable("CARGO_MANIFEST_DIR"));
    // A folder that is new is a plugin that is new.
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut components = vec![];
    for (target, packages) in or_exit(bundle::guests(&workspace_manifest(&folder), &folder)) {
        let packages: Vec<_> = packages.iter().map(String::as_str).collect();
        if !packages.is_empty() {
            components.extend(or_exit(build_for_script(target, &packages)));
        }
    }
    let path = or_exit(variable("OUT_DIR")).join("bundle.rs");
    let written = std::fs::write(&path, bundle::list(&components));
    or_exit(written.map_err(|source| BuildError::Write { path, source }));
}

#[expect(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]
fn or_exit<T>(result: Result<T, BuildError>) -> T {
    result.unwrap_or_else(|error| {
        println!("cargo::error={error}");
        std::process::exit(1)
    })
}

#[expect(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]
fn build_for_script(target: Target, packages: &[&str]) -> Result<Vec<Component>, BuildError> {
    let target = match target.ensure() {
        Err(error) if target == Target::Bare => {
            println!("cargo::warning={error}; until then {} is built over WASI", packages.join(", "));
            Target::Wasi
        }
        _ => target,
    };
    let (components, sources) = build_in_workspace(target, packages)?;
    for source in sources {
        println!("cargo::rerun-if-changed={}", source.display());
    }
    Ok(components)
}

/// Builds the plugin in a folder with the profile `release`, and puts its component to `FOLDER/NAME.wasm`. The
/// compiler's messages go to stderr.
///
/// ```no_run
/// let component = flowcell_sdk_build::build_plugin(std::path::Path::new("plugins/slack"))?;
/// assert!(component.path.ends_with("slack.wasm"));
/// # Ok::<(), flowcell_sdk_build::BuildError>(())
/// ```
pub fn build_plugin(folder: &Path) -> Result<Component, BuildError> {
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(BuildError::NoPlugin(folder.to_owned()));
    }
    Target::Wasi.ensure()?;
    let artifacts = Call::new(&manifest, Target::Wasi).profile("release").run()?;
    // The folder's own package is the one that the call was about: all others are libraries that it uses.
    let manifest = manifest.canonicalize().unwrap_or(manifest);
    let own = artifacts.iter().find(|artifact| artifact.manifest == manifest && artifact.component.is_some());
    let own = own.ok_or_else(|| BuildError::NoComponent(folder.display().to_string()))?;
    place(own, folder)
}

fn build_in_workspace(
    target: Target,
    packages: &[&str],
) -> Result<(Vec<Component>, Vec<PathBuf>), BuildError> {
    let out = variable("OUT_DIR")?;
    let manifest = workspace_manifest(&variable("CARGO_MANIFEST_DIR")?);
    target.ensure()?;
    let artifacts = Call::new(&manifest, target)
        .profile("guest")
        .locked()
        .packages(packages)
        .folders_in(&out.join("guests"))
        .run()?;
    let mut components = Vec::new();
    for package in packages {
        let own =
            artifacts.iter().find(|artifact| artifact.package == *package && artifact.component.is_some());
        components.push(place(own.ok_or_else(|| BuildError::NoComponent((*package).to_owned()))?, &out)?);
    }
    Ok((components, sources(&manifest, &artifacts)))
}

fn variable(name: &'static str) -> Result<PathBuf, BuildError> {
    std::env::var_os(name).map(PathBuf::from).ok_or(BuildError::Environment(name))
}

/// The manifest of the workspace that a package's folder lies in; its own where there is none above.
fn workspace_manifest(package: &Path) -> PathBuf {
    let above = package.ancestors().map(|folder| folder.join("Cargo.toml")).find(|manifest| {
        std::fs::read_to_string(manifest)
            .is_ok_and(|text| text.lines().any(|line| line.trim() == "[workspace]"))
    });
    above.unwrap_or_else(|| package.join("Cargo.toml"))
}

/// What the components were made of: the sources of every package of the workspace that took part, the interface,
/// the lock file and the profile.
fn sources(workspace: &Path, artifacts: &[Artifact]) -> Vec<PathBuf> {
    let root = workspace.parent().unwrap_or(Path::new("."));
    let mut sources = vec![workspace.to_owned(), root.join("Cargo.lock"), root.join("wit")];
    for artifact in artifacts.iter().filter(|artifact| artifact.manifest.starts_with(root)) {
        let source = artifact.manifest.with_file_name("src");
        if !sources.contains(&source) {
            sources.extend([source, artifact.manifest.clone()]);
        }
    }
    sources.retain(|source| source.exists());
    sources
}

/// Copies an artifact's component to where it is looked for. An equal file is left alone, so that its time stands
/// still and nothing is built again.
fn place(artifact: &Artifact, folder: &Path) -> Result<Component, BuildError> {
    let name = artifact.package.strip_prefix("flowcell-plugin-").unwrap_or(&artifact.package).to_owned();
    let from = artifact.component.as_ref().ok_or_else(|| BuildError::NoComponent(name.clone()))?;
    let path = folder.join(&name).with_added_extension("wasm");
    let write = |source| BuildError::Write { path: path.clone(), source };
    let bytes = std::fs::read(from).map_err(write)?;
    if std::fs::read(&path).is_ok_and(|old| old == bytes) {
        return Ok(Component { name, path });
    }
    std::fs::write(&path, bytes).map_err(write)?;
    Ok(Component { name, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_of_a_package_is_found_above_it() {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = workspace_manifest(own);
        assert!(root.with_file_name("wit").is_dir(), "{}", root.display());
    }

    #[test]
    fn a_folder_without_a_manifest_is_no_plugin() {
        let error = build_plugin(Path::new("/nowhere")).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere has no Cargo.toml; "), "{error}");
    }
}
