//! Wakes runs when their timers are due, and starts flows at their times. One task for each lane, however many timers
//! there are: a timer is a row, and the task sleeps until the earliest one.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Runs, schedules};
use crate::clock::after;
use crate::engine::journals::Lane;
use crate::engine::lifecycle::PauseEnd;
use crate::flow::Event;

/// How many rows are looked at beside those that are already given to their runs.
const ROWS: usize = 1000;
/// How long nobody looks, at the most.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// How long a journal that cannot be read, or is another host's, is left alone.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(runs: Arc<Runs>, lane: Arc<Lane>) {
    let mut held = schedules::Held::new();
    loop {
        if runs.lifecycle.is_fenced() {
            // The host that has the journal now has its timers, too.
            if runs.lifecycle.pause(PAUSE).await == PauseEnd::CutShort {
                return;
            }
            continue;
        }
        let next = hand_out(&runs, &lane).await.min(schedules::start_due(&runs, &lane, &mut held).await);
        // The clock may be set, or the machine sleep.
        let next = next.min(after(runs.lifecycle.clock.now(), LONGEST_SLEEP));
        lane.falls_asleep(next);
        tokio::select! {
            biased;
            () = runs.lifecycle.draining() => return,
            () = runs.lifecycle.clock.sleep_until(next) => {}
            () = lane.rung() => {}
        }
        lane.wakes_up();
    }
}

/// Gives what is due to its runs, and says when to look again.
async fn hand_out(runs: &Arc<Runs>, lane: &Arc<Lane>) -> Timestamp {
    loop {
        let handed = runs.registry.handed();
        let limit = u32::try_from(handed.len() + ROWS).unwrap_or(u32::MAX);
        let journal = &lane.journal;
        let lease = journal.lease();
        let rows = journal.ask(move |storage| storage.due(lease, Timestamp::MAX, limit)).await;
        let now = runs.lifecycle.clock.now();
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
                    if runs.registry.hand_over(&row.key, row.timer) {
                        runs.deliver(lane, row.key, Event::Fired { timer: row.timer });
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
