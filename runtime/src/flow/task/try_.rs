//! `try`: a list of tasks whose errors are caught, tried again, and handled.
//!
//! The order, once an error is raised inside: the static filter, `when`, `exceptWhen`; then retries while the policy
//! allows them; then `catch.do`. What is not caught goes on outwards as it came.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::flow::definition::{Builder, ListIndex, unknown_use};
use crate::flow::node::{Data, Node};
use crate::flow::reader::{INSIDE, Keys};
use crate::flow::state::{Body, Holder, Next, Stop, Turn, truthy};
use crate::flow::template::Template;
use crate::nearest::nearest;
use crate::problem::{Problem, canonical};

use super::Kind;
use super::kind::{BranchEnd, Syntax, TaskKind, TaskParts, WayOn};
use super::retry::{LONGEST_PAUSE, Retry, policy};

#[derive(Debug)]
pub(crate) struct Try {
    list: ListIndex,
    filter: Filter,
    /// The variable that holds the error, without `$`.
    pub name: String,
    when: Option<Template>,
    except_when: Option<Template>,
    retry: Option<Retry>,
    handler: Option<ListIndex>,
}

/// `errors.with`: what is written must be equal.
#[derive(Debug, Default)]
struct Filter {
    kind: Option<String>,
    status: Option<u64>,
    title: Option<String>,
    detail: Option<String>,
    instance: Option<String>,
}

/// How far a `try` is.
#[derive(Debug, Default)]
pub(crate) struct TryProgress {
    pub phase: TryPhase,
    retries: u32,
    began: Timestamp,
    problem: Option<Problem>,
    /// How much was counted for the last error.
    held_bytes: usize,
    /// The error as a value, while it is in scope.
    pub error: Option<Arc<Value>>,
}

/// What a `try` does next, or waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TryPhase {
    /// It begins, or its list is done.
    #[default]
    AtRest,
    Trying,
    When,
    ExceptWhen,
    RetryWhen,
    RetryExceptWhen,
    Retry,
    BackingOff,
    Handle,
    Handling,
}

const CATCH: Keys<'_> = Keys {
    known: &["errors", "as", "when", "exceptWhen", "retry", "do"],
    later: &[("then", "write `then` at the `try` task")],
};
const FILTER: Keys<'_> =
    Keys { known: &["type", "status", "title", "detail", "details", "instance"], later: &[] };

impl TaskKind for Try {
    const NAME: &'static str = "try";
    const SYNTAX: Option<Syntax> = Some(Syntax { key: Self::NAME, with: &["catch"], read });
    type Progress = TryProgress;

    fn step(&self, turn: &mut Turn<'_>) -> Result<Next, Stop> {
        let input = turn.input();
        loop {
            let phase = progress(turn)?.phase;
            let next = match phase {
                TryPhase::AtRest => {
                    let began = turn.at();
                    *turn.body() =
                        Body::Try(TryProgress { phase: TryPhase::Trying, began, ..TryProgress::default() });
                    return self.attempt(turn);
                }
                TryPhase::When if !self.filter.matches(&problem(turn)?) => {
                    return Err(problem(turn)?.into());
                }
                TryPhase::When => {
                    if !holds(turn, self.when.as_ref(), true, &input)? {
                        return Err(problem(turn)?.into());
                    }
                    TryPhase::ExceptWhen
                }
                TryPhase::ExceptWhen => {
                    if holds(turn, self.except_when.as_ref(), false, &input)? {
                        return Err(problem(turn)?.into());
                    }
                    TryPhase::RetryWhen
                }
                TryPhase::RetryWhen => match &self.retry {
                    Some(retry) if holds(turn, retry.when.as_ref(), true, &input)? => {
                        TryPhase::RetryExceptWhen
                    }
                    _ => TryPhase::Handle,
                },
                TryPhase::RetryExceptWhen => match &self.retry {
                    Some(retry) if !holds(turn, retry.except_when.as_ref(), false, &input)? => {
                        TryPhase::Retry
                    }
                    _ => TryPhase::Handle,
                },
                TryPhase::Retry => match self.pause(turn)? {
                    Some(pause) => {
                        let progress = progress(turn)?;
                        progress.retries += 1;
                        progress.phase = TryPhase::BackingOff;
                        turn.sleep(pause);
                        return Err(Stop::Park);
                    }
                    None => TryPhase::Handle,
                },
                TryPhase::BackingOff => {
                    let progress = progress(turn)?;
                    progress.phase = TryPhase::Trying;
                    progress.problem = None;
                    progress.error = None;
                    return self.attempt(turn);
                }
                TryPhase::Handle => return Ok(self.handle(turn, input)),
                TryPhase::Trying | TryPhase::Handling => return Err(Stop::Park),
            };
            progress(turn)?.phase = next;
        }
    }
}

