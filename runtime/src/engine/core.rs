//! What the parts of the engine share, and the one way in for an event: [`Core::deliver`].

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

// Its channel is a few words until something is sent; tokio's begins with a block for 32 events, for each run.
use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Notify, broadcast, oneshot, watch};

use super::catalog::Catalog;
use super::driver::Driver;
use super::ledger::Gone;
use super::metrics::Metrics;
use super::schedule::Book;
use super::steps::Steps;
use super::subscription::Bell;
use super::tenant::Tenant;
use super::vault::Sealer;
use super::view::{self, RunChange};
use super::waiters::Waiters;
use crate::clock::{Clock, after};
use crate::flow::{CallbackNow, Document, Event, Flow, RunState, StepId};
use crate::id::{CallbackAddress, CallbackKey, FlowId, RunId, TenantId};
use crate::journal::{DataLock, Entry, FlowRow, Journal, Lease, RunKey, RunRow, StorageError};

/// How long the timers of a run that cannot be read are left alone.
const LEFT_ALONE: Duration = Duration::from_secs(60);
/// How long a failing store is left alone before it is asked the same again.
pub(super) const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How many changes a slow watcher may be behind before it loses the oldest.
pub(super) const CHANGES: usize = 4096;

pub(super) struct Core {
    pub clock: Clock,
    pub steps: Arc<dyn Steps>,
    pub catalog: RwLock<Catalog>,
    pub tenants: HashMap<TenantId, Arc<Tenant>>,
    pub durable: Journal,
    pub volatile: Journal,
    pub base_url: Arc<str>,
    pub callback_key: CallbackKey,
    /// Held as long as the host lives.
    _lock: Option<DataLock>,
    pub waiters: Waiters,
    pub changes: broadcast::Sender<RunChange>,
    pub metrics: Metrics,
    /// The runs in memory, and the way to their drivers.
    active: Mutex<HashMap<RunKey, UnboundedSender<Delivery>>>,
    /// Signalled when a run leaves memory.
    left: Notify,
    /// Timers that were given to their runs and are still rows.
    handed: Mutex<HashMap<RunKey, HashSet<u32>>>,
    pub durable_alarm: Alarm,
    pub volatile_alarm: Alarm,
    phase: watch::Sender<Lifetime>,
    /// The store has refused this host's lease.
    fenced: AtomicBool,
    pub subscriptions: Bell,
    /// How many changes of what is deployed are under way.
    switching: watch::Sender<usize>,
    pub schedules: Book,
    /// What secrets are sealed with.
    pub sealer: Sealer,
}

/// What a run is given from outside.
pub(super) enum Delivery {
    /// What has happened.
    Event(Event),
    /// A request to the callback address of one of its steps. Whoever sent it is told what it comes to; when the run
    /// takes it, after that is in the journal. Dropped when the run cannot say.
    Callback { step: StepId, request: Arc<Value>, told: oneshot::Sender<CallbackNow> },
    /// Another host has appended to it, or has left it to this one.
    News,
}

/// From start to end; it only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lifetime {
    Serving,
    /// Takes nothing new; what is under way may finish.
    Draining,
    /// Time is over: even a driver that waits for its store gives up.
    Drained,
}

/// Wakes a scheduler when an earlier timer than the one it sleeps for is set.
pub(super) struct Alarm {
    /// Milliseconds since the epoch.
    pub sleeps_until: AtomicI64,
    pub rung: Notify,
}

impl Default for Alarm {
    fn default() -> Self {
        Self { sleeps_until: AtomicI64::new(i64::MAX), rung: Notify::new() }
    }
}

/// The parts that [`Core`] is made of, from outside.
pub(super) struct Parts {
    pub clock: Clock,
    pub steps: Arc<dyn Steps>,
    pub tenants: HashMap<TenantId, Arc<Tenant>>,
    pub durable: Journal,
    pub volatile: Journal,
    pub base_url: String,
    pub callback_key: CallbackKey,
    pub lock: Option<DataLock>,
    pub schedules: Book,
    pub sealer: Sealer,
}

