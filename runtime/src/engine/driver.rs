//! One run in motion: takes an event, asks `advance` what follows, commits, and only then does it. One loop, one match.
//!
//! The rule of the house lives in [`Driver::take`]: an effect that the world can see begins after the events that
//! caused it are in the journal. A run with nothing under way is parked: it leaves memory, and a timer or an event
//! from outside brings it back through [`Core::deliver`].

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use futures_channel::mpsc::UnboundedReceiver;
use futures_util::StreamExt as _;
use futures_util::future::{AbortHandle, Abortable};
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::oneshot;

use super::call::Attempt;
use super::core::{Core, Delivery, STORE_PAUSE};
use super::mutation::{Mutation, planted};
use super::steps::Evaluation;
use super::tenant::Tenant;
use super::view::{self, RunChange, RunSummary};
use crate::clock::after;
use crate::flow::{CallbackNow, Effect, End, Event, RunState, Status, StepId, TimerId};
use crate::journal::{Batch, Entry, Journal, Phase, RunKey, RunRow, StorageError, TimerRow, Write};

/// Something under way: the event it ends in, or none when it was aborted.
type UnderWay = Pin<Box<dyn Future<Output = Option<Event>> + Send>>;

pub(super) struct Driver {
    core: Arc<Core>,
    tenant: Arc<Tenant>,
    journal: Journal,
    /// The head of the run as it was last committed.
    row: RunRow,
    state: RunState,
    next_seq: u64,
    /// Events that were taken and are not in the journal yet.
    uncommitted: Vec<Entry>,
    /// Timers that fired and are still rows.
    fired: Vec<TimerId>,
    under_way: FuturesUnordered<UnderWay>,
    aborts: HashMap<StepId, AbortHandle>,
}

/// The journal does not take this run's entries any more: somebody else has it, or the host is stopping.
pub(super) struct Gone;

impl Driver {
    pub fn new(core: Arc<Core>, tenant: Arc<Tenant>, row: RunRow, state: RunState, next_seq: u64) -> Self {
        let journal = core.journal(state.flow().durable).clone();
        Self {
            core,
            tenant,
            journal,
            row,
            state,
            next_seq,
            uncommitted: vec![],
            fired: vec![],
            under_way: FuturesUnordered::new(),
            aborts: HashMap::new(),
        }
    }

    pub fn key(&self) -> &RunKey {
        &self.row.key
    }

    /// Journals the run's first event. The error leaves nothing behind.
    pub async fn create(&mut self, input: Value) -> Result<Vec<Effect>, StorageError> {
        let at = self.row.started_at;
        let base_url = Some(self.core.base_url.clone());
        let effects = self.advance(at, Event::Started { input, base_url });
        self.row.status = view::spell(self.state.status()).to_owned();
        self.row.phase = self.phase();
        self.row.ended_at = self.state.end().map(|_| at);
        let mut writes = vec![Write::CreateRun(self.row.clone())];
        self.put_entries(&mut writes);
        self.put_timers(&mut writes, &effects);
        if planted(Mutation::AcknowledgeFirst) {
            let journal = self.journal.clone();
            tokio::spawn(async move { journal.commit(Batch { writes }).await });
        } else {
            self.journal.commit(Batch { writes }).await?;
        }
        self.announce_run(at, Status::Running);
        self.announce_steps(at);
        if self.row.ended_at.is_some() {
            self.announce_run(at, self.state.status());
        }
        Ok(effects)
    }

    /// What a start of the host must do about a run that was at work: calls without an answer are interrupted attempts.
    pub async fn recover(&mut self) -> Result<Vec<Effect>, Gone> {
        let mut effects = vec![];
        for effect in self.state.outstanding() {
            match effect {
                Effect::Undo { .. } if planted(Mutation::NoUndoing) => {}
                call @ Effect::Call { .. } if planted(Mutation::NoInterruption) => effects.push(call),
                Effect::Call { step, attempt, .. } | Effect::Undo { step, attempt, .. } => {
                    effects.extend(self.take(Event::Interrupted { step, attempt }).await?);
                }
                // Rows of the journal already.
                Effect::Timer { .. } => {}
                other => effects.push(other),
            }
        }
        Ok(effects)
    }