impl Try {
    fn attempt(&self, turn: &mut Turn<'_>) -> Result<Next, Stop> {
        if let Some(limit) = self.retry.as_ref().and_then(|retry| retry.attempt) {
            turn.arm_attempt(limit);
        }
        Ok(Next::Enter(self.list, turn.input()))
    }

    fn handle(&self, turn: &mut Turn<'_>, input: Arc<Value>) -> Next {
        match self.handler {
            Some(handler) => {
                if let Body::Try(progress) = turn.body() {
                    progress.phase = TryPhase::Handling;
                }
                Next::Enter(handler, input)
            }
            None => {
                *turn.body() = Body::Try(TryProgress::default());
                Next::Done(input)
            }
        }
    }

    /// How long to wait before the next attempt. None when there is no further attempt.
    fn pause(&self, turn: &mut Turn<'_>) -> Result<Option<Duration>, Stop> {
        let Some(retry) = &self.retry else {
            return Ok(None);
        };
        let at = turn.at();
        let seed = turn.seed();
        let progress = progress(turn)?;
        if progress.retries >= retry.count {
            return Ok(None);
        }
        let asked = progress.problem.as_ref().and_then(|problem| problem.asked_pause(at));
        let own = retry.pause(progress.retries, seed ^ u64::from(progress.retries));
        let pause = own.max(asked.unwrap_or_default()).min(LONGEST_PAUSE);
        let spent = Duration::try_from(at.duration_since(progress.began)).unwrap_or_default();
        let allowed = retry.total.is_none_or(|total| spent + pause <= total);
        Ok(allowed.then_some(pause))
    }
}

impl WayOn for TryProgress {
    fn woken(_: &mut Turn<'_>) {}

    /// The tasks inside came to their end, or those of the handler.
    fn list_done(turn: &mut Turn<'_>) {
        turn.disarm_own_attempt();
        *turn.body() = Body::Try(Self::default());
    }

    /// An error of the tasks inside is judged when the `try` steps next. One of the handler goes on outwards.
    fn caught(turn: &mut Turn<'_>, problem: Problem) -> Option<Problem> {
        if !matches!(turn.body(), Body::Try(Self { phase: TryPhase::Trying, .. })) {
            return Some(problem);
        }
        turn.disarm_own_attempt();
        let error = Arc::new(serde_json::to_value(&problem).unwrap_or_default());
        let held_bytes = turn.hold(Holder::Task, |turn| turn.measure(&error));
        if let Body::Try(progress) = turn.body() {
            progress.phase = TryPhase::When;
            progress.problem = Some(problem);
            progress.error = Some(error);
            let before = std::mem::replace(&mut progress.held_bytes, held_bytes);
            turn.let_go_of(before);
        }
        None
    }

    fn branch_ended(_: &mut Turn<'_>, _: usize, _: BranchEnd) -> bool {
        true
    }

    fn waits_for_branches(&self) -> bool {
        false
    }
}

fn progress<'t>(turn: &'t mut Turn<'_>) -> Result<&'t mut TryProgress, Stop> {
    match turn.body() {
        Body::Try(progress) => Ok(progress),
        _ => Err(Stop::Park),
    }
}

fn problem(turn: &mut Turn<'_>) -> Result<Problem, Stop> {
    progress(turn)?.problem.clone().ok_or(Stop::Park)
}

fn holds(
    turn: &mut Turn<'_>,
    condition: Option<&Template>,
    otherwise: bool,
    input: &Arc<Value>,
) -> Result<bool, Stop> {
    match condition {
        Some(condition) => Ok(truthy(&turn.evaluate(condition, input)?)),
        None => Ok(otherwise),
    }
}

impl Filter {
    fn matches(&self, problem: &Problem) -> bool {
        let same = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == found)
        };
        same(&self.kind, Some(&canonical(&problem.kind)))
            && self.status.is_none_or(|status| status == u64::from(problem.status))
            && same(&self.title, Some(&problem.title))
            && same(&self.detail, problem.detail.as_deref())
            && same(&self.instance, problem.instance.as_deref())
    }
}

