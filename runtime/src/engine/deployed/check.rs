//! What speaks against deploying documents, beyond what each says and its plugins say of it: triggers without a flow, paths
//! that have an owner, two documents of one name. The same for `check` and for a deployment.

use super::{Deployed, Deployer};
use crate::engine::Runtime;
use crate::engine::tenant::Tenant;
use crate::flow::{Document, Finding, Flow, HookPath, Severity, TriggerDocument};
use crate::id::TenantId;
use crate::problem::Problem;

impl Runtime {
    /// Everything that speaks against deploying the documents, and the warnings. The error says that there is no such
    /// tenant.
    pub async fn check(&self, tenant: &TenantId, documents: &[Document]) -> Result<Vec<Finding>, Problem> {
        Ok(self.rooms.deployer.check(self.tenant(tenant)?, documents).await.1)
    }
}

impl Deployer {
    /// The documents that fit their plugins, bound to them, and what is wrong or odd about all of them, in the order of
    /// their places.
    pub async fn check(&self, tenant: &Tenant, documents: &[Document]) -> (Vec<Document>, Vec<Finding>) {
        let (bound, mut findings) = self.sandboxes.bound(tenant, documents);
        for document in &bound {
            findings.extend(self.sandboxes.fit(tenant, document).await);
            match document {
                Document::Flow(flow) => findings.extend(flow.warnings.iter().cloned()),
                Document::Trigger(trigger) => {
                    findings.extend(trigger.warnings.iter().cloned());
                    findings.extend(check_trigger(&self.deployed, &tenant.id, trigger, (documents, &bound)));
                }
            }
        }
        findings.extend(doubles(documents));
        findings.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        (bound, findings)
    }
}

/// What bound documents need of the vault and is not there.
pub(super) fn missing(tenant: &Tenant, documents: &[Document]) -> Vec<Finding> {
    let (vault, mut findings) = (&tenant.vault, vec![]);
    for document in documents {
        let (file, needs) = match document {
            Document::Flow(flow) => (&flow.file, &flow.needs),
            Document::Trigger(trigger) => (&trigger.file, &trigger.needs),
        };
        let mut warn = |(line, column), message: String| {
            findings.push(Finding { file: file.clone(), line, column, message, severity: Severity::Warning });
        };
        for (name, place) in needs.secrets().filter(|(name, _)| vault.secret(name).is_none()) {
            warn(
                place,
                format!("there is no secret `{name}` yet: set it with `flowcell secrets set {name}`"),
            );
        }
        for (name, place) in needs.connections() {
            let what = match vault.connection(name) {
                Some(connection) if !connection.is_empty() => continue,
                Some(_) => format!("the connection `{name}` is empty"),
                None => format!("there is no connection `{name}` yet"),
            };
            warn(place, format!("{what}: set it with `flowcell connections set {name} FILE`"));
        }
    }
    findings
}

fn error(file: &str, (line, column): (u64, u64), message: String) -> Finding {
    Finding { file: file.to_owned(), line, column, message, severity: Severity::Error }
}

fn check_trigger(
    deployed: &Deployed,
    tenant: &TenantId,
    document: &TriggerDocument,
    (documents, bound): (&[Document], &[Document]),
) -> Vec<Finding> {
    let at = |pointer: &str, message: String| error(&document.file, document.place(pointer), message);
    let mut findings = vec![];
    if let Err(reason) = flow_exists(deployed, tenant, document, documents) {
        findings.push(at("/flow", reason));
    }
    if let Err(reason) = path_is_free(deployed, tenant, document, bound) {
        let pointer = document.path.as_ref().map_or("/with", |path| &path.pointer);
        findings.push(at(pointer, reason));
    }
    findings
}

fn flow_exists(
    deployed: &Deployed,
    tenant: &TenantId,
    trigger: &TriggerDocument,
    documents: &[Document],
) -> Result<(), String> {
    let wanted = &trigger.flow;
    let fits = |flow: &Flow| {
        flow.id.namespace == wanted.namespace
            && flow.id.name == wanted.name
            && wanted.version.as_ref().is_none_or(|version| flow.id.version == *version)
    };
    let comes_along = documents.iter().any(|document| matches!(document, Document::Flow(flow) if fits(flow)));
    let catalog = deployed.catalog();
    if comes_along
        || catalog.flow(tenant, &wanted.namespace, &wanted.name, wanted.version.as_deref()).is_some()
    {
        return Ok(());
    }
    Err(format!(
        "the flow `{wanted}` does not exist: deploy it with the trigger, or name an existing one as `namespace/name`"
    ))
}

/// A path has one owner. What else is to be said about it, the plugin says.
fn path_is_free(
    deployed: &Deployed,
    tenant: &TenantId,
    trigger: &TriggerDocument,
    documents: &[Document],
) -> Result<(), String> {
    let Some(HookPath { path, .. }) = &trigger.path else { return Ok(()) };
    let is_same = |namespace: &str, name: &str| namespace == trigger.namespace && name == trigger.name;
    let taken =
        |owner: String| Err(format!("the path `{path}` belongs to the trigger {owner}: choose another one"));
    for document in documents {
        if let Document::Trigger(other) = document
            && !is_same(&other.namespace, &other.name)
            && other.path.as_ref().is_some_and(|other| other.path == *path)
        {
            return taken(other.qualified_name());
        }
    }
    match deployed.catalog().path_owner(tenant, path) {
        Some(owner) if !is_same(&owner.document.namespace, &owner.document.name) => taken(owner.full_name()),
        _ => Ok(()),
    }
}

/// Two documents of one name: which of them would count is a matter of luck.
fn doubles(documents: &[Document]) -> Vec<Finding> {
    let mut seen = std::collections::HashMap::new();
    let mut findings = vec![];
    for document in documents {
        let (key, file) = match document {
            Document::Flow(flow) => (format!("flow {}", flow.id), flow.file.clone()),
            Document::Trigger(trigger) => {
                (format!("trigger {}", trigger.qualified_name()), trigger.file.clone())
            }
        };
        if let Some(first) = seen.insert(key.clone(), file.clone()) {
            findings.push(error(
                &file,
                (1, 1),
                format!("the {key} is defined twice: the first one is in {first}"),
            ));
        }
    }
    findings
}
