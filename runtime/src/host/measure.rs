//! What a fresh sandbox costs over one that is kept: the figure that this design stands or falls with, measurable on
//! any machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bindings::Returned;
use super::limits::{fuel, hand_over};
use super::store::{self, CallState};
use super::{
    Call, CallLimits, Expressions, Grants, GuestOutcome, Host, HostSettings, Plugin, Reach, StepContext,
};
use crate::capability::http_request::{Egress, Shared};
use crate::capability::vault::Credentials;
use crate::config::Quota;
use crate::id::{CallbackAddress, CallbackKey, RunId, TenantId};

/// The mean time of one call of the bundled `http-request` plugin, with one call back into the host that the egress
/// policy answers by itself.
#[derive(Clone, Copy, Debug)]
pub struct SandboxCost {
    /// In a sandbox that is made for the call and dropped after it.
    pub fresh: Duration,
    /// In a sandbox that is kept.
    pub reused: Duration,
}

/// Parts of the measurement, taken in turn; the median counts, so that a drift of the machine meets both sides.
const ROUNDS: u32 = 9;
/// An address that nothing allows: the policy denies it before any socket.
const INPUT: &str = r#"{"url":"http://192.0.2.1/","allowFailure":true}"#;
const ACTION: &str = "http-request";

/// Calls the bundled `http-request` plugin `calls` times each way.
///
/// ```no_run
/// let cost = flowcell::measure_sandbox(1000).expect("the sandbox works on this machine");
/// println!("{:?} fresh, {:?} reused", cost.fresh, cost.reused);
/// ```
///
/// # Errors
/// A sentence, when the sandbox cannot be set up on this machine.
pub fn measure_sandbox(calls: u32) -> Result<SandboxCost, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let host = Host::new(HostSettings::default()).map_err(|error| error.to_string())?;
        let plugin = host.install_bundled(bundled(ACTION)?).await.map_err(|error| error.to_string())?;
        let evaluator = host.evaluator(bundled("jq")?).await.map_err(|error| error.to_string())?;
        let schemas = host.schemas(bundled("json-schema")?).await.map_err(|error| error.to_string())?;
        let reach = reach(Expressions { evaluator, schemas, tenant: TenantId::default_tenant() });
        let each = (calls / ROUNDS).max(1);
        let (mut fresh, mut reused) = (vec![], vec![]);
        // One round of each warms up.
        for round in 0..=ROUNDS {
            let (one, other) = (
                fresh_calls(&host, &plugin, &reach, each).await?,
                kept_calls(&host, &plugin, &reach, each).await?,
            );
            if round > 0 {
                fresh.push(one);
                reused.push(other);
            }
        }
        Ok(SandboxCost { fresh: median(fresh), reused: median(reused) })
    })
}

fn bundled(name: &str) -> Result<&'static [u8], String> {
    let part = flowcell_plugins::bundled().iter().find(|part| part.name == name);
    part.map(|part| part.wasm).ok_or_else(|| format!("the bundle has no {name}"))
}

async fn fresh_calls(host: &Host, plugin: &Plugin, reach: &Reach, calls: u32) -> Result<Duration, String> {
    let started = Instant::now();
    for _ in 0..calls {
        let call = Call { plugin, name: ACTION, reach: reach.clone(), limits: limits() };
        match host.start(call, INPUT).await.map_err(|error| error.to_string())?.result {
            Ok(GuestOutcome::Done(_)) => {}
            other => return Err(format!("unexpected: {other:?}")),
        }
    }
    Ok(started.elapsed() / calls)
}

async fn kept_calls(host: &Host, plugin: &Plugin, reach: &Reach, calls: u32) -> Result<Duration, String> {
    let limits = limits();
    let export = &plugin.exports.action().map_err(|error| error.to_string())?.start;
    let state = CallState::new(reach.clone(), &limits);
    let mut store = store::store(host, state, &limits).map_err(|error| error.to_string())?;
    let instance = plugin.pre.instantiate_async(&mut store).await.map_err(|error| error.to_string())?;
    let started = Instant::now();
    for _ in 0..calls {
        store.set_fuel(fuel(limits.cpu)).map_err(|error| error.to_string())?;
        let function = instance.get_typed_func::<(&str, &str), (Returned<GuestOutcome>,)>(&mut store, export);
        let function = function.map_err(|error| error.to_string())?;
        let off_stack = store.data().off_stack.clone();
        let called = off_stack.around(function.call_async(&mut store, (ACTION, INPUT))).await;
        called.map_err(|error| error.to_string())?.0.map_err(|problem| format!("{problem:?}"))?;
    }
    Ok(started.elapsed() / calls)
}

/// As a step has it, with a way out that leads nowhere.
fn reach(expressions: Expressions) -> Reach {
    let credentials = Credentials::of_trigger(Arc::default(), [].into(), [].into());
    Reach::Step(context(), Grants { egress: egress(), expressions, credentials })
}

fn egress() -> Arc<Egress> {
    // Denies everything, and must not be what is measured: the rate is out of the way.
    let quota = Quota { requests_per_second: u32::MAX, ..Quota::default() };
    Arc::new(Egress::new(TenantId::default_tenant(), &[], &quota, Shared::new(vec![], None), [].into()))
}

fn limits() -> CallLimits {
    let quota = Quota::default();
    CallLimits {
        memory_bytes: quota.memory,
        cpu: quota.cpu,
        cpu_per_minute: Duration::MAX,
        wall: quota.step_time,
        hand_over: hand_over(quota.body),
    }
}

fn context() -> StepContext {
    StepContext {
        run: RunId::from_bytes([0; 16]),
        step: 0,
        attempt: 1,
        deadline_ms: 0,
        callbacks: CallbackAddress {
            base_url: "https://hooks.example.com".into(),
            key: CallbackKey::new([0; 32]),
            tenant: TenantId::default_tenant(),
            run: RunId::from_bytes([0; 16]),
        },
    }
}

fn median(mut rounds: Vec<Duration>) -> Duration {
    rounds.sort();
    rounds[rounds.len() / 2]
}
