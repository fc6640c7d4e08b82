//! From a component's bytes to native code: out of the cache, or compiled, and kept there once the component is taken.
//!
//! What ships with the host is compiled in this process, one at a time, with every core. What a stranger wrote is compiled in
//! a [`child`].

mod child;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;
use wasmtime::Engine;
use wasmtime::component::Component;

use self::child::Children;
pub use self::child::compile_component;
use super::HostError;
use super::cache::{self, CacheDir, Code};
use super::install::InstallError;
use crate::id::TenantId;

/// A component that can be linked.
pub(super) struct Compiled {
    pub(super) component: Component,
    /// Of its bytes: BLAKE3.
    pub(super) digest: blake3::Hash,
    /// Its code, where the cache has not.
    unkept: Option<Code>,
}

pub(super) struct Compiler {
    engine: Engine,
    cache: Option<Arc<CacheDir>>,
    children: Option<Children>,
    /// Held while this process compiles; whether it was said that it does.
    own: Mutex<bool>,
}

impl Compiler {
    /// `program` knows the command of the children; without one this process compiles everything.
    pub(super) fn new(engine: Engine, cache: Option<CacheDir>, program: Option<PathBuf>) -> Self {
        let children = program.map(Children::new);
        Self { engine, cache: cache.map(Arc::new), children, own: Mutex::default() }
    }

    /// `stranger` is the tenant whose component it is; none for one that ships with the host.
    pub(super) async fn compile(
        &self,
        stranger: Option<&TenantId>,
        wasm: &[u8],
    ) -> Result<Compiled, InstallError> {
        let wasm: Arc<[u8]> = wasm.into();
        let (digest, kept) = self.look(wasm.clone()).await?;
        if let Some(component) = kept {
            return Ok(Compiled { component, digest, unkept: None });
        }
        let code = match (stranger, &self.children) {
            (Some(tenant), Some(children)) => children.compile(tenant, &wasm).await?,
            _ => self.compile_here(stranger.is_none(), wasm).await?,
        };
        let engine = self.engine.clone();
        blocking(move || {
            let component = code.load(&engine).map_err(|error| InstallError::Broken(format!("{error:#}")))?;
            Ok(Compiled { component, digest, unkept: Some(code) })
        })
        .await
    }

    /// Keeps the code of a component that is taken: one that is refused leaves nothing on the disk.
    pub(super) async fn keep(&self, compiled: Compiled) {
        let (Some(code), Some(cache)) = (compiled.unkept, self.cache.clone()) else { return };
        let engine = self.engine.clone();
        let kept = blocking(move || {
            cache::keep(&cache, &engine, &compiled.digest, &code);
            Ok(())
        });
        if let Err(error) = kept.await {
            tracing::warn!(%error, "a compiled plugin could not be kept");
        }
    }

    /// The digest of a component, and what the cache has of it.
    async fn look(&self, wasm: Arc<[u8]>) -> Result<(blake3::Hash, Option<Component>), InstallError> {
        let (engine, cache) = (self.engine.clone(), self.cache.clone());
        blocking(move || {
            let digest = blake3::hash(&wasm);
            let kept = cache.and_then(|cache| cache::load(&cache, &engine, &digest));
            Ok((digest, kept))
        })
        .await
    }

    async fn compile_here(&self, ships: bool, wasm: Arc<[u8]>) -> Result<Code, InstallError> {
        let mut was_said = self.own.lock().await;
        if ships && !*was_said {
            tracing::info!(
                "compiling the plugins that ship with this host: at the first start, for a few seconds"
            );
            *was_said = true;
        }
        let engine = self.engine.clone();
        let compile = move || {
            let code = engine.precompile_component(&wasm);
            code.map(Code::made).map_err(|error| InstallError::Broken(format!("{error:#}")))
        };
        blocking(compile).await
    }
}

/// Work for a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, InstallError> + Send + 'static,
) -> Result<T, InstallError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| HostError::Sandbox(error.to_string()))?
}
