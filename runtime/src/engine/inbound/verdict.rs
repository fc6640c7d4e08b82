//! What a trigger's plugin says about a request; wit/trigger.wit has the JSON.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::answer::Answer;
use super::duplicate::DedupeKey;
use crate::engine::steps::json_text;

/// What a trigger's plugin decided.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Verdict {
    pub start: Option<Begin>,
    pub respond: Option<Respond>,
    pub answer: Option<WrittenAnswer>,
    /// Of the answer, whatever it is.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderValues>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Begin {
    pub event: Value,
    pub dedupe: Option<DedupeKey>,
}

#[derive(Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(super) enum Respond {
    AtOnce(WrittenAnswer),
    Flow { within_ms: u64 },
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenAnswer {
    pub status: u16,
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderValues>,
    /// A text is sent as it is, null sends nothing, anything else is sent as JSON.
    #[serde(default)]
    pub body: Value,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum HeaderValues {
    One(String),
    Several(Vec<String>),
}

/// Names in lower case.
pub(super) fn pairs(headers: BTreeMap<String, HeaderValues>) -> impl Iterator<Item = (String, String)> {
    headers.into_iter().flat_map(|(name, values)| {
        let values = match values {
            HeaderValues::One(value) => vec![value],
            HeaderValues::Several(values) => values,
        };
        let name = name.to_ascii_lowercase();
        values.into_iter().map(move |value| (name.clone(), value))
    })
}

impl From<WrittenAnswer> for Answer {
    fn from(written: WrittenAnswer) -> Self {
        let mut headers: Vec<_> = pairs(written.headers).collect();
        let typed = headers.iter().any(|(name, _)| name == "content-type");
        let (body, content_type) = match written.body {
            Value::Null => (Bytes::new(), None),
            Value::String(text) => (text.into(), Some("text/plain; charset=utf-8")),
            other => (json_text(&other).into(), Some("application/json")),
        };
        if let (false, Some(content_type)) = (typed, content_type) {
            headers.push(("content-type".to_owned(), content_type.to_owned()));
        }
        Self { status: written.status, headers, body }
    }
}
