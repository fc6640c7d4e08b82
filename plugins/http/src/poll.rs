//! An answer that is not there yet: 202 with a `Location`, which is asked again and again until it is something else.

use std::borrow::Cow;

use flowcell_sdk::prelude::*;
use serde::de::{self, Deserializer};

use crate::answer::Output;
use crate::input::{As, Basic, Input, Method};
use crate::location::{self, joined, origin};
use crate::request::header;
use crate::retry::asked;
use crate::rows::Rows;
use crate::success::Statuses;

/// The pause between two questions where nobody says otherwise.
const INTERVAL: Duration = Duration::from_secs(2);

/// Whether and how an address is asked again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Poll {
    /// None: it is not.
    interval: Option<Duration>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Poll")]
enum Written {
    /// Every two seconds, or when the other side says.
    Switch(bool),
    /// With a pause of its own.
    How(How),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PollHow")]
struct How {
    /// The pause, where the other side does not ask for another one.
    interval: TimeSpan,
}

impl Poll {
    /// Whether anything is asked again.
    pub fn is_on(self) -> bool {
        self.interval.is_some()
    }
}

impl<'de> Deserialize<'de> for Poll {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = |_| de::Error::custom("it is true, false or { interval: a duration such as PT5S }");
        let interval = match Written::deserialize(deserializer).map_err(wrong)? {
            Written::Switch(is_on) => is_on.then_some(INTERVAL),
            Written::How(How { interval }) => Some(interval.as_duration()),
        };
        match interval.is_some_and(|interval| interval.is_zero()) {
            true => Err(de::Error::custom("`interval` is zero; give a time such as PT5S")),
            false => Ok(Self { interval }),
        }
    }
}

impl JsonSchema for Poll {
    fn schema_name() -> Cow<'static, str> {
        Written::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Written::json_schema(generator)
    }
}

/// What is left between two questions: the request of the next one.
#[derive(Debug, Serialize, Deserialize)]
pub struct Polling {
    url: String,
    headers: Vec<(String, String)>,
    basic: Option<(String, String)>,
    #[serde(default)]
    connection: Option<String>,
    #[serde(default)]
    cookies: bool,
    timeout_ms: Option<u64>,
    response: As,
    max_response_bytes: Option<u64>,
    success: Option<Statuses>,
    allow_failure: bool,
    interval_ms: u64,
}

impl Polling {
    /// The next question and how long until then, where this answer is not the last one.
    pub fn after(input: &Input<'_>, answer: &Output) -> Result<Option<(Self, Duration)>, Problem> {
        let Some(interval) = input.poll.interval.filter(|_| answer.status == 202) else { return Ok(None) };
        let Some(location) = header(&answer.headers.0, "location") else { return Ok(None) };
        let url = joined(&answer.url, location).ok_or_else(|| {
            Problem::communication(format!("the answer is to be asked for at {location:?}, which is no URL"))
        })?;
        // What shows who asks is for the one who was asked first.
        let first = answer.asked(input);
        let is_same = origin(&url) == first && origin(&answer.url) == first;
        let keeps = |name: &str, value: &str| {
            let is_about_a_body = name.eq_ignore_ascii_case("content-type");
            !is_about_a_body && (is_same || !location::is_credential(name, value))
        };
        let basic = input.basic.as_ref().filter(|_| is_same);
        let polling = Self {
            url,
            headers: input.headers.0.iter().filter(|(name, value)| keeps(name, value)).cloned().collect(),
            basic: basic.map(|basic| (basic.username.clone(), basic.password.clone())),
            connection: input.connection.clone().filter(|_| is_same),
            cookies: input.cookies,
            timeout_ms: input.timeout.map(|time| time.as_duration().as_millis() as u64),
            response: input.response,
            max_response_bytes: input.max_response_bytes,
            success: input.success.clone(),
            allow_failure: input.allow_failure,
            interval_ms: interval.as_millis() as u64,
        };
        Ok(Some((polling, asked(&answer.headers.0).unwrap_or(interval))))
    }

    /// The question.
    pub fn input(self) -> Input<'static> {
        Input {
            url: Cow::Owned(self.url),
            method: Method::Get,
            query: Rows::default(),
            headers: Rows(self.headers),
            content_type: None,
            body: None,
            basic: self.basic.map(|(username, password)| Basic { username, password }),
            connection: self.connection,
            timeout: self.timeout_ms.map(TimeSpan::from_millis),
            cookies: self.cookies,
            response: self.response,
            max_response_bytes: self.max_response_bytes,
            success: self.success,
            retry: None,
            redirects: None,
            poll: Poll { interval: Some(Duration::from_millis(self.interval_ms)) },
            pages: None,
            allow_failure: self.allow_failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polling_is_off_on_or_has_a_pause() {
        let read = |text: &str| serde_json::from_str::<Poll>(text);
        assert_eq!(read("false").unwrap(), Poll::default());
        assert_eq!(read("true").unwrap(), Poll { interval: Some(INTERVAL) });
        assert_eq!(read(r#"{"interval":"PT5S"}"#).unwrap(), Poll { interval: Some(Duration::from_secs(5)) });
        for wrong in ["1", r#"{"interval":"PT0S"}"#, r#"{"every":"PT5S"}"#, r#"{"interval":"5s"}"#] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
