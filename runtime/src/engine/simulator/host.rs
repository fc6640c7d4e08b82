//! One host: the engine as it is, on an executor that stops when nothing more can happen, over a journal whose groups
//! are written when the simulation says so. Killing it drops all of that on the spot.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Poll, Waker};

use tokio::runtime::{Builder, Runtime};

use super::check::Checker;
use super::mistake::Mistake;
use super::world::{Hands, World};
use crate::capability::http_request::{Egress, Shared};
use crate::clock::Clock;
use crate::config::{Quota, TenantConfig};
use crate::engine::addresses::Addresses;
use crate::engine::deployed::schedule::Book;
use crate::engine::deployed::{Deployed, DeployedFlow};
use crate::engine::journals::Journals;
use crate::engine::lifecycle::Lifecycle;
use crate::engine::observers::Observers;
use crate::engine::runs::{Runs, lease};
use crate::engine::tenant::{Tenant, Tenants};
use crate::flow::Flow;
use crate::id::TenantId;
use crate::journal::{Group, GroupSettings, Journal, MemoryStorage, Storage, Writer};
use crate::memory::Memory;

pub(super) struct Host {
    pub runs: Arc<Runs>,
    pub tenant: Arc<Tenant>,
    writer: Writer,
    /// A group on its way to the disk.
    pub flying: Option<Group>,
    mistake: Option<Mistake>,
    executor: Executor,
}

/// What the runs of schedules are made of.
pub(super) const SCHEDULE_KEY: [u8; 32] = [9; 32];

/// What the hosts of a simulation share.
pub(super) struct Around {
    pub clock: Clock,
    pub store: Arc<dyn Storage>,
    pub checker: Checker,
    pub world: Arc<World>,
    pub quota: Quota,
    pub deployed: Vec<Arc<Flow>>,
    pub mistake: Option<Mistake>,
}

impl Host {
    /// A host that starts over this store and continues what it finds there.
    pub fn start(number: usize, around: &Around) -> Self {
        let (durable, writer) = Journal::by_hand(around.store.clone(), GroupSettings::default());
        let id = TenantId::default_tenant();
        let open_runs = around.store.open_runs(&id).unwrap();
        let config = TenantConfig { quota: around.quota.clone(), ..TenantConfig::new(id.clone()) };
        let egress = Arc::new(Egress::new(id.clone(), &[], &config.quota, network(), [].into()));
        let tenant = Arc::new(Tenant::new(&config, egress, open_runs, &Memory::new(1 << 30)));
        let journals = Journals::new(
            durable.clone(),
            Journal::new(Arc::new(MemoryStorage::new()), GroupSettings::default()),
        );
        let checker = &around.checker;
        let mistake = around.mistake;
        let hands = Hands { host: number, world: around.world.clone(), journal: durable, mistake };
        let deployed = Deployed::new(
            Arc::new(hands),
            Arc::new(journals),
            Arc::new(Tenants::from_iter([tenant.clone()])),
            Arc::new(Lifecycle::new(around.clock.clone(), None)),
            Addresses::new(checker.base_url.clone(), checker.callback_key.clone()),
            Book::new(true, SCHEDULE_KEY),
        );
        for flow in &around.deployed {
            let flow = DeployedFlow { flow: flow.clone(), installed_at: around.clock.now() };
            deployed.catalog_mut().put_flow(&id, flow);
        }
        let runs = Arc::new(Runs::new(Arc::new(deployed), Arc::new(Observers::new())));
        let executor = Executor::new();
        let host = Self { runs: runs.clone(), tenant, writer, flying: None, mistake, executor };
        host.executor.runtime.block_on(lease::join(&runs.journals, &runs.lifecycle)).unwrap();
        host.spawn(async move {
            // A start that cannot read the journal is tried again by who started it.
            while runs.start().await.is_err() {}
        });
        host
    }

    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.executor.runtime.spawn(task);
    }

    /// Runs until everything waits for something outside.
    pub fn settle(&self) {
        self.executor.settle();
    }

    /// Runs in memory, timers that were handed out, runs that are not over.
    pub fn counted(&self) -> (usize, usize, u64) {
        (self.runs.active(), self.runs.handed_timers(), self.tenant.open_runs())
    }

    /// The next group of commits sets out. Returns whether there is one on its way to `store`.
    pub fn launch(&mut self, store: &dyn Storage) -> bool {
        if self.flying.is_none() {
            let group = self.writer.take();
            self.flying = match self.mistake {
                Some(mistake) => group.map(|group| launched_wrongly(mistake, group, store)),
                None => group,
            };
        }
        self.flying.is_some()
    }
}

/// A store that makes this mistake does or says something before its time.
fn launched_wrongly(mistake: Mistake, mut group: Group, store: &dyn Storage) -> Group {
    let early = mistake.too_early(&mut group.batches);
    if !early.is_empty() {
        store.commit(&early);
    }
    if !mistake.is_too_early(&group.batches) {
        return group;
    }
    let batches = std::mem::take(&mut group.batches);
    group.answer(batches.iter().map(|_| Ok(())).collect());
    let mut silent = Group::default();
    silent.batches = batches;
    silent
}

/// The machine's trust store is read once.
fn network() -> Arc<Shared> {
    static NETWORK: OnceLock<Arc<Shared>> = OnceLock::new();
    NETWORK.get_or_init(|| Shared::new(vec![], None)).clone()
}

struct Executor {
    runtime: Runtime,
    idle: Arc<Idle>,
}

#[derive(Default)]
struct Idle {
    reached: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Executor {
    fn new() -> Self {
        let idle = Arc::new(Idle::default());
        let parks = idle.clone();
        let runtime = Builder::new_current_thread()
            // Calls of real guests have a time of their own; the engine's time is the clock's.
            .enable_time()
            // Called when no task is left that could go on.
            .on_thread_park(move || {
                parks.reached.store(true, Ordering::Relaxed);
                if let Some(waker) = parks.waker.lock().unwrap().take() {
                    waker.wake();
                }
            })
            .build()
            .unwrap();
        Self { runtime, idle }
    }

    fn settle(&self) {
        self.idle.reached.store(false, Ordering::Relaxed);
        self.runtime.block_on(std::future::poll_fn(|cx| {
            if self.idle.reached.load(Ordering::Relaxed) {
                return Poll::Ready(());
            }
            *self.idle.waker.lock().unwrap() = Some(cx.waker().clone());
            Poll::Pending
        }));
    }
}
