//! The world outside of the hosts: what plugins do when they are called, and who they wait for. It remembers what was
//! asked of it, and protests on the spot when it is asked for something that no journal holds.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::chance::Chance;
use super::check::Checker;
use super::mistake::Mistake;
use crate::engine::steps::{Attempt, GuestExpression, GuestSchema, Pace, Steps, SubscribeError};
use crate::engine::tenant::Tenant;
use crate::flow::{Ask, Document, Finding, MaskedTexts, Outcome, Suspension};
use crate::id::{RunId, TenantId};
use crate::journal::{Journal, Lease, RunKey, SubscriptionRow};
use crate::problem::{Problem, kind};

/// A step of a run.
pub(super) type Step = (RunId, u32);

pub(super) struct World {
    state: Mutex<State>,
    checker: Checker,
}

#[derive(Default)]
struct State {
    under_way: Vec<Call>,
    serials: u64,
    /// What was asked of it, each of which it may be asked for once.
    asked: HashSet<(Step, u32, String)>,
    /// Answers that it gave, by their number.
    answered: BTreeMap<u64, Step>,
    /// Steps that are waited for, and how often they were told to wait: who calls them back.
    callees: BTreeMap<Step, u32>,
    undone: BTreeSet<Step>,
    /// What triggers have subscribed to.
    subscriptions: BTreeSet<String>,
    refusals: VecDeque<Problem>,
    /// How many turns the hosts took where nobody waits for them.
    long_turns: usize,
    broken: Vec<String>,
    /// What happened since this was last asked for.
    news: Vec<String>,
}

/// A call that has no answer yet.
pub(super) struct Call {
    serial: u64,
    pub step: Step,
    pub attempt: u32,
    pub host: usize,
    lease: Lease,
    plugin: String,
    asked: Asked,
    answer: oneshot::Sender<Answer>,
}

enum Asked {
    Start,
    Resume,
    Undo,
    /// With this answer.
    Evaluate(Value),
}

enum Answer {
    Outcome(Outcome),
    Undone(Option<Problem>),
    Evaluated(Value),
}

impl World {
    pub fn new(checker: Checker) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), checker })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Answers the next requests to subscribe and to unsubscribe so, one after the other; after these all succeed.
    pub fn refuses(&self, problems: impl IntoIterator<Item = Problem>) {
        self.state().refusals.extend(problems);
    }

    /// How many subscriptions stand.
    pub fn subscriptions(&self) -> usize {
        self.state().subscriptions.len()
    }

    /// How many long turns the hosts have taken.
    pub fn long_turns(&self) -> usize {
        self.state().long_turns
    }

    fn subscribe(&self, row: &SubscriptionRow) -> Result<Vec<u8>, SubscribeError> {
        let mut state = self.state();
        if let Some(problem) = state.refusals.pop_front() {
            let is_doubtful = problem.may_have_arrived();
            return Err(SubscribeError { problem, is_doubtful });
        }
        state.subscriptions.insert(row.id.clone());
        Ok(row.id.clone().into_bytes())
    }

    fn unsubscribe(&self, row: &SubscriptionRow) -> Result<(), Problem> {
        let mut state = self.state();
        if let Some(problem) = state.refusals.pop_front() {
            return Err(problem);
        }
        state.subscriptions.remove(&row.id);
        Ok(())
    }

    /// What must not have been asked of it.
    pub fn broken(&self) -> Vec<String> {
        self.state().broken.clone()
    }

    pub fn news(&self) -> Vec<String> {
        std::mem::take(&mut self.state().news)
    }

    pub fn under_way(&self) -> usize {
        self.state().under_way.len()
    }

    /// The steps that are being carried out, and the host of each.
    pub fn at_work(&self) -> Vec<(Step, usize)> {
        let state = self.state();
        let calls = state.under_way.iter().filter(|call| matches!(call.asked, Asked::Start | Asked::Resume));
        calls.map(|call| (call.step, call.host)).collect()
    }

    /// The steps that somebody in the world may call back, in their order.
    pub fn callees(&self) -> Vec<Step> {
        self.state().callees.keys().copied().collect()
    }

    pub fn was_undone(&self, step: Step) -> bool {
        self.state().undone.contains(&step)
    }

    /// The step that an answer of this number was given to.
    pub fn answered(&self, serial: u64) -> Option<Step> {
        self.state().answered.get(&serial).copied()
    }

    /// Answers one of the calls, in one of the ways that a plugin can. In a kind world none fails.
    pub fn answer(&self, chance: &mut Chance, kind: bool) -> Option<String> {
        let mut state = self.state();
        if state.under_way.is_empty() {
            return None;
        }
        let index = chance.below(state.under_way.len());
        let call = state.under_way.swap_remove(index);
        let answer = state.decide(&call, chance, kind);
        let line = format!("{} {}", call.line(), answer.line());
        // An error is a call that was aborted in this very moment.
        let _ = call.answer.send(answer);
        Some(line)
    }

    fn begin(
        &self,
        (host, lease): (usize, Lease),
        attempt: &Attempt,
        asked: Asked,
        what: String,
    ) -> (u64, oneshot::Receiver<Answer>) {
        let step = (attempt.run, attempt.step);
        let (answer, receiver) = oneshot::channel();
        let mut state = self.state();
        state.serials += 1;
        let serial = state.serials;
        if !what.is_empty() && !state.asked.insert((step, attempt.attempt, what.clone())) {
            let twice = format!("attempt {} of step {step:?} was asked for twice: {what}", attempt.attempt);
            state.broken.push(twice);
        }
        let alive =
            |call: &Call| self.checker.store.is_alive(call.lease) && self.checker.store.is_alive(lease);
        if !what.is_empty()
            && let Some(other) = state.under_way.iter().find(|call| call.step == step && alive(call))
        {
            let both = format!("two hosts are at work on step {step:?}: {} and {host}", other.host);
            state.broken.push(both);
        }
        let plugin = attempt.plugin.name.clone();
        // The other side may use the address before the step waits.
        if plugin == "wait" && matches!(asked, Asked::Start) {
            state.callees.entry(step).or_default();
        }
        state.news.push(format!(
            "host {host} ({}) asks for {} {}.{}: {what}",
            lease.0, attempt.run, attempt.step, attempt.attempt
        ));
        let call = Call { serial, step, attempt: attempt.attempt, host, lease, plugin, asked, answer };
        state.under_way.push(call);
        (serial, receiver)
    }

    fn ended(&self, serial: u64) {
        self.state().under_way.retain(|call| call.serial != serial);
    }

    fn protest(&self, what: String) {
        self.state().broken.push(what);
    }
}

