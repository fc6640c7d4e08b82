//! The way back in: a request to the callback address of a step. Acknowledged when it is in the journal, and taken once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::Inbound;
use super::answer::{Answer, problem_answer};
use crate::clock::after;
use crate::engine::Runtime;
use crate::engine::journals::Lane;
use crate::engine::lifecycle::unavailable;
use crate::engine::runs::{Delivery, Runs};
use crate::engine::tenant::Tenant;
use crate::flow::{CallbackNow, admit, is_json};
use crate::id::CallbackTarget;
use crate::journal::RunKey;
use crate::json::{self, ReadError};
use crate::memory::Room;
use crate::problem::{Problem, kind};

/// How often a run is asked that leaves memory in the same moment.
const TRIES: usize = 3;

/// How long a run may take to say what becomes of a callback, such as while the journal's disk is full.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A callback address that a request was sent to.
pub struct Callback {
    pub(in crate::engine) runs: Arc<Runs>,
    pub(in crate::engine) tenant: Arc<Tenant>,
    pub(in crate::engine) target: CallbackTarget,
}

impl Runtime {
    /// The callback address that this token is of. It tells apart only what was sealed by this journal, not whether a
    /// step still waits.
    pub fn callback(&self, token: &str) -> Option<Callback> {
        let runs = &self.rooms.runs;
        let target = runs.addresses.open(token)?;
        let tenant = runs.tenants.get(&target.tenant)?.clone();
        Some(Callback { runs: runs.clone(), tenant, target })
    }
}

impl Callback {
    /// The most bytes of a body that the tenant's quota allows.
    pub fn body_limit(&self) -> u64 {
        self.tenant.quota.body
    }

    /// Whether a request is taken now, by the tenant's rate and by what the step waits for. Asked before its body is read:
    /// an address that is dead costs no more than a look. What is given back is where the body is read to.
    ///
    /// # Errors
    /// 429 over the tenant's rate, 503 while the host stops, 410 where the step does not wait any more.
    pub async fn admit(&self) -> Result<Room, Problem> {
        self.tenant.admit_request()?;
        self.lane().await?;
        Ok(self.tenant.memory.room())
    }

    /// Gives the request to the step, and answers: 202 when the step will go on with it.
    pub async fn receive(&self, inbound: Inbound) -> Answer {
        match self.take(inbound).await {
            Ok(()) => Answer { status: 202, headers: vec![], body: Bytes::new() },
            Err(problem) => problem_answer(&problem, None),
        }
    }

    async fn take(&self, inbound: Inbound) -> Result<(), Problem> {
        let (step, key) = (self.target.step, self.key());
        let mut lane = self.lane().await?;
        let mut room = self.tenant.memory.room();
        room.grow(json::weight(&inbound.body))?;
        let request = Arc::new(request(inbound)?);
        for _ in 0..TRIES {
            let (told, answer) = oneshot::channel();
            self.runs.send(&lane, key.clone(), Delivery::Callback { step, request: request.clone(), told });
            let late = after(self.runs.lifecycle.clock.now(), ANSWER_WITHIN);
            let answer = tokio::select! {
                biased;
                answer = answer => answer,
                () = self.runs.lifecycle.clock.sleep_until(late) => {
                    return Err(unavailable("the run has not taken it; send it again in a moment"));
                }
            };
            match answer {
                Ok(CallbackNow::Wanted) => return Ok(()),
                Ok(CallbackNow::Busy) => {
                    return Err(Problem::new("about:blank", "Conflict", 409)
                        .detail("the step is at work on another callback; this one changed nothing"));
                }
                Ok(CallbackNow::Over) => return Err(over()),
                // The run left memory before it came to this one: it is over, which its head says then, or it failed.
                Err(_) => lane = self.lane().await?,
            }
        }
        Err(unavailable("the run could not take it; send it again in a moment"))
    }
}

impl Callback {
    fn key(&self) -> RunKey {
        RunKey { tenant: self.target.tenant.clone(), run: self.target.run }
    }

    /// The lane of the run; the error says that it is over, or that the host is stopping.
    async fn lane(&self) -> Result<Arc<Lane>, Problem> {
        if !self.runs.lifecycle.is_serving() {
            return Err(unavailable("the host is shutting down; send it again in a moment"));
        }
        let head = self.runs.head(&self.key()).await?;
        head.filter(|(row, _)| row.ended_at.is_none()).map(|(_, lane)| lane).ok_or_else(over)
    }
}

fn over() -> Problem {
    Problem::new("about:blank", "Gone", 410).detail("the step does not wait any more; this changed nothing")
}

