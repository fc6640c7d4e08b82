//! One run in motion: takes what happened, asks what follows, and does it once the journal has it. One loop, one match.
//!
//! The rule of the house lives in [`Ledger::take`]: an effect that the world can see begins after the events that
//! caused it are in the journal. A run with nothing under way is parked: it leaves memory, and a timer or an event
//! from outside brings it back through [`Core::deliver`]. A run that another host is at work on has a driver here as long
//! as this host has something to tell it.

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
use super::core::{Core, Delivery};
use super::ledger::{Gone, Ledger};
use super::mutation::{Mutation, planted};
use super::runs::Beginning;
use super::steps::Evaluation;
use super::tenant::{Places, Tenant};
use super::view::{self, RunChange, RunSummary};
use crate::flow::{CallbackNow, Effect, End, Event, RunState, Status, StepId};
use crate::id::PluginRef;
use crate::journal::{Lease, RunKey, RunRow, StorageError};

/// Something under way: the event it ends in, or none when it was aborted.
type UnderWay = Pin<Box<dyn Future<Output = Option<Event>> + Send>>;

pub(super) struct Driver {
    core: Arc<Core>,
    tenant: Arc<Tenant>,
    ledger: Ledger,
    under_way: FuturesUnordered<UnderWay>,
    aborts: HashMap<StepId, AbortHandle>,
    /// Where its steps work.
    places: Arc<Places>,
}

impl Driver {
    pub fn new(
        core: Arc<Core>,
        tenant: Arc<Tenant>,
        lease: Lease,
        row: RunRow,
        state: RunState,
        entries: u64,
    ) -> Self {
        let ledger = Ledger::new(core.clone(), lease, row, state, entries);
        let (under_way, aborts) = (FuturesUnordered::new(), HashMap::new());
        let places = Places::of_run(tenant.clone());
        Self { core, tenant, ledger, under_way, aborts, places }
    }

    pub fn key(&self) -> &RunKey {
        &self.ledger.row().key
    }

    /// Journals the run's first events. After an error the journal may have it all the same.
    pub async fn create(&mut self, beginning: Beginning) -> Result<Vec<Effect>, StorageError> {
        let effects = self.ledger.create(beginning).await?;
        let at = self.ledger.row().started_at;
        self.announce_run(at, Status::Running);
        self.announce_steps(at);
        if self.ledger.row().ended_at.is_some() {
            self.core.metrics.run_ended(&self.tenant.id, &self.ledger.row().status);
            self.announce_run(at, self.ledger.state().status());
        }
        Ok(effects)
    }

    /// What is to be done about a run that was at work on a host that is gone: calls without an answer are interrupted
    /// attempts. Nothing, where another host is at work on it.
    pub async fn recover(&mut self) -> Result<Vec<Effect>, Gone> {
        let mut effects: Vec<Effect> = vec![];
        // Again where another host has had the run while this one was at it: what it asked for may be begun as well.
        while self.ledger.has_inherited() {
            effects.retain(|effect| !effect.is_answered());
            for effect in self.ledger.state().outstanding() {
                // The end of one branch may have cancelled another, whose step is undone by now.
                if effect.is_answered() && !self.ledger.state().awaits(&effect) {
                    continue;
                }
                match effect {
                    Effect::Undo { .. } if planted(Mutation::NoUndoing) => {}
                    call @ Effect::Call { .. } if planted(Mutation::NoInterruption) => effects.push(call),
                    Effect::Call { step, attempt, .. } | Effect::Undo { step, attempt, .. } => {
                        effects.extend(self.ledger.take(Event::Interrupted { step, attempt }).await?);
                    }
                    // Rows of the journal already.
                    Effect::Timer { .. } => {}
                    other => effects.push(other),
                }
            }
        }
        Ok(effects)
    }

