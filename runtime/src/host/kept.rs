//! Guests of the host's own, called in kept sandboxes.
//!
//! A fresh sandbox would make anew what such a guest makes of a text before it can judge with it, so one is kept for each
//! guest, tenant and text. It remembers what it compiled, never values. One caller at a time: a second one has another
//! sandbox. A sandbox that trapped, reached a limit or grew large is dropped.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::timeout_at;
use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Instance, InstancePre, Lift, Lower};

use super::Host;
use super::fault::{self, Fault};
use super::given_back::GuestStore;
use super::limits::{CallLimits, fuel};
use super::reach::Reach;
use super::store::{self, CallState, Owing};
use super::turns::Record;
use crate::id::TenantId;

/// Most memory of one call, whatever the tenant's quota.
const MAX_MEMORY: u64 = 64 * 1024 * 1024;
/// A sandbox that holds more than this is not kept.
const KEPT_MEMORY: usize = 8 * 1024 * 1024;

/// Whose sandbox: tenant, and digest of the text.
pub(crate) type Key = (TenantId, String);

/// A guest of the host's own.
pub(super) struct KeptGuest {
    host: Host,
    pre: InstancePre<CallState>,
    words: Words,
}

/// Whose turn a call takes.
pub(super) enum Turn {
    /// One of its own.
    Own,
    /// That of the guest which asks and waits for it, and whose record this is. A second one would be taken while the first
    /// is held.
    Caller(Record),
}

/// What is said to the author of a text over which a call did not come to an end.
pub(super) struct Words {
    /// As in `the expression`: a sentence begins with it.
    pub what: &'static str,
    /// What to do about too much CPU time.
    pub cpu: &'static str,
    /// What to do about too much memory.
    pub memory: &'static str,
    /// What it does, where the stack is too small for it.
    pub stack: &'static str,
    /// What could not be done, where something else is wrong.
    pub failed: &'static str,
}

/// A sandbox between two calls.
struct Idle {
    store: GuestStore,
    instance: Instance,
    used: u64,
}

/// The sandboxes between two calls, of all kept guests of a host.
#[derive(Default)]
pub(super) struct Kept(Mutex<Idles>);

#[derive(Default)]
struct Idles {
    idle: HashMap<(&'static str, Key), Vec<Idle>>,
    count: usize,
    /// Counts calls: the least recently used sandbox makes room.
    clock: u64,
}

impl KeptGuest {
    pub(super) fn new(host: &Host, pre: InstancePre<CallState>, words: Words) -> Self {
        Self { host: host.clone(), pre, words }
    }

