//! One host of the simulator on a stage where nothing breaks unless a test says so: what is to be written is written when
//! the test waits for it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::check::Checker;
use super::disk::Disk;
use super::host::{Around, Host};
use super::world::World;
use crate::clock::Clock;
use crate::config::Quota;
use crate::engine::addresses::Addresses;
use crate::engine::runs::Runs;
use crate::id::CallbackKey;
use crate::journal::StorageError;
use crate::problem::Problem;

const BASE_URL: &str = "http://simulated";

pub(in crate::engine) struct TestHost {
    host: Host,
    around: Around,
    failures: VecDeque<StorageError>,
}

impl TestHost {
    /// A host that has just started, over an empty journal that it has for itself.
    pub fn new() -> Self {
        let disk = Arc::new(Disk::new(0, false, None));
        let checker = Checker {
            store: disk.memory.clone(),
            late: disk.late.clone(),
            flows: vec![],
            callback_key: callback_key(),
            base_url: BASE_URL.into(),
        };
        let around = Around {
            clock: Clock::manual("2026-01-01T00:00:00Z".parse().unwrap()),
            store: disk.store(),
            checker: checker.clone(),
            world: World::new(checker),
            quota: Quota::default(),
            deployed: vec![],
            mistake: None,
        };
        let mut stage = Self { host: Host::start(0, &around), around, failures: VecDeque::new() };
        stage.settle();
        stage
    }

    /// What the URLs of every stage begin with.
    pub fn addresses() -> Addresses {
        Addresses::new(BASE_URL, callback_key())
    }

    pub fn clock(&self) -> &Clock {
        &self.around.clock
    }

    pub fn runs(&self) -> &Arc<Runs> {
        &self.host.runs
    }

    /// Begins something on the host.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.host.spawn(task);
    }

    /// The world answers the next requests to subscribe and to unsubscribe so, one after the other. After these all
    /// succeed.
    pub fn refuses(&self, problems: impl IntoIterator<Item = Problem>) {
        self.around.world.refuses(problems);
    }

    /// How many subscriptions stand in the world.
    pub fn subscriptions(&self) -> usize {
        self.around.world.subscriptions()
    }

    /// How many turns it took where nobody waits for them.
    pub fn long_turns(&self) -> usize {
        self.around.world.long_turns()
    }

    /// The host does what it can without the disk, the world and time.
    pub fn runs_on(&self) {
        self.host.settle();
    }

    /// The next commit fails so.
    pub fn fails_next(&mut self, error: StorageError) {
        self.failures.push_back(error);
    }

    /// Writes what has queued. Returns whether there was something.
    pub fn write(&mut self) -> bool {
        if !self.host.launch(&*self.around.store) {
            return false;
        }
        let Some(group) = self.host.flying.take() else { return false };
        let results = match self.failures.pop_front() {
            Some(error) => group.batches.iter().map(|_| Err(error.clone())).collect(),
            None => self.around.store.commit(&group.batches),
        };
        group.answer(results);
        true
    }

    /// Everything happens that can happen without the world and without time.
    pub fn settle(&mut self) {
        self.host.settle();
        while self.write() {
            self.host.settle();
        }
    }
}

fn callback_key() -> CallbackKey {
    CallbackKey::new([7; 32])
}
