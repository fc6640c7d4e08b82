//! Runs as they happen: one line for each change of a step, with the milliseconds since the run began, indented by how
//! deep the task stands in its flow.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::Value;

use super::terminal::{Style, harmless};
use crate::{CleanupRecord, Problem, RunChange, RunId, RunSummary, Status, StepRecord};

/// Turns changes into lines, and remembers what is on the screen so that no change is shown twice.
pub(super) struct Timeline {
    style: Style,
    /// Show what steps are given and what they give.
    trace: bool,
    /// Begin every line with the end of the run's id, where several runs mix.
    name_runs: bool,
    runs: HashMap<RunId, RunLines>,
}

struct RunLines {
    began: Timestamp,
    /// By step: what its last line said, and how deep it stands.
    steps: HashMap<u32, (Status, usize, usize)>,
}

impl Timeline {
    pub(super) fn new(style: Style, trace: bool, name_runs: bool) -> Self {
        Self { style, trace, name_runs, runs: HashMap::new() }
    }

    /// The lines about a change. There are none where the screen says it already.
    pub(super) fn lines(&mut self, change: &RunChange) -> Vec<String> {
        let began = match change {
            RunChange::Run { run, .. } => run.started_at,
            RunChange::Step { at, .. } | RunChange::Log { at, .. } => *at,
        };
        let id = change.run();
        let is_new = !self.runs.contains_key(&id);
        if let RunChange::Step { step, .. } = change
            && let Some(cleanup) = &step.cleanup
            && self.runs.get(&id).is_none_or(|shown| shown.shows(step))
        {
            return cleanup_line(self.style, step, cleanup).into_iter().collect();
        }
        let shown = self.runs.entry(id).or_insert_with(|| RunLines { began, steps: HashMap::new() });
        let (at, texts) = match change {
            RunChange::Run { at, run, problem } => (at, run_line(self.style, run, problem.as_ref(), is_new)),
            RunChange::Step { at, step, .. } => (at, step_lines(self.style, self.trace, shown, step)),
            RunChange::Log { at, step, level, message, fields, .. } => {
                (at, vec![log_line(self.style, shown, *step, level, message, fields)])
            }
        };
        let offset = at.as_millisecond() - shown.began.as_millisecond();
        let over = matches!(change, RunChange::Run { run, .. } if run.status.is_final());
        if over {
            self.runs.remove(&id);
        }
        let name = if self.name_runs { format!("{}  ", short(id)) } else { String::new() };
        let before = self.style.faint(&format!("{name}{:>8}", format!("+{offset} ms")));
        texts.into_iter().map(|text| format!("{before}  {text}")).collect()
    }
}

impl RunLines {
    /// Whether the step's end is on the screen already.
    fn shows(&self, step: &StepRecord) -> bool {
        self.steps.get(&step.id).is_some_and(|(status, ..)| *status == step.status)
    }
}

/// A line about undoing what a step had begun. The run may be over by then; it does not come back to the screen.
fn cleanup_line(style: Style, step: &StepRecord, cleanup: &CleanupRecord) -> Option<String> {
    let name = style.strong(&harmless(&step.name));
    let why = || cleanup.problem.as_ref().map(|problem| harmless(&problem.to_string())).unwrap_or_default();
    Some(match cleanup.status {
        Status::Completed => format!("{} what {name} had begun is undone", style.good("✓")),
        Status::Waiting => format!("{} what {name} had begun is not undone yet: {}", style.busy("…"), why()),
        Status::Faulted => format!("{} what {name} had begun cannot be undone: {}", style.bad("✗"), why()),
        _ => return None,
    })
}

/// Enough of an id to tell runs of one screen apart; its beginning is the time, its end is random.
fn short(id: RunId) -> String {
    let text = id.to_string();
    text[text.len() - 6..].to_owned()
}

fn run_line(style: Style, run: &RunSummary, problem: Option<&Problem>, is_new: bool) -> Vec<String> {
    let took = run.ended_at.map(|end| end.as_millisecond() - run.started_at.as_millisecond());
    let took = took.map(|ms| format!(" in {ms} ms")).unwrap_or_default();
    let flow = style.strong(&harmless(&run.flow));
    let text = match run.status {
        Status::Completed => format!("{} {flow} completed{took}", style.good("✓")),
        Status::Faulted => {
            let why =
                problem.map(|problem| format!(": {}", harmless(&problem.to_string()))).unwrap_or_default();
            format!("{} {flow} faulted{took}{why}", style.bad("✗"))
        }
        Status::Cancelled => format!("{} {flow} cancelled{took}", style.bad("✗")),
        _ if is_new => {
            let by = run.trigger.as_deref().map(|name| format!(", started by {}", harmless(name)));
            format!("{} {flow} run {}{}", style.busy("▸"), run.id, by.unwrap_or_default())
        }
        // A run that waits or goes on: its steps say so.
        _ => return vec![],
    };
    vec![text]
}

