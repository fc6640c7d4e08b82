//! One bounded guest call: a fresh sandbox, one export called, the outcome and what it used. The sandbox is dropped
//! whatever happened, so nothing of one call is there for the next.
//!
//! There is one way to call a guest, [`Host::call`]; beside it stands a typed line for each function of wit/. What an
//! input or an output means is the caller's business; so is trying again.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Lift, Lower};

use super::bindings::{GuestOutcome, GuestProblem, Remark};
use super::fault::{self, Fault};
use super::given_back::GuestStore;
use super::limits::CallLimits;
use super::plugin::Plugin;
use super::reach::Reach;
use super::store::{self, CallState, Owing};
use super::{Host, HostError};
use crate::capability::log::LogLine;
use crate::problem::Problem;

/// A call in the making.
pub(crate) struct Call<'c> {
    pub plugin: &'c Plugin,
    /// Which of the plugin's actions or triggers; empty where the plugin as a whole is meant.
    pub name: &'c str,
    pub reach: Reach,
    pub limits: CallLimits,
}

/// A call that is over.
#[derive(Debug)]
pub(crate) struct Called<T = ()> {
    /// The problem is the plugin's, or the host's about the plugin: then `usage.fault` says which.
    pub result: Result<T, Problem>,
    /// What it used.
    pub usage: Usage,
    /// What it had to say.
    pub logs: Vec<LogLine>,
}

/// What a call used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Fuel; see [`super::limits`] for what a unit is.
    pub fuel: u64,
    /// Bytes of linear memory at the highest.
    pub peak_memory: usize,
    /// From the call to its outcome.
    pub wall: Duration,
    /// Of that, waiting for host calls.
    pub in_host: Duration,
    /// The trap or limit that ended the call.
    pub fault: Option<Fault>,
}

impl Host {
    /// One attempt of a step. `input` is JSON text that the action's schema allows.
    pub(crate) async fn start(&self, call: Call<'_>, input: &str) -> Result<Called<GuestOutcome>, HostError> {
        let (name, export) = (call.name, &call.plugin.exports.action()?.start);
        self.call(call, export, (name, input)).await.map(Called::settled)
    }

    /// A suspended step goes on: with the bytes that it left, and the event that woke it, JSON text.
    pub(crate) async fn resume(
        &self,
        call: Call<'_>,
        left: &[u8],
        event: &str,
    ) -> Result<Called<GuestOutcome>, HostError> {
        let (name, export) = (call.name, &call.plugin.exports.action()?.resume);
        self.call(call, export, (name, left, event)).await.map(Called::settled)
    }

    /// A step that was suspended is over: its plugin undoes what it left in the world, and hears the reason.
    pub(crate) async fn cancel(
        &self,
        call: Call<'_>,
        left: &[u8],
        reason: &str,
    ) -> Result<Called, HostError> {
        let (name, export) = (call.name, &call.plugin.exports.action()?.cancel);
        self.call(call, export, (name, left, reason)).await.map(Called::settled)
    }

    /// A trigger is switched on: what its plugin leaves is given back to `disable`.
    pub(crate) async fn enable(&self, call: Call<'_>, config: &str) -> Result<Called<Vec<u8>>, HostError> {
        let (name, export) = (call.name, &call.plugin.exports.trigger()?.enable);
        self.call(call, export, (name, config)).await.map(Called::settled)
    }

    /// A trigger is switched off, which had been on with this configuration and had left these bytes.
    pub(crate) async fn disable(
        &self,
        call: Call<'_>,
        config: &str,
        left: &[u8],
    ) -> Result<Called, HostError> {
        let (name, export) = (call.name, &call.plugin.exports.trigger()?.disable);
        self.call(call, export, (name, config, left)).await.map(Called::settled)
    }

    /// A trigger's judgement of the request that has arrived: a verdict, JSON text; see wit/trigger.wit.
    pub(crate) async fn receive(&self, call: Call<'_>, config: &str) -> Result<Called<String>, HostError> {
        let (name, export) = (call.name, &call.plugin.exports.trigger()?.receive);
        self.call(call, export, (name, config)).await.map(Called::settled)
    }

