//! The way of an inbound request: the request, judged by its trigger's plugin in a sandbox, becomes a journalled run and an
//! answer. Nothing is acknowledged before the journal has it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::Inbound;
use super::answer::{Answer, end_answer, problem_answer};
use super::duplicate::{self, DedupeKey};
use super::verdict::{Begin, Respond, Verdict, pairs};
use crate::engine::Runtime;
use crate::engine::deployed::Trigger;
use crate::engine::journals::Lane;
use crate::engine::lifecycle::unavailable;
use crate::engine::observers::RunAnswer;
use crate::engine::runs::Runs;
use crate::engine::runs::begin::{BEGUN, FirstEvents, NewRun, Start};
use crate::engine::tenant::Tenant;
use crate::flow::{Event, Flow};
use crate::id::RunId;
use crate::journal::{OriginalRow, RunKey};
use crate::json;
use crate::memory::Room;
use crate::problem::{Problem, kind};

/// The longest time that a caller may be kept waiting for the flow's answer.
const LONGEST_WITHIN: Duration = Duration::from_secs(3600);

/// An enabled trigger that a request was addressed to.
pub struct Hook {
    runs: Arc<Runs>,
    tenant: Arc<Tenant>,
    trigger: Arc<Trigger>,
}

impl Runtime {
    /// The enabled trigger that answers to this token. An unknown one and a disabled one look the same.
    pub fn hook(&self, token: &str) -> Option<Hook> {
        let trigger = self.rooms.runs.deployed.catalog().hook(token)?.clone();
        self.hook_of(trigger)
    }

    /// The enabled trigger that answers at this path of its own.
    pub fn hook_at(&self, tenant: &str, path: &str) -> Option<Hook> {
        let trigger = self.rooms.runs.deployed.catalog().hook_at(tenant, path)?.clone();
        self.hook_of(trigger)
    }

    fn hook_of(&self, trigger: Arc<Trigger>) -> Option<Hook> {
        Hook::new(&self.rooms.runs, trigger)
    }
}

impl Hook {
    /// Nothing where the trigger's tenant is not configured any more.
    pub(in crate::engine) fn new(runs: &Arc<Runs>, trigger: Arc<Trigger>) -> Option<Self> {
        let tenant = runs.tenants.get(&trigger.tenant)?.clone();
        Some(Self { runs: runs.clone(), tenant, trigger })
    }

    /// The most bytes of a body that the tenant's quota allows.
    pub fn body_limit(&self) -> u64 {
        self.tenant.quota.body
    }

    /// Room on the tenant's account, for the answer.
    pub fn room(&self) -> Room {
        self.tenant.memory.room()
    }

    /// Whether a request is taken now, by the tenant's rate and what the host does. Asked before its body is read; what is
    /// given back is where the body is read to.
    pub fn admit(&self) -> Result<Room, Problem> {
        self.tenant.admit_request()?;
        if !self.runs.lifecycle.is_serving() {
            return Err(unavailable("the host is shutting down; send it again in a moment"));
        }
        Ok(self.tenant.memory.room())
    }

    /// The answer to a request that is not taken.
    pub fn refuse(&self, problem: &Problem) -> Answer {
        self.answered(problem_answer(problem, None))
    }

    /// Judges a request that was taken, journals the event, answers. A failure is an answer too.
    pub async fn receive(&self, inbound: Inbound) -> Answer {
        let answer = self.judge(inbound).await.unwrap_or_else(|problem| problem_answer(&problem, None));
        self.answered(answer)
    }

    fn answered(&self, answer: Answer) -> Answer {
        self.runs.observers.metrics.hook_answered(&self.tenant.id, answer.status);
        answer
    }

    async fn judge(&self, inbound: Inbound) -> Result<Answer, Problem> {
        let (verdict, _room) = self.verdict(inbound).await?;
        if let Some(given) = verdict.answer {
            return Ok(given.into());
        }
        let (Some(begin), Some(respond)) = (verdict.start, verdict.respond) else {
            return Err(self.broken("its verdict has neither `answer` nor both of `start` and `respond`"));
        };
        let started = self.start(begin, respond).await;
        let mut answer = match started {
            Err(problem) if !verdict.headers.is_empty() => problem_answer(&problem, None),
            started => started?,
        };
        for (name, value) in pairs(verdict.headers) {
            // What an answer depends on is a sum, not a choice.
            if name == "vary" || !answer.headers.iter().any(|(other, _)| *other == name) {
                answer.headers.push((name, value));
            }
        }
        Ok(answer)
    }

