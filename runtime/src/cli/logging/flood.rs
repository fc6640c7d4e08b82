//! No tenant fills the host's log. Of one kind of line and one tenant so many are written each minute; how many were not, a
//! line says at the minute's end.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::DefaultClock;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

/// Lines of one kind and tenant each minute.
const LINES: NonZeroU32 = NonZeroU32::new(60).expect("not zero");
const MINUTE: Duration = Duration::from_secs(60);
/// The most of a line that is told of those that were left out.
const SHOWN: usize = 200;

/// Where a line is written in the program, and about whom.
type Kind = (Identifier, String);

/// Lets through what is no flood.
#[derive(Clone)]
pub(super) struct Flood(Arc<Inner>);

struct Inner {
    limiter: RateLimiter<Kind, HashMapStateStore<Kind>, DefaultClock>,
    left_out: Mutex<HashMap<Kind, LeftOut>>,
}

/// Lines of one kind that were not written since it was last said how many.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LeftOut {
    lines: u64,
    tenant: String,
    /// The first of them.
    like: String,
}

impl Flood {
    pub(super) fn new() -> Self {
        let limiter = RateLimiter::hashmap(Quota::per_minute(LINES));
        Self(Arc::new(Inner { limiter, left_out: Mutex::default() }))
    }

    /// Says each minute how many lines were left out, for as long as the process lives.
    pub(super) fn tell(&self) -> std::io::Result<()> {
        let flood = self.clone();
        let each_minute = move || {
            loop {
                std::thread::sleep(MINUTE);
                for LeftOut { lines, tenant, like } in flood.left_out() {
                    tracing::warn!(tenant, lines, "lines were left out in the last minute, such as: {like}");
                }
                flood.0.limiter.retain_recent();
            }
        };
        std::thread::Builder::new().name("flowcell-log".to_owned()).spawn(each_minute).map(drop)
    }

    fn left_out(&self) -> Vec<LeftOut> {
        self.lock().drain().map(|(_, left_out)| left_out).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Kind, LeftOut>> {
        self.0.left_out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admits(&self, event: &Event<'_>) -> bool {
        let mut line = Line::default();
        event.record(&mut line);
        let kind = (event.metadata().callsite(), line.tenant);
        if self.0.limiter.check_key(&kind).is_ok() {
            return true;
        }
        let mut left_out = self.lock();
        let tenant = kind.1.clone();
        let first = || LeftOut { lines: 0, tenant, like: line.message };
        left_out.entry(kind).or_insert_with(first).lines += 1;
        false
    }
}

impl<S: Subscriber> Filter<S> for Flood {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        self.admits(event)
    }
}

/// What of a line decides: whom it is about, and what it says.
#[derive(Default)]
struct Line {
    tenant: String,
    message: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "tenant" => self.tenant = format!("{value:?}"),
            "message" => {
                self.message = format!("{value:?}");
                let end = self.message.floor_char_boundary(SHOWN);
                self.message.truncate(end);
            }
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

    use super::*;

    /// Counts lines.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> tracing_subscriber::Layer<S> for Lines {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut line = Line::default();
            event.record(&mut line);
            self.0.lock().unwrap().push(line.tenant);
        }
    }

    #[test]
    fn a_tenant_that_floods_the_log_is_counted_and_another_one_is_heard() {
        let (flood, lines) = (Flood::new(), Lines::default());
        let subscriber = tracing_subscriber::registry().with(lines.clone().with_filter(flood.clone()));
        tracing::subscriber::with_default(subscriber, || {
            for tenant in std::iter::repeat_n("loud", 1000).chain(["quiet"]) {
                tracing::info!(%tenant, "denied: {}", "x".repeat(1000));
            }
            tracing::info!(tenant = "loud", "another kind of line");
        });
        let written = lines.0.lock().unwrap();
        let of = |tenant: &str| written.iter().filter(|written| *written == tenant).count();
        // The bucket fills up again by a line each second.
        assert!((61..=70).contains(&of("loud")), "{}", of("loud"));
        assert_eq!(of("quiet"), 1);
        let [left_out] = &flood.left_out()[..] else { panic!("one kind was left out") };
        assert_eq!((left_out.lines + of("loud") as u64, left_out.like.len()), (1001, SHOWN));
        assert!(flood.left_out().is_empty(), "it was told already");
    }
}
