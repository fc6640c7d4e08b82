//! The store of a call: what the host keeps of it, with every limit set, and the place that it takes.
//!
//! What is called in it, and what came of that, is in `call` and `evaluator`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use wasmtime::component::ResourceTable;
use wasmtime::{Store, StoreContextMut};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::limits::{CallLimits, Meter, fuel};
use super::reach::Reach;
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
pub(super) fn store(
    host: &Host,
    state: CallState,
    limits: &CallLimits,
) -> Result<Store<CallState>, HostError> {
    let held = host.guests(state.reach.tenant()).held();
    let mut store = Store::try_new(host.engine(), state).map_err(HostError::sandbox)?;
    store.data_mut().meter.hold(held);
    store.limiter(|state| &mut state.meter);
    store.set_hostcall_fuel(limits.hand_over);
    store.set_max_component_handles(wasi::MAX_HANDLES);
    store.epoch_deadline_callback(|mut cx: StoreContextMut<'_, CallState>| cx.data_mut().meter.end_turn());
    store.set_epoch_deadline(1);
    store.set_fuel(fuel(limits.cpu)).map_err(HostError::sandbox)?;
    Ok(store)
}

/// A place for a call of this tenant, as soon as there is one.
pub(super) async fn place(
    shares: &Shares<TenantId>,
    tenant: &TenantId,
    deadline: Instant,
) -> Result<Place<TenantId>, HostError> {
    timeout_at(deadline, shares.take(tenant)).await.map_err(|_| HostError::Busy)
}
