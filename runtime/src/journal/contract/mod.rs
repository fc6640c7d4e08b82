//! What every store must do, as tests that run on each of them, in a file for each subject.

use super::StorageError;

/// Makes a test of each function for each store.
macro_rules! on_every_store {
    ($($check:ident)*) => {
        mod sqlite {
            $(#[test] fn $check() {
                let folder = crate::journal::samples::Folder::new();
                super::$check(&crate::journal::SqliteStorage::open(&folder.path("journal.db")).unwrap());
            })*
        }
        mod memory {
            $(#[test] fn $check() {
                super::$check(&crate::journal::MemoryStorage::new());
            })*
        }
    };
}

mod access;
mod deployed;
mod itself;
mod leases;
mod lists;
mod runs;
mod tables;
mod timers;

fn assert_conflict(result: Result<(), StorageError>) {
    assert!(matches!(result, Err(StorageError::Conflict(_))), "{result:?}");
}
