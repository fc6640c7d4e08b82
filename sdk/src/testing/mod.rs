//! A host for tests: what an action sends is expected in order, what it logs is kept.
//!
//! Present everywhere but on wasm32. It decides nothing about policy: an answer or an error is what the test says.

mod draft;
mod exchange;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

pub use exchange::{Answer, ExpectedRequest, SentRequest, answer, request};

use crate::action::Outcome;
use crate::checks::Finding;
use crate::context::Context;
use crate::host::{Head, Host};
use crate::http::{HttpError, RawRequest, RawResponse};
use crate::plugin::Exports;
use crate::problem::Problem;
use crate::secret::Algorithm;

/// A line that was logged.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLine {
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// What was said.
    pub message: String,
    /// The fields; null where there are none.
    pub fields: Value,
}

/// A host for tests. Clones share their state.
///
/// Requests are expected in order; one that was not expected fails the test at once, one that was expected and not
/// sent fails it when the host goes out of scope.
///
/// ```
/// use flowcell_sdk::prelude::*;
/// use flowcell_sdk::testing::{MockHost, request};
///
/// let host = MockHost::new()
///     .expect(request("GET", "https://example.com/"), HttpError::new("dns", "no such host"));
/// let failure = host.context().http().get("https://example.com/").send().unwrap_err();
/// assert_eq!(failure.code, "dns");
/// ```
#[derive(Clone, Debug)]
pub struct MockHost(Rc<RefCell<State>>);

/// What an expression makes of its input.
type Judge = fn(&Value) -> Value;

#[derive(Debug)]
struct State {
    run: String,
    step: String,
    attempt: u32,
    idempotency_key: String,
    deadline_ms: u64,
    trace_parent: String,
    callback_url: String,
    expected: VecDeque<(ExpectedRequest, Result<RawResponse, HttpError>)>,
    sent: Vec<SentRequest>,
    logs: Vec<LogLine>,
    head: Head,
    body: Vec<u8>,
    trigger: String,
    received_ms: u64,
    expressions: Vec<(String, Judge)>,
    secrets: Vec<(String, String)>,
}

impl Drop for State {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let missing: Vec<_> = self.expected.iter().map(|(request, _)| request.to_string()).collect();
            assert!(missing.is_empty(), "expected, but never sent: {}", missing.join(", "));
        }
    }
}

impl Default for MockHost {
    fn default() -> Self {
        Self::new()
    }
}

impl MockHost {
    /// A host that expects no request, with plain ids: `run`, `step`, `key`; attempt 1.
    pub fn new() -> Self {
        Self(Rc::new(RefCell::new(State {
            run: "run".into(),
            step: "step".into(),
            attempt: 1,
            idempotency_key: "key".into(),
            deadline_ms: 4_102_444_800_000,
            trace_parent: "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01".into(),
            callback_url: "https://hooks.example.com/callbacks/token".into(),
            expected: VecDeque::new(),
            sent: Vec::new(),
            logs: Vec::new(),
            head: Head { method: "POST".into(), path: "/".into(), ..Head::default() },
            body: Vec::new(),
            trigger: "default/test".into(),
            received_ms: 1_767_225_600_000,
            expressions: Vec::new(),
            secrets: Vec::new(),
        })))
    }

    /// A secret of that name, or with that placeholder; a [`proof`] is what is made with it.
    #[must_use]
    pub fn with_secret(self, name: &str, value: &str) -> Self {
        self.with(|state| state.secrets.push((name.to_owned(), value.to_owned())))
    }

    /// When the request of a trigger had arrived, since 1970.
    #[must_use]
    pub fn with_received(self, received: Duration) -> Self {
        self.with(|state| state.received_ms = received.as_millis() as u64)
    }

    /// Expects this request next, and answers it: with an [`answer`], or with an [`HttpError`].
    #[must_use]
    pub fn expect(self, request: ExpectedRequest, answer: impl Into<Answer>) -> Self {
        self.with(|state| state.expected.push_back((request, answer.into().0)))
    }

    /// The id of the run.
    #[must_use]
    pub fn with_run(self, run: &str) -> Self {
        self.with(|state| run.clone_into(&mut state.run))
    }

    /// The id of the step.
    #[must_use]
    pub fn with_step(self, step: &str) -> Self {
        self.with(|state| step.clone_into(&mut state.step))
    }

    /// The number of the attempt.
    #[must_use]
    pub fn with_attempt(self, attempt: u32) -> Self {
        self.with(|state| state.attempt = attempt)
    }

    /// The idempotency key.
    #[must_use]
    pub fn with_idempotency_key(self, key: &str) -> Self {
        self.with(|state| key.clone_into(&mut state.idempotency_key))
    }

