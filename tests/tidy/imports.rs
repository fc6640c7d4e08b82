//! Checks every path that the runtime's files name against the table in [`rules`](crate::rules).

use std::collections::BTreeSet;
use std::path::Path;

use crate::rules::{PARTS, Part, Uses};
use crate::source::{self, Named};
use crate::tree;

/// What the library shows to the outside.
#[derive(Default)]
struct Public {
    /// Names of `pub use`.
    names: BTreeSet<String>,
    /// Modules of `pub mod`.
    modules: BTreeSet<String>,
}

/// Every import of the runtime that goes up or sideways: `file:line: what and why`.
pub fn check(root: &Path) -> Vec<String> {
    let folder = root.join("runtime/src");
    let public = Public::of(&tree::read(&folder.join("lib.rs")));
    let mut findings = vec![];
    for path in tree::files(&folder) {
        if tree::has_extension(&path, &["rs"]) {
            let module = module_of(&tree::relative(&folder, &path));
            findings.extend(check_file(&tree::relative(root, &path), &module, &tree::read(&path), &public));
        }
    }
    findings
}

/// `["flow", "task", "set"]` for `flow/task/set.rs`; nothing for `lib.rs` and `main.rs`.
pub fn module_of(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs");
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let module: Vec<_> = segments.map(str::to_owned).collect();
    match module.last().map(String::as_str) {
        Some("mod" | "lib" | "main") => module[..module.len() - 1].to_vec(),
        _ => module,
    }
}

fn check_file(file: &str, module: &[String], text: &str, public: &Public) -> Vec<String> {
    let Some(top) = module.first() else { return vec![] };
    let Some(part) = PARTS.iter().find(|part| part.module == top) else {
        return vec![format!("{file}:1: the module `{top}` is not in the table of tests/tidy/rules.rs")];
    };
    // A file for tests: `tests.rs`, a folder `tests`, and what says so itself.
    let in_tests = module
        .iter()
        .any(|segment| ["tests", "testing", "contract", "simulator"].contains(&segment.as_str()));
    let named = source::paths(text);
    let findings = named.iter().filter_map(|named| {
        let why = wrong(part, module, named, in_tests || named.test, public)?;
        Some(format!("{file}:{}: `{}`: {why}", named.line, named.path.join("::")))
    });
    findings.collect()
}

/// Why a path must not stand in this part.
fn wrong(part: &Part, module: &[String], named: &Named, test: bool, public: &Public) -> Option<String> {
    let first = named.path.first()?.as_str();
    let target = match first {
        "crate" => named.path[1..].to_vec(),
        "super" | "self" => climbed(module, named)?,
        _ => {
            let forbidden = !test && part.never_crates.contains(&first);
            return forbidden.then(|| format!("`{}` never imports the crate `{first}`", part.module));
        }
    };
    let [other, ..] = &target[..] else { return None };
    if other == part.module || other == "*" && named.test {
        return None;
    }
    match part.uses {
        Uses::AllBut(never) if never.contains(&other.as_str()) => {
            Some(format!("`{}` never imports `{other}`", part.module))
        }
        Uses::AllBut(_) => None,
        Uses::PublicAnd(modules) => {
            let shown = public.names.contains(other) || public.modules.contains(other);
            let allowed = shown || modules.contains(&other.as_str());
            (!allowed).then(|| {
                format!("`{}` uses only what lib.rs makes public, and `{other}` is not", part.module)
            })
        }
    }
}

/// From the root of the crate, where `super` and `self` lead; none for a `super` of a macro's own.
pub fn climbed(module: &[String], named: &Named) -> Option<Vec<String>> {
    let mut place: Vec<String> = module.iter().chain(&named.inside).cloned().collect();
    let mut rest = &named.path[..];
    while let Some((step, after)) = rest.split_first() {
        match step.as_str() {
            "self" => {}
            "super" => drop(place.pop()?),
            _ => break,
        }
        rest = after;
    }
    place.extend_from_slice(rest);
    Some(place)
}

impl Public {
    fn of(lib: &str) -> Self {
        let mut public = Self::default();
        for statement in statements(lib) {
            if let Some(tree) = statement.strip_prefix("pub use ") {
                for named in source::paths(&format!("use {tree};")) {
                    public.names.extend(named.path.last().filter(|name| *name != "self").cloned());
                    // `pub use a::{self}` shows the module.
                    if named.path.last().is_some_and(|name| name == "self") {
                        public.names.extend(named.path.iter().rev().nth(1).cloned());
                    }
                }
            } else if let Some(name) = statement.strip_prefix("pub mod ") {
                public.modules.insert(name.trim().to_owned());
            }
        }
        public
    }
}

