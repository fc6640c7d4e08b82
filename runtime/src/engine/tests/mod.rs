//! The rooms of the engine tried one by one, on a host of the simulator: the engine as it is, over a journal and a world
//! that do what the test says, with a clock that the test moves. The simulator itself tries all rooms at once.

mod access;
mod audit;
mod check;
mod deploy;
mod duplicate;
mod read;
mod schedule;
mod subscription;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::oneshot;

use super::admin::Sealer;
use super::deployed::Deployer;
use super::observers::Observers;
use super::open::sandboxes;
use super::simulator::TestHost;
use super::steps::Sandboxes;
use super::{Rooms, Runtime};
use crate::clock::Clock;
use crate::config::Config;
use crate::flow::{Document, Finding, read};
use crate::host::HostSettings;
use crate::id::TenantId;

/// A host on a stage, and the runtime that its users have.
struct House {
    stage: TestHost,
    runtime: Runtime,
}

impl House {
    fn new() -> Self {
        let stage = TestHost::new();
        let runs = stage.runs().clone();
        let deployer = Deployer { deployed: runs.deployed.clone(), sandboxes: guests() };
        let rooms = Rooms {
            deployer,
            sandboxes: guests(),
            journals: runs.journals.clone(),
            tenants: runs.tenants.clone(),
            lifecycle: runs.lifecycle.clone(),
            observers: runs.observers.clone(),
            sealer: Sealer::unkept(),
            runs,
        };
        Self { stage, runtime: Runtime { rooms: Arc::new(rooms) } }
    }

    /// What comes of this, when everything is written that must be for it.
    fn wait<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &mut self,
        work: impl FnOnce(Runtime) -> F,
    ) -> T {
        let (tell, mut told) = oneshot::channel();
        let work = work(self.runtime.clone());
        self.stage.spawn(async move { drop(tell.send(work.await)) });
        loop {
            self.stage.runs_on();
            if let Ok(value) = told.try_recv() {
                return value;
            }
            assert!(self.stage.write(), "it waits for something that does not come");
        }
    }

    /// Time passes, and everything that comes of it is written.
    fn pass(&mut self, by: Duration) {
        self.stage.clock().advance(by);
        self.stage.settle();
    }

    fn deploy(&mut self, text: &str) -> Result<Vec<String>, Vec<String>> {
        let documents = documents(text);
        let deployed = self.wait(|runtime| async move { runtime.deploy(&tenant(), documents).await });
        match deployed {
            Ok(warnings) => Ok(warnings.iter().map(Finding::to_string).collect()),
            Err(super::DeployError::Findings(findings)) => {
                Err(findings.iter().map(Finding::to_string).collect())
            }
            Err(super::DeployError::Problem(problem)) => Err(vec![problem.to_string()]),
        }
    }
}

fn tenant() -> TenantId {
    TenantId::default_tenant()
}

fn documents(text: &str) -> Vec<Document> {
    read(text, "test.yaml").unwrap_or_else(|findings| panic!("{findings:?}"))
}

/// A flow of this name that sets something.
fn flow(name: &str) -> String {
    format!(
        "document: {{dsl: 1.0.3, namespace: shop, name: {name}, version: 1.0.0}}\ndo: [{{a: {{set: {{n: 1}}}}}}]\n"
    )
}

/// The plugins that ship with the host. They are compiled once for all tests.
fn guests() -> Arc<Sandboxes> {
    static GUESTS: OnceLock<Arc<Sandboxes>> = OnceLock::new();
    let made = GUESTS.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (clock, observers) = (Clock::system(), Arc::new(Observers::new()));
        let addresses = TestHost::addresses();
        runtime
            .block_on(sandboxes(&Config::default(), HostSettings::default(), clock, addresses, observers))
            .unwrap()
    });
    made.clone()
}
