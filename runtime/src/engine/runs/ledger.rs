//! A run and its log: the state as far as the journal tells, and the events on their way there.
//!
//! The log is the arbiter between hosts. A host that has an event for a run appends it to the log. Where another entry was
//! first, the state is made anew from the log, and the host takes its own event again on top of it. What the entries ask
//! for is done by one host alone, the owner of the run.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::begin::FirstEvents;
use super::{Runs, entries, view};
use crate::engine::deployed::schedule;
use crate::engine::journals::{Lane, STORE_PAUSE};
use crate::engine::steps::Pace;
use crate::engine::tenant::Tenant;
use crate::flow::{CallbackNow, EDITION, Effect, Event, RunState, StepId, TimerId};
use crate::journal::{Batch, Entry, Lease, Phase, RunRow, StorageError, TimerRow, Write};
use crate::json;
use crate::memory::Held;

pub(super) struct Ledger {
    runs: Arc<Runs>,
    lane: Arc<Lane>,
    /// The lease under which this host writes to this run.
    lease: Lease,
    /// The head of the run as it was last committed.
    row: RunRow,
    state: RunState,
    /// How many entries the journal has.
    committed: u64,
    /// Events that were taken and are not in the journal yet.
    uncommitted: Vec<Entry>,
    /// Which question each answer among them is to, by the number of its entry.
    answered: HashMap<u64, Effect>,
    /// Timers that fired and are still rows.
    fired: Vec<TimerId>,
    /// What the run has asked for so far may have been begun by a host that is gone.
    inherited: bool,
    /// What became of a callback that was not taken after all.
    refused: Option<CallbackNow>,
    /// How often the state was made anew.
    edition: u64,
    tenant: Arc<Tenant>,
    /// What the state takes up, about: its events.
    held: Held,
}

/// What makes a run this host's: the lease under which it began with it.
pub(super) struct Claim {
    lane: Arc<Lane>,
    lease: Lease,
}

impl Claim {
    /// Whether it is the host's lease yet.
    pub fn holds(&self) -> bool {
        self.lane.journal.lease() == self.lease
    }
}

/// The journal does not take this run's entries any more: another host has the run, or this one is stopping.
pub(super) struct Gone;

/// What a commit makes of the head of the run.
struct Head {
    status: &'static str,
    phase: Phase,
    owner: Option<Lease>,
    ended_at: Option<Timestamp>,
}

/// What the state asks for, after entries of others and of its own.
#[derive(Default)]
struct Demands {
    by_others: Vec<Effect>,
    by_own: Vec<Effect>,
}

impl Ledger {
    pub fn new(
        runs: Arc<Runs>,
        lane: Arc<Lane>,
        lease: Lease,
        row: RunRow,
        state: RunState,
        entries: &[Entry],
        tenant: &Arc<Tenant>,
    ) -> Self {
        let committed = entries.len() as u64;
        let mut held = tenant.memory.held();
        held.add(entries.iter().map(|entry| json::weight(entry.body.as_bytes()) as u64).sum());
        Self {
            runs,
            lane,
            lease,
            row,
            state,
            committed,
            uncommitted: vec![],
            answered: HashMap::new(),
            fired: vec![],
            inherited: committed > 0,
            refused: None,
            edition: 0,
            tenant: tenant.clone(),
            held,
        }
    }

    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    pub fn row(&self) -> &RunRow {
        &self.row
    }

    pub fn state(&self) -> &RunState {
        &self.state
    }

    pub fn state_mut(&mut self) -> &mut RunState {
        &mut self.state
    }

    /// Whether what the run asks for is this host's to do: no other host is at work on it.
    pub fn is_own(&self) -> bool {
        self.row.owner.is_none_or(|owner| owner == self.lease)
    }

    /// Another number each time that the state was made anew: what an id stands for may be something else since.
    pub fn edition(&self) -> u64 {
        self.edition
    }

    /// Whether this host still has the lease under which it began with the run.
    pub fn has_lease(&self) -> bool {
        self.claim().holds()
    }

    /// The same for work that outlives a borrow of the ledger.
    pub fn claim(&self) -> Claim {
        Claim { lane: self.lane.clone(), lease: self.lease }
    }

    /// Whether the run is this host's since it was asked last, and something of it may have been begun by another.
    pub fn has_inherited(&mut self) -> bool {
        self.is_own() && std::mem::take(&mut self.inherited)
    }