/// The statements of a file of declarations, each on one line, without comments and attributes.
fn statements(text: &str) -> Vec<String> {
    let code = text.lines().map(str::trim).filter(|line| !line.starts_with("//") && !line.starts_with('#'));
    let code = code.collect::<Vec<_>>().join(" ");
    code.split(';').map(|statement| statement.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIB: &str = "//! x\npub mod problem;\nmod flow;\npub use flow::{\n    Flow, read as read_flow,\n};\npub use engine::Runtime;\n";

    /// What is found in a text that stands in this file of runtime/src.
    fn found(file: &str, text: &str) -> Vec<String> {
        check_file(file, &module_of(file), text, &Public::of(LIB))
    }

    #[test]
    fn an_import_upwards_is_found_with_its_line() {
        let findings = found("flow/advance.rs", "use std::fmt;\nuse crate::journal::Entry;\n");
        assert_eq!(findings, ["flow/advance.rs:2: `crate::journal::Entry`: `flow` never imports `journal`"]);
    }

    #[test]
    fn a_forbidden_crate_is_found_in_an_expression() {
        let findings = found("flow/task/wait.rs", "fn a() {\n    tokio::spawn(b());\n}\n");
        assert_eq!(findings, ["flow/task/wait.rs:2: `tokio::spawn`: `flow` never imports the crate `tokio`"]);
        assert_eq!(found("engine/mod.rs", "use hyper::Method;").len(), 1);
    }

    #[test]
    fn a_path_that_climbs_is_followed() {
        assert_eq!(found("host/call.rs", "use super::super::engine::Driver;").len(), 1);
        assert_eq!(found("host/mod.rs", "use super::engine::Driver;").len(), 1);
        assert_eq!(found("host/call.rs", "mod a { use super::super::super::flow::Flow; }").len(), 1);
        assert_eq!(found("host/call.rs", "use super::fault::Fault; use self::b::C;").len(), 0);
        assert_eq!(found("host/a/b.rs", "use super::super::fault::Fault;").len(), 0);
    }

    #[test]
    fn a_group_is_looked_into() {
        let findings = found("journal/mod.rs", "use crate::{\n    id::RunId,\n    flow::{Flow, Status},\n};");
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].starts_with("journal/mod.rs:3: "), "{findings:?}");
    }

    #[test]
    fn the_server_uses_public_names_only() {
        assert_eq!(found("server/api/flows.rs", "use crate::{Flow, Runtime, read_flow};").len(), 1);
        assert_eq!(
            found(
                "server/api/flows.rs",
                "use crate::problem::kind; use crate::Flow; use crate::server::limits;"
            )
            .len(),
            0
        );
        assert_eq!(found("server/mod.rs", "use crate::engine::Runtime;").len(), 1);
        assert_eq!(found("server/mod.rs", "fn a() { crate::flow::read(); }").len(), 1);
        assert_eq!(found("server/mod.rs", "use crate::cli::Args;").len(), 1);
        assert_eq!(found("cli/serve.rs", "use crate::server::serve; use crate::Runtime;").len(), 0);
        assert_eq!(found("cli/serve.rs", "use crate::engine::Runtime;").len(), 1);
    }

    #[test]
    fn a_test_may_use_any_crate_and_no_forbidden_module() {
        let text = "#[cfg(test)]\nmod tests {\n    use tokio::net::TcpListener;\n    use super::*;\n    use crate::engine::Driver;\n}\n";
        let findings = found("flow/mod.rs", text);
        assert_eq!(findings, ["flow/mod.rs:5: `crate::engine::Driver`: `flow` never imports `engine`"]);
    }

    #[test]
    fn what_a_comment_or_a_visibility_names_is_no_import_of_another_part() {
        let text = "//! Called by [`crate::engine`].\npub(in crate::flow) fn a() {}\npub(crate) fn b() {}\n";
        assert_eq!(found("flow/task/set.rs", text), Vec::<String>::new());
    }

    #[test]
    fn a_part_that_the_table_does_not_know_is_found() {
        assert_eq!(found("helpers/mod.rs", "").len(), 1);
        assert_eq!(found("lib.rs", "use crate::engine::Runtime;").len(), 0);
    }
}
