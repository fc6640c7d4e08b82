//! One run in motion: takes what happened, asks what follows, and does it once the journal has it. One loop, one match.
//!
//! The rule of the house lives in [`Ledger::take`]: an effect that the world can see begins after the events that
//! caused it are in the journal. A run with nothing under way is parked: it leaves memory, and a timer or an event
//! from outside brings it back through [`Core::deliver`]. A run that another host is at work on has a driver here as long
//! as this host has something to tell it.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::future::{AbortHandle, Abortable, Aborted, BoxFuture};
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

use super::begin::FirstEvents;
use super::ledger::{Gone, Ledger};
use super::registry::{Delivery, Inbox};
use super::{Runs, view};
use crate::engine::observers::{RunChange, RunSummary};
use crate::engine::steps::{Attempt, GuestExpression, GuestSchema, Places};
use crate::engine::tenant::Tenant;
use crate::flow::{CallbackNow, Effect, End, Event, Status, StepId};
use crate::id::PluginRef;
use crate::journal::{RunKey, StorageError};

/// Work that is under way.
type UnderWay = Pin<Box<dyn Future<Output = Completion> + Send>>;

/// What has come of work that was under way.
enum Completion {
    /// This has happened.
    In(Event),
    /// The answer to a question of this edition of the state.
    Evaluated { edition: u64, question: Effect, result: Result<Value, String> },
    /// It was cancelled.
    Aborted,
}

/// What a run is told next.
enum Input {
    Delivery(Delivery),
    /// Something that nobody wants has ended.
    Nothing,
    /// The host does not speak to this run any more.
    Forgotten,
}

pub(super) struct Driver {
    runs: Arc<Runs>,
    tenant: Arc<Tenant>,
    ledger: Ledger,
    under_way: FuturesUnordered<UnderWay>,
    aborts: HashMap<StepId, AbortHandle>,
    /// Whether several things may be under way at the same time: none of them stands still then because of another one.
    has_branches: bool,
    /// The next time, deliveries are taken before what has ended.
    hears_first: bool,
    /// Where its steps work.
    places: Arc<Places>,
}

impl Driver {
    pub fn new(runs: Arc<Runs>, tenant: Arc<Tenant>, ledger: Ledger) -> Self {
        let (under_way, aborts) = (FuturesUnordered::new(), HashMap::new());
        let places = Places::of_run(tenant.clone());
        let has_branches = ledger.state().flow().has_branches();
        Self { runs, tenant, ledger, under_way, aborts, has_branches, hears_first: false, places }
    }

    pub fn key(&self) -> &RunKey {
        &self.ledger.row().key
    }

