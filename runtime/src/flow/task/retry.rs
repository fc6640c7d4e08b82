//! Retry policies: how often a `try` starts over, and how long it rests before.

use std::time::Duration;

use crate::flow::definition::Builder;
use crate::flow::node::Node;
use crate::flow::reader::{INSIDE, Keys};
use crate::flow::template::Template;

/// How many retries there are where the policy does not say.
const RETRIES: u32 = 3;
/// The pause before the first retry where the policy does not say.
const DELAY: Duration = Duration::from_secs(1);
/// By how much the pause grows where the policy does not say.
const FACTOR: f64 = 2.0;
/// No pause is longer than this, however it grows.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 24 * 3600);

/// A retry policy.
#[derive(Clone, Debug)]
pub(crate) struct Retry {
    pub when: Option<Template>,
    pub except_when: Option<Template>,
    delay: Duration,
    backoff: Backoff,
    pub count: u32,
    pub attempt: Option<Duration>,
    pub total: Option<Duration>,
    jitter: Option<(Duration, Duration)>,
}

#[derive(Clone, Copy, Debug)]
enum Backoff {
    Constant,
    Linear(Option<Duration>),
    Exponential(f64),
}

const POLICY: Keys<'_> =
    Keys { known: &["when", "exceptWhen", "delay", "backoff", "limit", "jitter"], later: &[] };

/// Reads a retry policy.
pub(crate) fn policy(builder: &mut Builder<'_>, node: &Node) -> Option<Retry> {
    let fields = builder.reader.map(node, "a retry policy", &POLICY)?;
    let expression = |builder: &mut Builder<'_>, key: &str| {
        // A policy of `use.retries` is read before any `catch` gives the error another name.
        let node = fields.get(key)?;
        builder.reader.with_caught("error", |reader| reader.expression(node, &format!("`{key}`"), INSIDE))
    };
    let when = expression(builder, "when");
    let except_when = expression(builder, "exceptWhen");
    let delay = fields.get("delay").and_then(|node| builder.reader.duration(node, "`delay`"));
    let (count, attempt, total) = limit(builder, fields.get("limit"));
    Some(Retry {
        when,
        except_when,
        delay: delay.unwrap_or(DELAY),
        backoff: backoff(builder, fields.get("backoff")),
        count: count.unwrap_or(RETRIES),
        attempt,
        total,
        jitter: jitter(builder, fields.get("jitter")),
    })
}

fn limit(
    builder: &mut Builder<'_>,
    node: Option<&Node>,
) -> (Option<u32>, Option<Duration>, Option<Duration>) {
    let keys = |known| Keys { known, later: &[] };
    let Some(fields) =
        node.and_then(|node| builder.reader.map(node, "`limit`", &keys(&["attempt", "duration"])))
    else {
        return (None, None, None);
    };
    let total = fields.get("duration").and_then(|node| builder.reader.duration(node, "`duration`"));
    let Some(attempt) = fields
        .get("attempt")
        .and_then(|node| builder.reader.map(node, "`attempt`", &keys(&["count", "duration"])))
    else {
        return (None, None, total);
    };
    let count = attempt
        .get("count")
        .and_then(|node| builder.reader.integer(node, "`count`", 0..=1_000_000))
        .and_then(|count| u32::try_from(count).ok());
    let duration = attempt.get("duration").and_then(|node| builder.reader.duration(node, "`duration`"));
    (count, duration, total)
}

