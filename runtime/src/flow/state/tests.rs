//! Runs driven by events: what they ask for, and what their steps show.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::flow::contract::tests::TestPlugins;
use crate::flow::event::{Ask, Effect, End, Event, Outcome, Status};
use crate::flow::{Document, EDITION, Flow, read_with};
use crate::id::RunId;
use crate::problem::{Problem, kind};

use super::RunState;

mod calls;
mod data;
mod errors;
mod fold;
mod forks;
mod time;
mod waits;

/// A flow around these tasks and further top-level keys.
fn flow(rest: &str) -> Arc<Flow> {
    let text = format!("document: {{dsl: '1.0.3', namespace: test, name: flow, version: '1.0.0'}}\n{rest}");
    let documents = read_with(&text, "flow.yaml", &TestPlugins).unwrap_or_else(|findings| {
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        panic!("{}", lines.join("\n"));
    });
    match documents.into_iter().next().unwrap() {
        Document::Flow(flow) => flow,
        Document::Trigger(_) => panic!("a flow"),
    }
}

/// A run, the time, and the events that it took.
struct Driver {
    state: RunState,
    now: Timestamp,
    events: Vec<(Timestamp, Event)>,
}

impl Driver {
    fn new(rest: &str) -> Self {
        let run = RunId::from_bytes([7; 16]);
        Self {
            state: RunState::new(flow(rest), run),
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            events: Vec::new(),
        }
    }

    fn started(rest: &str, input: Value) -> (Self, Vec<Effect>) {
        let mut driver = Self::new(rest);
        let effects = driver.take(Event::Started { input, base_url: None, edition: EDITION });
        (driver, effects)
    }

    fn take(&mut self, event: Event) -> Vec<Effect> {
        self.events.push((self.now, event.clone()));
        self.state.advance(self.now, event)
    }

    fn answer(&mut self, step: u32, attempt: u32, output: Value) -> Vec<Effect> {
        let outcome = Outcome::Done(output);
        self.take(Event::Answered { step, attempt, outcome })
    }

    fn fail(&mut self, step: u32, attempt: u32, problem: Problem) -> Vec<Effect> {
        let outcome = Outcome::Failed(problem);
        self.take(Event::Answered { step, attempt, outcome })
    }

    fn later(&mut self, seconds: u64) -> &mut Self {
        self.now = self.now.checked_add(Duration::from_secs(seconds)).unwrap();
        self
    }

    fn seconds(&self, due: Timestamp) -> i64 {
        due.as_second() - self.now.as_second()
    }

    /// Effects as lines: the kind and what tells them apart.
    fn lines(&self, effects: &[Effect]) -> Vec<String> {
        effects.iter().map(|effect| self.line(effect)).collect()
    }

    fn line(&self, effect: &Effect) -> String {
        match effect {
            Effect::Evaluate { id, program, .. } => format!("evaluate {id} {program}"),
            Effect::Validate { id, schema, .. } => format!("validate {id} {schema}"),
            Effect::Call { step, attempt, plugin, ask: Ask::Start { input } } => {
                format!("call {step}.{attempt} {plugin} {input}")
            }
            Effect::Call { step, attempt, ask: Ask::Resume { state, event }, .. } => {
                format!("resume {step}.{attempt} {state} {event}")
            }
            Effect::Undo { step, attempt, state, reason, .. } => {
                format!("undo {step}.{attempt} {state} {reason}")
            }
            Effect::Abort { step } => format!("abort {step}"),
            Effect::Timer { timer, due } => format!("timer {timer} in {} s", self.seconds(*due)),
            Effect::Disarm { timer } => format!("disarm {timer}"),
            Effect::Reply { step, reply } => {
                format!("reply {step} {} {}", reply.status, String::from_utf8_lossy(&reply.body))
            }
            Effect::Finish(End::Completed(output)) => format!("completed {output}"),
            Effect::Finish(End::Faulted(problem)) => format!("faulted {} {problem}", problem.status),
            Effect::Finish(End::Cancelled { reason }) => format!("cancelled {reason}"),
        }
    }

    /// Steps as lines: reference and status.
    fn steps(&self) -> Vec<String> {
        let line = |step: &crate::flow::StepRecord| {
            let status = serde_json::to_value(step.status).unwrap();
            format!("{} {}", step.reference, status.as_str().unwrap())
        };
        self.state.steps().iter().map(line).collect()
    }

    fn problem(&self) -> &Problem {
        match self.state.end() {
            Some(End::Faulted(problem)) => problem,
            other => panic!("faulted, not {other:?}"),
        }
    }
}

/// The output of a flow that needs nothing from outside.
fn output(rest: &str, input: Value) -> Value {
    let (driver, effects) = Driver::started(rest, input);
    match effects.last() {
        Some(Effect::Finish(End::Completed(output))) => Value::clone(output),
        _ => panic!("{:?}", driver.lines(&effects)),
    }
}

fn communication(status: u16) -> Problem {
    Problem::new(kind::COMMUNICATION, "the other side failed", status)
}

#[test]
fn a_run_can_be_moved_between_threads() {
    fn is_send<T: Send + Sync>() {}
    is_send::<RunState>();
    is_send::<Document>();
}
