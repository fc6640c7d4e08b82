//! The lists of acceptance scenarios name tests that are there.

use std::collections::BTreeSet;
use std::path::Path;

use crate::tree;

/// Every test that a list names and nobody has written: `file:line: name`.
pub fn missing(root: &Path) -> Vec<String> {
    let tests = written(root);
    let mut findings = vec![];
    for path in tree::files(&root.join("tests/scenarios")) {
        for (index, line) in tree::read(&path).lines().enumerate() {
            for name in named(line).filter(|name| !tests.contains(*name)) {
                findings.push(format!(
                    "{}:{}: there is no test `{name}`",
                    tree::relative(root, &path),
                    index + 1
                ));
            }
        }
    }
    findings
}

/// `module::test` of the product's tests, `runtime:test` of the runtime's.
fn written(root: &Path) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for (folder, is_product) in [("tests/product", true), ("runtime/src", false)] {
        for path in
            tree::files(&root.join(folder)).into_iter().filter(|path| tree::has_extension(path, &["rs"]))
        {
            let module = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            for name in functions(&tree::read(&path)) {
                tests.insert(match is_product {
                    true => format!("{module}::{name}"),
                    false => format!("runtime:{name}"),
                });
            }
        }
    }
    tests
}

/// The functions that stand behind `#[test]` or `#[tokio::test…]`.
fn functions(text: &str) -> Vec<String> {
    let mut is_test = false;
    let mut found = vec![];
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(rest) = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "))
            && std::mem::take(&mut is_test)
        {
            found.extend(rest.split('(').next().map(str::to_owned));
        }
    }
    found
}

/// The last cell of a row, where it is one name in backquotes.
fn named(line: &str) -> impl Iterator<Item = &str> {
    let cell =
        line.trim().strip_suffix('|').and_then(|row| row.rsplit_once('|')).map(|(_, cell)| cell.trim());
    let name = cell.and_then(|cell| cell.strip_prefix('`')?.strip_suffix('`'));
    name.into_iter().filter(|name| name.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_name_tests_and_headings_do_not() {
        assert_eq!(named("| a | `m::t` |").collect::<Vec<_>>(), ["m::t"]);
        assert_eq!(named("| a `x` | test |").count(), 0);
        assert_eq!(named("|---|---|").count(), 0);
        let text =
            "#[test]\nfn one() {}\nfn helper() {}\n#[tokio::test(start_paused = true)]\nasync fn two() {}";
        assert_eq!(functions(text), ["one", "two"]);
    }
}