    /// Moves the run until it is over or waits for the world.
    pub async fn drive(mut self, mut effects: Vec<Effect>, mut inbox: UnboundedReceiver<Delivery>) {
        loop {
            // The host has started over: what would be done here is another's.
            if !self.ledger.has_lease() {
                return self.core.retire(self.key(), inbox);
            }
            for effect in effects {
                self.carry_out(effect);
            }
            if self.ledger.state().is_over() {
                self.core.retire(self.key(), inbox);
                self.tenant.run_is_over();
                return;
            }
            let delivery = if self.under_way.is_empty() {
                match self.core.park(self.key(), &mut inbox) {
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
                    delivery = inbox.next() => match delivery {
                        Some(delivery) => delivery,
                        // The same, seen in the middle of something.
                        None => return,
                    },
                }
            };
            let taken = match delivery {
                Delivery::Event(Event::Fired { timer }) if !self.ledger.is_own() => {
                    self.core.timer_is_taken(self.key(), timer);
                    Ok(vec![])
                }
                Delivery::Event(event) => self.take(event).await,
                Delivery::Callback { step, request, told } => self.call_back(step, request, told).await,
                Delivery::News => self.catch_up().await,
            };
            effects = match taken {
                Ok(effects) => effects,
                Err(Gone) => return self.core.retire(self.key(), inbox),
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
        let had_ended = self.ledger.row().ended_at.is_some();
        let (now, effects) = self.ledger.take_callback(step, request).await?;
        let _ = told.send(now);
        self.follow(had_ended, effects).await
    }

    /// Journals the event and says what follows. What follows is not begun here.
    async fn take(&mut self, event: Event) -> Result<Vec<Effect>, Gone> {
        if let Event::Answered { step, .. } = event {
            self.aborts.remove(&step);
        }
        let had_ended = self.ledger.row().ended_at.is_some();
        let effects = self.ledger.take(event).await?;
        self.follow(had_ended, effects).await
    }

    /// Another host has appended to the run, or has left it to this one.
    async fn catch_up(&mut self) -> Result<Vec<Effect>, Gone> {
        let had_ended = self.ledger.row().ended_at.is_some();
        let effects = self.ledger.catch_up().await?;
        self.follow(had_ended, effects).await
    }

    async fn follow(&mut self, had_ended: bool, mut effects: Vec<Effect>) -> Result<Vec<Effect>, Gone> {
        let recovered = self.recover().await?;
        if !recovered.is_empty() {
            effects.retain(|effect| !effect.is_answered());
            effects.extend(recovered);
        }
        let at = self.core.clock.now();
        self.announce_steps(at);
        if self.ledger.row().ended_at.is_some() && !had_ended {
            self.announce_run(at, self.ledger.state().status());
        }
        // What is under way here is another's by now.
        if self.ledger.is_own() || self.under_way.is_empty() { Ok(effects) } else { Err(Gone) }
    }

    fn attempt(&self, step: StepId, attempt: u32, plugin: PluginRef) -> Attempt {
        let needs = self.ledger.state().needs(step);
        let state = self.ledger.state();
        let (hidden, mask) = (state.hidden().clone(), state.mask(step).cloned());
        Attempt { run: self.key().run, step, attempt, plugin, needs, hidden, mask }
    }

    fn carry_out(&mut self, effect: Effect) {
        if !self.ledger.is_own() && !matches!(effect, Effect::Reply { .. } | Effect::Finish(_)) {
            return;
        }
        match effect {
            Effect::Evaluate { id, program, input, variables } => {
                let flow_digest = self.ledger.row().flow.digest.clone();
                let evaluation = Evaluation { flow_digest, program, input, variables };
                let result = self.core.steps.clone().evaluate(self.tenant.clone(), evaluation);
                self.under_way
                    .push(Box::pin(async move { Some(Event::Evaluated { id, result: result.await }) }));
            }
            Effect::Call { step, attempt, plugin, ask } => {
                let this = self.attempt(step, attempt, plugin);
                let (abort, registration) = AbortHandle::new_pair();
                self.aborts.insert(step, abort);
                let (core, tenant) = (self.core.clone(), self.tenant.clone());
                let call = core.steps.clone().call(core, tenant, this, ask);
                let outcome = Abortable::new(self.places.clone().work(call), registration);
                self.under_way.push(Box::pin(async move {
                    let outcome = outcome.await.ok()?;
                    Some(Event::Answered { step, attempt, outcome })
                }));
            }
            Effect::Undo { step, attempt, plugin, state, reason } => {
                let this = self.attempt(step, attempt, plugin);
                let (core, tenant) = (self.core.clone(), self.tenant.clone());
                let undo = core.steps.clone().undo(core, tenant, this, state, reason);
                let undo = self.places.clone().work(undo);
                self.under_way.push(Box::pin(async move {
                    Some(Event::Undone { step, attempt, problem: undo.await })
                }));
            }
            Effect::Abort { step } => {
                if let Some(abort) = self.aborts.remove(&step) {
                    abort.abort();
                }
            }
            Effect::Timer { due, .. } => self.core.timer_is_set(self.ledger.state().flow().durable, due),
            // Gone from the journal with the commit.
            Effect::Disarm { .. } => {}
            Effect::Reply { reply, .. } => self.core.waiters.reply(self.key().run, reply),
            Effect::Finish(end) => self.core.waiters.finish(self.key().run, end),
        }
    }

    fn announce_run(&self, at: Timestamp, status: Status) {
        if self.core.changes.receiver_count() == 0 {
            return;
        }
        let problem = match self.ledger.state().end() {
            Some(End::Faulted(problem)) if status.is_final() => {
                let mut shown = problem.clone();
                self.ledger.state().hidden().problem(&mut shown);
                Some(shown)
            }
            _ => None,
        };
        let run = RunSummary { status, ..view::summary(self.ledger.row()) };
        let _ = self.core.changes.send(RunChange::Run { at, run, problem });
    }

    fn announce_steps(&mut self, at: Timestamp) {
        let changed = self.ledger.state_mut().take_changed();
        if self.core.changes.receiver_count() == 0 {
            return;
        }
        let state = self.ledger.state();
        for step in changed.into_iter().filter_map(|step| state.shown(step)) {
            let (tenant, run) = (self.key().tenant.clone(), self.key().run);
            let _ = self.core.changes.send(RunChange::Step { at, tenant, run, step });
        }
    }
}
