//! The host against guests that behave and guests that do not. A guest here is a few lines of WebAssembly text, made
//! into a component with the interfaces of wit/, so that the types written by hand in `bindings` are checked too.

#![allow(clippy::unwrap_used)]

mod cached;
mod calls;
mod evaluated;
mod guest;
mod installed;
mod judged;
mod read;
mod shared;

use std::sync::Arc;
use std::time::Duration;

use super::{CallLimits, Expressions, Host, HostSettings, InstallError, Plugin};
use crate::id::TenantId;

/// Calls at the same time on [`host`].
const CALLS: u32 = 20;

/// A host with little room.
fn host() -> Host {
    Host::new(HostSettings { calls: CALLS, kept_evaluators: 2, ..HostSettings::default() }).unwrap()
}

/// As a small tenant has them; the time is long, for a machine that is busy with other tests.
fn limits() -> CallLimits {
    CallLimits {
        memory_bytes: 4 * 1024 * 1024,
        cpu: Duration::from_millis(20),
        cpu_per_minute: Duration::MAX,
        wall: Duration::from_secs(60),
        hand_over: 32 * 1024 * 1024,
    }
}

async fn install(host: &Host, wasm: &[u8]) -> Result<Arc<Plugin>, InstallError> {
    host.install(&TenantId::default_tenant(), wasm).await
}

async fn plugin(host: &Host, wasm: &[u8]) -> Arc<Plugin> {
    install(host, wasm).await.unwrap_or_else(|error| panic!("{error}"))
}

/// What judges the expressions and schemas of a call: stand-ins.
async fn expressions(host: &Host) -> Expressions {
    let evaluator = host.evaluator(&guest::expression()).await.unwrap();
    let schemas = host.schemas(&guest::schema()).await.unwrap();
    Expressions { evaluator, schemas, tenant: TenantId::default_tenant() }
}
