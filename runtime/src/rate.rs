//! How much of something a tenant may have in a time: a bucket that fills again, such as one of bytes that fills each minute.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time in which the quotas of a minute fill again.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// A bucket that holds `capacity` and refills wholly within `period`.
#[derive(Debug)]
pub(crate) struct Bucket {
    capacity: f64,
    /// Per second.
    refill: f64,
    level: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    /// Below zero when what comes in later is already promised.
    amount: f64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn new(capacity: u64, period: Duration, now: Instant) -> Self {
        let capacity = capacity as f64;
        let refill = capacity / period.as_secs_f64();
        Self { capacity, refill, level: Mutex::new(Level { amount: capacity, at: now }) }
    }

    /// Takes `amount` when it is there. Otherwise takes nothing and says when it will be.
    pub(crate) fn take(&self, amount: u64, now: Instant) -> Result<(), Duration> {
        let amount = amount as f64;
        self.with_level(now, |level| {
            if level.amount < amount {
                return Err(self.time_for(amount - level.amount));
            }
            level.amount -= amount;
            Ok(())
        })
    }

    /// Takes what has been used already; false when it was more than there is, and the bucket is empty now.
    pub(crate) fn drain(&self, amount: u64, now: Instant) -> bool {
        let amount = amount as f64;
        self.with_level(now, |level| {
            let enough = amount <= level.amount;
            level.amount = (level.amount - amount).max(0.0);
            enough
        })
    }

    /// Takes a place in the queue: the time to wait until it is one's turn. None when that is longer than `patience`,
    /// and no place is taken.
    pub(crate) fn reserve(&self, patience: Duration, now: Instant) -> Option<Duration> {
        self.with_level(now, |level| {
            let wait = self.time_for((1.0 - level.amount).max(0.0));
            if wait > patience {
                return None;
            }
            level.amount -= 1.0;
            Some(wait)
        })
    }

    /// Takes what has been used already, also where it was more than there is: what is owed is filled up first.
    pub(crate) fn owe(&self, amount: u64, now: Instant) {
        self.with_level(now, |level| level.amount -= amount as f64);
    }

    /// The time until nothing is owed.
    pub(crate) fn debt(&self, now: Instant) -> Duration {
        self.with_level(now, |level| self.time_for((-level.amount).max(0.0)))
    }

    fn time_for(&self, amount: f64) -> Duration {
        Duration::try_from_secs_f64(amount / self.refill).unwrap_or(Duration::MAX)
    }

    fn with_level<T>(&self, now: Instant, act: impl FnOnce(&mut Level) -> T) -> T {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(level.at).as_secs_f64();
        level.amount = (level.amount + passed * self.refill).min(self.capacity);
        level.at = level.at.max(now);
        act(&mut level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_goes_through_and_the_rest_waits_its_turn() {
        let now = Instant::now();
        let bucket = Bucket::new(10, SECOND, now);
        for _ in 0..10 {
            assert_eq!(bucket.reserve(SECOND, now), Some(Duration::ZERO));
        }
        let waits: Vec<_> =
            (0..3).filter_map(|_| bucket.reserve(SECOND, now)).map(|wait| wait.as_millis()).collect();
        assert_eq!(waits, [100, 200, 300]);
        assert_eq!(bucket.reserve(Duration::from_millis(350), now), None);
        assert_eq!(bucket.reserve(SECOND, now + SECOND), Some(Duration::ZERO));
    }

    #[test]
    fn what_is_not_there_is_not_taken() {
        let now = Instant::now();
        let bucket = Bucket::new(600, 60 * SECOND, now);
        assert_eq!(bucket.take(500, now), Ok(()));
        assert_eq!(bucket.take(200, now), Err(10 * SECOND));
        assert_eq!(bucket.take(100, now), Ok(()));
        assert_eq!(bucket.take(200, now + 20 * SECOND), Ok(()));
    }

    #[test]
    fn what_is_owed_is_filled_up_first() {
        let now = Instant::now();
        let bucket = Bucket::new(60, 60 * SECOND, now);
        bucket.owe(60, now);
        assert_eq!(bucket.debt(now), Duration::ZERO);
        bucket.owe(90, now);
        assert_eq!(bucket.debt(now), 90 * SECOND);
        assert_eq!(bucket.debt(now + 60 * SECOND), 30 * SECOND);
        assert_eq!(bucket.debt(now + 100 * SECOND), Duration::ZERO);
    }

    #[test]
    fn what_was_used_empties_the_bucket_and_no_more() {
        let now = Instant::now();
        let bucket = Bucket::new(60, 60 * SECOND, now);
        assert!(bucket.drain(50, now));
        assert!(!bucket.drain(50, now));
        assert_eq!(bucket.take(5, now), Err(5 * SECOND));
        assert_eq!(bucket.take(5, now + 5 * SECOND), Ok(()));
    }
}
