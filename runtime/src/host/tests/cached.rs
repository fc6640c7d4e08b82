//! The cache of compiled code: what is not exactly what this host wrote is never loaded.

use std::fs;
use std::path::PathBuf;

use super::guest::Guest;
use super::{host, install, plugin};
use crate::host::cache::{CacheDir, Code, keep, load};
use crate::host::{Host, HostSettings};

/// A folder that is gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("flowcell-cache-{}", crate::id::mint_token())))
    }

    fn cache(&self, key: u8) -> CacheDir {
        CacheDir { path: self.0.clone(), key: [key; 32], most: CacheDir::MOST }
    }

    fn files(&self) -> Vec<PathBuf> {
        fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether it had to be compiled.
fn compiles(host: &Host, cache: &CacheDir, wasm: &[u8]) -> bool {
    let (engine, digest) = (host.engine(), blake3::hash(wasm));
    if load(cache, engine, &digest).is_some() {
        return false;
    }
    keep(cache, engine, &digest, &Code::made(engine.precompile_component(wasm).unwrap()));
    true
}

#[test]
fn a_component_is_compiled_once() {
    let (folder, host, wasm) = (Folder::new(), host(), Guest::action("unreachable").wasm());
    assert!(compiles(&host, &folder.cache(1), &wasm));
    assert!(!compiles(&host, &folder.cache(1), &wasm));
    assert!(!compiles(&super::host(), &folder.cache(1), &wasm), "another engine of the same settings");
    assert_eq!(folder.files().len(), 1, "{:?}", folder.files());
}

#[test]
fn a_file_that_was_tampered_with_is_replaced_and_not_loaded() {
    let (folder, host, wasm) = (Folder::new(), host(), Guest::action("unreachable").wasm());
    assert!(compiles(&host, &folder.cache(1), &wasm));
    let file = folder.files().remove(0);
    let good = fs::read(&file).unwrap();
    let mut altered = good.clone();
    altered[good.len() / 2] ^= 1;
    let mut forged = good.clone();
    forged[0] ^= 1;
    let cases =
        [altered, forged, good[..good.len() - 1].to_vec(), good[..10].to_vec(), Vec::new(), b"x".repeat(500)];
    for bad in cases {
        fs::write(&file, bad).unwrap();
        assert!(compiles(&host, &folder.cache(1), &wasm));
        assert!(!compiles(&host, &folder.cache(1), &wasm), "the good file is back");
    }
}

#[test]
fn a_file_of_another_key_or_component_is_not_loaded() {
    let (folder, host) = (Folder::new(), host());
    let (one, two) = (Guest::action("unreachable").wasm(), Guest::action("(i32.const 64)").wasm());
    assert!(compiles(&host, &folder.cache(1), &one));
    assert!(compiles(&host, &folder.cache(2), &one));
    let file_of_one = folder.files().remove(0);
    assert!(compiles(&host, &folder.cache(2), &two));
    let file_of_two = folder.files().into_iter().find(|file| *file != file_of_one).unwrap();
    fs::copy(&file_of_one, &file_of_two).unwrap();
    assert!(compiles(&host, &folder.cache(2), &two), "the file of one plugin under the name of another");
}

#[test]
fn a_full_folder_forgets_what_was_kept_first() {
    let (folder, host) = (Folder::new(), host());
    let wasm = ["unreachable", "(i32.const 64)", "(i32.const 65)"].map(|body| Guest::action(body).wasm());
    assert!(compiles(&host, &folder.cache(1), &wasm[0]));
    let one = fs::metadata(&folder.files()[0]).unwrap().len();
    let full = CacheDir { most: one * 5 / 2, ..folder.cache(1) };
    assert!(compiles(&host, &full, &wasm[1]) && compiles(&host, &full, &wasm[2]));
    assert_eq!(folder.files().len(), 2);
    assert!(!compiles(&host, &full, &wasm[1]) && !compiles(&host, &full, &wasm[2]));
    let small = CacheDir { most: one / 2, ..full };
    assert!(compiles(&host, &small, &wasm[0]));
    assert_eq!(folder.files().len(), 1, "the newest stays");
}

#[tokio::test]
async fn what_is_refused_is_not_kept() {
    let folder = Folder::new();
    let host = Host::new(HostSettings { cache: Some(folder.cache(1)), ..HostSettings::default() }).unwrap();
    fs::create_dir(&folder.0).unwrap();
    install(&host, &Guest { descriptor: "nonsense".to_owned(), ..Guest::action("unreachable") }.wasm())
        .await
        .unwrap_err();
    assert_eq!(folder.files().len(), 0, "{:?}", folder.files());
    plugin(&host, &Guest::action("unreachable").wasm()).await;
    assert_eq!(folder.files().len(), 1, "{:?}", folder.files());
}

#[test]
fn a_folder_that_cannot_be_written_costs_time_only() {
    let (folder, host, wasm) = (Folder::new(), host(), Guest::action("unreachable").wasm());
    fs::write(&folder.0, "a file where the folder should be").unwrap();
    assert!(compiles(&host, &folder.cache(1), &wasm));
    assert!(compiles(&host, &folder.cache(1), &wasm));
    fs::remove_file(&folder.0).unwrap();
}
