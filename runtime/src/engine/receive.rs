//! The way of an inbound request: the request, judged by its trigger's plugin in a sandbox, becomes a journalled run and an
//! answer. Nothing is acknowledged before the journal has it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call;
use super::catalog::Trigger;
use super::core::{Core, Lifetime};
use super::duplicate::{self, Known};
use super::runs::{self, Beginning, Begun, Start};
use super::sandboxes::Sandboxes;
use super::tenant::Tenant;
use super::waiters::Told;
use crate::capability::log::LogLine;
use crate::flow::{End, Event, Flow, Reply};
use crate::host::{CallLimits, InboundRequest, Judging};
use crate::id::{RunId, mint_id};
use crate::journal::{OriginalRow, RunKey};
use crate::problem::{Problem, kind};

/// The longest time that a caller may be kept waiting for the flow's answer.
const LONGEST_WITHIN: Duration = Duration::from_secs(3600);

/// An inbound request for a hook, its body read and within the limit.
pub struct Inbound {
    /// The method as received.
    pub method: String,
    /// The path below the hook's address; `/` for the address itself.
    pub path: String,
    /// The query as received, without `?`.
    pub query: String,
    /// Names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    /// The body as received.
    pub body: Bytes,
    /// Who called.
    pub remote: SocketAddr,
}

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Bytes,
}

/// An enabled trigger that a request was addressed to.
pub struct Hook {
    pub(super) core: Arc<Core>,
    pub(super) sandboxes: Arc<Sandboxes>,
    pub(super) tenant: Arc<Tenant>,
    pub(super) trigger: Arc<Trigger>,
}

/// What a trigger's plugin decided; wit/trigger.wit has the JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Verdict {
    start: Option<Begin>,
    respond: Option<Respond>,
    answer: Option<Given>,
    /// Of the answer, whatever it is.
    #[serde(default)]
    headers: BTreeMap<String, HeaderValues>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    event: Value,
    dedupe: Option<Known>,
}

#[derive(Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case", rename_all_fields = "camelCase")]
enum Respond {
    AtOnce(Given),
    Flow { within_ms: u64 },
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, HeaderValues>,
    /// A text is sent as it is, null sends nothing, anything else is sent as JSON.
    #[serde(default)]
    body: Value,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum HeaderValues {
    One(String),
    Several(Vec<String>),
}

impl Hook {
    /// The most bytes of a body that the tenant's quota allows.
    pub fn body_limit(&self) -> u64 {
        self.tenant.quota.body
    }

    /// Judges the request, journals the event, answers. A failure is an answer too.
    pub async fn receive(&self, inbound: Inbound) -> Answer {
        let answer = self.judge(inbound).await.unwrap_or_else(|problem| problem_answer(&problem, None));
        self.core.metrics.hook_answered(&self.tenant.id, answer.status);
        answer
    }

    async fn judge(&self, inbound: Inbound) -> Result<Answer, Problem> {
        self.tenant.admit_request()?;
        if self.core.lifetime() != Lifetime::Serving {
            return Err(unavailable("the host is shutting down; send it again in a moment"));
        }
        let verdict = self.ask_plugin(inbound).await?;
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
        let durable = flow.durable;
        let answer = match &begin.dedupe {
            // Looked up first: nearly all that come again come after the first one was journalled.
            Some(known) => match self.original(known, durable).await? {
                Some(run) => return self.answer_again(run, durable, respond).await,
                None => self.answer(flow, begin.event, Some(known), &respond).await,
            },
            None => self.answer(flow, begin.event, None, &respond).await,
        };
        match (answer, &begin.dedupe) {
            // Two at the same time: the journal has taken the other one.
            (Err(problem), Some(known)) if problem.status == runs::BEGUN => {
                match self.original(known, durable).await? {
                    Some(run) => self.answer_again(run, durable, respond).await,
                    None => Err(problem),
                }
            }
            (answer, _) => answer,
        }
    }

    async fn original(&self, known: &Known, durable: bool) -> Result<Option<RunId>, Problem> {
        let trigger = self.trigger.full_name();
        duplicate::original(&self.core, &self.tenant, (&trigger, known), durable).await
    }