/// What the plugin sees of a request: shaped like the event of a trigger.
fn request(inbound: Inbound) -> Result<Value, Problem> {
    let media = inbound.headers.iter().find(|(name, _)| name == "content-type");
    let media =
        media.map(|(_, value)| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let (body, encoding) = body(media.as_deref(), &inbound.body)?;
    let query = url::form_urlencoded::parse(inbound.query.as_bytes()).into_owned();
    let mut request = json!({
        "method": inbound.method,
        "query": by_name(query),
        "headers": by_name(inbound.headers.into_iter()),
        "body": body,
    });
    if let Some(encoding) = encoding {
        request["encoding"] = json!(encoding);
    }
    admit(&request).map_err(|problem| Problem { kind: kind::VALIDATION.to_owned(), ..*problem })?;
    Ok(request)
}

/// JSON where the type says so, text where it is text, base64 for anything else.
fn body(media: Option<&str>, bytes: &Bytes) -> Result<(Value, Option<&'static str>), Problem> {
    if bytes.is_empty() {
        return Ok((Value::Null, None));
    }
    let parsed = || json::read(bytes);
    match media {
        Some(media) if is_json(media) => {
            return parsed().map(|value| (value, None)).map_err(|error| not_json(&error));
        }
        None | Some("") => match parsed() {
            Ok(value) => return Ok((value, None)),
            Err(error @ ReadError::TooHeavy(_)) => return Err(not_json(&error)),
            Err(ReadError::Syntax(_)) => {}
        },
        Some(_) => {}
    }
    Ok(match std::str::from_utf8(bytes) {
        Ok(text) => (json!(text), None),
        Err(_) => (json!(STANDARD.encode(bytes)), Some("base64")),
    })
}

fn not_json(error: &ReadError) -> Problem {
    let says = match error {
        ReadError::TooHeavy(_) => format!("the body as JSON: {error}"),
        ReadError::Syntax(_) => format!("the body is not JSON: {error}"),
    };
    Problem::new(kind::VALIDATION, "Bad request", error.status()).detail(says)
}

/// An object: a text to each name, a list of texts where it repeats.
fn by_name(pairs: impl Iterator<Item = (String, String)>) -> Value {
    let mut names: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (name, value) in pairs {
        names.entry(name).or_default().push(json!(value));
    }
    let one =
        |mut values: Vec<Value>| if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
    Value::Object(names.into_iter().map(|(name, values)| (name, one(values))).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbound(headers: &[(&str, &str)], query: &str, body: &[u8]) -> Inbound {
        Inbound {
            method: "POST".into(),
            path: "/".into(),
            query: query.into(),
            headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            body: Bytes::copy_from_slice(body),
            remote: "192.0.2.1:4711".parse().unwrap(),
        }
    }

    #[test]
    fn a_request_is_seen_like_the_event_of_a_webhook() {
        let json = [("content-type", "application/json; charset=utf-8"), ("x-a", "1"), ("x-a", "2")];
        assert_eq!(
            request(inbound(&json, "a=1&a=%26&b", br#"{"ok": true}"#)).unwrap(),
            json!({
                "method": "POST",
                "query": { "a": ["1", "&"], "b": "" },
                "headers": { "content-type": "application/json; charset=utf-8", "x-a": ["1", "2"] },
                "body": { "ok": true },
            })
        );
    }

    #[test]
    fn a_body_is_read_as_its_type_says() {
        let body = |media: &str, bytes: &[u8]| request(inbound(&[("content-type", media)], "", bytes));
        assert_eq!(body("text/plain", b"7").unwrap()["body"], "7");
        assert_eq!(body("image/png", b"\x89PNG").unwrap()["body"], "iVBORw==");
        assert_eq!(body("image/png", b"\x89PNG").unwrap()["encoding"], "base64");
        assert_eq!(body("application/json", b"").unwrap()["body"], Value::Null);
        assert_eq!(request(inbound(&[], "", b"{\"a\": 1}")).unwrap()["body"]["a"], 1);
        assert_eq!(request(inbound(&[], "", b"done")).unwrap()["body"], "done");
        let broken = body("application/json", b"{\"a\": }").unwrap_err();
        assert_eq!(broken.status, 400);
        assert!(broken.detail.unwrap().contains("expected value at line 1 column 7"));
        let deep = [vec![b'['; 120], vec![b']'; 120]].concat();
        assert!(body("application/json", &deep).unwrap_err().detail.unwrap().contains("levels deep"));
    }
}