impl Call {
    fn line(&self) -> String {
        let what = match self.asked {
            Asked::Start => "start",
            Asked::Resume => "resume",
            Asked::Undo => "undo",
            Asked::Evaluate(_) => "evaluate",
        };
        let (run, step) = self.step;
        format!("host {} {what} {run} {step}.{}", self.host, self.attempt)
    }
}

impl Answer {
    fn line(&self) -> String {
        match self {
            Self::Outcome(Outcome::Done(output)) => format!("-> done {output}"),
            Self::Outcome(Outcome::Failed(problem)) => {
                format!("-> failed, again after {:?}", problem.retry_after_ms)
            }
            Self::Outcome(Outcome::CutOff(_)) => "-> cut off".to_owned(),
            Self::Outcome(Outcome::Suspended(suspension)) => format!("-> suspended {suspension:?}"),
            Self::Undone(problem) => format!("-> undone: {}", problem.is_none()),
            Self::Evaluated(value) => format!("-> {value}"),
        }
    }
}

impl State {
    fn decide(&mut self, call: &Call, chance: &mut Chance, kind: bool) -> Answer {
        match &call.asked {
            Asked::Evaluate(answer) => Answer::Evaluated(answer.clone()),
            Asked::Undo if kind || !chance.once_in(3) => {
                self.undone.insert(call.step);
                Answer::Undone(None)
            }
            Asked::Undo => Answer::Undone(Some(failure(chance, 503))),
            Asked::Start | Asked::Resume => {
                self.answered.insert(call.serial, call.step);
                Answer::Outcome(self.outcome(call, chance, kind))
            }
        }
    }

    fn outcome(&mut self, call: &Call, chance: &mut Chance, kind: bool) -> Outcome {
        let done = Outcome::Done(json!({ "serial": call.serial }));
        let waits = call.plugin == "wait" && (matches!(call.asked, Asked::Start) || chance.once_in(4));
        match chance.below(20) {
            _ if kind && !waits => done,
            0..3 if !kind => {
                let mut problem = failure(chance, 503);
                problem.retry_after_ms = Some(500 * chance.below(20) as u64);
                Outcome::Failed(problem)
            }
            3 if !kind => Outcome::Failed(failure(chance, 500)),
            4 if !kind => Outcome::CutOff(failure(chance, 500)),
            _ if waits => {
                *self.callees.entry(call.step).or_default() += 1;
                Outcome::Suspended(suspension(call.serial, chance))
            }
            _ => done,
        }
    }
}

/// The mark in a program, which is in its answer as well.
fn marked(program: &str) -> Option<&str> {
    let (_, mark) = program.split_once("\"mark-")?;
    mark.split('"').next()
}

fn suspension(serial: u64, chance: &mut Chance) -> Suspension {
    let mut some_ms = |times: usize| chance.once_in(times).then(|| 1_000 * (1 + chance.below(40) as u64));
    let (timer_ms, deadline_ms) = (some_ms(3), some_ms(3));
    Suspension {
        state: format!("{serial:08}").into(),
        callback: timer_ms.is_none() || chance.once_in(2),
        timer_ms,
        deadline_ms,
        same_deadline: false,
        cleanup: chance.once_in(3),
    }
}

fn failure(chance: &mut Chance, status: u16) -> Problem {
    Problem::new(kind::COMMUNICATION, "the world failed", status).detail(format!("{}", chance.below(100)))
}