/// Why a run could not be taken into memory.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the journal has no such run")]
    NoRun,
    #[error("the flow text {0} that the run began on is not in the journal")]
    NoFlow(FlowId),
    #[error("{0}")]
    Unreadable(String),
    #[error("the tenant `{0}` is not configured on this host")]
    NoTenant(TenantId),
}

impl Core {
    pub fn new(parts: Parts) -> Self {
        Self {
            clock: parts.clock,
            steps: parts.steps,
            catalog: RwLock::default(),
            tenants: parts.tenants,
            durable: parts.durable,
            volatile: parts.volatile,
            base_url: parts.base_url.into(),
            callback_key: parts.callback_key,
            _lock: parts.lock,
            waiters: Waiters::default(),
            changes: broadcast::Sender::new(CHANGES),
            metrics: Metrics::new(),
            active: Mutex::default(),
            left: Notify::new(),
            handed: Mutex::default(),
            durable_alarm: Alarm::default(),
            volatile_alarm: Alarm::default(),
            phase: watch::Sender::new(Lifetime::Serving),
            fenced: AtomicBool::new(false),
            subscriptions: Bell::default(),
            switching: watch::Sender::new(0),
            schedules: parts.schedules,
            sealer: parts.sealer,
        }
    }

    pub fn journal(&self, durable: bool) -> &Journal {
        if durable { &self.durable } else { &self.volatile }
    }

    /// Gives an event to a run: to its driver where it is in memory, else by bringing it there.
    pub fn deliver(self: &Arc<Self>, durable: bool, key: RunKey, event: Event) {
        self.send(durable, key, Delivery::Event(event));
    }

    /// The same for anything.
    pub fn send(self: &Arc<Self>, durable: bool, key: RunKey, delivery: Delivery) {
        let mut active = self.active.lock().expect("no panic while held");
        let delivery = match active.get(&key) {
            // The driver leaves only under this lock, so what is sent here is taken.
            Some(driver) => match driver.unbounded_send(delivery) {
                Ok(()) => return,
                Err(refused) => refused.into_inner(),
            },
            None => delivery,
        };
        let (sender, inbox) = unbounded();
        let _ = sender.unbounded_send(delivery);
        active.insert(key.clone(), sender);
        let lease = self.journal(durable).lease();
        drop(active);
        tokio::spawn(self.clone().wake(durable, key, lease, inbox));
    }

    /// Brings a run into memory and moves it on. False: there is nothing to move, the journal has no such run or it is
    /// over.
    pub async fn wake(
        self: Arc<Self>,
        durable: bool,
        key: RunKey,
        lease: Lease,
        inbox: UnboundedReceiver<Delivery>,
    ) -> bool {
        let Some(tenant) = self.tenants.get(&key.tenant).cloned() else {
            tracing::error!(run = %key.run, "{}", LoadError::NoTenant(key.tenant.clone()));
            self.leave(&key, inbox).await;
            return true;
        };
        let (_slot, row, state, entries) = loop {
            let slot = tenant.slot().await;
            match self.load(durable, &key).await {
                Ok((row, state, entries)) => break (slot, row, state, entries.len() as u64),
                // The store's fault passes; the run must not wait for the next start of the host.
                Err(LoadError::Storage(error)) => {
                    tracing::error!(run = %key.run, %error, "the journal cannot be read; trying again");
                    self.metrics.journal_failed();
                    drop(slot);
                    if !self.pause(STORE_PAUSE).await {
                        self.forget_driver(&key, inbox);
                        return true;
                    }
                }
                // Begun by a commit that failed after all, or forgotten meanwhile.
                Err(LoadError::NoRun) => {
                    self.retire(&key, inbox);
                    return false;
                }
                Err(error) => {
                    tracing::error!(run = %key.run, %error, "the run cannot be continued; it stays in the journal as it is");
                    drop(slot);
                    self.leave(&key, inbox).await;
                    return true;
                }
            }
        };
        if state.is_over() {
            self.retire(&key, inbox);
            return false;
        }
        let mut driver = Driver::new(self.clone(), tenant, lease, row, state, entries);
        match driver.recover().await {
            Ok(effects) => driver.drive(effects, inbox).await,
            Err(Gone) => self.retire(&key, inbox),
        }
        true
    }