    async fn start(&self, begin: Begin, respond: Respond) -> Result<Answer, Problem> {
        let flow = self.flow()?;
        let lane = self.runs.journals.of(&flow).clone();
        let answer = match &begin.dedupe {
            // Looked up first: nearly all that come again come after the first one was journalled.
            Some(known) => match self.original(known, &lane).await? {
                Some(run) => return self.answer_again(run, &lane, respond).await,
                None => self.answer(flow, begin.event, Some(known), &respond).await,
            },
            None => self.answer(flow, begin.event, None, &respond).await,
        };
        match (answer, &begin.dedupe) {
            // Two at the same time: the journal has taken the other one.
            (Err(problem), Some(known)) if problem.status == BEGUN => {
                match self.original(known, &lane).await? {
                    Some(run) => self.answer_again(run, &lane, respond).await,
                    None => Err(problem),
                }
            }
            (answer, _) => answer,
        }
    }

    async fn original(&self, known: &DedupeKey, lane: &Arc<Lane>) -> Result<Option<RunId>, Problem> {
        let trigger = self.trigger.full_name();
        duplicate::original(&self.runs, &self.tenant, (&trigger, known), lane).await
    }

    async fn answer(
        &self,
        flow: Arc<Flow>,
        event: Value,
        known: Option<&DedupeKey>,
        respond: &Respond,
    ) -> Result<Answer, Problem> {
        match respond {
            Respond::AtOnce(given) => {
                self.begin(RunId::mint(), flow, event, known)?.journalled().await?;
                Ok(given.clone().into())
            }
            Respond::Flow { within_ms } => {
                self.answer_from_flow(flow, event, known, within(*within_ms)).await
            }
        }
    }

    /// To an event that came again: what the first one was answered.
    async fn answer_again(&self, run: RunId, lane: &Arc<Lane>, respond: Respond) -> Result<Answer, Problem> {
        match respond {
            Respond::AtOnce(given) => Ok(given.into()),
            Respond::Flow { within_ms } => {
                let within = within(within_ms);
                let late = || late(run, within);
                match duplicate::answer(&self.runs, &self.tenant, (run, lane), within, late).await? {
                    RunAnswer::Reply(reply) => Ok(reply.into()),
                    RunAnswer::End(end) => Ok(end_answer(end, run)),
                }
            }
        }
    }

    /// What the trigger makes of the request, and the room that it takes up.
    async fn verdict(&self, inbound: Inbound) -> Result<(Verdict, Room), Problem> {
        let verdict = self.trigger.judge.judge(&self.tenant, inbound).await?;
        json::admit(verdict.as_bytes()).map_err(|error| {
            Problem::new(kind::VALIDATION, "the event is too large", error.status())
                .detail(format!("as a value {error}"))
        })?;
        let mut room = self.tenant.memory.room();
        room.grow(json::weight(verdict.as_bytes()))?;
        let verdict = serde_json::from_str(&verdict)
            .map_err(|error| self.broken(&format!("its verdict cannot be read: {error}")))?;
        Ok((verdict, room))
    }

    fn flow(&self) -> Result<Arc<Flow>, Problem> {
        let reference = &self.trigger.document.flow;
        let flow = {
            let catalog = self.runs.deployed.catalog();
            let (namespace, version) = (&reference.namespace, reference.version.as_deref());
            let deployed = catalog.flow(&self.tenant.id, namespace, &reference.name, version);
            deployed.map(|deployed| deployed.flow.clone())
        };
        flow.ok_or_else(|| {
            unavailable(&format!(
                "the flow `{reference}` of this address is not deployed; deploy it, then send again"
            ))
        })
    }