fn step_lines(style: Style, trace: bool, shown: &mut RunLines, step: &StepRecord) -> Vec<String> {
    let depth = depth(&step.reference);
    let now = (step.status, step.attempts.len(), depth);
    let before = shown.steps.insert(step.id, now);
    if before == Some(now) || step.status == Status::Pending {
        return vec![];
    }
    let indent = "  ".repeat(depth + 1);
    let mut lines = vec![format!("{indent}{}", step_text(style, step))];
    if trace {
        let begins = before.is_none_or(|(status, ..)| status == Status::Pending);
        if begins {
            lines.push(format!("{indent}  {}", style.faint(&format!("in  {}", step.input))));
        }
        if step.status == Status::Completed {
            lines.push(format!("{indent}  {}", style.faint(&format!("out {}", step.output))));
        }
    }
    lines
}

fn step_text(style: Style, step: &StepRecord) -> String {
    let name = style.strong(&harmless(&step.name));
    let what = style.faint(step.plugin.as_deref().unwrap_or(step.kind));
    let attempts = step.attempts.len();
    match step.status {
        Status::Pending | Status::Running if attempts > 1 => {
            format!("{} {name} {what} attempt {attempts}", style.busy("▸"))
        }
        Status::Pending | Status::Running => format!("{} {name} {what}", style.busy("▸")),
        Status::Waiting => format!("{} {name} {}", style.busy("…"), waits(step)),
        Status::Suspended => format!("{} {name} waits for the world", style.busy("…")),
        Status::Completed => {
            let after = if attempts > 1 { format!(" after {attempts} attempts") } else { String::new() };
            format!("{} {name} {}{after}{}", style.good("✓"), took(step), complaint(step))
        }
        Status::Faulted => format!("{} {name} {}{}", style.bad("✗"), took(step), complaint(step)),
        Status::Cancelled => format!("{} {name} cancelled", style.bad("✗")),
        Status::Skipped => format!("{} {name} skipped", style.faint("-")),
    }
}

fn took(step: &StepRecord) -> String {
    let ms = step.ended_at.map_or(0, |end| end.as_millisecond() - step.started_at.as_millisecond());
    format!("{ms} ms")
}

/// The problem of a step that failed, or of a reply that was not sent as it was meant.
fn complaint(step: &StepRecord) -> String {
    let problem = step.problem.as_ref();
    problem.map(|problem| format!(": {}", harmless(&problem.to_string()))).unwrap_or_default()
}

fn waits(step: &StepRecord) -> String {
    let until = step.due_at.map(|due| format!(" until {due}")).unwrap_or_default();
    let failed = step.attempts.last().and_then(|attempt| attempt.problem.as_ref());
    match failed {
        None => format!("waits{until}"),
        Some(problem) => {
            let attempt = step.attempts.len();
            format!("attempt {attempt} failed, waits{until}: {}", harmless(&problem.to_string()))
        }
    }
}

fn log_line(style: Style, shown: &RunLines, step: u32, level: &str, message: &str, fields: &Value) -> String {
    let depth = shown.steps.get(&step).map_or(0, |(.., depth)| *depth);
    let level = match level {
        "error" => style.bad(level),
        "warn" => style.busy(level),
        _ => style.faint(level),
    };
    let fields = match fields {
        Value::Object(fields) if !fields.is_empty() => {
            style.faint(&format!(" {}", Value::Object(fields.clone())))
        }
        _ => String::new(),
    };
    format!("{}| {level} {}{fields}", "  ".repeat(depth + 2), harmless(message))
}