    /// A run that has not begun.
    pub fn new_state(&self, flow: Arc<Flow>, key: &RunKey) -> RunState {
        RunState::new(flow, key.run).called_back_at(self.callback_address(&key.tenant, key.run))
    }

    /// Where the steps of a run are called back.
    pub fn callback_address(&self, tenant: &TenantId, run: RunId) -> CallbackAddress {
        let (base_url, key) = (self.base_url.clone(), self.callback_key.clone());
        CallbackAddress { base_url, key, tenant: tenant.clone(), run }
    }

    /// A run cannot be taken into memory. Its timers are left alone for a while, or the scheduler would hand them out
    /// again at once.
    async fn leave(&self, key: &RunKey, inbox: UnboundedReceiver<Delivery>) {
        self.forget_driver(key, inbox);
        self.pause(LEFT_ALONE).await;
        self.take_timers_back(key);
    }

    /// False: the host takes nothing new any more.
    pub async fn pause(&self, long: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.draining() => false,
            () = self.clock.sleep_until(after(self.clock.now(), long)) => true,
        }
    }

    fn forget_driver(&self, key: &RunKey, mut inbox: UnboundedReceiver<Delivery>) {
        let mut active = self.active.lock().expect("no panic while held");
        close(&mut active, key, &mut inbox);
        drop(active);
        self.left.notify_waiters();
    }

    /// What the run was given and did not take is handed out again.
    fn take_timers_back(&self, key: &RunKey) {
        if self.handed.lock().expect("no panic while held").remove(key).is_some() {
            self.ring();
        }
    }

    /// The way to a run that is being created, and the lease under which it is.
    pub fn enter(&self, durable: bool, key: &RunKey) -> (UnboundedReceiver<Delivery>, Lease) {
        let (sender, inbox) = unbounded();
        let mut active = self.active.lock().expect("no panic while held");
        active.insert(key.clone(), sender);
        (inbox, self.journal(durable).lease())
    }

    /// The run and its entries.
    pub async fn load(
        &self,
        durable: bool,
        key: &RunKey,
    ) -> Result<(RunRow, RunState, Vec<Entry>), LoadError> {
        let wanted = key.clone();
        let log = self.journal(durable).ask(move |storage| storage.log(&wanted)).await?;
        let (row, entries) = log.ok_or(LoadError::NoRun)?;
        let flow = self.flow_text(&key.tenant, &row.flow).await?;
        let mut state = self.new_state(flow, key);
        view::fold(&mut state, &entries).map_err(LoadError::Unreadable)?;
        let _ = state.take_changed();
        Ok((row, state, entries))
    }

    /// The very text that a run began on.
    pub async fn flow_text(&self, tenant: &TenantId, id: &FlowId) -> Result<Arc<Flow>, LoadError> {
        if let Some(flow) = self.catalog.read().expect("no panic while held").text(tenant, id) {
            return Ok(flow);
        }
        let key = (tenant.clone(), id.clone());
        let row = self.durable.ask(move |storage| storage.row::<FlowRow>(key)).await?;
        let row = row.ok_or_else(|| LoadError::NoFlow(id.clone()))?;
        match crate::flow::read(&row.source, &id.to_string()).as_deref() {
            Ok([Document::Flow(flow)]) => Ok(flow.clone()),
            Ok(_) => Err(LoadError::Unreadable(format!("the stored text of {id} is not one flow"))),
            Err(findings) => Err(LoadError::Unreadable(format!(
                "the stored text of {id} is not valid for this version of the host: {}",
                findings.first().map(ToString::to_string).unwrap_or_default()
            ))),
        }
    }

    /// A run without anything under way leaves memory, unless an event came meanwhile.
    pub fn park(&self, key: &RunKey, inbox: &mut UnboundedReceiver<Delivery>) -> Option<Delivery> {
        let mut active = self.active.lock().expect("no panic while held");
        if let Ok(delivery) = inbox.try_recv() {
            return Some(delivery);
        }
        close(&mut active, key, inbox);
        drop(active);
        self.left.notify_waiters();
        None
    }

    /// A run leaves memory for good: over, or moved on by another host.
    pub fn retire(&self, key: &RunKey, inbox: UnboundedReceiver<Delivery>) {
        self.forget_driver(key, inbox);
        self.take_timers_back(key);
    }

    /// Another host continues what this one had: every run leaves memory at once, whatever is under way, and what comes
    /// from now on is done under a new lease.
    pub fn start_over(&self, lease: Lease) {
        let mut active = self.active.lock().expect("no panic while held");
        // Under the lock: no run of before is at work under the new lease.
        self.durable.set_lease(lease);
        self.set_fenced(false);
        // A driver whose sender is gone leaves.
        active.clear();
        drop(active);
        self.handed.lock().expect("no panic while held").clear();
        self.left.notify_waiters();
    }

    /// Whether a run is in memory.
    pub fn is_active(&self, key: &RunKey) -> bool {
        self.active.lock().expect("no panic while held").contains_key(key)
    }

    pub fn active_runs(&self) -> usize {
        self.active.lock().expect("no panic while held").len()
    }

    /// Marks a timer as given to its run; false when it was already.
    pub fn hand_over(&self, key: &RunKey, timer: u32) -> bool {
        self.handed.lock().expect("no panic while held").entry(key.clone()).or_default().insert(timer)
    }

    pub fn handed(&self) -> HashSet<(RunKey, u32)> {
        let handed = self.handed.lock().expect("no panic while held");
        handed.iter().flat_map(|(key, timers)| timers.iter().map(|timer| (key.clone(), *timer))).collect()
    }

    /// The timer's row is gone.
    pub fn timer_is_taken(&self, key: &RunKey, timer: u32) {
        let mut handed = self.handed.lock().expect("no panic while held");
        if let Some(timers) = handed.get_mut(key) {
            timers.remove(&timer);
            if timers.is_empty() {
                handed.remove(key);
            }
        }
    }

    /// Wakes the scheduler when it sleeps past this time.
    pub fn timer_is_set(&self, durable: bool, due: Timestamp) {
        let alarm = if durable { &self.durable_alarm } else { &self.volatile_alarm };
        if due.as_millisecond() < alarm.sleeps_until.load(Ordering::Acquire) {
            alarm.rung.notify_one();
        }
    }

    pub fn ring(&self) {
        self.durable_alarm.rung.notify_one();
        self.volatile_alarm.rung.notify_one();
    }

    pub fn move_to(&self, phase: Lifetime) {
        self.phase.send_modify(|now| *now = phase.max(*now));
    }

    pub fn lifetime(&self) -> Lifetime {
        *self.phase.borrow()
    }

    /// Remembers that another host has taken the journal over, or that this one has started over.
    pub fn set_fenced(&self, fenced: bool) {
        self.fenced.store(fenced, Ordering::Relaxed);
    }

    /// Whether another host goes on with what this one had.
    pub fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::Relaxed)
    }

    /// Until what is returned is dropped, something in the world is being switched: a host that stops waits for that.
    pub fn switching(&self) -> impl Drop + '_ {
        struct Switching<'a>(&'a watch::Sender<usize>);
        impl Drop for Switching<'_> {
            fn drop(&mut self) {
                self.0.send_modify(|count| *count -= 1);
            }
        }
        self.switching.send_modify(|count| *count += 1);
        Switching(&self.switching)
    }

    /// Returns when nothing is being switched.
    pub async fn switched(&self) {
        let _ = self.switching.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Returns when the time to drain is over.
    pub async fn drained(&self) {
        let _ = self.phase.subscribe().wait_for(|phase| *phase == Lifetime::Drained).await;
    }

    /// Returns when the host takes nothing new.
    pub async fn draining(&self) {
        let _ = self.phase.subscribe().wait_for(|phase| *phase >= Lifetime::Draining).await;
    }

    /// Returns when no run is in memory.
    pub async fn idle(&self) {
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            if self.active_runs() == 0 {
                return;
            }
            left.await;
        }
    }
}

/// Takes the way to a driver out, unless it is another one's by now.
fn close(
    active: &mut HashMap<RunKey, UnboundedSender<Delivery>>,
    key: &RunKey,
    inbox: &mut UnboundedReceiver<Delivery>,
) {
    inbox.close();
    if active.get(key).is_some_and(UnboundedSender::is_closed) {
        active.remove(key);
    }
}