    /// Journals the run's first events. After an error the journal may have it all the same.
    pub async fn create(&mut self, first: FirstEvents) -> Result<Vec<Effect>, StorageError> {
        let at = self.row.started_at;
        let (mut schedule, mut remembered) = (None, None);
        let effects = match first {
            FirstEvents::Input(input) => self.begin(input).await,
            FirstEvents::Scheduled { input, next } => {
                schedule = Some(Write::put(next));
                self.begin(input).await
            }
            FirstEvents::Once { input, original } => {
                remembered = Some(Write::Remember { row: original, at });
                self.begin(input).await
            }
            FirstEvents::Copy(events) => {
                for (at, event) in events {
                    drop(self.advance(at, event).await);
                }
                self.state.outstanding()
            }
        };
        let head = self.head(at);
        self.put_head(head);
        let mut writes = vec![Write::CreateRun(self.row.clone())];
        writes.push(Write::Append { key: self.row.key.clone(), entries: self.uncommitted.clone() });
        self.put_timers(&mut writes, &effects);
        writes.extend(schedule);
        writes.extend(remembered.take());
        writes.extend(self.next_time(self.row.ended_at).map(|(_, write)| write));
        let batch = Batch { lease: Some(self.lease), writes };
        self.lane.journal.commit(batch).await?;
        self.is_committed();
        self.wake_schedule();
        Ok(effects)
    }

    async fn begin(&mut self, input: Value) -> Vec<Effect> {
        let base_url = Some(self.runs.addresses.base_url.clone());
        self.advance(self.row.started_at, Event::Started { input, base_url, edition: EDITION }).await
    }

    /// Takes the event and says what follows. When this returns, the event is in the journal; one after which something
    /// is evaluated, and nothing else done, follows with the next.
    pub async fn take(&mut self, event: Event) -> Result<Vec<Effect>, Gone> {
        let at = self.runs.lifecycle.clock.now();
        if let Event::Fired { timer } = event {
            self.fired.push(timer);
        }
        let effects = self.advance(at, event).await;
        // An evaluation touches nothing outside; its entries ride with the next commit.
        let only_evaluates =
            !effects.is_empty() && effects.iter().all(|effect| effect.evaluation().is_some());
        if only_evaluates && self.is_own() {
            return Ok(effects);
        }
        self.commit(Demands { by_others: vec![], by_own: effects }).await
    }

    /// Takes a callback if the step wants it, and says what it came to.
    pub async fn take_callback(
        &mut self,
        step: StepId,
        request: Arc<Value>,
    ) -> Result<(CallbackNow, Vec<Effect>), Gone> {
        let now = self.state.callback(step);
        if now != CallbackNow::Wanted {
            return Ok((now, vec![]));
        }
        let effects = self.take(Event::CalledBack { step, request }).await?;
        Ok((self.refused.take().unwrap_or(CallbackNow::Wanted), effects))
    }

    /// Reads what others have appended, and says what follows.
    pub async fn catch_up(&mut self) -> Result<Vec<Effect>, Gone> {
        if !self.lane.journal.is_shared() && self.is_own() {
            // No other host appends; the news is that the run is at work.
            return Ok(vec![]);
        }
        let asked = self.read_on().await?;
        self.commit(asked).await
    }

