//! The files of the repository: those that are there, and those that are committed.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders that tools fill.
const PASSED_OVER: [&str; 4] = [".git", "target", ".flowcell", "node_modules"];

/// Every file below a folder, in order, without what tools make.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries.flatten() {
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if PASSED_OVER.iter().any(|name| path.file_name() == Some(name.as_ref())) {
            continue;
        }
        if is_folder {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The committed files, relative to the root; all that are there where no version control is.
pub fn committed(root: &Path) -> Vec<PathBuf> {
    let listed = Command::new("git").arg("-C").arg(root).args(["ls-files", "-z"]).output();
    let listed = listed.ok().filter(|output| output.status.success() && !output.stdout.is_empty());
    match listed {
        Some(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect()
        }
        None => files(root).iter().map(|path| relative(root, path).into()).collect(),
    }
}

/// A path as it is shown: from the root, with `/`.
pub fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string().replace('\\', "/")
}

/// Whether a file's name ends so.
pub fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|extension| extensions.iter().any(|known| extension == *known))
}

/// A file's text.
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
