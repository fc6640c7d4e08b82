//! When a request that failed is sent again: the step's policy, followed attempt by attempt.
//!
//! The plugin says that it wants another attempt and when; the host journals it, waits, and starts the step again under
//! the same idempotency key. Nothing is repeated here.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use flowcell_sdk::http::HttpError;
use flowcell_sdk::prelude::*;
use serde::de::{self, Deserializer};

use crate::answer::Output;
use crate::input::Method;
use crate::request::header;

/// The pause before the first repetition, the longest of ours, and how many there are, unless the flow says otherwise.
const DELAY: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
const COUNT: u32 = 4;
/// The most that a flow may ask for.
const MOST: u32 = 50;
const LONGEST_OF_ALL: Duration = Duration::from_secs(24 * 3600);

/// When a request is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    delay: Duration,
    backoff: Backoff,
    max: Duration,
    count: u32,
    /// What is added to each pause at random, from and to; a part of the pause itself unless the flow says it.
    jitter: Option<(Duration, Duration)>,
}

impl Default for Retry {
    fn default() -> Self {
        Self { delay: DELAY, backoff: Backoff::Exponential, max: LONGEST, count: COUNT, jitter: None }
    }
}

/// How the pauses grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backoff {
    /// Not at all.
    Constant,
    /// By the first one.
    Linear,
    /// Twice as long each time.
    Exponential,
}

/// `exponential`, or as the language's retry policies write it, `{ exponential: {} }`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Backoff")]
enum WrittenBackoff {
    /// By name.
    Name(BackoffName),
    /// As a map of one key.
    Map(BackoffMap),
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "BackoffName")]
enum BackoffName {
    /// Not at all.
    Constant,
    /// By the first one.
    Linear,
    /// Twice as long each time.
    Exponential,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "BackoffMap")]
enum BackoffMap {
    /// Not at all.
    Constant(Nothing),
    /// By the first one.
    Linear(Nothing),
    /// Twice as long each time.
    Exponential(Nothing),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BackoffParameters")]
struct Nothing {}

impl From<WrittenBackoff> for Backoff {
    fn from(written: WrittenBackoff) -> Self {
        match written {
            WrittenBackoff::Name(BackoffName::Constant) | WrittenBackoff::Map(BackoffMap::Constant(_)) => {
                Self::Constant
            }
            WrittenBackoff::Name(BackoffName::Linear) | WrittenBackoff::Map(BackoffMap::Linear(_)) => {
                Self::Linear
            }
            WrittenBackoff::Name(BackoffName::Exponential)
            | WrittenBackoff::Map(BackoffMap::Exponential(_)) => Self::Exponential,
        }
    }
}

/// As a flow writes it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Retry")]
struct Written {
    /// The pause before the first repetition; PT1S unless said otherwise.
    #[serde(default)]
    delay: Option<TimeSpan>,
    /// How the pauses grow: `exponential` unless said otherwise.
    #[serde(default)]
    backoff: Option<WrittenBackoff>,
    /// No pause is longer, but one that the other side asks for; PT30S unless said otherwise.
    #[serde(default)]
    max: Option<TimeSpan>,
    /// How often.
    #[serde(default)]
    limit: Option<Limit>,
    /// What is added to each pause at random; up to a quarter of it unless said otherwise.
    #[serde(default)]
    jitter: Option<Jitter>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Jitter {
    /// At least so much.
    from: TimeSpan,
    /// At most so much.
    to: TimeSpan,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Limit {
    /// Of the attempts after the first.
    attempt: Attempts,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Attempts {
    /// How many there are at most, 0 to 50; 4 unless said otherwise.
    #[schemars(range(min = 0, max = 50))]
    count: u32,
}

impl<'de> Deserialize<'de> for Retry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { delay, backoff, max, limit, jitter } = Written::deserialize(deserializer)?;
        let usual = Self::default();
        let retry = Self {
            delay: delay.map_or(usual.delay, TimeSpan::as_duration),
            backoff: backoff.map_or(usual.backoff, Backoff::from),
            max: max.map_or(usual.max, TimeSpan::as_duration),
            count: limit.map_or(usual.count, |limit| limit.attempt.count),
            jitter: jitter.map(|Jitter { from, to }| (from.as_duration(), to.as_duration())),
        };
        retry.checked().map_err(de::Error::custom)
    }
}

impl JsonSchema for Retry {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Written::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Written::json_schema(generator)
    }
}

impl Retry {
    /// Out of range is refused, never clamped.
    fn checked(self) -> Result<Self, String> {
        if self.count > MOST {
            return Err(format!("`limit.attempt.count` is {}; it is at most {MOST}", self.count));
        }
        for (name, pause) in [("delay", self.delay), ("max", self.max)] {
            if pause > LONGEST_OF_ALL {
                return Err(format!("`{name}` is longer than a day; no pause is"));
            }
        }
        if self.jitter.is_some_and(|(from, to)| from > to) {
            return Err("`jitter.from` is longer than `jitter.to`".to_owned());
        }
        match self.delay > self.max {
            true => Err("`delay` is longer than `max`, the longest pause".to_owned()),
            false => Ok(self),
        }
    }

