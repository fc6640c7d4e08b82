//! A host in this process: what `serve`, `dev` and `demo` share. They differ in what they allow, not in how they start:
//! bind, open, deploy, say so, go.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::data::DataFolder;
use super::sources::{self, Sources};
use super::{Stop, terminal};
use crate::server::{self, Access, ListenError, Listener};
use crate::{
    Clock, Config, Data, Deed, DeployError, Document, Finding, Flow, FlowId, Options, Problem, Runtime,
    Severity, TenantId,
};

/// A host that is open and not yet serving.
pub(super) struct Host {
    pub runtime: Runtime,
    pub folder: DataFolder,
    listener: Listener,
}

/// Reads a configuration; `without` holds where there is no file.
pub(super) fn config(path: Option<&Path>, without: fn() -> Config) -> Result<Config, Stop> {
    match path {
        None => Ok(without()),
        Some(path) => Config::read(path).map_err(|error| Stop::wrong(error.to_string())),
    }
}

/// Takes the address of `--listen`, or the configuration's.
pub(super) async fn bind(config: &Config, listen: Option<SocketAddr>) -> Result<Listener, ListenError> {
    let tls = config.tls.as_ref().map(|tls| server::acceptor(&tls.cert, &tls.key)).transpose()?;
    Listener::bind(listen.unwrap_or(config.listen), tls).await
}

impl From<ListenError> for Stop {
    fn from(error: ListenError) -> Self {
        Self::wrong(error.to_string())
    }
}

impl Host {
    /// Opens the runtime on a data folder, behind an address that is bound.
    pub(super) async fn open(config: Config, listener: Listener, data: &Path) -> Result<Self, Stop> {
        let folder = DataFolder::create(data)?;
        let base_url = config.public_url.clone().unwrap_or_else(|| listener.local_url());
        let options = Options {
            config,
            data: Data::Folder(folder.path().to_owned()),
            clock: Clock::system(),
            base_url,
            schedules: true,
            listeners: vec![listener.address()],
        };
        let runtime = Runtime::open(options).await.map_err(|error| Stop::wrong(error.to_string()))?;
        Ok(Self { runtime, folder, listener })
    }

    /// Says where it listens; always the first line on stdout.
    pub(super) fn announce_address(&self) {
        terminal::say(&format!("listening on {}", self.listener.url()));
    }

    /// The address for a client on this machine.
    pub(super) fn local_url(&self) -> String {
        self.listener.local_url()
    }

    /// One line for each trigger: where it is called.
    pub(super) fn announce_triggers(&self) {
        for line in trigger_lines(&self.runtime) {
            terminal::say(&line);
        }
    }

    /// Serves until `shutdown`, then drains.
    pub(super) async fn serve(self, access: Access, shutdown: impl Future<Output = ()>) -> Result<(), Stop> {
        self.folder.write_address(&self.listener.local_url())?;
        self.runtime.start().await.map_err(|problem| Stop::failed(problem.to_string()))?;
        server::serve(self.listener, self.runtime, access, shutdown).await;
        self.folder.forget_address();
        Ok(())
    }
}

/// `namespace/name  URL` of every enabled trigger.
pub(super) fn trigger_lines(runtime: &Runtime) -> Vec<String> {
    let triggers = runtime.tenants().into_iter().flat_map(|tenant| runtime.triggers(&tenant));
    let enabled = triggers.filter(|trigger| trigger.enabled);
    enabled.map(|trigger| format!("{}/{}  {}", trigger.namespace, trigger.name, trigger.url)).collect()
}

/// A runtime in memory that nobody calls, for `run`, `check` and `plugin`.
pub(super) async fn in_memory(config: Config) -> Result<Runtime, Stop> {
    let base_url = config.public_url.clone().unwrap_or_else(|| format!("http://{}", config.listen));
    let options = Options {
        config,
        data: Data::Memory,
        clock: Clock::system(),
        base_url,
        schedules: false,
        listeners: vec![],
    };
    Runtime::open(options).await.map_err(|error| Stop::wrong(error.to_string()))
}

/// A text that a plugin could not read.
pub(super) fn unread(problem: Problem) -> Stop {
    Stop::wrong(problem.detail.clone().unwrap_or_else(|| problem.to_string()))
}

/// Refuses a tenant that the configuration does not name: nothing that is deployed for it would ever be reached.
fn known(runtime: &Runtime, tenant: &TenantId) -> Result<(), Stop> {
    let tenants = runtime.tenants();
    if tenants.contains(tenant) {
        return Ok(());
    }
    let names: Vec<_> = tenants.iter().map(|tenant| format!("`{tenant}`")).collect();
    Err(Stop::wrong(format!(
        "the tenant `{tenant}` is not configured; there is {}: name it with --tenant where that is taken, or add  \
         [[tenant]] name = \"{tenant}\"  to the configuration",
        names.join(", ")
    )))
}

/// Installs the plugins that the paths hold.
pub(super) async fn install(
    runtime: &Runtime,
    tenant: &TenantId,
    plugins: &[sources::Plugin],
) -> Result<(), Stop> {
    known(runtime, tenant)?;
    for sources::Plugin { path, wasm } in plugins {
        let failed = |problem: Problem| Stop::wrong(format!("{}: {problem}", path.display()));
        if runtime.has_plugin(tenant, wasm) {
            continue;
        }
        let deed = by_command_line("InstallPlugin", path.display().to_string());
        let mut entry = runtime.audit(tenant, deed).await.map_err(failed)?;
        let installed = runtime.install_plugin(tenant, wasm).await;
        let (status, detail) = match &installed {
            Ok(plugin) => {
                entry.target = format!("{}:{}", plugin.name, plugin.version);
                (201, format!("digest {}", plugin.digest))
            }
            Err(problem) => (problem.status, problem.to_string()),
        };
        runtime.audit_end(entry, status, Some(&detail)).await.map_err(failed)?;
        installed.map_err(failed)?;
    }
    Ok(())
}