    /// Commits what is not in the journal yet, however long the store needs: what a guest did must not be forgotten
    /// because a disk is full.
    async fn commit(&mut self, mut asked: Demands) -> Result<Vec<Effect>, Gone> {
        while !self.uncommitted.is_empty() {
            let (batch, head) = self.batch(&asked.by_own);
            match self.lane.journal.commit(batch).await {
                Ok(()) => {
                    if head.ended_at.is_some() && self.row.ended_at.is_none() {
                        self.runs.observers.metrics.run_ended(&self.row.key.tenant, head.status);
                    }
                    self.put_head(head);
                    self.is_committed();
                }
                Err(StorageError::Conflict(detail)) => {
                    let more = self.read_on().await?;
                    if !self.lane.journal.is_shared() && !self.uncommitted.is_empty() {
                        tracing::error!(run = %self.row.key.run, detail, "the run's log and its state differ; leaving it");
                        return Err(Gone);
                    }
                    asked.by_others.extend(more.by_others);
                    asked.by_own = more.by_own;
                }
                Err(StorageError::Fenced) => {
                    tracing::warn!(run = %self.row.key.run, "{}; leaving it", StorageError::Fenced);
                    // Not by a driver of before, when the host has started over already.
                    if self.has_lease() {
                        self.runs.lifecycle.set_fenced(true);
                    }
                    return Err(Gone);
                }
                Err(error) => self.rest(&error).await?,
            }
        }
        for timer in self.fired.drain(..) {
            self.runs.registry.timer_is_taken(&self.row.key, timer);
        }
        self.wake_schedule();
        let mut effects = asked.by_others;
        if !effects.is_empty() {
            // What has been overtaken is not begun.
            effects.extend(asked.by_own);
            effects.retain(|effect| !effect.is_answered() || self.state.awaits(effect));
            return Ok(effects);
        }
        Ok(asked.by_own)
    }

    /// Makes the state anew from the journal, and takes the own events again on top of what others appended.
    async fn read_on(&mut self) -> Result<Demands, Gone> {
        let key = self.row.key.clone();
        let (row, entries) = loop {
            let wanted = key.clone();
            match self.lane.journal.ask(move |storage| storage.log(&wanted)).await {
                Ok(Some(log)) => break log,
                Ok(None) => return Err(Gone),
                Err(error) => self.rest(&error).await?,
            }
        };
        let mut asked = Demands::default();
        self.edition += 1;
        self.state = self.runs.new_state(self.state.flow().clone(), &key);
        let known = self.committed;
        let mut has_rested = false;
        let (reader, state) = (self.runs.reader(&self.tenant), &mut self.state);
        let read = reader.each(state, &entries, |state, entry, event| {
            let effects = state.advance(entry.at, event);
            if entry.seq >= known {
                asked.by_others.extend(effects);
                has_rested |= !state.has_work();
            }
            ControlFlow::Continue(())
        });
        if let Err(error) = read.await {
            tracing::error!(run = %key.run, error, "an entry of another host cannot be read");
            return Err(Gone);
        }
        let (own, answered) = (std::mem::take(&mut self.uncommitted), std::mem::take(&mut self.answered));
        let new = entries.get(known as usize..).unwrap_or_default();
        // The store had them when it said that it had failed.
        let has_own = !own.is_empty() && new.starts_with(&own);
        // Whoever owns a run that had no owner meanwhile may not be the one who woke it. This holds with the own entries as
        // well: another host may have written the very same, a timer that fired in the same millisecond.
        let had_owner = self.row.owner == row.owner && !has_rested;
        self.inherited |= self.lane.journal.is_shared() && row.owner == Some(self.lease) && !had_owner;
        (self.row, self.committed) = (row, entries.len() as u64);
        if has_own {
            return Ok(asked);
        }
        let at = self.runs.lifecycle.clock.now();
        for entry in &own {
            let Ok(event) = entries::parse(entry) else { continue };
            if self.still_fits(&event, answered.get(&entry.seq)) {
                asked.by_own.extend(self.advance(at, event).await);
            }
        }
        Ok(asked)
    }

    /// What another host was quicker with is not taken again. `answered`: the question that an answer is to.
    fn still_fits(&mut self, event: &Event, answered: Option<&Effect>) -> bool {
        match event {
            // Questions are numbered as they are asked: what another host has appended may have asked one of this number.
            Event::Evaluated { id, .. } => self.state.question(*id).as_ref() == answered,
            Event::Fired { timer: fired } => {
                let armed = |effect: &Effect| matches!(effect, Effect::Timer { timer, .. } if timer == fired);
                self.state.outstanding().iter().any(armed)
            }
            Event::CalledBack { step, .. } => {
                let now = self.state.callback(*step);
                self.refused = (now != CallbackNow::Wanted).then_some(now);
                self.refused.is_none()
            }
            _ => true,
        }
    }

    async fn rest(&self, error: &StorageError) -> Result<(), Gone> {
        tracing::error!(run = %self.row.key.run, %error, "the journal fails; trying again");
        self.runs.observers.metrics.journal_failed();
        tokio::select! {
            biased;
            () = self.runs.lifecycle.drained() => Err(Gone),
            () = self.runs.lifecycle.clock.sleep_until(crate::clock::after(self.runs.lifecycle.clock.now(), STORE_PAUSE)) => Ok(()),
        }
    }