    /// The pause before the attempt after this one, a little longer than it says, so that many that failed together do
    /// not come together again.
    fn pause(&self, attempt: u32, key: &str) -> Duration {
        let grown = match self.backoff {
            Backoff::Constant => self.delay,
            Backoff::Linear => self.delay.saturating_mul(attempt),
            Backoff::Exponential => self.delay.saturating_mul(1 << (attempt - 1).min(20)),
        };
        let mut hasher = DefaultHasher::new();
        (key, attempt).hash(&mut hasher);
        let (least, most) = self.jitter.unwrap_or((Duration::ZERO, grown / 4));
        let chance = hasher.finish() as f64 / u64::MAX as f64;
        (grown + least + (most - least).mul_f64(chance)).min(self.max)
    }
}

/// What a request comes to that has not succeeded.
pub struct Failed<'a> {
    /// What was written; none is the usual policy.
    pub policy: Option<&'a Retry>,
    /// Which methods repeat without harm, is known.
    pub method: Method,
    /// Whether a repetition was asked for, whatever the method: it has an idempotency key.
    pub is_asked_for: bool,
}

impl Failed<'_> {
    /// When to send it again after this answer.
    pub fn after_answer(&self, answer: &Output, ctx: &Context) -> Option<Duration> {
        if !matches!(answer.status, 408 | 429 | 502 | 503 | 504) || !self.may_repeat() {
            return None;
        }
        self.pause(asked(&answer.headers.0), ctx)
    }

    /// When to send it again after no answer.
    pub fn after_error(&self, error: &HttpError, ctx: &Context) -> Option<Duration> {
        // What has not left this machine may be repeated, whatever it is.
        if !error.retryable || !(self.may_repeat() || error.sent == "no") {
            return None;
        }
        self.pause(None, ctx)
    }

    fn may_repeat(&self) -> bool {
        let harmless = !matches!(self.method, Method::Post | Method::Patch);
        harmless || self.is_asked_for || self.policy.is_some()
    }

    fn pause(&self, asked: Option<Duration>, ctx: &Context) -> Option<Duration> {
        let usual = Retry::default();
        let policy = self.policy.unwrap_or(&usual);
        let attempt = ctx.attempt();
        let own = (attempt <= policy.count).then(|| policy.pause(attempt, &ctx.idempotency_key()))?;
        Some(own.max(asked.unwrap_or_default()))
    }
}

