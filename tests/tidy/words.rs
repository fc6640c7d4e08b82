//! Words of unfinished work, which stand in no file of the project.

use std::path::Path;

use crate::rules::WORDS;
use crate::tree;

/// Files that people write.
const WRITTEN: &[&str] = &["rs", "toml", "md", "wit", "yaml", "yml", "json", "sh", "html", "css", "js"];

/// Every place of such a word: `file:line: what`.
pub fn check(root: &Path) -> Vec<String> {
    let mut findings = vec![];
    for path in tree::files(root) {
        if tree::has_extension(&path, WRITTEN) {
            let file = tree::relative(root, &path);
            let lines = tree::read(&path)
                .lines()
                .enumerate()
                .filter_map(|(index, line)| Some((index + 1, unfinished(line)?)))
                .collect::<Vec<_>>();
            findings.extend(
                lines
                    .iter()
                    .map(|(line, word)| format!("{file}:{line}: `{word}`: finish it, or leave it out")),
            );
        }
    }
    findings
}

/// The first word of a line that says that something is not finished.
fn unfinished(line: &str) -> Option<String> {
    let words = WORDS.iter().map(|(start, end)| format!("{start}{end}"));
    words.into_iter().find(|word| {
        let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let mut places = line.match_indices(word.as_str());
        places.any(|(at, _)| {
            is_edge(line[..at].chars().next_back()) && is_edge(line[at + word.len()..].chars().next())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_unfinished_work_are_found_and_parts_of_words_are_not() {
        for (start, end) in WORDS {
            let word = format!("{start}{end}");
            assert_eq!(unfinished(&format!("// {word}: later")), Some(word.clone()));
            assert_eq!(unfinished(&format!("A{word}S, {word}_X")), None);
        }
        assert_eq!(unfinished("a list of things to do, and nothing else"), None);
    }
}
