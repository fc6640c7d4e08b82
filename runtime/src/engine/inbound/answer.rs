//! What a caller is answered: by a flow, by the end of its run, or with a Problem.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::engine::steps::json_text;
use crate::flow::{End, Reply};
use crate::id::RunId;
use crate::problem::{Problem, kind};

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

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self { status: reply.status, headers: reply.headers, body: reply.body.into() }
    }
}

/// The answer of a run that ended without `respond`.
pub(super) fn end_answer(end: End, run: RunId) -> Answer {
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
        body: json_text(body).into(),
    }
}
