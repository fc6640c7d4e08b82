//! The cache of compiled components: DATA/cache/DIGEST-ENGINE.cwasm.
//!
//! Loading such a file is loading native code into the host, so a file counts only with a MAC under the host's own
//! key. One that is cut off, altered, of another engine or made with another key is compiled anew and replaced. A
//! cache that cannot be written costs time, never a start.
//!
//! The folder is bounded: what was kept first goes first, and is compiled again when it is needed.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use wasmtime::Engine;
use wasmtime::component::Component;

/// Where compiled components are kept, and the key that says they are this host's.
#[derive(Clone)]
pub(crate) struct CacheDir {
    /// A folder of this host's own.
    pub path: PathBuf,
    /// Secret: whoever has it can make the host run native code.
    pub key: [u8; 32],
    /// The most bytes that are kept there.
    pub most: u64,
}

impl CacheDir {
    /// What a host keeps: the plugins of many tenants, and no full disk.
    pub(crate) const MOST: u64 = 4 << 30;

    fn file(&self, engine_hash: &blake3::Hash, digest: &blake3::Hash) -> PathBuf {
        self.path.join(format!("{}-{}.cwasm", digest.to_hex(), &engine_hash.to_hex()[..16]))
    }
}

impl std::fmt::Debug for CacheDir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheDir").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Bytes of the MAC, which stands before the code.
const MAC_BYTES: usize = 32;

/// Native code that this program made, with the settings that its engine has. Nothing else is ever loaded.
pub(super) struct Code(Bytes);

impl Code {
    /// What our own compiler has returned, in this process or in a child of it.
    pub(super) fn made(code: Vec<u8>) -> Self {
        Self(code.into())
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The component.
    pub(super) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        #[allow(unsafe_code, reason = "deserialize is unsafe for code that wasmtime did not make")]
        // SAFETY: `Code` holds what wasmtime made in this very program: it comes from `made`, or from a file whose MAC, under a
        // key that only this host has, covers these very bytes and the hash of an engine that is compatible with ours. Only
        // `keep` makes such a MAC, and only for a `Code`. The bytes are in memory of our own: no file that changes by now
        // changes them.
        unsafe {
            Component::deserialize(engine, &self.0)
        }
    }
}

/// The component of that digest, if the cache has it.
pub(super) fn load(folder: &CacheDir, engine: &Engine, digest: &blake3::Hash) -> Option<Component> {
    let engine_hash = compatibility(engine);
    let file = folder.file(&engine_hash, digest);
    let code = read(folder, &engine_hash, digest, &file)?;
    let loaded = code.load(engine);
    loaded
        .inspect_err(|error| tracing::warn!(file = %file.display(), %error, "a compiled plugin does not load: compiling it again"))
        .ok()
}

/// Keeps the code of the component of that digest.
pub(super) fn keep(folder: &CacheDir, engine: &Engine, digest: &blake3::Hash, code: &Code) {
    let engine_hash = compatibility(engine);
    let file = folder.file(&engine_hash, digest);
    let mac = authenticate(folder, &engine_hash, digest, &code.0);
    match write(&folder.path, &file, mac.as_bytes(), &code.0) {
        Ok(()) => {
            remove_older(&folder.path, digest, &file);
            make_room(folder, &file);
        }
        Err(error) => {
            tracing::warn!(
                folder = %folder.path.display(), %error,
                "a compiled plugin could not be kept: the next start will compile it again"
            );
        }
    }
}

fn read(folder: &CacheDir, engine_hash: &blake3::Hash, digest: &blake3::Hash, file: &Path) -> Option<Code> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "a compiled plugin could not be read: compiling it again");
            return None;
        }
    };
    let bytes = Bytes::from(bytes);
    let Some((mac, code)) = bytes.split_at_checked(MAC_BYTES) else {
        tracing::warn!(file = %file.display(), "a compiled plugin is cut off: compiling it again");
        return None;
    };
    // `Hash` compares in constant time.
    let authentic = <[u8; MAC_BYTES]>::try_from(mac)
        .is_ok_and(|mac| blake3::Hash::from_bytes(mac) == authenticate(folder, engine_hash, digest, code));
    if !authentic {
        tracing::warn!(
            file = %file.display(),
            "a compiled plugin was altered or made with another key: compiling it again"
        );
        return None;
    }
    Some(Code(bytes.slice(MAC_BYTES..)))
}

/// Under another name first: a reader sees the whole file or none.
fn write(folder: &Path, file: &Path, mac: &[u8], code: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let unfinished = file.with_extension(format!("{}.tmp", crate::id::mint_token()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&unfinished).and_then(|mut out| {
        out.write_all(mac)?;
        out.write_all(code)?;
        drop(out);
        fs::rename(&unfinished, file)
    });
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// What earlier engines made of the same component is of no use to anyone.
fn remove_older(folder: &Path, digest: &blake3::Hash, file: &Path) {
    let prefix = format!("{}-", digest.to_hex());
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let older = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(&prefix) && name.ends_with(".cwasm"));
        if older && entry.path() != file {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Takes out what was kept first, until the folder holds no more than it may. `newest` stays.
fn make_room(folder: &CacheDir, newest: &Path) {
    let files = fs::read_dir(&folder.path).into_iter().flatten().flatten();
    let mut files: Vec<_> = files
        .filter_map(|file| {
            let about = file.metadata().ok()?;
            Some((about.modified().ok()?, about.len(), file.path()))
        })
        .collect();
    files.sort();
    let mut held: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, bytes, file) in files {
        if held <= folder.most {
            return;
        }
        if file != newest && fs::remove_file(file).is_ok() {
            held -= bytes;
        }
    }
}

fn authenticate(
    folder: &CacheDir,
    engine_hash: &blake3::Hash,
    digest: &blake3::Hash,
    code: &[u8],
) -> blake3::Hash {
    let mut mac = blake3::Hasher::new_keyed(&folder.key);
    mac.update(engine_hash.as_bytes()).update(digest.as_bytes()).update(code);
    mac.finalize()
}

/// The same for engines that can run each other's code: version, target, settings.
fn compatibility(engine: &Engine) -> blake3::Hash {
    struct Hasher(blake3::Hasher);
    impl std::hash::Hasher for Hasher {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut hasher = Hasher(blake3::Hasher::new());
    std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut hasher);
    hasher.0.finalize()
}