    /// Calls an export within the limits. The error is a sentence for the author of the text. Gives the fuel that it took
    /// as well.
    pub(super) async fn call<P, R>(
        &self,
        key: &Key,
        export: &ComponentExportIndex,
        params: P,
        mut limits: CallLimits,
        whose: Turn,
    ) -> (Result<R, String>, u64)
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: Lift + Send + Sync + 'static,
        (R,): ComponentNamedList + Lift,
    {
        limits.memory_bytes = limits.memory_bytes.min(MAX_MEMORY);
        let Self { host, pre, words } = self;
        let (tenant, deadline) = (&key.0, store::deadline(limits.wall));
        let key = (words.what, key.clone());
        if let Turn::Own = whose
            && let Err(error) = host.budgets().wait(tenant, &limits, deadline).await
        {
            return (Err(error.to_string()), 0);
        }
        let _place = match store::place(host.evaluations(), tenant, deadline).await {
            Ok(place) => place,
            Err(error) => return (Err(error.to_string()), 0),
        };
        let (mut store, kept) = match host.kept().take(&key) {
            Some(Idle { store, instance, .. }) => (store, Some(instance)),
            None => {
                let state = CallState::new(Reach::Nothing(tenant.clone()), &limits);
                match store::store(host, state, &limits) {
                    Ok(store) => (store, None),
                    Err(error) => return (Err(error.to_string()), 0),
                }
            }
        };
        let own = Record::default();
        let stands_back = match &whose {
            Turn::Own => own.clone(),
            Turn::Caller(callers) => callers.clone(),
        };
        if let Err(error) = begin(&mut store, &limits, stands_back) {
            return (Err(error.to_string()), 0);
        }
        let mut owing = Owing::new(host, store, limits, own.clone());
        let store = owing.store();
        let work = async {
            let instance = match kept {
                Some(instance) => instance,
                None => pre.instantiate_async(&mut *store).await?,
            };
            let function = instance.get_typed_func::<P, (R,)>(&mut *store, export)?;
            let (value,) = function.call_async(&mut *store, params).await?;
            Ok((instance, value))
        };
        let worked = match &whose {
            Turn::Own => timeout_at(deadline, host.turns().of(tenant, work).recorded(own)).await,
            Turn::Caller(_) => timeout_at(deadline, work).await,
        };
        if worked.is_ok() {
            owing.ended();
        }
        let spent = owing.spent();
        let mut store = match whose {
            Turn::Own => owing.settle(),
            // It is counted with the call that asks.
            Turn::Caller(_) => owing.give_up(),
        };
        let result = match worked {
            Ok(Ok((instance, value))) => {
                host.kept().put(key, store, instance, host.kept_evaluators());
                Ok(value)
            }
            Ok(Err(error)) => Err(words.stopped(&error, &mut store, &limits)),
            Err(_) => Err(words.late(&limits)),
        };
        (result, spent)
    }
}

impl Kept {
    fn take(&self, key: &(&'static str, Key)) -> Option<Idle> {
        let mut idles = self.idles();
        let idle = idles.idle.get_mut(key)?.pop()?;
        idles.count -= 1;
        Some(idle)
    }

    fn put(&self, key: (&'static str, Key), mut store: GuestStore, instance: Instance, most: usize) {
        // What it printed belongs to nobody, and must not be there for the next one.
        drop(store.data_mut().take_log());
        if store.data().meter.memory() > KEPT_MEMORY || most == 0 {
            return;
        }
        let mut idles = self.idles();
        while idles.count >= most {
            idles.drop_oldest();
        }
        idles.clock += 1;
        idles.count += 1;
        let idle = Idle { store, instance, used: idles.clock };
        idles.idle.entry(key).or_default().push(idle);
    }

    fn idles(&self) -> MutexGuard<'_, Idles> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idles {
    /// The last of each list was used latest, the first longest ago.
    fn drop_oldest(&mut self) {
        self.idle.retain(|_, idle| !idle.is_empty());
        let oldest = self.idle.iter_mut().min_by_key(|(_, idle)| idle.first().map(|idle| idle.used));
        if let Some((_, idle)) = oldest {
            idle.remove(0);
            self.count -= 1;
        }
    }
}

impl Words {
    fn late(&self, limits: &CallLimits) -> String {
        format!(
            "{} took longer than {} ms: simplify it, or raise `tenant.quota.step_time`",
            self.what,
            limits.wall.as_millis()
        )
    }

    /// Why a call did not come to an end.
    fn stopped(&self, error: &wasmtime::Error, store: &mut Store<CallState>, limits: &CallLimits) -> String {
        let Self { what, cpu, memory, stack, failed } = self;
        let state = store.data_mut();
        let log = state.take_log();
        let (fault, problem) = match fault::judge(error, &state.meter, &log, limits) {
            Ok(judged) => judged,
            Err(host) => return host.to_string(),
        };
        match fault {
            Fault::Cpu => format!(
                "{what} used up its CPU time of {} ms (`tenant.quota.cpu`): {cpu}",
                limits.cpu.as_millis()
            ),
            Fault::Memory => format!(
                "{what} needs more than its {} MiB of memory (`tenant.quota.memory`, 64 MiB at most): {memory}",
                limits.memory_bytes / (1024 * 1024)
            ),
            Fault::Stack => format!("{what} {stack}"),
            _ => {
                tracing::error!(%problem, what, "a guest of the host's own failed");
                format!("{what} {failed}: {problem}")
            }
        }
    }
}

/// A new account in a store that may have had another one.
fn begin(store: &mut Store<CallState>, limits: &CallLimits, record: Record) -> wasmtime::Result<()> {
    store.data_mut().meter.restart(limits, record);
    store.set_epoch_deadline(1);
    store.set_hostcall_fuel(limits.hand_over);
    store.set_fuel(fuel(limits.cpu))
}
