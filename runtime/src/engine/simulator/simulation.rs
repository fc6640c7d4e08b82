//! One life of a few hosts: runs begin, the world answers, disks fail, hosts die, time passes, all of it in an order
//! that the seed decides. Then everything is well for long enough, and nothing may be left undone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;

use super::chance::Chance;
use super::check::Checker;
use super::client::Clients;
use super::disk::Disk;
use super::flows;
use super::host::{Around, Host};
use super::mistake::Mistake;
use super::world::World;
use crate::clock::Clock;
use crate::config::Quota;
use crate::flow::Flow;
use crate::id::{CallbackKey, RunId, TenantId};
use crate::journal::{RunKey, StorageError};

/// How often the world may be kind to a run before it counts as stuck.
const KIND_ROUNDS: u32 = 5_000;

pub(super) struct Simulation {
    chance: Chance,
    around: Around,
    disk: Arc<Disk>,
    clients: Clients,
    hosts: Vec<Option<Host>>,
    /// Hosts that stand still, as a machine does that is moved, and know nothing of it.
    frozen: Vec<bool>,
    /// What may be asked for.
    flows: Vec<Arc<Flow>>,
    runs_left: usize,
    trace: Vec<String>,
}

/// What did not hold, and how it came to that.
#[derive(Debug)]
pub(super) struct Broken {
    pub seed: u64,
    pub what: String,
    pub trace: Vec<String>,
}

/// What happened, as lines, and what the runs came through.
#[derive(Debug, PartialEq)]
pub(super) struct Lived {
    pub trace: Vec<String>,
    pub corners: BTreeSet<&'static str>,
}

/// Lives through one seed, with a mistake under the engine or without.
pub(super) fn simulate(seed: u64, planted: Option<Mistake>) -> Result<Lived, Broken> {
    let mut simulation = Simulation::new(seed, planted);
    match simulation.live() {
        Ok(()) => Ok(Lived { corners: simulation.corners(), trace: simulation.trace }),
        Err(what) => Err(Broken { seed, what, trace: simulation.trace }),
    }
}

impl Simulation {
    fn new(seed: u64, mistake: Option<Mistake>) -> Self {
        let mut chance = Chance::new(seed);
        let hosts = 1 + chance.below(3);
        let disk = Arc::new(Disk::new(seed ^ 0x5eed, hosts > 1 || chance.once_in(2), mistake));
        if chance.once_in(3) {
            disk.fails_once_in.store(40, Ordering::Relaxed);
        }
        let checker = Checker {
            store: disk.memory.clone(),
            late: disk.late.clone(),
            flows: [flows::all(), flows::scheduled()].concat(),
            callback_key: CallbackKey::new([7; 32]),
            base_url: "http://simulated".into(),
        };
        let quota = Quota {
            concurrent_runs: if chance.once_in(3) { 2 } else { 1_000 },
            requests_per_second: u32::MAX,
            ..Quota::default()
        };
        let around = Around {
            clock: Clock::manual("2026-01-01T00:00:00Z".parse().unwrap()),
            store: disk.store(),
            checker: checker.clone(),
            world: World::new(checker.clone()),
            quota,
            // A life with flows that start by themselves goes on for ever.
            deployed: if seed % 4 == 3 { checker.flows.clone() } else { flows::all() },
            mistake,
        };
        let runs_left = 2 + chance.below(6);
        let clients = Clients::new(checker);
        let (hosts, frozen) = ((0..hosts).map(|_| None).collect(), vec![false; hosts]);
        Self { chance, around, disk, clients, hosts, frozen, flows: flows::all(), runs_left, trace: vec![] }
    }

    fn live(&mut self) -> Result<(), String> {
        let steps = 60 + self.chance.below(200);
        for _ in 0..steps {
            self.something_happens();
            self.settle()?;
        }
        self.all_is_well()
    }

    fn something_happens(&mut self) {
        let host = self.chance.below(self.hosts.len());
        if self.hosts[host].is_none() {
            return self.start_host(host);
        }
        if self.frozen[host] {
            // It wakes up, or time passes without it.
            self.frozen[host] = !self.chance.once_in(4);
            self.trace.push(format!("host {host} stands still: {}", self.frozen[host]));
            return self.time_passes();
        }
        match self.chance.below(100) {
            0..15 => self.start_run(host),
            15..35 => self.answer(false),
            35..60 => self.write(host, false),
            60..72 => self.call_back(host),
            72..75 => self.cancel(host),
            75..92 => self.time_passes(),
            92..96 => self.frozen[host] = self.around.store.is_shared(),
            _ => self.kill(host),
        }
    }

