//! The store of a call: what the host keeps of it, with every limit set, and the place that it takes.
//!
//! What is called in it, and what came of that, is in `call` and `evaluator`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use wasmtime::component::ResourceTable;
use wasmtime::{Store, StoreContextMut};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::given_back::GuestStore;
use super::limits::{CallLimits, Meter, fuel};
use super::offstack::OffStack;
use super::reach::Reach;
use super::turns::Record;
use super::{Host, HostError};
use crate::capability::log::StepLog;
use crate::capability::wasi;
use crate::id::TenantId;
use crate::shares::{Place, Shares};

/// What a store holds for one call.
pub(super) struct CallState {
    pub(super) meter: Meter,
    pub(super) reach: Reach,
    pub(super) deadline: Instant,
    pub(super) in_host: Duration,
    pub(super) off_stack: OffStack,
    handles: ResourceTable,
    wasi: Option<Box<WasiCtx>>,
    log: Option<Arc<Mutex<StepLog>>>,
}

impl CallState {
    pub(super) fn new(reach: Reach, limits: &CallLimits) -> Self {
        Self {
            meter: Meter::new(limits),
            reach,
            deadline: deadline(limits.wall),
            in_host: Duration::ZERO,
            off_stack: OffStack::default(),
            handles: ResourceTable::new(),
            wasi: None,
            log: None,
        }
    }

    pub(super) fn with_log<R>(&mut self, change: impl FnOnce(&mut StepLog) -> R) -> R {
        change(&mut self.shared_log().lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The lines so far; the next call in the same store begins anew.
    pub(super) fn take_log(&mut self) -> StepLog {
        match &self.log {
            Some(log) => std::mem::take(&mut log.lock().unwrap_or_else(PoisonError::into_inner)),
            None => StepLog::default(),
        }
    }

    fn shared_log(&mut self) -> &Arc<Mutex<StepLog>> {
        self.log.get_or_insert_default()
    }
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.meter.count_wasi_call();
        if self.wasi.is_none() {
            self.handles.set_max_capacity(wasi::MAX_HANDLES);
            self.wasi = Some(Box::new(wasi::context(self.shared_log().clone())));
        }
        let ctx = self.wasi.as_mut().expect("made above");
        WasiCtxView { ctx, table: &mut self.handles }
    }
}

/// The end of a call that begins now.
pub(super) fn deadline(wall: Duration) -> Instant {
    // A century is as good as for ever, and does not overflow.
    Instant::now() + wall.min(Duration::from_secs(100 * 365 * 24 * 3600))
}

/// A store with every limit set.
pub(super) fn store(host: &Host, state: CallState, limits: &CallLimits) -> Result<GuestStore, HostError> {
    let held = host.guests(state.reach.tenant()).held();
    let mut store = Store::try_new(host.engine(), state).map_err(HostError::sandbox)?;
    store.data_mut().meter.hold(held);
    store.limiter_async(|state| &mut state.meter);
    store.set_hostcall_fuel(limits.hand_over);
    store.set_max_component_handles(wasi::MAX_HANDLES);
    store.epoch_deadline_callback(|mut cx: StoreContextMut<'_, CallState>| cx.data_mut().meter.end_turn());
    store.set_epoch_deadline(1);
    store.set_fuel(fuel(limits.cpu)).map_err(HostError::sandbox)?;
    Ok(GuestStore::new(store))
}

/// The fuel that a call in this store has used, as far as the guest has said it: in the middle of a loop it has not.
pub(super) fn said(store: &Store<CallState>, limits: &CallLimits) -> u64 {
    fuel(limits.cpu).saturating_sub(store.get_fuel().unwrap_or(0))
}

/// A store whose call is put on its tenant's account however it ends: a caller that leaves drops it in the middle.
pub(super) struct Owing<'h> {
    host: &'h Host,
    limits: CallLimits,
    store: Option<GuestStore>,
    record: Record,
    has_ended: bool,
}

impl<'h> Owing<'h> {
    /// `record`: where its turns are written down.
    pub(super) fn new(host: &'h Host, store: GuestStore, limits: CallLimits, record: Record) -> Self {
        Self { host, limits, store: Some(store), record, has_ended: false }
    }

    pub(super) fn store(&mut self) -> &mut GuestStore {
        self.store.as_mut().expect("it is taken once, at the end")
    }

    /// The guest has come to an end, and has said what it used.
    pub(super) fn ended(&mut self) {
        self.has_ended = true;
    }

    /// The fuel that the call has used. Where the guest was stopped in the middle, the time of its turns tells.
    pub(super) fn spent(&self) -> u64 {
        let said = self.store.as_ref().map_or(0, |store| said(store, &self.limits));
        if self.has_ended { said } else { said.max(fuel(self.record.time())) }
    }

    /// The call is over and counted, and the store goes on.
    pub(super) fn settle(mut self) -> GuestStore {
        self.owe();
        self.store.take().expect("it is taken once, here")
    }

    /// The call is over and was counted elsewhere.
    pub(super) fn give_up(mut self) -> GuestStore {
        self.store.take().expect("it is taken once, here")
    }

    fn owe(&self) {
        if let Some(store) = &self.store {
            self.host.budgets().owe(store.data().reach.tenant(), &self.limits, self.spent());
        }
    }
}

impl Drop for Owing<'_> {
    fn drop(&mut self) {
        self.owe();
    }
}

/// A place for a call of this tenant, as soon as there is one.
pub(super) async fn place(
    shares: &Shares<TenantId>,
    tenant: &TenantId,
    deadline: Instant,
) -> Result<Place<TenantId>, HostError> {
    timeout_at(deadline, shares.take(tenant)).await.map_err(|_| HostError::Busy)
}