/// The pause that an answer asks for: seconds, or a date as far from the answer's own.
pub fn asked(headers: &[(String, String)]) -> Option<Duration> {
    let written = header(headers, "retry-after")?.trim();
    if let Ok(seconds) = written.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let (until, now) = (httpdate::parse_http_date(written).ok()?, header(headers, "date")?);
    until.duration_since(httpdate::parse_http_date(now).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use flowcell_sdk::testing::MockHost;

    use super::*;

    fn read(text: &str) -> Result<Retry, String> {
        flowcell_sdk::input::parse(text).map_err(|problem| problem.detail_text().to_owned())
    }

    fn pauses(retry: &Retry) -> Vec<u64> {
        (1..=5).map(|attempt| retry.pause(attempt, "").as_millis() as u64).collect()
    }

    #[test]
    fn pauses_grow_as_the_policy_says_and_are_a_little_apart() {
        for (retry, at_least) in [
            (Retry::default(), [1000, 2000, 4000, 8000, 16_000]),
            (read(r#"{"delay":"PT0.1S","backoff":"constant"}"#).unwrap(), [100; 5]),
            (
                read(r#"{"delay":{"seconds":2},"backoff":"linear"}"#).unwrap(),
                [2000, 4000, 6000, 8000, 10_000],
            ),
        ] {
            for (pause, least) in pauses(&retry).into_iter().zip(at_least) {
                assert!(pause >= least && pause <= least + least / 4, "{retry:?}: {pause}");
            }
        }
        assert_eq!(read(r#"{"backoff":{"linear":{}}}"#).unwrap().backoff, Backoff::Linear);
        assert_ne!(Retry::default().pause(1, "a"), Retry::default().pause(1, "b"));
        let short = read(r#"{"max":"PT3S"}"#).unwrap();
        assert_eq!(pauses(&short)[2..], [3000; 3]);
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        for (text, says) in [
            (r#"{"limit":{"attempt":{"count":51}}}"#, "it is at most 50"),
            (r#"{"delay":"PT25H","max":"PT26H"}"#, "`delay` is longer than a day"),
            (r#"{"delay":"PT1M"}"#, "`delay` is longer than `max`"),
            (r#"{"backoff":"fibonacci"}"#, "`backoff`: "),
            (r#"{"limit":{"attempts":{"count":1}}}"#, "did you mean `attempt`"),
        ] {
            let refusal = read(text).unwrap_err();
            assert!(refusal.contains(says), "{text}: {refusal}");
        }
    }

    #[test]
    fn a_pause_that_the_other_side_asks_for_is_kept() {
        let headers = |rows: &[(&str, &str)]| -> Vec<(String, String)> {
            rows.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(asked(&headers(&[("retry-after", "120")])), Some(Duration::from_secs(120)));
        let dated =
            [("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")];
        assert_eq!(asked(&headers(&dated)), Some(Duration::from_secs(30)));
        assert_eq!(asked(&headers(&[("retry-after", "soon")])), None);
        assert_eq!(asked(&headers(&[])), None);
    }

    #[test]
    fn what_a_repeat_may_harm_is_repeated_when_asked_for_or_not_sent() {
        let error = |sent: &str| HttpError {
            code: "reset".into(),
            detail: String::new(),
            retryable: true,
            sent: sent.into(),
            answer: None,
        };
        let ctx = |attempt: u32| MockHost::new().with_attempt(attempt).context();
        let failed = |method, policy| Failed { policy, method, is_asked_for: false };
        let asked = Retry::default();
        assert!(failed(Method::Get, None).after_error(&error("yes"), &ctx(1)).is_some());
        assert!(failed(Method::Post, None).after_error(&error("yes"), &ctx(1)).is_none());
        assert!(failed(Method::Post, None).after_error(&error("unknown"), &ctx(1)).is_none());
        assert!(failed(Method::Post, None).after_error(&error("no"), &ctx(1)).is_some());
        assert!(failed(Method::Post, Some(&asked)).after_error(&error("yes"), &ctx(4)).is_some());
        assert!(failed(Method::Post, Some(&asked)).after_error(&error("yes"), &ctx(5)).is_none());
        let blocked = HttpError { retryable: false, ..error("no") };
        assert!(failed(Method::Get, None).after_error(&blocked, &ctx(1)).is_none());
    }
}