    /// Everything that can happen without the world, time or a disk happens; then what must always hold is looked at.
    fn settle(&mut self) -> Result<(), String> {
        for (host, frozen) in self.hosts.iter().zip(&self.frozen) {
            if let (Some(host), false) = (host, frozen) {
                host.settle();
            }
        }
        self.trace.extend(self.around.world.news());
        self.trace.extend(self.clients.news());
        let broken = self.clients.log(|log| log.broken.first().cloned());
        match broken.or_else(|| self.around.world.broken().into_iter().next()) {
            Some(what) => Err(what),
            None => Ok(()),
        }
    }

    fn start_host(&mut self, number: usize) {
        self.trace.push(format!("host {number} starts"));
        self.hosts[number] = Some(Host::start(number, &self.around));
    }

    fn start_run(&mut self, host: usize) {
        if self.runs_left == 0 {
            return;
        }
        self.runs_left -= 1;
        let id = RunId::from_bytes(self.chance.bytes());
        let flow = self.chance.of(&self.flows).unwrap().clone();
        self.trace.push(format!("host {host} is asked for a run of {}: {id}", flow.id.name));
        if let Some(host) = &self.hosts[host] {
            self.clients.start(host, id, flow);
        }
    }

    fn answer(&mut self, kind: bool) {
        let line = self.around.world.answer(&mut self.chance, kind);
        self.trace.extend(line);
    }

    /// A group sets out, arrives, or fails.
    fn write(&mut self, number: usize, kind: bool) {
        let Some(host) = &mut self.hosts[number] else { return };
        if !host.launch(&*self.around.store) || !kind && self.chance.once_in(2) {
            return;
        }
        let Some(group) = host.flying.take() else { return };
        let count = group.batches.len();
        let results = if !kind && self.chance.once_in(15) {
            self.trace.push(format!("host {number} cannot write {count} commits"));
            group.batches.iter().map(|_| Err(StorageError::Full("no space left".to_owned()))).collect()
        } else if !kind && self.chance.once_in(15) {
            // The connection breaks when all is written.
            self.trace.push(format!("host {number} writes {count} commits and is not told"));
            let lost = || Err(StorageError::Io("the connection was lost".to_owned()));
            self.around.store.commit(&group.batches).into_iter().map(|_| lost()).collect()
        } else {
            self.trace.push(format!("host {number} writes {count} commits"));
            self.around.store.commit(&group.batches)
        };
        group.answer(results);
    }

    fn call_back(&mut self, host: usize) {
        let callees = self.around.world.callees();
        let Some(step) = self.chance.of(&callees).copied() else { return };
        let Some(host) = &self.hosts[host] else { return };
        // The world may be impatient.
        for _ in 0..=self.chance.below(3) {
            self.clients.call_back(host, step);
        }
    }

    fn cancel(&mut self, host: usize) {
        let runs: Vec<RunId> = self.clients.log(|log| log.runs.keys().copied().collect());
        let Some(run) = self.chance.of(&runs).copied() else { return };
        if let Some(host) = &self.hosts[host] {
            self.clients.cancel(host, run);
        }
    }

    fn time_passes(&mut self) {
        let now = self.around.clock.now();
        let next = self.around.clock.next_wake().filter(|next| *next < Timestamp::MAX);
        let by = match next {
            Some(next) if !self.chance.once_in(4) => {
                Duration::try_from(next.duration_since(now)).unwrap_or_default()
            }
            _ => Duration::from_millis(self.chance.below(5_000) as u64),
        };
        self.trace.push(format!("{by:?} pass"));
        self.around.clock.advance(by);
    }

    /// What it was writing may have reached the disk, or not.
    fn kill(&mut self, number: usize) {
        let Some(host) = self.hosts[number].take() else { return };
        self.frozen[number] = false;
        let arrives = self.chance.once_in(2);
        if let Some(group) = host.flying.as_ref().filter(|_| arrives) {
            self.around.store.commit(&group.batches);
        }
        let flying = host.flying.is_some();
        self.trace.push(format!("host {number} dies; in flight: {flying}, arrives: {arrives}"));
    }