    /// When the step is ended.
    #[must_use]
    pub fn with_deadline(self, deadline: SystemTime) -> Self {
        let since = deadline.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        self.with(|state| state.deadline_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// The `traceparent`.
    #[must_use]
    pub fn with_trace_parent(self, trace_parent: &str) -> Self {
        self.with(|state| trace_parent.clone_into(&mut state.trace_parent))
    }

    /// Where the step is called back.
    #[must_use]
    pub fn with_callback_url(self, url: &str) -> Self {
        self.with(|state| url.clone_into(&mut state.callback_url))
    }

    /// The request that a trigger judges: method, path with query, headers, body.
    #[must_use]
    pub fn with_inbound(
        self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let headers =
            headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), (*value).to_owned())).collect();
        let head = Head {
            method: method.into(),
            path: path.into(),
            query: query.into(),
            headers,
            remote: "203.0.113.9:50000".into(),
        };
        let body = body.into();
        self.with(|state| (state.head, state.body) = (head, body))
    }

    /// `namespace/name` of the trigger.
    #[must_use]
    pub fn with_trigger(self, name: &str) -> Self {
        self.with(|state| name.clone_into(&mut state.trigger))
    }

    /// What an expression makes of its input: there is no jq here. Any other expression does not compile.
    #[must_use]
    pub fn with_expression(self, expression: &str, value: Judge) -> Self {
        self.with(|state| state.expressions.push((expression.to_owned(), value)))
    }

    /// What an action or a trigger gets as its `ctx`.
    pub fn context(&self) -> Context {
        Context { host: self.clone() }
    }

    /// What was sent so far.
    pub fn sent(&self) -> Vec<SentRequest> {
        self.0.borrow().sent.clone()
    }

    /// What was logged so far.
    pub fn logs(&self) -> Vec<LogLine> {
        self.0.borrow().logs.clone()
    }

    /// Runs an action of a plugin as the host would, JSON in and JSON out; its output.
    ///
    /// # Panics
    /// When the action waits; [`start`](Self::start) is for those.
    pub fn run<P: Exports>(&self, action: &str, input: Value) -> Result<Value, Problem> {
        match self.start::<P>(action, input)? {
            Outcome::Done(output) => Ok(serde_json::from_str(&output).expect("an output is JSON")),
            Outcome::Suspend { wake, .. } => panic!("`{action}` waits for {wake}; start it with `start`"),
        }
    }

    /// Starts an action of a plugin as the host would.
    pub fn start<P: Exports>(&self, action: &str, input: Value) -> Result<Outcome, Problem> {
        P::start(action, &input.to_string(), &mut self.context())
    }

    /// Delivers an event to an action that waits.
    ///
    /// # Panics
    /// When `waiting` does not wait.
    pub fn resume<P: Exports>(
        &self,
        action: &str,
        waiting: Outcome,
        event: Value,
    ) -> Result<Outcome, Problem> {
        P::resume(action, &state_of(waiting), &event.to_string(), &mut self.context())
    }

    /// Cancels an action that waits.
    ///
    /// # Panics
    /// When `waiting` does not wait.
    pub fn cancel<P: Exports>(&self, action: &str, waiting: Outcome, reason: &str) -> Result<(), Problem> {
        P::cancel(action, &state_of(waiting), reason, &mut self.context())
    }

    /// Lets a trigger judge the [inbound](Self::with_inbound) request; its verdict.
    ///
    /// # Panics
    /// When the verdict is not JSON, which the SDK rules out.
    pub fn receive<P: Exports>(&self, trigger: &str, config: Value) -> Result<Value, Problem> {
        let verdict = P::receive(trigger, &config.to_string(), &mut self.context())?;
        Ok(serde_json::from_str(&verdict).expect("a verdict is JSON"))
    }

    /// Switches a trigger on; its state.
    pub fn enable<P: Exports>(&self, trigger: &str, config: Value) -> Result<Vec<u8>, Problem> {
        P::enable(trigger, &config.to_string(), &mut self.context())
    }

    /// Switches a trigger off.
    pub fn disable<P: Exports>(&self, trigger: &str, config: Value, state: &[u8]) -> Result<(), Problem> {
        P::disable(trigger, &config.to_string(), state, &mut self.context())
    }

    /// What an action has to say about an input as it is written: `${ }` texts are expressions.
    pub fn check_action<P: Exports>(&self, action: &str, with: Value) -> Vec<Finding> {
        P::check(action, &draft::of_action(with).to_string(), &mut self.context())
    }

    /// The same of a trigger and its configuration. Every expression is taken to give the trigger's address.
    pub fn check_trigger<P: Exports>(&self, trigger: &str, with: Value) -> Vec<Finding> {
        let url = self.0.borrow().callback_url.clone();
        P::check(trigger, &draft::of_trigger(with, &url).to_string(), &mut self.context())
    }

    /// Has a plugin make a step of a text; `{"step", "warnings"}`.
    ///
    /// # Panics
    /// When what it gives is not JSON, which the SDK rules out.
    pub fn import<P: Exports>(&self, format: &str, text: &str) -> Result<Value, String> {
        let import = P::import(format, text, &mut self.context())?;
        Ok(serde_json::from_str(&import).expect("an import is JSON"))
    }

    /// Has a trigger read a sample of a request; a list of variables.
    ///
    /// # Panics
    /// When what it gives is not JSON, which the SDK rules out.
    pub fn sample<P: Exports>(&self, trigger: &str, given: Value) -> Result<Value, String> {
        let variables = P::sample(trigger, &given.to_string(), &mut self.context())?;
        Ok(serde_json::from_str(&variables).expect("variables are JSON"))
    }

    fn with(self, change: impl FnOnce(&mut State)) -> Self {
        change(&mut self.0.borrow_mut());
        self
    }
}

