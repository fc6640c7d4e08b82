//! What `serve`, `dev`, `demo` and `run` do with the documents and plugins of their paths: install, deploy, remove.
//!
//! The audit log has it in the words of the API, as deeds of the command line.

use super::Stop;
use super::sources::{self, Sources};
use crate::server::words;
use crate::{
    AuditEntry, Deed, DeployError, Document, Finding, Flow, FlowId, Problem, Runtime, Severity, TenantId,
};

/// Installs and deploys what the paths hold, all documents or none. Gives the warnings.
pub(super) async fn deploy(
    runtime: &Runtime,
    tenant: &TenantId,
    sources: Sources,
) -> Result<Vec<Finding>, Stop> {
    install(runtime, tenant, &sources.plugins).await?;
    // Checked before the audit log has an entry: a text that cannot be deployed changes nothing.
    let checked = runtime.check(tenant, &sources.documents).await;
    let findings = checked.map_err(|problem| Stop::wrong(problem.to_string()))?;
    if findings.iter().any(Finding::is_error) {
        return Err(Stop::wrong(sources::lines(&findings)));
    }
    deploy_documents(runtime, tenant, sources.documents).await
}

/// Installs the plugins that the paths hold.
pub(super) async fn install(
    runtime: &Runtime,
    tenant: &TenantId,
    plugins: &[sources::Plugin],
) -> Result<(), Stop> {
    must_be_configured(runtime, tenant)?;
    for sources::Plugin { path, wasm } in plugins {
        let failed = |problem: Problem| Stop::wrong(format!("{}: {problem}", path.display()));
        if runtime.has_plugin(tenant, wasm) {
            continue;
        }
        let deed = deed(words::INSTALL_PLUGIN, path.display().to_string());
        let mut record = Record::begin(runtime, tenant, [deed]).await.map_err(failed)?;
        match runtime.install_plugin(tenant, wasm).await {
            Ok(plugin) => {
                record.set_target(&format!("{}:{}", plugin.name, plugin.version));
                record.end(201, Some(&format!("digest {}", plugin.digest))).await;
            }
            Err(problem) => {
                record.end(problem.status, Some(&problem.to_string())).await;
                return Err(failed(problem));
            }
        }
    }
    Ok(())
}

/// Deploys documents, all or none. Gives the warnings.
pub(super) async fn deploy_documents(
    runtime: &Runtime,
    tenant: &TenantId,
    documents: Vec<Document>,
) -> Result<Vec<Finding>, Stop> {
    let failed = |problem: Problem| Stop::wrong(problem.to_string());
    let new = documents.iter().filter(|document| !runtime.holds(tenant, document));
    let deeds: Vec<_> = new.map(|document| DocumentName::of(document).deed(Change::Put)).collect();
    let record = Record::begin(runtime, tenant, deeds).await.map_err(failed)?;
    let deployed = runtime.deploy(tenant, documents).await.map_err(|error| match error {
        DeployError::Findings(findings) => Stop::wrong(sources::lines(&findings)),
        DeployError::Problem(problem) => failed(problem),
    });
    match &deployed {
        Ok(_) => record.end(200, None).await,
        Err(stop) => record.end(400, Some(&stop.text)).await,
    }
    deployed
}

/// Removes what is deployed under a name.
pub(super) async fn remove(runtime: &Runtime, tenant: &TenantId, name: &DocumentName) -> Result<(), Stop> {
    let failed = |problem: Problem| Stop::failed(problem.to_string());
    let record = Record::begin(runtime, tenant, [name.deed(Change::Remove)]).await.map_err(failed)?;
    let removed = match name {
        DocumentName::Trigger(namespace, name) => runtime.remove_trigger(tenant, namespace, name).await,
        DocumentName::Flow(namespace, name) => runtime.remove_flow(tenant, namespace, name).await,
    };
    let status = match &removed {
        Ok(true) => 204,
        Ok(false) => 404,
        Err(problem) => problem.status,
    };
    record.end(status, None).await;
    removed.map(drop).map_err(failed)
}

