//! One cargo call for a target of components, in an environment that the outer build has not touched.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::BuildError;
use crate::target::Target;

/// What an outer cargo, clippy or coverage run sets for its own compilations, and must not reach the nested one.
/// `CARGO_NET_OFFLINE`, `CARGO_HOME`, the job server and the toolchain are kept.
const REMOVED: &[&str] = &[
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_ENCODED_RUSTDOCFLAGS",
    "CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS",
    "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_BUILD_BUILD_DIR",
    "LLVM_PROFILE_FILE",
    "RUSTC_LINKER",
    "TARGET",
    "HOST",
    "OUT_DIR",
    "PROFILE",
    "OPT_LEVEL",
    "DEBUG",
];

/// What a package was compiled to.
pub struct Artifact {
    /// The package's name.
    pub package: String,
    /// Its Cargo.toml.
    pub manifest: PathBuf,
    /// The component, where it is one.
    pub component: Option<PathBuf>,
}

/// A cargo call in the making.
pub struct Call(Command);

impl Call {
    /// `cargo build` for a manifest.
    pub fn new(manifest: &Path, target: Target) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command.args(["build", "--message-format=json-render-diagnostics", "--target", target.triple()]);
        command.arg("--manifest-path").arg(manifest);
        for name in REMOVED {
            command.env_remove(name);
        }
        // Set, be it empty, it also keeps flags in configuration files away, which are meant for native code.
        command.env("CARGO_ENCODED_RUSTFLAGS", target.flags());
        command.stdin(Stdio::null()).stderr(Stdio::inherit());
        Self(command)
    }

    /// With this profile.
    pub fn profile(mut self, profile: &str) -> Self {
        self.0.args(["--profile", profile]);
        self
    }

    /// With the lock file as it is.
    pub fn locked(mut self) -> Self {
        self.0.arg("--locked");
        self
    }

    /// These packages only.
    pub fn packages(mut self, packages: &[&str]) -> Self {
        for package in packages {
            self.0.args(["--package", package]);
        }
        self
    }

    /// With target and build folders in this one.
    pub fn folders_in(mut self, folder: &Path) -> Self {
        self.0.arg("--target-dir").arg(folder.join("target"));
        self.0.env("CARGO_BUILD_BUILD_DIR", folder.join("build"));
        self
    }

    /// Runs it; the compiler's messages go to stderr.
    pub fn run(mut self) -> Result<Vec<Artifact>, BuildError> {
        let program = self.0.get_program().to_string_lossy().into_owned();
        let output = self.0.output().map_err(|source| BuildError::Start { program, source })?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(artifact).collect()),
            false => Err(BuildError::Compile),
        }
    }
}

/// One line of cargo's report, where it is about a compiled package.
fn artifact(line: &str) -> Option<Artifact> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["reason"] != "compiler-artifact" {
        return None;
    }
    let files = message["filenames"].as_array()?;
    let component = files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".wasm"));
    Some(Artifact {
        package: package_name(message["package_id"].as_str()?).to_owned(),
        manifest: PathBuf::from(message["manifest_path"].as_str()?),
        component: component.map(PathBuf::from),
    })
}

/// The name in a package id: `path+file:///a/folder#name@1.0.0`, or `…/name#1.0.0` where the folder has that name.
fn package_name(id: &str) -> &str {
    let (url, fragment) = id.rsplit_once('#').unwrap_or((id, ""));
    match fragment.split_once('@') {
        Some((name, _)) => name,
        None => url.rsplit('/').next().unwrap_or(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_id_gives_the_name() {
        assert_eq!(package_name("path+file:///w/plugins/jq#flowcell-plugin-jq@1.0.0"), "flowcell-plugin-jq");
        assert_eq!(package_name("path+file:///w/slack#1.2.0"), "slack");
        assert_eq!(
            package_name("registry+https://github.com/rust-lang/crates.io-index#serde@1.0.1"),
            "serde"
        );
    }

    #[test]
    fn cargos_report_names_the_component() {
        let line = r#"{"reason":"compiler-artifact","package_id":"path+file:///w/slack#1.2.0",
            "manifest_path":"/w/slack/Cargo.toml","filenames":["/t/slack.wasm","/t/libslack.rlib"]}"#;
        let artifact = artifact(line).unwrap();
        assert_eq!(artifact.package, "slack");
        assert_eq!(artifact.component.as_deref(), Some(Path::new("/t/slack.wasm")));
        assert!(super::artifact(r#"{"reason":"build-finished","success":true}"#).is_none());
    }
}