fn state_of(outcome: Outcome) -> Vec<u8> {
    match outcome {
        Outcome::Suspend { state, .. } => state,
        Outcome::Done(output) => panic!("the action does not wait, it ended with {output}"),
    }
}

/// What a mock host takes for the proof of a message with a secret: no cryptography, but another one for each of the three.
pub fn proof(algorithm: Algorithm, secret: &str, message: &[u8]) -> Vec<u8> {
    match algorithm {
        Algorithm::Equal => secret.as_bytes().to_vec(),
        algorithm => [format!("{algorithm:?}({secret})").as_bytes(), message].concat(),
    }
}

impl MockHost {
    fn proof_of(&self, secret: &str, options: &str, message: &[u8]) -> Result<Vec<u8>, String> {
        let options: Value = serde_json::from_str(options).map_err(|error| error.to_string())?;
        let algorithms = [
            Algorithm::HmacSha1,
            Algorithm::HmacSha256,
            Algorithm::HmacSha384,
            Algorithm::HmacSha512,
            Algorithm::Ed25519,
            Algorithm::Equal,
        ];
        let named = |algorithm: &Algorithm| serde_json::json!(algorithm) == options["algorithm"];
        let algorithm = algorithms.into_iter().find(named).ok_or("the algorithm is unknown")?;
        let state = self.0.borrow();
        let found = state.secrets.iter().find(|(name, _)| name == secret);
        let (_, value) = found.ok_or("the mock host was not told of this secret: `with_secret`")?;
        Ok(proof(algorithm, value, message))
    }
}

impl Host for MockHost {
    fn run_id(&self) -> String {
        self.0.borrow().run.clone()
    }
    fn step_id(&self) -> String {
        self.0.borrow().step.clone()
    }
    fn attempt(&self) -> u32 {
        self.0.borrow().attempt
    }
    fn idempotency_key(&self) -> String {
        self.0.borrow().idempotency_key.clone()
    }
    fn deadline_ms(&self) -> u64 {
        self.0.borrow().deadline_ms
    }
    fn trace_parent(&self) -> String {
        self.0.borrow().trace_parent.clone()
    }
    fn callback_url(&self) -> String {
        self.0.borrow().callback_url.clone()
    }
    fn send(&self, request: RawRequest) -> Result<RawResponse, HttpError> {
        let sent = SentRequest::from(request);
        let mut state = self.0.borrow_mut();
        state.sent.push(sent.clone());
        let Some((expected, mut answer)) = state.expected.pop_front() else {
            panic!("no request was expected, but this was sent: {} {}", sent.method, sent.url);
        };
        // Released first: a failed comparison must not find the state borrowed when it is dropped.
        drop(state);
        expected.compare(&sent);
        if let Ok(response) = &mut answer
            && response.info.is_empty()
        {
            response.info = exchange::info(&sent.url, &[]);
        }
        answer
    }
    fn evaluate(&self, program: &str, input: &str) -> Result<String, String> {
        self.check_expression(program)?;
        let input = serde_json::from_str(input).map_err(|error| error.to_string())?;
        let state = self.0.borrow();
        let known = state.expressions.iter().find(|(known, _)| known == program);
        let (_, value) = known.expect("it was just found");
        Ok(value(&input).to_string())
    }
    fn check_expression(&self, program: &str) -> Result<(), String> {
        match self.0.borrow().expressions.iter().any(|(known, _)| known == program) {
            true => Ok(()),
            false => Err("the mock host was not told what it gives: `with_expression`".to_owned()),
        }
    }
    fn validate(&self, schema: &str, input: &str) -> Result<Vec<String>, String> {
        let parse = |text: &str| serde_json::from_str(text).map_err(|error| error.to_string());
        let (schema, input): (Value, Value) = (parse(schema)?, parse(input)?);
        let validator = jsonschema::validator_for(&schema).map_err(|error| error.to_string())?;
        Ok(validator.iter_errors(&input).map(|error| error.to_string()).collect())
    }
    fn verify(&self, secret: &str, options: &str, message: &[u8], signature: &[u8]) -> Result<bool, String> {
        Ok(self.proof_of(secret, options, message)? == signature)
    }
    fn hmac(&self, secret: &str, options: &str, message: &[u8]) -> Result<Vec<u8>, String> {
        self.proof_of(secret, options, message)
    }
    fn log(&self, level: &str, message: &str, fields: &str) {
        let fields = serde_json::from_str(fields).unwrap_or_default();
        self.0.borrow_mut().logs.push(LogLine { level: level.into(), message: message.into(), fields });
    }
    fn head(&self) -> Head {
        self.0.borrow().head.clone()
    }
    fn body(&self) -> Vec<u8> {
        self.0.borrow().body.clone()
    }
    fn trigger_name(&self) -> String {
        self.0.borrow().trigger.clone()
    }
    fn received_ms(&self) -> u64 {
        self.0.borrow().received_ms
    }
}