    async fn answer(
        &self,
        flow: Arc<Flow>,
        event: Value,
        known: Option<&Known>,
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
    async fn answer_again(&self, run: RunId, durable: bool, respond: Respond) -> Result<Answer, Problem> {
        match respond {
            Respond::AtOnce(given) => Ok(given.into()),
            Respond::Flow { within_ms } => {
                let within = within(within_ms);
                let late = || late(run, within);
                match duplicate::told(&self.core, &self.tenant, (run, durable), within, late).await? {
                    Told::Reply(reply) => Ok(reply.into()),
                    Told::End(end) => Ok(end_answer(end, run)),
                }
            }
        }
    }

    async fn ask_plugin(&self, inbound: Inbound) -> Result<Verdict, Problem> {
        let Trigger { plugin, trigger, config, .. } = &*self.trigger;
        let limits = CallLimits { wall: call::RECEIVE_TIME, ..call::limits(&self.tenant) };
        let request = Arc::new(InboundRequest {
            method: inbound.method,
            path: inbound.path,
            query: inbound.query,
            headers: inbound.headers,
            body: inbound.body,
            remote: inbound.remote.to_string(),
            received_ms: self.core.clock.now().as_millisecond().try_into().unwrap_or(0),
            trigger_name: self.trigger.full_name(),
        });
        let judging = Judging {
            inbound: request,
            expressions: Some(self.sandboxes.expressions(&self.tenant)),
            credentials: Some(call::trigger_credentials(&self.tenant, &self.trigger.document.needs)),
            limits,
        };
        let received = self.sandboxes.host.receive(plugin, trigger, config, judging).await;
        let received = received.map_err(|error| {
            tracing::error!(trigger = self.trigger.full_name(), %error, "a trigger could not be called");
            unavailable("the host could not judge the request; send it again in a moment")
        })?;
        self.core.metrics.guest_ended(&self.tenant.id, &plugin.name, &received.usage);
        for line in &received.logs {
            tracing::debug!(trigger = self.trigger.full_name(), level = %line.level, "{}", line.message);
        }
        let verdict = received.result.map_err(|problem| self.concealed(problem, &received.logs))?;
        serde_json::from_str(&verdict)
            .map_err(|error| self.broken(&format!("its verdict cannot be read: {error}")))
    }

    fn flow(&self) -> Result<Arc<Flow>, Problem> {
        let reference = &self.trigger.document.flow;
        let flow = {
            let catalog = self.core.catalog.read().expect("no panic while held");
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
        known: Option<&Known>,
    ) -> Result<Begun, Problem> {
        let trigger = self.trigger.full_name();
        let beginning = match known {
            None => Beginning::Input(event),
            Some(known) => {
                let until = crate::clock::after(self.core.clock.now(), known.window());
                let (tenant, key) = (self.tenant.id.clone(), known.digest());
                let original = OriginalRow { tenant, trigger: trigger.clone(), key, run: id, until };
                Beginning::Once { input: event, original }
            }
        };
        runs::begin(&self.core, &self.tenant, Start { id, flow, trigger: Some(trigger), beginning })
    }

    async fn answer_from_flow(
        &self,
        flow: Arc<Flow>,
        event: Value,
        known: Option<&Known>,
        within: Duration,
    ) -> Result<Answer, Problem> {
        let id = RunId::mint();
        let mut told = self.core.waiters.caller(id);
        let begun = async {
            let mut begun = self.begin(id, flow, event, known)?;
            begun.journalled().await?;
            Ok(begun)
        };
        let mut begun = match begun.await {
            Ok(begun) => begun,
            Err(problem) => {
                self.core.waiters.caller_left(id);
                return Err(problem);
            }
        };
        let deadline = crate::clock::after(self.core.clock.now(), within);
        // Dropped when the caller hangs up: the run goes on, and an answer is a conflict from then on.
        let durable = begun.durable;
        let mut left = CallerLeft { hook: self, run: id, durable, reason: "the caller hung up", told: false };
        let waiting = async {
            tokio::select! {
                biased;
                // First: the last run's end is also what ends the draining.
                told = &mut told => told.map_err(|_| broken_off(id)),
                () = self.core.clock.sleep_until(deadline) => Err(late(id, within)),
                () = self.core.drained() => Err(broken_off(id)),
            }
        };
        let told = tokio::select! {
            biased;
            // First: what it tells is then seen in the same turn.
            never = async { begun.moves().await; std::future::pending().await } => never,
            told = waiting => told,
        };
        match told {
            Ok(Told::Reply(reply)) => {
                left.told = true;
                Ok(reply.into())
            }
            Ok(Told::End(end)) => {
                left.told = true;
                Ok(end_answer(end, id))
            }
            Err(problem) => {
                left.reason = "the caller's time was over";
                Err(problem)
            }
        }
    }

    /// An error that the caller cannot mend: what it was is in the log, under the id that the answer has.
    fn concealed(&self, problem: Problem, said: &[LogLine]) -> Problem {
        if problem.status < 500 {
            return problem;
        }
        let id = mint_id();
        let said: Vec<&str> = said.iter().map(|line| line.message.as_str()).collect();
        tracing::error!(%id, trigger = self.trigger.full_name(), %problem, ?said, "a trigger could not judge a request");
        let detail = problem.detail.as_deref().unwrap_or("the request could not be judged");
        let detail = format!("{detail}; the host's log says why under the id {id}");
        problem.clone().detail(detail).data(json!({ "id": id }))
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
    durable: bool,
    reason: &'static str,
    told: bool,
}

impl Drop for CallerLeft<'_> {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let Hook { core, tenant, .. } = self.hook;
        core.waiters.caller_left(self.run);
        // The journal is closed then, and the next start has no callers from before.
        if core.lifetime() == Lifetime::Drained {
            return;
        }
        let key = RunKey { tenant: tenant.id.clone(), run: self.run };
        core.deliver(self.durable, key, Event::CallerLeft { reason: self.reason.to_owned() });
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

pub(super) fn unavailable(detail: &str) -> Problem {
    let mut problem = Problem::new(kind::RUNTIME, "the host cannot take this now", 503).detail(detail);
    problem.retry_after_ms = Some(1000);
    problem
}

/// The answer of a run that ended without `respond`.
fn end_answer(end: End, run: RunId) -> Answer {
    match end {
        End::Completed(output) if output.is_null() => {
            Answer { status: 204, headers: vec![], body: Bytes::new() }
        }
        End::Completed(output) => json_answer(200, "application/json", &output),
        End::Faulted(problem) => {
            let status = if problem.kind == kind::VALIDATION { 400 } else { 500 };
            // What a plugin said to machines may hold another server's answer: it is for the history only.
            let shown = Problem { status, data: None, retry_after_ms: None, ..problem };
            problem_answer(&shown, Some(run))
        }
        End::Cancelled { .. } => {
            let problem = Problem::new(kind::RUNTIME, "the run was cancelled", 500);
            problem_answer(&problem, Some(run))
        }
    }
}

pub(super) fn problem_answer(problem: &Problem, run: Option<RunId>) -> Answer {
    let mut body = serde_json::to_value(problem).unwrap_or_default();
    if let (Some(run), Some(fields)) = (run, body.as_object_mut()) {
        fields.insert("run".to_owned(), json!(run));
    }
    let mut answer = json_answer(problem.status, "application/problem+json", &body);
    if let Some(pause) = problem.retry_after_ms {
        answer.headers.push(("retry-after".to_owned(), pause.div_ceil(1000).max(1).to_string()));
    }
    answer
}

fn json_answer(status: u16, content_type: &str, body: &Value) -> Answer {
    Answer {
        status,
        headers: vec![("content-type".to_owned(), content_type.to_owned())],
        body: call::json_text(body).into(),
    }
}

/// Names in lower case.
fn pairs(headers: BTreeMap<String, HeaderValues>) -> impl Iterator<Item = (String, String)> {
    headers.into_iter().flat_map(|(name, values)| {
        let values = match values {
            HeaderValues::One(value) => vec![value],
            HeaderValues::Several(values) => values,
        };
        let name = name.to_ascii_lowercase();
        values.into_iter().map(move |value| (name.clone(), value))
    })
}

impl From<Given> for Answer {
    fn from(given: Given) -> Self {
        let mut headers: Vec<_> = pairs(given.headers).collect();
        let typed = headers.iter().any(|(name, _)| name == "content-type");
        let (body, content_type) = match given.body {
            Value::Null => (Bytes::new(), None),
            Value::String(text) => (text.into(), Some("text/plain; charset=utf-8")),
            other => (call::json_text(&other).into(), Some("application/json")),
        };
        if let (false, Some(content_type)) = (typed, content_type) {
            headers.push(("content-type".to_owned(), content_type.to_owned()));
        }
        Self { status: given.status, headers, body }
    }
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self { status: reply.status, headers: reply.headers, body: reply.body.into() }
    }
}