/// Installs and deploys what the paths hold, all documents or none. Gives the warnings.
pub(super) async fn deploy(
    runtime: &Runtime,
    tenant: &TenantId,
    sources: Sources,
) -> Result<Vec<Finding>, Stop> {
    install(runtime, tenant, &sources.plugins).await?;
    let mut findings = runtime.check(tenant, &sources.documents).await;
    if findings.iter().any(Finding::is_error) {
        return Err(Stop::wrong(sources::lines(&findings)));
    }
    findings.extend(runtime.missing(tenant, &sources.documents));
    deploy_documents(runtime, tenant, sources.documents).await?;
    Ok(findings)
}

pub(super) async fn deploy_documents(
    runtime: &Runtime,
    tenant: &TenantId,
    documents: Vec<Document>,
) -> Result<(), Stop> {
    let failed = |problem: Problem| Stop::wrong(problem.to_string());
    let mut entries = vec![];
    for document in documents.iter().filter(|document| !runtime.holds(tenant, document)) {
        entries.push(runtime.audit(tenant, deed(document)).await.map_err(failed)?);
    }
    let deployed = runtime.deploy(tenant, documents).await.map_err(|error| match error {
        DeployError::Findings(findings) => Stop::wrong(sources::lines(&findings)),
        DeployError::Problem(problem) => failed(problem),
    });
    let (status, detail) = match &deployed {
        Ok(()) => (200, None),
        Err(stop) => (400, Some(stop.text.as_str())),
    };
    for entry in entries {
        if let Err(problem) = runtime.audit_end(entry, status, detail).await {
            tracing::error!(%problem, "the audit log does not say what a deployment came to");
        }
    }
    deployed
}

/// Removes what is deployed under a name.
pub(super) async fn remove(runtime: &Runtime, tenant: &TenantId, name: &Name) -> Result<(), Stop> {
    let failed = |problem: Problem| Stop::failed(problem.to_string());
    let (action, target) = match name {
        Name::Flow(namespace, name) => ("RemoveFlow", format!("{namespace}/{name}")),
        Name::Trigger(namespace, name) => ("RemoveTrigger", format!("{namespace}/{name}")),
    };
    let entry = runtime.audit(tenant, by_command_line(action, target)).await.map_err(failed)?;
    let removed = match name {
        Name::Trigger(namespace, name) => runtime.remove_trigger(tenant, namespace, name).await,
        Name::Flow(namespace, name) => runtime.remove_flow(tenant, namespace, name).await,
    };
    let status = removed
        .as_ref()
        .map_or_else(|problem| problem.status, |was_there| if *was_there { 204 } else { 404 });
    runtime.audit_end(entry, status, None).await.map_err(failed)?;
    removed.map(drop).map_err(failed)
}

/// What a start does with a document, in the words of the API.
fn deed(document: &Document) -> Deed {
    let (action, target) = match Name::of(document) {
        Name::Flow(namespace, name) => ("PutFlow", format!("{namespace}/{name}")),
        Name::Trigger(namespace, name) => ("PutTrigger", format!("{namespace}/{name}")),
    };
    by_command_line(action, target)
}

fn by_command_line(action: &str, target: String) -> Deed {
    Deed { actor: "command line".to_owned(), role: None, from: None, action: action.to_owned(), target }
}

/// A flow that was deployed, and does not run: a newer version of it, from an earlier deployment, does.
pub(super) struct Overtaken {
    pub id: FlowId,
    file: String,
    newest: String,
}

impl Overtaken {
    pub(super) fn warning(self) -> Finding {
        let Self { id: FlowId { namespace, name, version, .. }, file, newest } = self;
        let message = format!(
            "version {version} of {namespace}/{name} is deployed, but {newest} is newer and is what runs: raise the \
             version, or remove the flow first"
        );
        Finding { file, line: 1, column: 1, message, severity: Severity::Warning }
    }
}

/// Which of the documents, all of them deployed, a version overtakes that is none of them.
pub(super) fn overtaken(runtime: &Runtime, tenant: &TenantId, documents: &[Document]) -> Vec<Overtaken> {
    let flows: Vec<_> = documents
        .iter()
        .filter_map(|document| match document {
            Document::Flow(flow) => Some(flow),
            Document::Trigger(_) => None,
        })
        .collect();
    let overtaken = |flow: &&std::sync::Arc<Flow>| {
        let id = &flow.id;
        let newest = runtime.flow(tenant, &id.namespace, &id.name)?.version;
        let is_newest = |other: &FlowId| {
            (&other.namespace, &other.name, &other.version) == (&id.namespace, &id.name, &newest)
        };
        let is_ours = flows.iter().any(|other| is_newest(&other.id));
        (!is_ours).then(|| Overtaken { id: id.clone(), file: flow.file.clone(), newest })
    };
    flows.iter().filter_map(overtaken).collect()
}

/// What a deployed document is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Name {
    /// Namespace and name. Triggers come first: they are to go before the flows that they start.
    Trigger(String, String),
    Flow(String, String),
}

impl Name {
    pub(super) fn of(document: &Document) -> Self {
        match document {
            Document::Flow(flow) => Self::Flow(flow.id.namespace.clone(), flow.id.name.clone()),
            Document::Trigger(trigger) => Self::Trigger(trigger.namespace.clone(), trigger.name.clone()),
        }
    }
}

/// `--data`, or the usual folder.
pub(super) fn data_folder(data: Option<PathBuf>) -> PathBuf {
    data.unwrap_or_else(|| super::data::DEFAULT.into())
}