/// The plugins of one host: the world at the other end.
pub(super) struct Hands {
    pub host: usize,
    pub world: Arc<World>,
    /// The host's journal, which knows its lease.
    pub journal: Journal,
    pub mistake: Option<Mistake>,
}

/// Takes the call out of the world when nobody wants its answer any more.
struct UnderWay {
    world: Arc<World>,
    serial: u64,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.world.ended(self.serial);
    }
}

impl Hands {
    async fn ask(&self, lease: Lease, attempt: &Attempt, asked: Asked, what: String) -> Answer {
        let (serial, receiver) = self.world.begin((self.host, lease), attempt, asked, what);
        let _under_way = UnderWay { world: self.world.clone(), serial };
        receiver.await.expect("a call leaves the world with its answer")
    }

    /// What a guest of the host's own answers.
    async fn judge(&self, answer: Value) -> Value {
        let nobody = Attempt {
            run: RunId::from_bytes([0; 16]),
            step: 0,
            attempt: 0,
            plugin: "jq:1.0.0".parse().unwrap(),
            needs: Arc::default(),
            hidden: MaskedTexts::default(),
            mask: None,
        };
        match self.ask(Lease(0), &nobody, Asked::Evaluate(answer), String::new()).await {
            Answer::Evaluated(value) => value,
            _ => unreachable!("an evaluation is answered with a value"),
        }
    }

    fn justified(&self, tenant: &Tenant, attempt: &Attempt, what: &str) {
        let key = RunKey { tenant: tenant.id.clone(), run: attempt.run };
        if let Err(why) = self.world.checker.wanted(&key, attempt.step, attempt.attempt) {
            self.world.protest(format!("host {}: {what} without a reason in the journal: {why}", self.host));
        }
    }
}

impl Steps for Hands {
    fn read(&self, _: &TenantId, text: &str, file: &str) -> Result<Vec<Document>, Vec<Finding>> {
        crate::flow::read(text, file)
    }

    /// All turns at once: nobody else wants one.
    fn in_turns<'a>(&'a self, _: &'a Tenant, pace: Pace, mut work: BoxFuture<'a, ()>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let mut turns = 1;
            while (&mut work).now_or_never().is_none() {
                turns += 1;
            }
            if pace == Pace::Long {
                self.world.state().long_turns += turns;
            }
        })
    }

    fn call(
        self: Arc<Self>,
        tenant: Arc<Tenant>,
        mut attempt: Attempt,
        ask: Ask,
    ) -> BoxFuture<'static, Outcome> {
        Box::pin(async move {
            let lease = self.journal.lease();
            self.justified(&tenant, &attempt, "a call");
            let (asked, what) = match &ask {
                Ask::Start { .. } => (Asked::Start, "start".to_owned()),
                Ask::Resume { state, event } => (Asked::Resume, format!("resume {state} {event}")),
            };
            if self.mistake == Some(Mistake::OneAttempt) {
                attempt.attempt = 1;
            }
            if self.mistake == Some(Mistake::ResumesTwice) && matches!(ask, Ask::Resume { .. }) {
                self.ask(lease, &attempt, Asked::Resume, what.clone()).await;
            }
            match self.ask(lease, &attempt, asked, what).await {
                Answer::Outcome(outcome) => outcome,
                _ => unreachable!("a call is answered with an outcome"),
            }
        })
    }

    fn undo(
        self: Arc<Self>,
        tenant: Arc<Tenant>,
        attempt: Attempt,
        state: Arc<str>,
        _: &'static str,
    ) -> BoxFuture<'static, Option<Problem>> {
        Box::pin(async move {
            let lease = self.journal.lease();
            self.justified(&tenant, &attempt, "an undoing");
            if self.mistake == Some(Mistake::UndoesNothing) {
                return None;
            }
            match self.ask(lease, &attempt, Asked::Undo, format!("undo {state}")).await {
                Answer::Undone(problem) => problem,
                _ => unreachable!("an undoing is answered as one"),
            }
        })
    }

    fn subscribe(
        self: Arc<Self>,
        _: Arc<Tenant>,
        row: SubscriptionRow,
    ) -> BoxFuture<'static, Result<Vec<u8>, SubscribeError>> {
        Box::pin(async move { self.world.subscribe(&row) })
    }

    fn unsubscribe(
        self: Arc<Self>,
        _: Arc<Tenant>,
        row: SubscriptionRow,
    ) -> BoxFuture<'static, Result<(), Problem>> {
        Box::pin(async move { self.world.unsubscribe(&row) })
    }

    fn evaluate(
        self: Arc<Self>,
        _: Arc<Tenant>,
        evaluation: GuestExpression,
    ) -> BoxFuture<'static, Result<Value, String>> {
        Box::pin(async move {
            let answer = marked(&evaluation.program).map_or(json!(true), |mark| json!({ "mark": mark }));
            Ok(self.judge(answer).await)
        })
    }

    fn validate(
        self: Arc<Self>,
        _: Arc<Tenant>,
        _: GuestSchema,
    ) -> BoxFuture<'static, Result<Value, String>> {
        Box::pin(async move { Ok(self.judge(json!([])).await) })
    }
}
