//! One host: the engine as it is, on an executor that stops when nothing more can happen, over a journal whose groups
//! are written when the simulation says so. Killing it drops all of that on the spot.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Poll, Waker};

use tokio::runtime::{Builder, Runtime};

use super::check::Checker;
use super::world::{Hands, World};
use crate::capability::http_request::{Egress, Shared};
use crate::clock::Clock;
use crate::config::{Quota, TenantConfig};
use crate::engine::catalog::Deployed;
use crate::engine::core::{Core, Parts};
use crate::engine::schedule::Book;
use crate::engine::tenant::Tenant;
use crate::engine::vault::Sealer;
use crate::engine::{lease, open};
use crate::flow::Flow;
use crate::id::TenantId;
use crate::journal::{Group, GroupSettings, Journal, MemoryStorage, Storage, Writer};

pub(super) struct Host {
    pub core: Arc<Core>,
    pub tenant: Arc<Tenant>,
    writer: Writer,
    /// A group on its way to the disk.
    pub flying: Option<Group>,
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
}

impl Host {
    /// A host that starts over this store and continues what it finds there.
    pub fn start(number: usize, around: &Around) -> Self {
        let (durable, writer) = Journal::by_hand(around.store.clone(), GroupSettings::default());
        let id = TenantId::default_tenant();
        let open_runs = around.store.open_runs(&id).unwrap();
        let config = TenantConfig { quota: around.quota.clone(), ..TenantConfig::new(id.clone()) };
        let egress = Arc::new(Egress::new(id.clone(), &[], &config.quota, network(), [].into()));
        let tenant = Arc::new(Tenant::new(&config, egress, open_runs));
        let core = Arc::new(Core::new(Parts {
            clock: around.clock.clone(),
            steps: Arc::new(Hands { host: number, world: around.world.clone() }),
            tenants: HashMap::from([(id.clone(), tenant.clone())]),
            durable,
            volatile: Journal::new(Arc::new(MemoryStorage::new()), GroupSettings::default()),
            base_url: around.checker.base_url.to_string(),
            callback_key: around.checker.callback_key.clone(),
            lock: None,
            schedules: Book::new(true, SCHEDULE_KEY),
            sealer: Sealer::unkept(),
        }));
        for flow in &around.deployed {
            let deployed = Deployed { flow: flow.clone(), installed_at: around.clock.now() };
            core.catalog.write().unwrap().put_flow(&id, deployed);
        }
        let host = Self { core: core.clone(), tenant, writer, flying: None, executor: Executor::new() };
        host.executor.runtime.block_on(lease::join(&host.core)).unwrap();
        host.spawn(async move {
            // A start that cannot read the journal is tried again by who started it.
            while open::start(&core).await.is_err() {}
        });
        host
    }

    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.executor.runtime.spawn(task);
    }

    /// Until everything waits for something outside. True: there was something to do.
    pub fn settle(&self) {
        self.executor.settle();
    }

    /// Runs in memory, timers that were handed out, runs that are not over.
    pub fn counted(&self) -> (usize, usize, u64) {
        (self.core.active_runs(), self.core.handed().len(), self.tenant.open_runs())
    }

    /// The next group of commits sets out.
    pub fn launch(&mut self) -> bool {
        if self.flying.is_none() {
            self.flying = self.writer.take();
        }
        self.flying.is_some()
    }
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
