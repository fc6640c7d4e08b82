//! The guests of a bundle: which folders beside a build script are plugins, and for which target.
//!
//! A folder says it in its Cargo.toml, `[package.metadata.flowcell] target = "bare"` or `"wasi"`. One that says nothing is
//! a library of the others.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::target::Target;
use crate::{BuildError, Component};

/// The packages in the folders of `folder`, by target, in order of their names.
pub fn guests(workspace: &Path, folder: &Path) -> Result<Vec<(Target, Vec<String>)>, BuildError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let program = cargo.to_string_lossy().into_owned();
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
        .arg(workspace)
        .output()
        .map_err(|source| BuildError::Start { program, source })?;
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| BuildError::Metadata(String::from_utf8_lossy(&output.stderr).trim().to_owned()))?;
    sorted(&metadata, folder)
}

/// A Rust expression: the components as a slice of `Bundled { name, wasm }`.
pub fn list(components: &[Component]) -> String {
    let part = |component: &Component| {
        let (name, path) = (&component.name, component.path.display().to_string());
        format!("    Bundled {{ name: {name:?}, wasm: include_bytes!({path:?}) }},\n")
    };
    format!("&[\n{}]\n", components.iter().map(part).collect::<String>())
}

fn sorted(metadata: &Value, folder: &Path) -> Result<Vec<(Target, Vec<String>)>, BuildError> {
    let (mut bare, mut wasi) = (vec![], vec![]);
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        let is_ours = Path::new(text("manifest_path")).parent().and_then(Path::parent) == Some(folder);
        let target = &package["metadata"]["flowcell"]["target"];
        match target.as_str() {
            _ if !is_ours || target.is_null() => {}
            Some("bare") => bare.push(text("name").to_owned()),
            Some("wasi") => wasi.push(text("name").to_owned()),
            _ => {
                return Err(BuildError::Metadata(format!(
                    "{}: `target` under [package.metadata.flowcell] is \"bare\" or \"wasi\", here is {target}",
                    text("manifest_path")
                )));
            }
        }
    }
    bare.sort();
    wasi.sort();
    Ok(vec![(Target::Bare, bare), (Target::Wasi, wasi)])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(name: &str, folder: &str, target: Value) -> Value {
        json!({
            "name": name, "manifest_path": format!("{folder}/{name}/Cargo.toml"),
            "metadata": { "flowcell": { "target": target } },
        })
    }

    #[test]
    fn the_plugins_are_the_folders_that_say_so() {
        let library =
            json!({ "name": "http", "manifest_path": "/w/plugins/http/Cargo.toml", "metadata": null });
        let packages = json!({ "packages": [
            package("jq", "/w/plugins", json!("wasi")), package("webhook", "/w/plugins", json!("bare")), library,
            package("http-request", "/w/plugins", json!("bare")), package("probe", "/w/tests", json!("bare")),
        ] });
        let found = sorted(&packages, Path::new("/w/plugins")).unwrap();
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [(Target::Bare, names(&["http-request", "webhook"])), (Target::Wasi, names(&["jq"]))]
        );
        let wrong = json!({ "packages": [package("a", "/w/plugins", json!("native"))] });
        let error = sorted(&wrong, Path::new("/w/plugins")).unwrap_err();
        assert!(error.to_string().contains("is \"bare\" or \"wasi\", here is \"native\""), "{error}");
    }

    #[test]
    fn the_list_names_each_component_with_its_bytes() {
        let component = Component { name: "jq".to_owned(), path: "/out/jq.wasm".into() };
        let list = list(&[component]);
        assert!(list.contains(r#"Bundled { name: "jq", wasm: include_bytes!("/out/jq.wasm") }"#), "{list}");
    }
}
