//! What every module says of itself, what the map says of the modules, and what has no place in the repository.

use std::path::{Path, PathBuf};

use crate::tree;

/// The map of the project.
const MAP: &str = "ARCHITECTURE.md";

/// Rust files that do not begin with `//!`. What a compile-fail test compiles is data, not a module.
pub fn undocumented(root: &Path) -> Vec<String> {
    let files = tree::files(root).into_iter().filter(|path| tree::has_extension(path, &["rs"]));
    let modules = files.filter(|path| !path.components().any(|part| part.as_os_str() == "ui"));
    let bare = modules.filter(|path| !begins_with_purpose(&tree::read(path)));
    bare.map(|path| {
        format!("{}:1: say in `//!` what it holds and what it does not do", tree::relative(root, &path))
    })
    .collect()
}

/// A letter would only fill the place.
fn begins_with_purpose(text: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty());
    first.and_then(|line| line.strip_prefix("//! ")).is_some_and(|purpose| purpose.trim().len() >= 4)
}

/// Modules of the runtime, and the folders directly below them, that the map does not name.
pub fn unmapped(root: &Path) -> Vec<String> {
    let map = root.join(MAP);
    if !map.is_file() {
        return vec![format!("{MAP}:1: the map of the project is not there")];
    }
    let map = tree::read(&map);
    let missing = modules(&root.join("runtime/src")).into_iter().filter(|module| !names(&map, module));
    missing.map(|module| format!("{MAP}:1: runtime/src/{module} is not on the map")).collect()
}

/// `flow`, `flow/task`, `clock` …
fn modules(source: &Path) -> Vec<String> {
    let mut modules = vec![];
    for path in entries(source) {
        let name = name(&path);
        if path.is_dir() {
            let below =
                entries(&path).into_iter().filter(|path| path.is_dir() && self::name(path) != "tests");
            modules.extend(below.map(|path| format!("{name}/{}", self::name(&path))));
            modules.push(name);
        } else if let Some(module) =
            name.strip_suffix(".rs").filter(|module| !["lib", "main"].contains(module))
        {
            modules.push(module.to_owned());
        }
    }
    modules.sort();
    modules
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.flatten().map(|entry| entry.path()).collect()
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Whether the module's own name stands in the map as code. As a word of the text it is not enough: `task` and `flow`
/// stand in every second sentence.
fn names(map: &str, module: &str) -> bool {
    let own = module.rsplit('/').next().unwrap_or(module);
    code(map)
        .iter()
        .any(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == own))
}

/// Everything between backticks, and the lines of fenced blocks.
fn code(map: &str) -> Vec<&str> {
    let mut code = vec![];
    let mut fenced = false;
    for line in map.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            code.push(line);
        } else {
            code.extend(line.split('`').skip(1).step_by(2));
        }
    }
    code
}

/// Committed files that a build makes, and lock files beside the one.
pub fn built(committed: &[PathBuf]) -> Vec<String> {
    let wrong = committed.iter().filter_map(|path| {
        let name = path.file_name()?.to_str()?;
        let why = match name {
            _ if name.ends_with(".wasm") => "components are built, never committed",
            "Cargo.lock" if path.components().count() > 1 => "the workspace has one lock file, at its root",
            "package-lock.json" | "yarn.lock" | "pnpm-lock.yaml" => {
                "the workspace has one lock file, at its root"
            }
            _ => return None,
        };
        Some(format!("{}:1: {why}", path.display()))
    });
    wrong.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purpose_is_a_sentence_at_the_top() {
        assert!(begins_with_purpose("//! What time it is.\n"));
        assert!(begins_with_purpose("\n//! What time it is.\nuse a;"));
        assert!(!begins_with_purpose("//! x\n"));
        assert!(!begins_with_purpose("use a;\n//! Too late to say.\n"));
        assert!(!begins_with_purpose(""));
    }

    #[test]
    fn a_module_is_named_as_code_not_as_a_word() {
        let map = "A flow has tasks.\n| `clock` | `flow` and `flow/task/` |\nsee `host/call.rs`, `workflow`\n```\nserver\n```\nthe journal";
        for named in ["clock", "flow", "flow/task", "host", "server"] {
            assert!(names(map, named), "{named}");
        }
        for unnamed in ["tasks", "work", "journal", "journal/sqlite", "low"] {
            assert!(!names(map, unnamed), "{unnamed}");
        }
    }

    #[test]
    fn built_files_and_second_locks_are_found() {
        let files =
            ["Cargo.lock", "plugins/jq.wasm", "sdk/Cargo.lock", "runtime/src/lib.rs"].map(PathBuf::from);
        let findings = built(&files);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(
            findings[0].starts_with("plugins/jq.wasm:1: ") && findings[1].starts_with("sdk/Cargo.lock:1: ")
        );
    }
}
