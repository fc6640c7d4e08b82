//! Texts that the program makes and the repository keeps, so that the diff of a commit shows what a change does to them.

use std::path::Path;

/// Compares a text with the file that keeps it, a path below the folder of this crate. With FLOWCELL_WRITE=1 the file is
/// written first.
pub(crate) fn assert_kept(file: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("FLOWCELL_WRITE").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let same = kept.lines().zip(made.lines()).take_while(|(kept, made)| kept == made).count();
    assert!(
        kept == made,
        "runtime/{file}, line {}: kept is `{}`, made is `{}`. When the change is meant, run\n  \
         FLOWCELL_WRITE=1 cargo test -p flowcell --lib as_kept",
        same + 1,
        kept.lines().nth(same).unwrap_or_default(),
        made.lines().nth(same).unwrap_or_default()
    );
}