    /// Journals the run's first events. After an error the journal may have it all the same.
    pub async fn create(&mut self, first: FirstEvents) -> Result<Vec<Effect>, StorageError> {
        let effects = self.ledger.create(first).await?;
        let at = self.ledger.row().started_at;
        self.announce_run(at, Status::Running);
        self.announce_steps(at);
        if self.ledger.row().ended_at.is_some() {
            self.runs.observers.metrics.run_ended(&self.tenant.id, &self.ledger.row().status);
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
    pub async fn drive(mut self, mut effects: Vec<Effect>, mut inbox: Inbox) {
        loop {
            // The host has started over: what would be done here is another's.
            if !self.ledger.has_lease() {
                return self.runs.retire(self.key(), inbox);
            }
            for effect in effects {
                self.carry_out(effect);
            }
            if self.ledger.state().is_over() {
                self.runs.retire(self.key(), inbox);
                self.tenant.run_is_over();
                return;
            }
            let delivery = if self.under_way.is_empty() {
                match self.runs.registry.park(self.key(), &mut inbox) {
                    Some(delivery) => delivery,
                    None => return,
                }
            } else {
                match self.next(&mut inbox).await {
                    Input::Delivery(delivery) => delivery,
                    Input::Nothing => {
                        effects = vec![];
                        continue;
                    }
                    // As for a run that is parked, seen in the middle of something.
                    Input::Forgotten => return,
                }
            };
            let taken = match delivery {
                Delivery::Event(Event::Fired { timer }) if !self.ledger.is_own() => {
                    self.runs.registry.timer_is_taken(self.key(), timer);
                    Ok(vec![])
                }
                Delivery::Event(event) => self.take(event).await,
                Delivery::Callback { step, request, told } => self.call_back(step, request, told).await,
                Delivery::News => self.catch_up().await,
            };
            effects = match taken {
                Ok(effects) => effects,
                Err(Gone) => return self.runs.retire(self.key(), inbox),
            };
        }
    }

    /// What happens next. Deliveries and what is under way are heard in turns: neither waits for the end of the other,
    /// however much there is.
    async fn next(&mut self, inbox: &mut Inbox) -> Input {
        let heard = |delivery: Option<Delivery>| delivery.map_or(Input::Forgotten, Input::Delivery);
        self.hears_first = !self.hears_first;
        if self.hears_first {
            tokio::select! {
                biased;
                delivery = inbox.next() => heard(delivery),
                Some(ended) = self.under_way.next() => self.come_of(ended),
            }
        } else {
            tokio::select! {
                biased;
                Some(ended) = self.under_way.next() => self.come_of(ended),
                delivery = inbox.next() => heard(delivery),
            }
        }
    }

    fn come_of(&self, ended: Completion) -> Input {
        match ended {
            Completion::In(event) => Input::Delivery(Delivery::Event(event)),
            Completion::Aborted => Input::Nothing,
            Completion::Evaluated { edition, question, result } => {
                let Some(id) = question.evaluation() else { return Input::Nothing };
                // What another host has appended may have made another question of that number.
                let is_asked =
                    edition == self.ledger.edition() || self.ledger.state().outstanding().contains(&question);
                if !is_asked {
                    return Input::Nothing;
                }
                Input::Delivery(Delivery::Event(Event::Evaluated { id, result }))
            }
        }
    }

    /// Takes a callback if the step wants it, and tells its sender what became of it.
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
        let at = self.runs.lifecycle.clock.now();
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
            Effect::Evaluate { ref program, ref input, ref variables, .. } => {
                let flow_digest = self.ledger.row().flow.digest.clone();
                let (program, input, variables) = (program.clone(), input.clone(), variables.clone());
                let evaluation = GuestExpression { flow_digest, program, input, variables };
                let result = self.runs.steps.clone().evaluate(self.tenant.clone(), evaluation);
                self.ask(effect, result);
            }
            Effect::Validate { ref schema, ref value, .. } => {
                let flow_digest = self.ledger.row().flow.digest.clone();
                let validation = GuestSchema { flow_digest, schema: schema.clone(), value: value.clone() };
                let result = self.runs.steps.clone().validate(self.tenant.clone(), validation);
                self.ask(effect, result);
            }
            Effect::Call { step, attempt, plugin, ask } => {
                let this = self.attempt(step, attempt, plugin);
                let (abort, registration) = AbortHandle::new_pair();
                self.aborts.insert(step, abort);
                let call = self.runs.steps.clone().call(self.tenant.clone(), this, ask);
                let outcome = Abortable::new(self.in_place(call), registration);
                self.begin(async move {
                    match outcome.await {
                        Ok(Some(outcome)) => Completion::In(Event::Answered { step, attempt, outcome }),
                        Ok(None) | Err(Aborted) => Completion::Aborted,
                    }
                });
            }
            Effect::Undo { step, attempt, plugin, state, reason } => {
                let this = self.attempt(step, attempt, plugin);
                let undo = self.runs.steps.clone().undo(self.tenant.clone(), this, state, reason);
                let undo = self.in_place(undo);
                self.begin(async move {
                    match undo.await {
                        Some(problem) => Completion::In(Event::Undone { step, attempt, problem }),
                        None => Completion::Aborted,
                    }
                });
            }
            Effect::Abort { step } => {
                if let Some(abort) = self.aborts.remove(&step) {
                    abort.abort();
                }
            }
            Effect::Timer { due, .. } => self.ledger.lane().timer_is_set(due),
            // Gone from the journal with the commit.
            Effect::Disarm { .. } => {}
            Effect::Reply { reply, .. } => self.runs.observers.waiters.reply(self.key().run, reply),
            Effect::Finish(end) => self.runs.observers.waiters.finish(self.key().run, end),
        }
    }

    /// The work as soon as there is a place for it. Nothing where the host has started over meanwhile: what waited is another
    /// host's by now.
    fn in_place<T, W>(&self, work: W) -> impl Future<Output = Option<T>> + use<T, W>
    where
        W: Future<Output = T>,
    {
        let claim = self.ledger.claim();
        self.places.clone().work(async move { if claim.holds() { Some(work.await) } else { None } })
    }

    /// A guest of the host's own answers the question.
    fn ask(&mut self, question: Effect, result: BoxFuture<'static, Result<Value, String>>) {
        let (edition, result) = (self.ledger.edition(), self.in_place(result));
        self.begin(async move {
            match result.await {
                Some(result) => Completion::Evaluated { edition, question, result },
                None => Completion::Aborted,
            }
        });
    }

    /// Where there are branches, each thing under way is a task of its own, which goes on while another's answer is
    /// committed; otherwise nothing is under way then, and the way of one more task is saved.
    fn begin(&mut self, work: impl Future<Output = Completion> + Send + 'static) {
        if !self.has_branches {
            return self.under_way.push(Box::pin(work));
        }
        let task = AbortOnDropHandle::new(tokio::spawn(work));
        self.under_way.push(Box::pin(async move {
            task.await.unwrap_or_else(|error| match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The host is stopping.
                Err(_) => Completion::Aborted,
            })
        }));
    }

    fn announce_run(&self, at: Timestamp, status: Status) {
        if !self.runs.observers.has_watchers() {
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
        self.runs.observers.show(RunChange::Run { at, run, problem });
    }

    fn announce_steps(&mut self, at: Timestamp) {
        let changed = self.ledger.state_mut().take_changed();
        if !self.runs.observers.has_watchers() {
            return;
        }
        let state = self.ledger.state();
        for step in changed.into_iter().filter_map(|step| state.shown(step)) {
            let (tenant, run) = (self.key().tenant.clone(), self.key().run);
            self.runs.observers.show(RunChange::Step { at, tenant, run, step });
        }
    }
}