fn backoff(builder: &mut Builder<'_>, node: Option<&Node>) -> Backoff {
    let keys = Keys { known: &["constant", "linear", "exponential"], later: &[] };
    let default = Backoff::Exponential(FACTOR);
    let Some(fields) = node.and_then(|node| builder.reader.map(node, "`backoff`", &keys)) else {
        return default;
    };
    let mut inside = |key: &str, known: &[&str]| {
        let node = fields.get(key)?;
        builder.reader.map(node, &format!("`{key}`"), &Keys { known, later: &[] })
    };
    let (constant, linear) = (inside("constant", &[]), inside("linear", &["increment"]));
    let exponential = inside("exponential", &["factor"]);
    match (constant, linear, exponential) {
        (Some(_), None, None) => Backoff::Constant,
        (None, Some(linear), None) => Backoff::Linear(
            linear.get("increment").and_then(|node| builder.reader.duration(node, "`increment`")),
        ),
        (None, None, Some(exponential)) => match exponential.get("factor") {
            None => default,
            Some(node) => match node.to_value().as_f64() {
                Some(factor) if (1.0..=100.0).contains(&factor) => Backoff::Exponential(factor),
                _ => {
                    builder.reader.error(node.at, "`factor` is a number from 1 to 100");
                    default
                }
            },
        },
        _ => {
            if let Some(node) = node {
                let message = "`backoff` is one of `constant: {}`, `linear: {}` and `exponential: {}`";
                builder.reader.error(node.at, message);
            }
            default
        }
    }
}

fn jitter(builder: &mut Builder<'_>, node: Option<&Node>) -> Option<(Duration, Duration)> {
    let node = node?;
    let keys = Keys { known: &["from", "to"], later: &[] };
    let fields = builder.reader.map(node, "`jitter`", &keys)?;
    let (Some(from), Some(to)) = (fields.get("from"), fields.get("to")) else {
        builder.reader.error(node.at, "`jitter` needs `from` and `to`");
        return None;
    };
    let from = builder.reader.duration(from, "`from`")?;
    let to = builder.reader.duration(to, "`to`")?;
    if from > to {
        builder.reader.error(node.at, "`jitter`: `from` is longer than `to`");
        return None;
    }
    Some((from, to))
}

impl Retry {
    /// The pause before retry `retries`, from 0. `seed` is the same whenever the run is folded again.
    pub(super) fn pause(&self, retries: u32, seed: u64) -> Duration {
        let times = f64::from(retries);
        let base = match self.backoff {
            Backoff::Constant => self.delay,
            Backoff::Linear(increment) => {
                self.delay.saturating_add(increment.unwrap_or(self.delay).saturating_mul(retries))
            }
            Backoff::Exponential(factor) => {
                let seconds = self.delay.as_secs_f64() * factor.powf(times);
                Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_PAUSE)
            }
        };
        let jitter = self.jitter.map_or(Duration::ZERO, |(from, to)| {
            let digest = blake3::hash(&seed.to_le_bytes());
            let bytes = digest.as_bytes();
            let word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            let fraction = f64::from(word) / f64::from(u32::MAX);
            from + (to - from).mul_f64(fraction)
        });
        // Timers are kept in whole milliseconds.
        let pause = base.min(LONGEST_PAUSE).saturating_add(jitter);
        Duration::from_millis(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(backoff: Backoff) -> Retry {
        Retry {
            when: None,
            except_when: None,
            delay: Duration::from_secs(2),
            backoff,
            count: 3,
            attempt: None,
            total: None,
            jitter: None,
        }
    }

    fn pauses(retry: &Retry) -> Vec<u64> {
        (0..4).map(|retries| retry.pause(retries, 1).as_secs()).collect()
    }

    #[test]
    fn pauses_grow_as_the_policy_says() {
        assert_eq!(pauses(&retry(Backoff::Constant)), [2, 2, 2, 2]);
        assert_eq!(pauses(&retry(Backoff::Linear(None))), [2, 4, 6, 8]);
        assert_eq!(pauses(&retry(Backoff::Linear(Some(Duration::from_secs(1))))), [2, 3, 4, 5]);
        assert_eq!(pauses(&retry(Backoff::Exponential(2.0))), [2, 4, 8, 16]);
        assert_eq!(retry(Backoff::Exponential(100.0)).pause(1_000_000, 1), LONGEST_PAUSE);
    }

    #[test]
    fn jitter_stays_in_its_range_and_is_the_same_for_the_same_seed() {
        let mut retry = retry(Backoff::Constant);
        retry.jitter = Some((Duration::from_secs(1), Duration::from_secs(3)));
        let pauses: Vec<Duration> = (0..50).map(|seed| retry.pause(0, seed)).collect();
        assert!(pauses.iter().all(|pause| (3..=5).contains(&pause.as_secs())));
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
        assert_eq!(retry.pause(0, 7), retry.pause(0, 7));
    }
}
