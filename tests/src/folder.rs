//! A folder of a test's own, gone when the test is over.

use std::path::{Path, PathBuf};

/// A temporary folder.
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// An empty one.
    ///
    /// # Panics
    /// When the machine's folder for temporary files takes none.
    #[expect(clippy::new_without_default, reason = "making a folder is an act, not a default value")]
    pub fn new() -> Self {
        Self(
            tempfile::Builder::new()
                .prefix("flowcell-test-")
                .tempdir()
                .expect("a temporary folder can be made"),
        )
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where something in it is, or would be.
    pub fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, and the folders above it, and says where it is. An existing file is replaced in one step: who
    /// watches the folder never sees half of it.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(name);
        let parent = path.parent().expect("a file in the folder has a parent");
        std::fs::create_dir_all(parent).expect("a folder can be made in a temporary folder");
        let beside = self.at(".being-written");
        std::fs::write(&beside, content).expect("a file can be written in a temporary folder");
        std::fs::rename(&beside, &path).expect("a file can be renamed in a temporary folder");
        path
    }
}
