//! The clients of the hosts: what they sent, and what they were told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::json;

use super::check::Checker;
use super::host::Host;
use super::world::Step;
use crate::engine::inbound::{Callback, Inbound};
use crate::engine::runs::begin::{FirstEvents, Start};
use crate::flow::Flow;
use crate::id::{CallbackTarget, RunId};
use crate::journal::RunKey;

/// The clients' own log.
#[derive(Clone)]
pub(super) struct Clients {
    log: Arc<Mutex<Log>>,
    checker: Checker,
}

#[derive(Default)]
pub(super) struct Log {
    /// Every run that was asked for; true: it was acknowledged.
    pub runs: BTreeMap<RunId, bool>,
    /// Callbacks by their number: for which step, and the status of the answer.
    pub callbacks: BTreeMap<u64, (Step, Option<u16>)>,
    /// Runs whose end was asked for, and that were said to be over.
    pub cancelled: Vec<RunId>,
    /// Acknowledged, and not in the journal.
    pub broken: Vec<String>,
    /// What happened since this was last asked for.
    news: Vec<String>,
}

impl Clients {
    pub fn new(checker: Checker) -> Self {
        Self { log: Arc::default(), checker }
    }

    pub fn log<T>(&self, look: impl FnOnce(&mut Log) -> T) -> T {
        look(&mut self.log.lock().unwrap())
    }

    pub fn news(&self) -> Vec<String> {
        self.log(|log| std::mem::take(&mut log.news))
    }

    pub fn start(&self, host: &Host, id: RunId, flow: Arc<Flow>) {
        self.log(|log| log.runs.insert(id, false));
        let (clients, runs, tenant) = (self.clone(), host.runs.clone(), host.tenant.clone());
        host.spawn(async move {
            let start = Start { id, flow, trigger: None, first: FirstEvents::Input(json!({ "list": [] })) };
            let started = runs.start_run(&tenant, start).await;
            let key = RunKey { tenant: tenant.id.clone(), run: id };
            let journalled = clients.checker.run(&key).is_some();
            clients.log(|log| {
                if started.is_ok() && !journalled {
                    log.broken.push(format!("{id} was acknowledged before it was in the journal"));
                }
                log.runs.insert(id, started.is_ok());
                log.news.push(format!("start of {id}: {}", started.is_ok()));
            });
        });
    }

    pub fn call_back(&self, host: &Host, step: Step) {
        let number = self.log(|log| {
            let number = log.callbacks.len() as u64;
            log.callbacks.insert(number, (step, None));
            number
        });
        let (run, ordinal) = step;
        let key = RunKey { tenant: host.tenant.id.clone(), run };
        let target = CallbackTarget { tenant: key.tenant.clone(), run, step: ordinal };
        let callback = Callback { runs: host.runs.clone(), tenant: host.tenant.clone(), target };
        let clients = self.clone();
        host.spawn(async move {
            let answer = callback.receive(inbound(number)).await;
            let journalled = clients.checker.has_callback(&key, ordinal, number);
            clients.log(|log| {
                if answer.status == 202 && !journalled {
                    log.broken
                        .push(format!("callback {number} was acknowledged before it was in the journal"));
                }
                log.callbacks.insert(number, (step, Some(answer.status)));
                log.news.push(format!("callback {number} for {run} {ordinal}: {}", answer.status));
            });
        });
    }

    pub fn cancel(&self, host: &Host, run: RunId) {
        let (clients, runs, tenant) = (self.clone(), host.runs.clone(), host.tenant.id.clone());
        host.spawn(async move {
            let over = match runs.cancel(&tenant, run, "a client").await {
                Ok(Some(summary)) => summary.status.is_final(),
                Ok(None) | Err(_) => false,
            };
            clients.log(|log| {
                if over {
                    log.cancelled.push(run);
                }
                log.news.push(format!("cancel of {run}: {over}"));
            });
        });
    }
}

fn inbound(number: u64) -> Inbound {
    Inbound {
        method: "POST".to_owned(),
        path: "/".to_owned(),
        query: String::new(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: Bytes::from(json!({ "number": number }).to_string()),
        remote: ([192, 0, 2, 1], 4711).into(),
    }
}