    /// From here on disks write, hosts live, and plugins succeed.
    fn all_is_well(&mut self) -> Result<(), String> {
        self.trace.push("from here on all is well".to_owned());
        self.disk.fails_once_in.store(0, Ordering::Relaxed);
        self.frozen.fill(false);
        for number in 0..self.hosts.len() {
            if self.hosts[number].is_none() {
                self.start_host(number);
            }
        }
        self.settle()?;
        // The world is silent for a while, and every host learns what the others did.
        for _ in 0..30 {
            self.everything_is_written()?;
            self.around.clock.advance(Duration::from_millis(500));
            self.settle()?;
        }
        self.everything_is_written()?;
        self.nobody_works_in_vain()?;
        for _ in 0..KIND_ROUNDS {
            self.everything_is_written()?;
            if self.around.world.under_way() > 0 {
                self.answer(true);
                self.settle()?;
                continue;
            }
            if self.open_runs() == 0 && self.hosts_are_done() {
                break;
            }
            self.sleepers_are_sound()?;
            self.time_passes();
            self.settle()?;
            self.everyone_calls_back();
            self.settle()?;
        }
        self.nothing_is_left()
    }

    fn everything_is_written(&mut self) -> Result<(), String> {
        while self.hosts.iter_mut().flatten().any(|host| host.launch(&*self.around.store)) {
            for number in 0..self.hosts.len() {
                self.write(number, true);
            }
            self.settle()?;
        }
        Ok(())
    }

    /// A host that is at work on a run which another host has ended has heard of it.
    fn nobody_works_in_vain(&self) -> Result<(), String> {
        for (step, host) in self.around.world.at_work() {
            let told = self.around.checker.run(&key(step.0));
            if told.is_none_or(|told| told.row.ended_at.is_some()) {
                return Err(format!("host {host} is at work on step {step:?} of a run that is over"));
            }
        }
        Ok(())
    }

    fn everyone_calls_back(&mut self) {
        for step in self.around.world.callees() {
            let key = key(step.0);
            let open = self.around.checker.run(&key).is_some_and(|told| told.row.ended_at.is_none());
            if let (true, Some(host)) = (open, self.hosts.iter().flatten().next()) {
                self.clients.call_back(host, step);
            }
        }
    }

    fn open_runs(&self) -> u64 {
        self.around.store.open_runs(&TenantId::default_tenant()).unwrap()
    }

    fn sleepers_are_sound(&self) -> Result<(), String> {
        let timers = self.around.checker.timers();
        let runs: Vec<RunId> = self.clients.log(|log| log.runs.keys().copied().collect());
        runs.into_iter().try_for_each(|run| self.around.checker.sleeps_soundly(&key(run), &timers))
    }

    /// Where the runs have been.
    fn corners(&self) -> BTreeSet<&'static str> {
        let runs: Vec<RunId> = self.clients.log(|log| log.runs.keys().copied().collect());
        let mut corners: BTreeSet<_> =
            runs.into_iter().flat_map(|run| self.around.checker.corners(&key(run))).collect();
        if self.around.checker.scheduled().len() > 2 {
            corners.insert("a flow started by itself");
        }
        corners
    }

    fn nothing_is_left(&self) -> Result<(), String> {
        let runs = self.clients.log(|log| log.runs.clone());
        for (run, acknowledged) in runs {
            // Not acknowledged and not there either: the client sends it again.
            if acknowledged || self.around.checker.run(&key(run)).is_some() {
                self.around.checker.over(&key(run), &self.around.world)?;
            }
        }
        self.around.checker.started_on_time(&self.disk.schedules.lock().unwrap())?;
        for run in self.around.checker.scheduled() {
            self.around.checker.over(&key(run), &self.around.world)?;
        }
        if let Some(timer) = self.around.checker.timers().first() {
            return Err(format!("a timer is left: {timer:?}"));
        }
        for (number, host) in self.hosts.iter().flatten().enumerate() {
            let counted = host.counted();
            if counted != (0, 0, 0) {
                return Err(format!("host {number} counts (runs in memory, timers, open runs) {counted:?}"));
            }
        }
        Ok(())
    }

    /// Hosts of a shared journal learn of what others did with their next beat.
    fn hosts_are_done(&self) -> bool {
        self.hosts.iter().flatten().all(|host| host.counted() == (0, 0, 0))
    }
}

fn key(run: RunId) -> RunKey {
    RunKey { tenant: TenantId::default_tenant(), run }
}