/// A task's pointer has one number for each list of tasks around it: `/do/0/order/try/1/pay`.
fn depth(reference: &str) -> usize {
    let numbers =
        reference.split('/').filter(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    numbers.count().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{AttemptRecord, TenantId};

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap()
    }

    fn run(ms: i64, status: Status, problem: Option<Problem>) -> RunChange {
        let run = RunSummary {
            id: RunId::from_bytes([7; 16]),
            tenant: TenantId::default_tenant(),
            flow: "shop/order:1.0.0".into(),
            trigger: Some("shop/in".into()),
            status,
            started_at: at(0),
            ended_at: status.is_final().then(|| at(ms)),
        };
        RunChange::Run { at: at(ms), run, problem }
    }

    fn step(reference: &str, status: Status) -> StepRecord {
        StepRecord {
            id: 0,
            name: reference.rsplit('/').next().unwrap().to_owned(),
            reference: reference.to_owned(),
            kind: "set",
            plugin: None,
            status,
            attempts: vec![],
            input: json!({ "n": 1 }).into(),
            output: Value::Null.into(),
            started_at: at(0),
            ended_at: None,
            problem: None,
            due_at: None,
            cleanup: None,
        }
    }

    fn change(ms: i64, step: StepRecord) -> RunChange {
        RunChange::Step {
            at: at(ms),
            tenant: TenantId::default_tenant(),
            run: RunId::from_bytes([7; 16]),
            step,
        }
    }

    fn told(trace: bool, changes: &[RunChange]) -> String {
        let mut timeline = Timeline::new(Style::plain(), trace, false);
        changes.iter().flat_map(|change| timeline.lines(change)).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_run_with_a_retry_reads_from_top_to_bottom() {
        let failed = Problem::new("x", "the other side failed", 503).detail("it answered 503");
        let attempt = |problem| AttemptRecord { started_at: at(1), ended_at: Some(at(9)), problem };
        let call = |status, attempts| StepRecord {
            kind: "call",
            plugin: Some("http-request:1.0.0".into()),
            attempts,
            ..step("/do/0/order/try/0/pay", status)
        };
        let log = RunChange::Log {
            at: at(8),
            tenant: TenantId::default_tenant(),
            run: RunId::from_bytes([7; 16]),
            step: 0,
            level: "warn".into(),
            message: "slow\x1b[2J".into(),
            fields: json!({ "ms": 7 }),
        };
        let text = told(
            false,
            &[
                run(0, Status::Running, None),
                change(1, call(Status::Running, vec![attempt(None)])),
                log,
                change(
                    9,
                    StepRecord {
                        due_at: Some(at(1000)),
                        ..call(Status::Waiting, vec![attempt(Some(failed.clone()))])
                    },
                ),
                change(1000, call(Status::Running, vec![attempt(Some(failed.clone())), attempt(None)])),
                change(1000, call(Status::Running, vec![attempt(Some(failed.clone())), attempt(None)])),
                change(
                    1010,
                    StepRecord {
                        ended_at: Some(at(1010)),
                        ..call(Status::Completed, vec![attempt(Some(failed)), attempt(None)])
                    },
                ),
                run(1011, Status::Completed, None),
            ],
        );
        let expected = "   \
   +0 ms  ▸ shop/order:1.0.0 run 07070707070707070707070707070707, started by shop/in
   +1 ms      ▸ pay http-request:1.0.0
   +8 ms        | warn slow [2J {\"ms\":7}
   +9 ms      … pay attempt 1 failed, waits until 2023-11-14T22:13:21Z: the other side failed: it answered 503
+1000 ms      ▸ pay http-request:1.0.0 attempt 2
+1010 ms      ✓ pay 1010 ms after 2 attempts
+1011 ms  ✓ shop/order:1.0.0 completed in 1011 ms";
        assert_eq!(text.trim_start(), expected.trim_start());
    }

    #[test]
    fn tracing_shows_what_a_step_was_given_and_what_it_gave() {
        let done = StepRecord {
            output: json!([2]).into(),
            ended_at: Some(at(3)),
            ..step("/do/0/one", Status::Completed)
        };
        let expected = "+3 ms    ✓ one 3 ms\n   +3 ms      in  {\"n\":1}\n   +3 ms      out [2]";
        let text = told(true, &[run(0, Status::Running, None), change(3, done)]);
        assert_eq!(text.split_once('\n').unwrap().1.trim_start(), expected);
    }

    #[test]
    fn a_fault_says_why() {
        let problem = Problem::new("x", "no such thing", 404);
        let failed = StepRecord {
            problem: Some(problem.clone()),
            ended_at: Some(at(2)),
            ..step("/do/0/one", Status::Faulted)
        };
        let text = told(false, &[change(2, failed), run(2, Status::Faulted, Some(problem))]);
        assert!(text.contains("✗ one 2 ms: no such thing\n"), "{text}");
        assert!(text.ends_with("✗ shop/order:1.0.0 faulted in 2 ms: no such thing"), "{text}");
    }

    #[test]
    fn undoing_is_a_line_of_its_own_after_the_end_too() {
        let undone = |status, problem| StepRecord {
            cleanup: Some(Box::new(CleanupRecord { status, attempts: 1, problem, due_at: None })),
            ..step("/do/0/ask", Status::Cancelled)
        };
        let failed = Problem::new("x", "the other side failed", 503);
        let text = told(
            false,
            &[
                run(0, Status::Running, None),
                change(1, step("/do/0/ask", Status::Suspended)),
                change(2, undone(Status::Running, None)),
                run(2, Status::Cancelled, None),
                change(3, undone(Status::Waiting, Some(failed))),
                change(4, undone(Status::Running, None)),
                change(5, undone(Status::Completed, None)),
            ],
        );
        let lines: Vec<_> =
            text.lines().skip(1).map(|line| line.split("  ").last().unwrap_or_default()).collect();
        assert!(lines[0].ends_with("ask waits for the world"), "{text}");
        assert_eq!(
            lines[3..],
            [
                "… what ask had begun is not undone yet: the other side failed",
                "✓ what ask had begun is undone"
            ],
            "{text}"
        );
    }
}