    async fn advance(&mut self, at: Timestamp, event: Event) -> Vec<Effect> {
        let body = serde_json::to_string(&event).expect("events are made of JSON values");
        self.held.add(json::weight(body.as_bytes()) as u64);
        let seq = self.committed + self.uncommitted.len() as u64;
        if let Event::Evaluated { id, .. } = event
            && let Some(question) = self.state.question(id)
        {
            self.answered.insert(seq, question);
        }
        self.uncommitted.push(Entry { seq, at, body });
        if !self.state.is_large_with(&event) {
            return self.state.advance(at, event);
        }
        let (state, mut effects) = (&mut self.state, vec![]);
        let work = Box::pin(async { effects = state.advance(at, event) });
        self.runs.steps.in_turns(&self.tenant, Pace::Long, work).await;
        effects
    }

    fn is_committed(&mut self) {
        self.committed += self.uncommitted.len() as u64;
        if self.lane.journal.is_durable() {
            self.tenant.journalled(self.uncommitted.iter().map(|entry| entry.body.len() as u64).sum());
        }
        self.uncommitted.clear();
        self.answered.clear();
    }

    /// The entries, the timers, the new status; and the head of the run after them.
    fn batch(&self, effects: &[Effect]) -> (Batch, Head) {
        let key = &self.row.key;
        let mut writes = Vec::with_capacity(3);
        writes.push(Write::Append { key: key.clone(), entries: self.uncommitted.clone() });
        let at = self.uncommitted.last().map_or(self.row.started_at, |entry| entry.at);
        let head = self.head(at);
        if head.phase == Phase::Ended {
            writes.push(Write::ClearTimers { key: key.clone() });
        } else {
            for timer in self.fired.iter().copied() {
                writes.push(Write::ClearTimer { key: key.clone(), timer });
            }
            self.put_timers(&mut writes, effects);
        }
        if self.row.ended_at.is_none() {
            writes.extend(self.next_time(head.ended_at).map(|(_, write)| write));
        }
        if head.phase != self.row.phase || head.status != self.row.status {
            let (status, phase, ended_at) = (head.status.to_owned(), head.phase, head.ended_at);
            writes.push(Write::SetStatus { key: key.clone(), status, phase, ended_at });
        }
        (Batch { lease: Some(self.lease), writes }, head)
    }

    /// The head of the run as its state has it.
    fn head(&self, at: Timestamp) -> Head {
        let phase = self.phase();
        let owner = (phase == Phase::Active).then(|| self.row.owner.unwrap_or(self.lease));
        // Undoing what its steps left in the world may take longer than the run.
        let ended_at = self.row.ended_at.or_else(|| self.state.end().map(|_| at));
        Head { status: view::spell(self.state.status()), phase, owner, ended_at }
    }

    fn put_head(&mut self, head: Head) {
        let row = &mut self.row;
        head.status.clone_into(&mut row.status);
        (row.phase, row.owner, row.ended_at) = (head.phase, head.owner, head.ended_at);
    }

    /// What the run needs from the host.
    fn phase(&self) -> Phase {
        if self.state.is_over() {
            Phase::Ended
        } else if self.state.has_work() {
            Phase::Active
        } else {
            Phase::Parked
        }
    }

    /// What the end of this run means to a schedule that waits for it.
    fn next_time(&self, ended: Option<Timestamp>) -> Option<(Timestamp, Write)> {
        schedule::when_over(&self.runs.deployed, &self.row, ended?)
    }

    /// The scheduler may sleep for longer than the end of this run has left its schedule.
    fn wake_schedule(&self) {
        if let Some((due, _)) = self.next_time(self.row.ended_at) {
            self.lane.timer_is_set(due);
        }
    }

    fn put_timers(&self, writes: &mut Vec<Write>, effects: &[Effect]) {
        let key = &self.row.key;
        for effect in effects {
            match *effect {
                Effect::Timer { timer, due } => {
                    writes.push(Write::SetTimer(TimerRow { key: key.clone(), timer, due }));
                }
                Effect::Disarm { timer } => writes.push(Write::ClearTimer { key: key.clone(), timer }),
                _ => {}
            }
        }
    }
}
