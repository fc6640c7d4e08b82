//! Guests: from a component's bytes to one bounded call.
//!
//! [`Host::install`] makes a [`Plugin`] of a .wasm file; [`Host::start`], [`Host::receive`] and the others in [`call`] call
//! it in a fresh sandbox, which reaches what its [`Reach`] says; [`Evaluator`] judges jq programs and [`Schemas`] JSON Schemas
//! in kept ones. What reaching means is in `capability`; when a call is made, with whose quotas, and what its outcome means is the engine's.
//!
//! Invariants: a sandbox is never shared by two calls (those of the host's own guests excepted, within one tenant and text);
//! no call runs without a limit on memory, CPU and time; an interrupted or trapped sandbox is dropped; no tenant takes the last
//! places of the host (`crate::shares`), and none computes while others wait that have computed less (`turns`).

mod bindings;
mod budget;
mod cache;
mod call;
mod compile;
mod compute;
mod descriptor;
mod evaluator;
mod exports;
mod fault;
mod given_back;
mod http;
mod install;
mod kept;
mod limits;
mod measure;
mod offstack;
mod plugin;
mod reach;
mod sandbox;
mod schema;
mod schemas;
mod store;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::Engine;
use wasmtime::component::Linker;

pub(crate) use self::bindings::{GuestOutcome, GuestSuspension, Remark};
use self::budget::Budgets;
pub(crate) use self::cache::CacheDir;
pub(crate) use self::call::{Call, Called, Usage};
use self::compile::Compiler;
pub use self::compile::compile_component;
pub(crate) use self::evaluator::Evaluator;
pub(crate) use self::install::InstallError;
use self::kept::Kept;
pub(crate) use self::limits::{CallLimits, hand_over};
pub use self::measure::{SandboxCost, measure_sandbox};
pub(crate) use self::plugin::{Action, Plugin};
pub use self::reach::Inbound;
pub(crate) use self::reach::{Arrival, Expressions, Grants, Reach, StepContext, SwitchContext};
use self::sandbox::Sandbox;
use self::schema::Author;
pub(crate) use self::schemas::{Account, Schemas};
use self::store::CallState;
use self::turns::Turns;
use crate::capability::wasi;
use crate::id::TenantId;
use crate::memory::{Account as MemoryAccount, Memory};
use crate::shares::Shares;

/// How much room guests have on this host, all tenants together.
#[derive(Clone, Debug)]
pub(crate) struct HostSettings {
    /// Where compiled components are kept; none: nowhere.
    pub cache: Option<CacheDir>,
    /// A program that knows the command `compile-component`, for components of tenants; none: they are compiled here.
    pub compiler: Option<PathBuf>,
    /// Calls at the same time, those that wait for a response included. The next one waits for a place.
    pub calls: u32,
    /// Sandboxes of the expression guest and the schema guest that are kept between calls.
    pub kept_evaluators: u32,
    /// Most bytes of memory of all guests together, beside what each has of its own: see `limits`.
    pub guest_memory: u64,
    /// The largest `memory_bytes` that a call may be given.
    pub max_memory_bytes: u64,
}

impl Default for HostSettings {
    fn default() -> Self {
        Self {
            cache: None,
            compiler: None,
            calls: 2000,
            kept_evaluators: 100,
            guest_memory: 2 << 30,
            max_memory_bytes: 256 * 1024 * 1024,
        }
    }
}

/// The host cannot do its part. The plugin is not to blame, and the run stays where it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostError {
    /// All places taken until the call's deadline.
    #[error("as many plugin calls are under way as this host can hold: try again later")]
    Busy,
    /// More than the tenant's CPU time of a minute, and what is owed is not made up for before the call's deadline.
    #[error(
        "the tenant has used up its quota `cpu_per_minute` = {} s: try again in a minute, or raise it",
        .quota.as_secs_f64()
    )]
    CpuPerMinute {
        /// What it may use.
        quota: Duration,
        /// The time until it is made up for.
        after: Duration,
    },
    /// wasmtime or the operating system.
    #[error("no sandbox could be made: {0}")]
    Sandbox(String),
    /// The caller asked a plugin for what it does not have.
    #[error("the plugin has no {0}")]
    NoExport(&'static str),
}