    fn begin(
        &self,
        id: RunId,
        flow: Arc<Flow>,
        event: Value,
        known: Option<&DedupeKey>,
    ) -> Result<NewRun, Problem> {
        let trigger = self.trigger.full_name();
        let first = match known {
            None => FirstEvents::Input(event),
            Some(known) => {
                let until = crate::clock::after(self.runs.lifecycle.clock.now(), known.window());
                let (tenant, key) = (self.tenant.id.clone(), known.digest());
                let original = OriginalRow { tenant, trigger: trigger.clone(), key, run: id, until };
                FirstEvents::Once { input: event, original }
            }
        };
        self.runs.begin(&self.tenant, Start { id, flow, trigger: Some(trigger), first })
    }

    async fn answer_from_flow(
        &self,
        flow: Arc<Flow>,
        event: Value,
        known: Option<&DedupeKey>,
        within: Duration,
    ) -> Result<Answer, Problem> {
        let id = RunId::mint();
        let mut told = self.runs.observers.waiters.caller(id);
        let begun = async {
            let mut begun = self.begin(id, flow, event, known)?;
            begun.journalled().await?;
            Ok(begun)
        };
        let mut begun = match begun.await {
            Ok(begun) => begun,
            Err(problem) => {
                self.runs.observers.waiters.caller_left(id);
                return Err(problem);
            }
        };
        let deadline = crate::clock::after(self.runs.lifecycle.clock.now(), within);
        // Dropped when the caller hangs up: the run goes on, and an answer is a conflict from then on.
        let lane = begun.lane.clone();
        let mut left = CallerLeft { hook: self, run: id, lane, reason: "the caller hung up", told: false };
        let waiting = async {
            tokio::select! {
                biased;
                // First: the last run's end is also what ends the draining.
                told = &mut told => told.map_err(|_| broken_off(id)),
                () = self.runs.lifecycle.clock.sleep_until(deadline) => Err(late(id, within)),
                () = self.runs.lifecycle.drained() => Err(broken_off(id)),
            }
        };
        let told = tokio::select! {
            biased;
            // First: what it tells is then seen in the same turn.
            never = async { begun.moves().await; std::future::pending().await } => never,
            told = waiting => told,
        };
        match told {
            Ok(RunAnswer::Reply(reply)) => {
                left.told = true;
                Ok(reply.into())
            }
            Ok(RunAnswer::End(end)) => {
                left.told = true;
                Ok(end_answer(end, id))
            }
            Err(problem) => {
                left.reason = "the caller's time was over";
                Err(problem)
            }
        }
    }

    fn broken(&self, what: &str) -> Problem {
        tracing::error!(trigger = self.trigger.full_name(), "the trigger's plugin is broken: {what}");
        Problem::new(kind::RUNTIME, "the trigger's plugin gave no usable verdict", 500)
    }
}

/// Tells the run that nobody waits for its answer any more.
struct CallerLeft<'a> {
    hook: &'a Hook,
    run: RunId,
    lane: Arc<Lane>,
    reason: &'static str,
    told: bool,
}

impl Drop for CallerLeft<'_> {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let Hook { runs, tenant, .. } = self.hook;
        runs.observers.waiters.caller_left(self.run);
        // The journal is closed then, and the next start has no callers from before.
        if runs.lifecycle.is_drained() {
            return;
        }
        let key = RunKey { tenant: tenant.id.clone(), run: self.run };
        runs.deliver(&self.lane, key, Event::CallerLeft { reason: self.reason.to_owned() });
    }
}

fn within(within_ms: u64) -> Duration {
    Duration::from_millis(within_ms).min(LONGEST_WITHIN)
}

fn late(run: RunId, within: Duration) -> Problem {
    Problem::new(kind::TIMEOUT, "the flow has not answered in time", 504)
        .detail(format!("no answer within {within:?}; the run {run} goes on"))
        .data(json!({ "run": run }))
}

/// Not to be sent again: the event is in the journal.
fn broken_off(run: RunId) -> Problem {
    Problem::new(kind::RUNTIME, "the host is stopping", 503)
        .detail(format!(
            "the run {run} goes on when the host is started again; do not send this a second time"
        ))
        .data(json!({ "run": run }))
}
