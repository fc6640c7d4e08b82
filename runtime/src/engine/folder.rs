//! The folder of a host: where its journal, its keys and the compiled code of plugins lie, and a copy of the journal.

use std::fs;
use std::path::{Path, PathBuf};

use super::options::OpenError;
use crate::config::{Config, JournalUrl};
use crate::host::CacheDir;
use crate::journal::{SqliteStorage, StorageError};

/// Where the journal of a host with this data folder is.
pub(super) fn journal_path(folder: &Path, config: &Config) -> PathBuf {
    match &config.journal {
        None => folder.join("journal.db"),
        Some(JournalUrl::Sqlite(path)) => path.clone(),
    }
}

/// Copies the journal of a host, running or not, into the new file `to`: runs, flows, triggers, tenants' plugins, and
/// the keys of the journal. A host that is started on it goes on from there. Gives the bytes of the copy.
///
/// Every event that was acknowledged before the call is in it. The host is not slowed down by more than the reading.
///
/// ```
/// let folder = std::env::temp_dir().join("flowcell-no-data-here");
/// let error = flowcell::backup(&flowcell::Config::default(), &folder, "backup.db".as_ref()).unwrap_err();
/// assert!(error.to_string().starts_with("there is no journal at "), "{error}");
/// ```
///
/// # Errors
/// A sentence for the operator: there is no journal, `to` exists, or it cannot be written.
pub fn backup(config: &Config, data: &Path, to: &Path) -> Result<u64, OpenError> {
    SqliteStorage::copy(&journal_path(data, config), to).map_err(journal_error)
}

/// The compiled code of plugins is kept in the data folder, sealed with a key that never leaves it.
pub(super) fn code_cache(folder: &Path) -> Result<CacheDir, OpenError> {
    let key = folder.join("host.key");
    let seed = match fs::read_to_string(&key) {
        Ok(seed) if !seed.trim().is_empty() => seed,
        _ => {
            let seed = crate::id::mint_token();
            write_private(&key, &seed)
                .map_err(|error| OpenError::Journal(format!("cannot write {}: {error}", key.display())))?;
            seed
        }
    };
    let key = blake3::derive_key("flowcell compiled-code cache", seed.trim().as_bytes());
    Ok(CacheDir { path: folder.join("cache"), key, most: CacheDir::MOST })
}

/// Where a host without a data folder keeps compiled code, so that the second `flowcell run` is quick: the user's own
/// cache folder. None, when there is no place that is only this user's.
pub(super) fn user_folder() -> Option<PathBuf> {
    let caches = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let caches = caches.or_else(|| Some(std::env::home_dir()?.join(".cache")))?;
    let folder = caches.join("flowcell");
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder).ok()?;
    Some(folder)
}

/// Writes a file that only its owner may read: whole and on the disk, or not at all.
pub(super) fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let partial = path.with_extension("partial");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&partial)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// A failure of the journal as an operator hears of it.
pub(super) fn journal_error(error: StorageError) -> OpenError {
    OpenError::Journal(error.to_string())
}
