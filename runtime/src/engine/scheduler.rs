//! Wakes runs when their timers are due, and starts flows at their times. One task for each journal, however many timers
//! there are: a timer is a row, and the task sleeps until the earliest one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;

use super::core::Core;
use super::schedule;
use crate::clock::after;
use crate::flow::Event;

/// How many rows are looked at beside those that are already given to their runs.
const ROWS: usize = 1000;
/// How long nobody looks, at the most.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// How long a journal that cannot be read, or is another host's, is left alone.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(core: Arc<Core>, durable: bool) {
    let mut held = schedule::Held::new();
    loop {
        if core.is_fenced() {
            // Whoever has the journal now has its timers, too.
            if !core.pause(PAUSE).await {
                return;
            }
            continue;
        }
        let next = hand_out(&core, durable).await.min(schedule::start_due(&core, durable, &mut held).await);
        // The clock may be set, or the machine sleep.
        let next = next.min(after(core.clock.now(), LONGEST_SLEEP));
        let alarm = if durable { &core.durable_alarm } else { &core.volatile_alarm };
        alarm.sleeps_until.store(next.as_millisecond(), Ordering::Release);
        tokio::select! {
            biased;
            () = core.draining() => return,
            () = core.clock.sleep_until(next) => {}
            () = alarm.rung.notified() => {}
        }
        // Awake: whatever is set from here on rings, and the ring is kept until the next sleep.
        alarm.sleeps_until.store(i64::MAX, Ordering::Release);
    }
}

/// Gives what is due to its runs, and says when to look again.
async fn hand_out(core: &Arc<Core>, durable: bool) -> Timestamp {
    loop {
        let handed = core.handed();
        let limit = u32::try_from(handed.len() + ROWS).unwrap_or(u32::MAX);
        let journal = core.journal(durable);
        let lease = journal.lease();
        let rows = journal.ask(move |storage| storage.due(lease, Timestamp::MAX, limit)).await;
        let now = core.clock.now();
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                tracing::error!(%error, "timers cannot be read; trying again");
                return after(now, PAUSE);
            }
        };
        let full = rows.len() >= limit as usize;
        let mut fresh = rows.into_iter().filter(|row| !handed.contains(&(row.key.clone(), row.timer)));
        let later = loop {
            match fresh.next() {
                None => break None,
                Some(row) if row.due > now => break Some(row.due),
                Some(row) => {
                    if core.hand_over(&row.key, row.timer) {
                        core.deliver(durable, row.key, Event::Fired { timer: row.timer });
                    }
                }
            }
        };
        match later {
            Some(due) => return due,
            None if full => {}
            None => return Timestamp::MAX,
        }
    }
}