    /// Moves the run until it is over or waits for the world.
    pub async fn drive(mut self, mut effects: Vec<Effect>, mut inbox: UnboundedReceiver<Delivery>) {
        loop {
            for effect in effects {
                self.carry_out(effect);
            }
            if self.state.is_over() {
                self.core.retire(&self.row.key);
                self.tenant.run_is_over();
                return;
            }
            let delivery = if self.under_way.is_empty() {
                match self.core.park(&self.row.key, &mut inbox) {
                    Some(delivery) => delivery,
                    None => return,
                }
            } else {
                tokio::select! {
                    biased;
                    Some(ended) = self.under_way.next() => match ended {
                        Some(event) => Delivery::Event(event),
                        None => {
                            effects = vec![];
                            continue;
                        }
                    },
                    Some(delivery) = inbox.next() => delivery,
                }
            };
            let taken = match delivery {
                Delivery::Event(event) => self.take(event).await,
                Delivery::Callback { step, request, told } => self.call_back(step, request, told).await,
            };
            effects = match taken {
                Ok(effects) => effects,
                Err(Gone) => return self.core.retire(&self.row.key),
            };
        }
    }

    /// Takes a callback if the step wants it, and tells whoever sent it.
    async fn call_back(
        &mut self,
        step: StepId,
        request: Arc<Value>,
        told: oneshot::Sender<CallbackNow>,
    ) -> Result<Vec<Effect>, Gone> {
        let now = self.state.callback(step);
        let effects = match now {
            _ if planted(Mutation::EveryCallback) => self.take(Event::CalledBack { step, request }).await?,
            CallbackNow::Wanted => self.take(Event::CalledBack { step, request }).await?,
            CallbackNow::Busy | CallbackNow::Over => vec![],
        };
        let _ = told.send(now);
        Ok(effects)
    }

    /// Journals the event and says what follows. What follows is not begun here.
    async fn take(&mut self, event: Event) -> Result<Vec<Effect>, Gone> {
        let at = self.core.clock.now();
        match event {
            Event::Fired { timer } => self.fired.push(timer),
            Event::Answered { step, .. } => drop(self.aborts.remove(&step)),
            _ => {}
        }
        if planted(Mutation::OutcomeTwice) && matches!(event, Event::Answered { .. }) {
            drop(self.advance(at, event.clone()));
        }
        let had_ended = self.row.ended_at.is_some();
        let effects = self.advance(at, event);
        // An evaluation touches nothing outside; its entries ride with the next commit.
        let only_evaluates =
            !effects.is_empty() && effects.iter().all(|effect| matches!(effect, Effect::Evaluate { .. }));
        if !only_evaluates {
            self.commit(at, &effects).await?;
        }
        self.announce_steps(at);
        if self.row.ended_at.is_some() && !had_ended {
            self.announce_run(at, self.state.status());
        }
        Ok(effects)
    }

    fn advance(&mut self, at: Timestamp, event: Event) -> Vec<Effect> {
        let body = serde_json::to_string(&event).expect("events are made of JSON values");
        self.uncommitted.push(Entry { seq: self.next_seq, at, body });
        self.next_seq += 1;
        self.state.advance(at, event)
    }

