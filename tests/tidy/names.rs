//! The names of plugins, which stand in no part of the runtime that works for every plugin alike.

use std::path::Path;

use crate::rules::{NAMELESS, NAMES_OF_ITS_OWN};
use crate::tree;

/// Every place of such a name: `file:line: what`. Tests are passed over, comments are not.
pub fn check(root: &Path) -> Vec<String> {
    let names = plugins(root);
    let mut findings = vec![];
    for folder in NAMELESS {
        for path in tree::files(&root.join(folder)) {
            let file = tree::relative(root, &path);
            if file.ends_with("/tests.rs") || file.contains("/tests/") {
                continue;
            }
            findings.extend(places(&file, &tree::read(&path), &names));
        }
    }
    findings
}

/// The places in one file.
fn places(file: &str, text: &str, names: &[String]) -> Vec<String> {
    let lines = without_tests(text).lines().enumerate();
    let named = lines.filter_map(|(index, line)| Some((index + 1, named(line, names)?)));
    named
        .map(|(line, name)| {
            format!("{file}:{line}: the plugin `{name}` is named: its schema says what the host must know")
        })
        .collect()
}

/// The folders of plugins whose names mean nothing else.
fn plugins(root: &Path) -> Vec<String> {
    let folders = std::fs::read_dir(root.join("plugins")).expect("there are plugins").flatten();
    let plugins = folders.filter(|folder| folder.path().join("Cargo.toml").is_file());
    let names = plugins.map(|folder| folder.file_name().to_string_lossy().into_owned());
    names.filter(|name| !NAMES_OF_ITS_OWN.contains(&name.as_str())).collect()
}

/// A file's text up to its module of tests, which is the last thing in it.
fn without_tests(text: &str) -> &str {
    let ends = ["#[cfg(test)]\nmod tests {", "#[cfg(test)]\npub(crate) mod tests {"];
    ends.iter().filter_map(|end| text.find(end)).min().map_or(text, |end| &text[..end])
}

/// The first of the names that stands in a line as a word.
fn named<'n>(line: &str, names: &'n [String]) -> Option<&'n str> {
    let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '-');
    let stands = |name: &&String| {
        line.match_indices(name.as_str()).any(|(at, _)| {
            is_edge(line[..at].chars().next_back()) && is_edge(line[at + name.len()..].chars().next())
        })
    };
    names.iter().find(stands).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugins_are_the_folders_that_are_crates() {
        let plugins = plugins(crate::root());
        assert!(
            plugins.contains(&"http-request".to_owned()) && !plugins.contains(&"http".to_owned()),
            "{plugins:?}"
        );
    }

    #[test]
    fn a_name_is_found_in_text_and_in_comments_and_not_in_other_words() {
        let names = ["http-request".to_owned(), "hook".to_owned()];
        for (line, found) in [
            ("call: `http-request:1.0.0@default`", Some("http-request")),
            ("/// The hook's path", Some("hook")),
            ("use crate::capability::http_request;", None),
            ("hooks, hook_path and a-hook", None),
        ] {
            assert_eq!(named(line, &names), found, "{line}");
        }
    }

    #[test]
    fn a_name_that_is_planted_is_a_finding() {
        let names = plugins(crate::root());
        let text = "//! Flows.\n\n/// As `webhook` has it.\nconst CALLED: &str = \"http-request\";\n#[cfg(test)]\nmod tests {\n// webhook\n}\n";
        let found = places("flow/x.rs", text, &names);
        let says = "is named: its schema says what the host must know";
        assert_eq!(
            found,
            [
                format!("flow/x.rs:3: the plugin `webhook` {says}"),
                format!("flow/x.rs:4: the plugin `http-request` {says}")
            ]
        );
    }

    #[test]
    fn what_is_in_a_module_of_tests_is_passed_over() {
        assert_eq!(without_tests("//! a\n\n#[cfg(test)]\nmod tests {\n}\n"), "//! a\n\n");
        assert_eq!(without_tests("#[cfg(test)]\nmod tests;\n"), "#[cfg(test)]\nmod tests;\n");
    }
}
