//! What PATH arguments name: documents in YAML and JSON files, plugins in .wasm files, and folders of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::Stop;
use crate::{Document, Finding, Severity};

/// Folders that tools fill.
const SKIPPED: [&str; 2] = ["node_modules", "target"];

/// What the paths hold.
#[derive(Default)]
pub(super) struct Sources {
    pub documents: Vec<Document>,
    pub plugins: Vec<Plugin>,
}

/// A component's file, read.
pub(super) struct Plugin {
    pub path: PathBuf,
    pub wasm: Vec<u8>,
}

/// Why the paths cannot be used.
#[derive(Debug)]
pub(super) enum Refusal {
    /// A path that is not there or may not be read: a sentence.
    Unreadable(String),
    /// What is wrong in the documents.
    Findings(Vec<Finding>),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unreadable(sentence) => Self::wrong(sentence),
            Refusal::Findings(findings) => Self::wrong(lines(&findings)),
        }
    }
}

/// `file:line:column: message` for each.
pub(super) fn lines(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Reads everything that the paths name: all of it, so that all findings come at once.
pub(super) fn read(paths: &[PathBuf]) -> Result<Sources, Refusal> {
    let mut sources = Sources::default();
    let mut findings = vec![];
    for path in files(paths)? {
        let unreadable = |error: &dyn std::fmt::Display| {
            Refusal::Unreadable(format!("{}: cannot be read: {error}", path.display()))
        };
        if has_extension(&path, &["wasm"]) {
            let wasm = fs::read(&path).map_err(|error| unreadable(&error))?;
            sources.plugins.push(Plugin { path, wasm });
            continue;
        }
        let bytes = fs::read(&path).map_err(|error| unreadable(&error))?;
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                findings.push(not_utf8(&path, &error));
                continue;
            }
        };
        match crate::read(&text, &path.display().to_string()) {
            Ok(documents) => sources.documents.extend(documents),
            Err(wrong) => findings.extend(wrong),
        }
    }
    if findings.is_empty() { Ok(sources) } else { Err(Refusal::Findings(findings)) }
}

fn not_utf8(path: &Path, error: &std::string::FromUtf8Error) -> Finding {
    let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
    let line = before.split(|byte| *byte == b'\n').next_back().unwrap_or_default();
    Finding {
        file: path.display().to_string(),
        line: before.iter().filter(|byte| **byte == b'\n').count() as u64 + 1,
        column: String::from_utf8_lossy(line).chars().count() as u64 + 1,
        message: "this is not UTF-8 text: save the file as UTF-8".to_owned(),
        severity: Severity::Error,
    }
}

/// One component.
pub(super) fn plugin(path: &Path) -> Result<Plugin, Stop> {
    let wasm = fs::read(path)
        .map_err(|error| Stop::wrong(format!("{}: cannot be read: {error}", path.display())))?;
    Ok(Plugin { path: path.to_owned(), wasm })
}

/// Every file that the paths name, once, in order. A path of a file is taken whatever the file is called.
fn files(paths: &[PathBuf]) -> Result<BTreeSet<PathBuf>, Refusal> {
    let mut files = BTreeSet::new();
    for path in paths {
        if path.is_dir() {
            walk(path, &mut files)?;
        } else if path.exists() {
            files.insert(path.clone());
        } else {
            return Err(Refusal::Unreadable(format!("{}: there is no such file or folder", path.display())));
        }
    }
    Ok(files)
}

fn walk(folder: &Path, files: &mut BTreeSet<PathBuf>) -> Result<(), Refusal> {
    let unreadable = |error| Refusal::Unreadable(format!("{}: cannot be read: {error}", folder.display()));
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        if is_skipped(&path) {
            continue;
        }
        // A link to a folder is not followed: it may lead back here.
        if entry.file_type().map_err(unreadable)?.is_dir() {
            walk(&path, files)?;
        } else if is_source(&path) && path.is_file() {
            files.insert(path);
        }
    }
    Ok(())
}

/// Whether a file in a folder is taken.
pub(super) fn is_source(path: &Path) -> bool {
    has_extension(path, &["yaml", "yml", "json", "wasm"])
}

/// Whether an entry of a folder is passed over: hidden ones, the data folder among them, and what other tools make.
pub(super) fn is_skipped(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with('.') || SKIPPED.contains(&name))
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| extensions.contains(&extension))
}

#[cfg(test)]
mod tests {
    use super::super::data::testing::Scratch;
    use super::*;

    const FLOW: &str = "document: { dsl: 1.0.3, namespace: shop, name: in, version: 1.0.0 }\ndo:\n- one: { set: { a: 1 } }\n";

    #[test]
    fn a_folder_is_read_with_its_folders_but_not_what_is_hidden_or_built() {
        let scratch = Scratch::new();
        scratch.write("b.yaml", FLOW);
        scratch.write("more/a.yml", FLOW);
        scratch.write("more/x.wasm", "bytes");
        for skipped in
            [".flowcell/c.yaml", "node_modules/c.yaml", "target/c.json", "notes.md", ".hidden.yaml"]
        {
            scratch.write(skipped, "no document");
        }
        let found: Vec<_> = files(std::slice::from_ref(&scratch.0)).unwrap().into_iter().collect();
        assert_eq!(found, ["b.yaml", "more/a.yml", "more/x.wasm"].map(|name| scratch.0.join(name)));
        let sources = read(&[scratch.0.clone(), scratch.0.join("b.yaml")]).unwrap();
        assert_eq!((sources.documents.len(), sources.plugins.len()), (2, 1));
    }

    #[test]
    fn every_finding_of_every_file_is_told_with_its_place() {
        let scratch = Scratch::new();
        let one = scratch.write("one.yaml", "nothing: here\n");
        let two = scratch.write("two.yaml", "document: [\n");
        let Err(Refusal::Findings(findings)) = read(&[two.clone(), one.clone()]) else {
            panic!("both are wrong");
        };
        let text = lines(&findings);
        for file in [one, two] {
            let place = format!("{}:", file.display());
            let line = text.lines().find_map(|line| line.strip_prefix(&place)).unwrap();
            let mut numbers = line.splitn(3, ':').take(2);
            assert!(numbers.all(|number| number.parse::<u64>().is_ok()), "{line}");
        }
    }

    #[test]
    fn a_path_that_is_not_there_is_named() {
        let Err(stop) = read(&["/nowhere/flow.yaml".into()]).map_err(Stop::from) else {
            panic!("no such file")
        };
        assert_eq!(
            (stop.code, stop.text.as_str()),
            (2, "/nowhere/flow.yaml: there is no such file or folder")
        );
    }
}
