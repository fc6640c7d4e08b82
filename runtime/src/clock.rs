//! What time it is, and waiting until then. Tests move a manual clock and never sleep.
#![expect(clippy::disallowed_methods, reason = "the one place that asks the machine for the time")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

/// The source of time for everything that is journalled or waited for.
#[derive(Clone)]
pub struct Clock(Kind);

#[derive(Clone)]
enum Kind {
    System,
    Manual(Arc<Mutex<Manual>>),
}

struct Manual {
    now: Timestamp,
    /// Who waits, in the order in which they wake: by due time, then by who came first.
    sleepers: BTreeMap<(Timestamp, u64), oneshot::Sender<()>>,
    sleeps: u64,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Kind::System)
    }

    /// A clock that stands still until [`Clock::advance`] moves it.
    pub fn manual(start: Timestamp) -> Self {
        let manual = Manual { now: start, sleepers: BTreeMap::new(), sleeps: 0 };
        Self(Kind::Manual(Arc::new(Mutex::new(manual))))
    }

    /// Now, in whole milliseconds: what the journal keeps.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::System => Timestamp::from_millisecond(Timestamp::now().as_millisecond())
                .expect("the present is within jiff's range"),
            Kind::Manual(manual) => lock(manual).now,
        }
    }

    /// Moves a manual clock forward and wakes who waits for that time.
    ///
    /// # Panics
    /// On the machine's clock.
    pub fn advance(&self, by: Duration) {
        let Kind::Manual(manual) = &self.0 else {
            panic!("only a manual clock can be moved");
        };
        let mut manual = lock(manual);
        manual.now = after(manual.now, by);
        let now = manual.now;
        let later = manual.sleepers.split_off(&(now, u64::MAX));
        for wake in std::mem::replace(&mut manual.sleepers, later).into_values() {
            // An error is a sleeper that was dropped.
            let _ = wake.send(());
        }
    }

    /// When the first of those wakes who wait for a manual clock.
    #[cfg(test)]
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        let Kind::Manual(manual) = &self.0 else { return None };
        let mut manual = lock(manual);
        manual.sleepers.retain(|_, wake| !wake.is_closed());
        manual.sleepers.first_key_value().map(|((due, _), _)| *due)
    }

    /// Returns at that time, at once when it has passed.
    pub async fn sleep_until(&self, due: Timestamp) {
        match &self.0 {
            Kind::System => {
                let wait = due.as_millisecond() - Timestamp::now().as_millisecond();
                if let Ok(wait) = u64::try_from(wait) {
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
            }
            Kind::Manual(manual) => {
                let woken = {
                    let mut manual = lock(manual);
                    if manual.now >= due {
                        return;
                    }
                    let (wake, woken) = oneshot::channel();
                    manual.sleeps += 1;
                    let place = (due, manual.sleeps);
                    manual.sleepers.insert(place, wake);
                    woken
                };
                // An error is a clock that is gone: nothing moves it any more.
                if woken.await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

fn lock(manual: &Mutex<Manual>) -> MutexGuard<'_, Manual> {
    manual.lock().expect("no panic while held")
}

/// `at` + `by`; the end of time where that is past it.
pub fn after(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_wakes_its_sleepers_when_it_is_moved() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let due = after(clock.now(), Duration::from_secs(60));
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(due).await }
        });
        clock.advance(Duration::from_secs(59));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        sleeper.await.unwrap();
    }
}