impl HostError {
    fn sandbox(error: wasmtime::Error) -> Self {
        Self::Sandbox(format!("{error:#}"))
    }
}

/// Where guests run. A clone is the same host.
#[derive(Clone)]
pub(crate) struct Host(Arc<Inner>);

struct Inner {
    sandbox: Sandbox,
    /// WASI and nothing else: for `describe`.
    bare: Linker<CallState>,
    /// Everything a plugin may import.
    linker: Linker<CallState>,
    compiler: Compiler,
    budgets: Budgets,
    guest_memory: Arc<Memory>,
    /// What the guests of each tenant hold of it.
    guests: Mutex<HashMap<TenantId, Arc<MemoryAccount>>>,
    kept: Kept,
    settings: HostSettings,
}

impl Host {
    /// Reserves the room that `settings` ask for.
    pub(crate) fn new(settings: HostSettings) -> Result<Self, HostError> {
        let memory = usize::try_from(settings.max_memory_bytes).unwrap_or(usize::MAX);
        let make = || {
            let sandbox = Sandbox::new(settings.calls, settings.kept_evaluators, memory)?;
            let mut bare = Linker::new(&sandbox.engine);
            wasi::link(&mut bare)?;
            let mut linker = bare.clone();
            bindings::link(&mut linker)?;
            let (cache, program) = (settings.cache.clone(), settings.compiler.clone());
            let compiler = Compiler::new(sandbox.engine.clone(), cache, program);
            Ok(Inner {
                sandbox,
                bare,
                linker,
                compiler,
                budgets: Budgets::default(),
                guest_memory: Memory::new(settings.guest_memory),
                guests: Mutex::default(),
                kept: Kept::default(),
                settings: settings.clone(),
            })
        };
        make().map(|inner| Self(Arc::new(inner))).map_err(HostError::sandbox)
    }

    /// Compiles, links and describes a tenant's component, on its account. The error is worded for its author. Schemas that are
    /// not plain [`Plugin::check_schemas`] checks.
    pub(crate) async fn install(&self, tenant: &TenantId, wasm: &[u8]) -> Result<Arc<Plugin>, InstallError> {
        install::install(self, tenant, wasm, Author::Tenant).await
    }

    /// The same for one that ships with the host: nobody else is there yet whose places it could take.
    pub(crate) async fn install_bundled(&self, wasm: &[u8]) -> Result<Arc<Plugin>, InstallError> {
        install::install(self, &TenantId::default_tenant(), wasm, Author::Host).await
    }

    /// The expression guest.
    pub(crate) async fn evaluator(&self, wasm: &[u8]) -> Result<Evaluator, InstallError> {
        Evaluator::new(self, wasm).await
    }

    /// The schema guest.
    pub(crate) async fn schemas(&self, wasm: &[u8]) -> Result<Schemas, InstallError> {
        Schemas::new(self, wasm).await
    }

    fn engine(&self) -> &Engine {
        &self.0.sandbox.engine
    }

    fn calls(&self) -> &Shares<TenantId> {
        &self.0.sandbox.calls
    }

    fn evaluations(&self) -> &Shares<TenantId> {
        &self.0.sandbox.evaluations
    }

    fn turns(&self) -> &Turns {
        &self.0.sandbox.turns
    }

    fn linker(&self) -> &Linker<CallState> {
        &self.0.linker
    }

    fn bare_linker(&self) -> &Linker<CallState> {
        &self.0.bare
    }

    /// Bytes of memory that the guests of a tenant hold.
    pub(crate) fn guest_memory(&self, tenant: &TenantId) -> u64 {
        self.guests(tenant).bytes()
    }

    fn guests(&self, tenant: &TenantId) -> Arc<MemoryAccount> {
        let mut guests = self.0.guests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = guests.get(tenant) {
            return account.clone();
        }
        let account = MemoryAccount::new(tenant.clone(), self.0.guest_memory.clone());
        guests.entry(tenant.clone()).or_insert(account).clone()
    }

    fn budgets(&self) -> &Budgets {
        &self.0.budgets
    }

    fn compiler(&self) -> &Compiler {
        &self.0.compiler
    }

    fn kept(&self) -> &Kept {
        &self.0.kept
    }

    fn kept_evaluators(&self) -> usize {
        self.0.settings.kept_evaluators as usize
    }
}