fn read(builder: &mut Builder<'_>, node: &Node, parts: &TaskParts<'_>) -> Option<Kind> {
    let (fields, reference) = (parts.fields, parts.reference);
    let list = builder.task_list(node, &format!("{reference}/try"));
    let Some(catch) = fields.get("catch") else {
        builder.reader.error(node.at, "`try` needs `catch`: what becomes of an error");
        return None;
    };
    let fields = builder.reader.map(catch, "`catch`", &CATCH)?;
    let filter = filter(builder, fields.get("errors"));
    let name = name(builder, fields.get("as"));
    builder.reader.enter_catch(&name);
    let expression = |builder: &mut Builder<'_>, key: &str| {
        let node = fields.get(key)?;
        builder.reader.expression(node, &format!("`{key}`"), INSIDE)
    };
    let when = expression(builder, "when");
    let except_when = expression(builder, "exceptWhen");
    let retry = fields.get("retry").and_then(|node| match &node.data {
        Data::Text(name) => named(builder, node, name),
        _ => policy(builder, node),
    });
    let handler = fields.get("do").map(|node| builder.task_list(node, &format!("{reference}/catch/do")));
    builder.reader.leave_catch();
    let handler = super::optional(handler)?;
    Some(Try { list: list?, filter, name, when, except_when, retry, handler }.into())
}

fn name(builder: &mut Builder<'_>, node: Option<&Node>) -> String {
    let Some(node) = node else {
        return "error".to_owned();
    };
    let text = builder.reader.text(node, "`as`").unwrap_or("error");
    let name = text.strip_prefix('$').unwrap_or(text);
    let start = |c: char| c.is_ascii_alphabetic() || c == '_';
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.starts_with(start) || !name.chars().all(inner) {
        builder
            .reader
            .error(node.at, format!("`{text}` cannot be the name of a variable: it is like `error`"));
    } else if INSIDE.contains(&name) || name == "output" {
        builder.reader.error(node.at, format!("`${name}` means something else: name the error otherwise"));
    }
    name.to_owned()
}

fn filter(builder: &mut Builder<'_>, errors: Option<&Node>) -> Filter {
    let keys = Keys { known: &["with"], later: &[] };
    let with = errors
        .and_then(|node| builder.reader.map(node, "`errors`", &keys))
        .and_then(|fields| fields.get("with"));
    let Some(fields) = with.and_then(|node| builder.reader.map(node, "`with` of `errors`", &FILTER)) else {
        return Filter::default();
    };
    let mut text = |key: &str| {
        let node = fields.get(key)?;
        builder.reader.text(node, &format!("`{key}`")).map(str::to_owned)
    };
    let detail = text("detail");
    Filter {
        kind: text("type").map(|kind| canonical(&kind)),
        title: text("title"),
        detail: text("details").or(detail),
        instance: text("instance"),
        status: fields.get("status").and_then(|node| builder.reader.integer(node, "`status`", 100..=599)),
    }
}

fn named(builder: &mut Builder<'_>, node: &Node, name: &str) -> Option<Retry> {
    let found = builder.uses.retries.get(name).cloned();
    if found.is_none() {
        let known = builder.uses.retries.keys().map(String::as_str);
        let message = unknown_use("retries", name, nearest(name, known));
        builder.reader.error(node.at, message);
    }
    found
}