/// Refuses a tenant that the configuration does not name: nothing that is deployed for it would ever be reached.
fn must_be_configured(runtime: &Runtime, tenant: &TenantId) -> Result<(), Stop> {
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

/// What a deployed document is called: namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum DocumentName {
    /// Triggers come first: they are removed before the flows that they start.
    Trigger(String, String),
    Flow(String, String),
}

/// What a start does to a document.
enum Change {
    Put,
    Remove,
}

impl DocumentName {
    pub(super) fn of(document: &Document) -> Self {
        match document {
            Document::Flow(flow) => Self::Flow(flow.id.namespace.clone(), flow.id.name.clone()),
            Document::Trigger(trigger) => Self::Trigger(trigger.namespace.clone(), trigger.name.clone()),
        }
    }

    fn deed(&self, change: Change) -> Deed {
        let (Self::Trigger(namespace, name) | Self::Flow(namespace, name)) = self;
        let word = match (self, change) {
            (Self::Flow(..), Change::Put) => words::PUT_FLOW,
            (Self::Flow(..), Change::Remove) => words::REMOVE_FLOW,
            (Self::Trigger(..), Change::Put) => words::PUT_TRIGGER,
            (Self::Trigger(..), Change::Remove) => words::REMOVE_TRIGGER,
        };
        deed(word, format!("{namespace}/{name}"))
    }
}

/// What the command line does, in a word of the API.
fn deed(word: &str, target: String) -> Deed {
    Deed { actor: "command line".to_owned(), role: None, from: None, action: word.to_owned(), target }
}

/// What the audit log has of something that is under way.
struct Record<'a> {
    runtime: &'a Runtime,
    entries: Vec<AuditEntry>,
}

impl<'a> Record<'a> {
    /// Journals what is about to be done. The error says why it must not be done then.
    async fn begin(
        runtime: &'a Runtime,
        tenant: &TenantId,
        deeds: impl IntoIterator<Item = Deed>,
    ) -> Result<Self, Problem> {
        let mut entries = vec![];
        for deed in deeds {
            entries.push(runtime.audit(tenant, deed).await?);
        }
        Ok(Self { runtime, entries })
    }

    /// Names what it is done to, where that is known only now.
    fn set_target(&mut self, target: &str) {
        self.entries.iter_mut().for_each(|entry| target.clone_into(&mut entry.target));
    }

    /// Journals what came of it. It is done by then, so a failure is for the log.
    async fn end(self, status: u16, detail: Option<&str>) {
        for entry in self.entries {
            if let Err(problem) = self.runtime.audit_end(entry, status, detail).await {
                tracing::error!(%problem, "the audit log does not say what became of a change");
            }
        }
    }
}

/// A version of a flow that was deployed and does not run, because a newer one from an earlier deployment does.
pub(super) struct OldVersion {
    pub id: FlowId,
    file: String,
    newest: String,
}

impl OldVersion {
    pub(super) fn warning(self) -> Finding {
        let Self { id: FlowId { namespace, name, version, .. }, file, newest } = self;
        let message = format!(
            "version {version} of {namespace}/{name} is deployed, but {newest} is newer and is what runs: raise the \
             version, or remove the flow first"
        );
        Finding { file, line: 1, column: 1, message, severity: Severity::Warning }
    }
}

/// Which of the documents, all of them deployed, do not run because of a version that is none of them.
pub(super) fn overtaken(runtime: &Runtime, tenant: &TenantId, documents: &[Document]) -> Vec<OldVersion> {
    let flows: Vec<_> = documents
        .iter()
        .filter_map(|document| match document {
            Document::Flow(flow) => Some(flow),
            Document::Trigger(_) => None,
        })
        .collect();
    let old_version = |flow: &&std::sync::Arc<Flow>| {
        let id = &flow.id;
        let newest = runtime.flow(tenant, &id.namespace, &id.name)?.version;
        let is_newest = |other: &FlowId| {
            (&other.namespace, &other.name, &other.version) == (&id.namespace, &id.name, &newest)
        };
        let is_ours = flows.iter().any(|other| is_newest(&other.id));
        (!is_ours).then(|| OldVersion { id: id.clone(), file: flow.file.clone(), newest })
    };
    flows.iter().filter_map(old_version).collect()
}