    /// What a plugin has to say about what was written, JSON text; see wit/checks.wit.
    pub(crate) async fn check(
        &self,
        call: Call<'_>,
        written: &str,
    ) -> Result<Called<Vec<Remark>>, HostError> {
        let (name, plugin) = (call.name, call.plugin);
        match plugin.exports.check() {
            Some(export) => self.call(call, export, (name, written)).await,
            None => Ok(Called { result: Ok(vec![]), usage: Usage::default(), logs: vec![] }),
        }
    }

    /// A step out of a text, JSON text; see wit/importing.wit.
    pub(crate) async fn import(
        &self,
        call: Call<'_>,
        format: &str,
        text: &str,
    ) -> Result<Called<Result<String, String>>, HostError> {
        let export = call.plugin.exports.import()?;
        self.call(call, export, (format, text)).await
    }

    /// Variables out of a sample of a request, JSON text both; see wit/sampling.wit.
    pub(crate) async fn sample(
        &self,
        call: Call<'_>,
        given: &str,
    ) -> Result<Called<Result<String, String>>, HostError> {
        let (name, export) = (call.name, call.plugin.exports.sample()?);
        self.call(call, export, (name, given)).await
    }

    /// Makes a sandbox, calls an export in it and drops it. `R`: what the export returns.
    async fn call<P, R>(
        &self,
        Call { plugin, reach, limits, .. }: Call<'_>,
        export: &ComponentExportIndex,
        params: P,
    ) -> Result<Called<R>, HostError>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: Lift + Send + Sync + 'static,
        (R,): ComponentNamedList + Lift,
    {
        let started = Instant::now();
        let (tenant, state) = (reach.tenant().clone(), CallState::new(reach, &limits));
        let (deadline, off_stack) = (state.deadline, state.off_stack.clone());
        self.budgets().wait(&tenant, &limits, deadline).await?;
        let _place = store::place(self.calls(), &tenant, deadline).await?;
        let record = state.meter.record();
        let mut owing = Owing::new(self, store::store(self, state, &limits)?, limits, record.clone());
        let store = owing.store();
        let work = async {
            let instance = plugin.pre.instantiate_async(&mut *store).await?;
            let function = instance.get_typed_func::<P, (R,)>(&mut *store, export)?;
            let (returned,) = function.call_async(&mut *store, params).await?;
            Ok(returned)
        };
        let work = self.turns().of(&tenant, off_stack.around(work)).recorded(record);
        let result = timeout_at(deadline, work).await;
        if result.is_ok() {
            owing.ended();
        }
        finish(owing.settle(), result, started, &limits)
    }
}

impl<T> Called<Result<T, GuestProblem>> {
    /// The guest's own problem is one as any other.
    fn settled(self) -> Called<T> {
        let Self { result, usage, logs } = self;
        Called { result: result.and_then(|result| result.map_err(Problem::from)), usage, logs }
    }
}

/// Accounts for a call that is over, and words what ended it.
pub(super) fn finish<R>(
    mut store: GuestStore,
    result: Result<wasmtime::Result<R>, tokio::time::error::Elapsed>,
    started: Instant,
    limits: &CallLimits,
) -> Result<Called<R>, HostError> {
    let fuel = store::said(&store, limits);
    let state = store.data_mut();
    let mut usage = Usage {
        fuel,
        peak_memory: state.meter.peak_memory,
        wall: started.elapsed(),
        in_host: state.in_host,
        fault: None,
    };
    let log = state.take_log();
    let result = match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(fault::judge(&error, &state.meter, &log, limits)?),
        Err(_) => Err(fault::too_late(limits, usage.in_host)),
    };
    let result = result.map_err(|(fault, problem)| {
        usage.fault = Some(fault);
        problem
    });
    Ok(Called { result, usage, logs: log.finish() })
}
