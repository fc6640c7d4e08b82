//! One host for each data folder: a lock that the operating system takes back when the process ends, however it ends.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use super::storage::StorageError;

/// Held as long as the host uses its data folder.
pub(crate) struct DataLock {
    /// Closing it gives the lock back. The file stays: removing it would let two hosts lock two files of one name.
    _file: File,
}

impl DataLock {
    /// Creates the folder where there is none and takes its lock, or says who has it.
    pub(crate) fn acquire(folder: &Path) -> Result<Self, StorageError> {
        create_private_folder(folder)?;
        let path = folder.join("lock");
        let unwritable = |error| unwritable(&path, &error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(folder, &mut file)),
            Err(TryLockError::Error(error)) => return Err(unwritable(error)),
        }
        sign(&mut file).map_err(unwritable)?;
        Ok(Self { _file: file })
    }
}

/// The folder and those above it, for their owner alone. One that exists stays as it is.
pub(super) fn create_private_folder(folder: &Path) -> Result<(), StorageError> {
    if folder.is_dir() {
        return Ok(());
    }
    if folder.exists() {
        return Err(StorageError::Unwritable {
            path: folder.display().to_string(),
            reason: "it is not a folder".into(),
        });
    }
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
    if let Some(above) = above {
        create_private_folder(above)?;
    }
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| unwritable(folder, &error))?;
    // What is synced inside a folder is lost with it, if the folder's own name never reached the disk.
    #[cfg(unix)]
    File::open(above.unwrap_or(Path::new(".")))
        .and_then(|above| above.sync_all())
        .map_err(|error| unwritable(folder, &error))?;
    Ok(())
}

/// Leaves this process's id for whoever finds the folder locked.
fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn in_use(folder: &Path, file: &mut File) -> StorageError {
    let mut text = String::new();
    // The holder may be about to write it; then the sentence does without the number.
    let read = file.take(32).read_to_string(&mut text);
    let process = match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(id)) => format!("process id {id}"),
        _ => "process id unknown".to_owned(),
    };
    StorageError::InUse { folder: folder.display().to_string(), process }
}

fn unwritable(path: &Path, error: &io::Error) -> StorageError {
    StorageError::Unwritable { path: path.display().to_string(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::samples::Folder;

    #[test]
    fn a_second_host_is_told_which_process_has_the_folder() {
        let folder = Folder::new();
        let held = DataLock::acquire(&folder.path("data")).unwrap();
        let refused = DataLock::acquire(&folder.path("data")).err().unwrap().to_string();
        assert_eq!(
            refused,
            format!(
                "another flowcell uses the data folder {} (process id {}): stop it or name another folder with --data",
                folder.path("data").display(),
                std::process::id()
            )
        );
        drop(held);
        DataLock::acquire(&folder.path("data")).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn the_folder_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = Folder::new();
        let _held = DataLock::acquire(&folder.path("data")).unwrap();
        let mode = folder.path("data").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named_with_the_reason() {
        let folder = Folder::new();
        std::fs::write(folder.path("file"), "").unwrap();
        let refused = DataLock::acquire(&folder.path("file/data")).err().unwrap().to_string();
        assert!(refused.starts_with("cannot write "), "{refused}");
        assert!(refused.contains("/file: it is not a folder"), "{refused}");
    }
}
