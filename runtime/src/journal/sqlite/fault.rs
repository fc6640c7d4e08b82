//! What SQLite complains of, in the words of [`StorageError`].

use std::path::Path;

use rusqlite::ErrorCode;

use crate::journal::StorageError;

/// The error for people, with the file that it is about.
pub(super) fn describe(path: &Path, error: &rusqlite::Error) -> StorageError {
    let path = path.display().to_string();
    let detail = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StorageError::Full(path),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StorageError::Corrupt { path, detail },
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            StorageError::Unwritable { path, reason: detail }
        }
        _ if is_foreign_value(error) => StorageError::Corrupt { path, detail },
        _ => StorageError::Io(format!("{path}: {detail}")),
    }
}

/// A column holds what we never write there.
fn is_foreign_value(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as E;
    matches!(
        error,
        E::FromSqlConversionFailure(..)
            | E::InvalidColumnType(..)
            | E::IntegralValueOutOfRange(..)
            | E::Utf8Error(..)
    )
}
