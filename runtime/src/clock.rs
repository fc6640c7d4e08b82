//! What time it is, and waiting until then. Tests move a manual clock and never sleep.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

/// The source of time for everything that is journalled or waited for.
#[derive(Clone)]
pub struct Clock(Kind);

#[derive(Clone)]
enum Kind {
    System,
    Manual(Arc<Manual>),
}

struct Manual {
    now: Mutex<Timestamp>,
    moved: watch::Sender<Timestamp>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Kind::System)
    }

    /// A clock that stands still until [`Clock::advance`] moves it.
    pub fn manual(start: Timestamp) -> Self {
        Self(Kind::Manual(Arc::new(Manual { now: Mutex::new(start), moved: watch::Sender::new(start) })))
    }

    /// Now, in whole milliseconds: what the journal keeps.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::System => Timestamp::from_millisecond(Timestamp::now().as_millisecond())
                .expect("the present is within jiff's range"),
            Kind::Manual(manual) => *manual.now.lock().expect("no panic while held"),
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
        let mut now = manual.now.lock().expect("no panic while held");
        *now = after(*now, by);
        manual.moved.send_replace(*now);
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
                let mut moved = manual.moved.subscribe();
                // The sender lives as long as `self`, so waiting cannot fail.
                let _ = moved.wait_for(|now| *now >= due).await;
            }
        }
    }
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
