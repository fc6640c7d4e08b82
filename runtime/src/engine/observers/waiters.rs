//! Who waits for a run: the caller of a hook for its answer, a client for its end. In memory only; a caller does
//! not survive the process it is connected to.

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::sync::oneshot;

use crate::flow::{End, Reply};
use crate::id::RunId;

/// What a caller gets.
#[derive(Clone)]
pub(in crate::engine) enum RunAnswer {
    /// The flow's own answer.
    Reply(Reply),
    /// The run is over and had not answered.
    End(End),
}

#[derive(Default)]
struct Waiting {
    caller: Option<oneshot::Sender<RunAnswer>>,
    /// Those who sent the same event again.
    listeners: Vec<oneshot::Sender<RunAnswer>>,
    watchers: Vec<oneshot::Sender<()>>,
}

#[derive(Default)]
pub(in crate::engine) struct Waiters {
    runs: Mutex<HashMap<RunId, Waiting>>,
}

impl Waiters {
    /// Registers the caller who wants the run's answer. Before the run begins, so that no answer is missed.
    pub fn caller(&self, run: RunId) -> oneshot::Receiver<RunAnswer> {
        let (told, receiver) = oneshot::channel();
        self.runs.lock().expect("no panic while held").entry(run).or_default().caller = Some(told);
        receiver
    }

    /// Registers one who gets what the caller gets, and is no reason to answer.
    pub fn listener(&self, run: RunId) -> oneshot::Receiver<RunAnswer> {
        let (told, receiver) = oneshot::channel();
        let mut runs = self.runs.lock().expect("no panic while held");
        let waiting = runs.entry(run).or_default();
        waiting.listeners.retain(|listener| !listener.is_closed());
        waiting.listeners.push(told);
        receiver
    }

    /// Registers somebody who wants to know that the run is over.
    pub fn watcher(&self, run: RunId) -> oneshot::Receiver<()> {
        let (told, receiver) = oneshot::channel();
        self.runs.lock().expect("no panic while held").entry(run).or_default().watchers.push(told);
        receiver
    }

    /// Forgets the caller, whose time is over.
    pub fn caller_left(&self, run: RunId) {
        let mut runs = self.runs.lock().expect("no panic while held");
        if let Some(waiting) = runs.get_mut(&run) {
            waiting.caller = None;
            if waiting.watchers.is_empty() && waiting.listeners.is_empty() {
                runs.remove(&run);
            }
        }
    }

    /// Gives the flow's answer to the caller, if one waits.
    pub fn reply(&self, run: RunId, reply: Reply) {
        let told = {
            let mut runs = self.runs.lock().expect("no panic while held");
            let Some(waiting) = runs.get_mut(&run) else { return };
            let listeners = std::mem::take(&mut waiting.listeners);
            waiting.caller.take().into_iter().chain(listeners)
        };
        for caller in told {
            let _ = caller.send(RunAnswer::Reply(reply.clone()));
        }
    }

    /// Tells everybody that the run is over.
    pub fn finish(&self, run: RunId, end: End) {
        let Some(waiting) = self.runs.lock().expect("no panic while held").remove(&run) else { return };
        for caller in waiting.caller.into_iter().chain(waiting.listeners) {
            let _ = caller.send(RunAnswer::End(end.clone()));
        }
        for watcher in waiting.watchers {
            let _ = watcher.send(());
        }
    }

    /// Drops watchers that went away: called when a client stops waiting for a run that may wait for months.
    pub fn forget_gone(&self, run: RunId) {
        let mut runs = self.runs.lock().expect("no panic while held");
        if let Some(waiting) = runs.get_mut(&run) {
            waiting.watchers.retain(|watcher| !watcher.is_closed());
            waiting.listeners.retain(|listener| !listener.is_closed());
            if waiting.watchers.is_empty() && waiting.listeners.is_empty() && waiting.caller.is_none() {
                runs.remove(&run);
            }
        }
    }
}
