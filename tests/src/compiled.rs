//! The compiled code of plugins, made once for all hosts of a test run.
//!
//! A host compiles its plugins at its first start and keeps the result in its data folder, which costs seconds of a
//! processor. Every test has a data folder of its own, so it gets a copy of what one host has made. A product that keeps
//! its code elsewhere leaves nothing to copy, and every test works as before, only slower.

use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::OnceCell;

use crate::guest::probe;
use crate::product::Product;
use crate::server::Setup;

/// What a host keeps beside its journal: the key that seals compiled code, and the code.
const KEY: &str = "host.key";
const CODE: &str = "cache";

static MADE: OnceCell<PathBuf> = OnceCell::const_new();

/// Puts compiled code into a data folder that no host has used yet.
pub(crate) async fn give(product: Product, data: &Path) {
    if data.exists() {
        return;
    }
    let made = MADE.get_or_init(|| make(product)).await;
    let given = made.join(CODE).is_dir().then(|| copy(made, data));
    given.transpose().expect("compiled code can be copied");
}

/// Starts one host with every plugin that the tests use, and keeps what it has compiled.
async fn make(product: Product) -> PathBuf {
    let kept = Path::new(product.home()).join("compiled");
    let mut setup = Setup::new(product, "serve");
    if let Ok(wasm) = std::fs::read(probe()) {
        setup = setup.file("probe.wasm", wasm);
    }
    let (setup, output) = Box::pin(setup.start_cold()).await.terminate().await;
    assert_eq!(output.code, Some(0), "a host without work does not drain\n{output}");
    let _ = std::fs::remove_dir_all(&kept);
    if setup.data().join(CODE).is_dir() {
        copy(&setup.data(), &kept).expect("compiled code can be copied");
    }
    kept
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to.join(CODE))?;
    std::fs::copy(from.join(KEY), to.join(KEY))?;
    for file in std::fs::read_dir(from.join(CODE))? {
        let file = file?;
        if file.file_type()?.is_file() {
            std::fs::copy(file.path(), to.join(CODE).join(file.file_name()))?;
        }
    }
    Ok(())
}