    /// One batch: the entries, the timers, the new status.
    async fn commit(&mut self, at: Timestamp, effects: &[Effect]) -> Result<(), Gone> {
        let key = self.row.key.clone();
        let mut writes = Vec::with_capacity(3);
        self.put_entries(&mut writes);
        let phase = self.phase();
        let status = view::spell(self.state.status());
        if phase == Phase::Ended {
            writes.push(Write::ClearTimers { key: key.clone() });
        } else {
            for timer in self.fired.iter().copied() {
                writes.push(Write::ClearTimer { key: key.clone(), timer });
            }
            self.put_timers(&mut writes, effects);
        }
        if phase != self.row.phase || status != self.row.status {
            self.row.phase = phase;
            status.clone_into(&mut self.row.status);
            if self.state.end().is_some() {
                // Undoing what its steps left in the world may take longer.
                self.row.ended_at.get_or_insert(at);
            }
            let (status, ended_at) = (self.row.status.clone(), self.row.ended_at);
            writes.push(Write::SetStatus { key: key.clone(), status, phase, ended_at });
        }
        if planted(Mutation::EffectsFirst) {
            let (core, journal, key) = (self.core.clone(), self.journal.clone(), key.clone());
            tokio::spawn(async move { store(&core, &journal, &key, Batch { writes }).await });
        } else {
            store(&self.core, &self.journal, &key, Batch { writes }).await?;
        }
        for timer in self.fired.drain(..) {
            self.core.timer_is_taken(&key, timer);
        }
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Evaluate { id, program, input, variables } => {
                let flow_digest = self.row.flow.digest.clone();
                let evaluation = Evaluation { flow_digest, program, input, variables };
                let result = self.core.steps.clone().evaluate(self.tenant.clone(), evaluation);
                self.under_way
                    .push(Box::pin(async move { Some(Event::Evaluated { id, result: result.await }) }));
            }
            Effect::Call { step, attempt, plugin, ask } => {
                let this = Attempt { run: self.row.key.run, step, attempt, plugin };
                let (abort, registration) = AbortHandle::new_pair();
                self.aborts.insert(step, abort);
                let (core, tenant) = (self.core.clone(), self.tenant.clone());
                let call = core.steps.clone().call(core, tenant, this, ask);
                let outcome = Abortable::new(call, registration);
                self.under_way.push(Box::pin(async move {
                    let outcome = outcome.await.ok()?;
                    Some(Event::Answered { step, attempt, outcome })
                }));
            }
            Effect::Undo { step, attempt, plugin, state, reason } => {
                let this = Attempt { run: self.row.key.run, step, attempt, plugin };
                let (core, tenant) = (self.core.clone(), self.tenant.clone());
                let undo = core.steps.clone().undo(core, tenant, this, state, reason);
                self.under_way.push(Box::pin(async move {
                    Some(Event::Undone { step, attempt, problem: undo.await })
                }));
            }
            Effect::Abort { step } => {
                if let Some(abort) = self.aborts.remove(&step) {
                    abort.abort();
                }
            }
            Effect::Timer { due, .. } => self.core.timer_is_set(self.state.flow().durable, due),
            // Gone from the journal with the commit.
            Effect::Disarm { .. } => {}
            Effect::Reply { reply, .. } => self.core.waiters.reply(self.row.key.run, reply),
            Effect::Finish(end) => {
                self.core.metrics.run_ended(&self.row.key.tenant, &self.row.status);
                self.core.waiters.finish(self.row.key.run, end);
            }
        }
    }

    /// What the run needs from the host.
    fn phase(&self) -> Phase {
        if self.state.is_over() {
            Phase::Ended
        } else if self.state.has_work() {
            Phase::Active
        } else {
            Phase::Parked
        }
    }

    fn put_entries(&mut self, writes: &mut Vec<Write>) {
        let entries = std::mem::take(&mut self.uncommitted);
        writes.push(Write::Append { key: self.row.key.clone(), entries });
    }

    fn put_timers(&self, writes: &mut Vec<Write>, effects: &[Effect]) {
        let key = &self.row.key;
        for effect in effects {
            match *effect {
                Effect::Timer { .. } if planted(Mutation::NoTimers) => {}
                Effect::Timer { timer, due } => {
                    writes.push(Write::SetTimer(TimerRow { key: key.clone(), timer, due }));
                }
                Effect::Disarm { timer } => writes.push(Write::ClearTimer { key: key.clone(), timer }),
                _ => {}
            }
        }
    }

    fn announce_run(&self, at: Timestamp, status: Status) {
        if self.core.changes.receiver_count() == 0 {
            return;
        }
        let problem = match self.state.end() {
            Some(End::Faulted(problem)) if status.is_final() => Some(problem.clone()),
            _ => None,
        };
        let run = RunSummary { status, ..view::summary(&self.row) };
        let _ = self.core.changes.send(RunChange::Run { at, run, problem });
    }

    fn announce_steps(&mut self, at: Timestamp) {
        let changed = self.state.take_changed();
        if self.core.changes.receiver_count() == 0 {
            return;
        }
        for step in changed {
            let Some(record) = self.state.steps().get(step as usize) else { continue };
            let _ = self.core.changes.send(RunChange::Step {
                at,
                tenant: self.row.key.tenant.clone(),
                run: self.row.key.run,
                step: record.clone(),
            });
        }
    }
}

/// Commits, however long the store needs: what a guest did must not be forgotten because a disk is full.
async fn store(core: &Core, journal: &Journal, key: &RunKey, batch: Batch) -> Result<(), Gone> {
    loop {
        match journal.commit(batch.clone()).await {
            Ok(()) => return Ok(()),
            Err(StorageError::Conflict(detail)) => {
                tracing::error!(run = %key.run, detail, "another host moved this run on; leaving it");
                return Err(Gone);
            }
            Err(error) => {
                tracing::error!(run = %key.run, %error, "the journal does not take an entry; trying again");
                core.metrics.journal_failed();
                tokio::select! {
                    biased;
                    () = core.clock.sleep_until(after(core.clock.now(), STORE_PAUSE)) => {}
                    () = core.drained() => return Err(Gone),
                }
            }
        }
    }
}
