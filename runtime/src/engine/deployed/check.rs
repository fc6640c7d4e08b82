//! What speaks against deploying a document, beyond its own text: plugins that are not installed, inputs that do not
//! fit them, expressions that do not compile, triggers without a flow. The same for `check` and for a deployment.

use serde_json::{Value, json};

use super::Deployer;
use crate::engine::Runtime;
use crate::engine::steps::{limits, reading};
use crate::engine::tenant::Tenant;
use crate::flow::{
    CallSite, Contracts, Document, Finding, Flow, HookPath, Severity, Template, TriggerDocument,
};
use crate::host::{Called, Plugin, Remark};
use crate::id::TenantId;

/// How much of what a plugin says about one input is shown.
const REMARKS: usize = 50;

impl Runtime {
    /// Everything that speaks against deploying the documents, and the warnings.
    pub async fn check(&self, tenant: &TenantId, documents: &[Document]) -> Vec<Finding> {
        self.rooms.deployer.check(tenant, documents).await.1
    }
}

impl Deployer {
    /// The documents that fit their plugins, bound to them, and what is wrong or odd about all of them, in the order of
    /// their places.
    pub async fn check(&self, tenant: &TenantId, documents: &[Document]) -> (Vec<Document>, Vec<Finding>) {
        check(self, tenant, documents).await
    }
}

async fn check(
    deployer: &Deployer,
    tenant: &TenantId,
    documents: &[Document],
) -> (Vec<Document>, Vec<Finding>) {
    let (bound, mut findings) = bound(deployer, tenant, documents);
    for document in &bound {
        match document {
            Document::Flow(flow) => {
                findings.extend(flow.warnings.iter().cloned());
                for call in flow.calls() {
                    findings.extend(check_call(deployer, tenant, flow, &call).await);
                }
                findings.extend(check_expressions(deployer, tenant, flow).await);
            }
            Document::Trigger(trigger) => {
                findings.extend(trigger.warnings.iter().cloned());
                findings.extend(check_trigger(deployer, tenant, trigger, (documents, &bound)).await);
            }
        }
    }
    findings.extend(doubles(documents));
    findings.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    (bound, findings)
}

/// The documents as they are read where the plugins are known, and what is wrong with the others.
fn bound(deployer: &Deployer, tenant: &TenantId, documents: &[Document]) -> (Vec<Document>, Vec<Finding>) {
    let contracts = deployer.sandboxes.plugins.contracts(tenant);
    let (mut bound, mut findings) = (vec![], vec![]);
    for document in documents {
        match document.bound(&contracts) {
            Ok(document) => bound.push(document),
            Err(found) => findings.extend(found),
        }
    }
    (bound, findings)
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

async fn check_call(
    deployer: &Deployer,
    tenant: &TenantId,
    flow: &Flow,
    call: &CallSite<'_>,
) -> Vec<Finding> {
    let plugin = match deployer.sandboxes.plugins.get(tenant, call.plugin) {
        Ok(plugin) => plugin,
        Err(reason) => return vec![error(&flow.file, call.call_place(), reason)],
    };
    let action = match plugin.action(call.plugin.action.as_deref()) {
        Ok(action) => action,
        Err(reason) => return vec![error(&flow.file, call.call_place(), reason)],
    };
    // A `with` that is one expression has no shape before the run.
    let (known, expressions) = (call.with.skeleton(), call.with.expression_pointers());
    let mut findings = action.check(&known, &expressions);
    let contract = deployer.sandboxes.plugins.contracts(tenant).action(call.plugin);
    let later = contract.map(|contract| contract.expressions(&known)).unwrap_or_default();
    findings.extend(check_later(deployer, tenant, later).await);
    findings.extend(action.wrong_schemas(&known));
    let finding = |severity, (pointer, sentence): (String, String)| {
        let message = format!("{}: {sentence}", spot("with", &pointer));
        Finding { severity, ..error(&flow.file, call.place(&pointer), message) }
    };
    if !findings.is_empty() {
        return findings.into_iter().map(|said| finding(Severity::Error, said)).collect();
    }
    let written = json!({ "kind": "action", "with": known, "expressions": placed(call.with) });
    let said = remarks(deployer, tenant, (&plugin, &action.name), &written).await.into_iter();
    said.map(|(severity, said)| finding(severity, said)).collect()
}

/// Where expressions stand, and which, as wit/checks.wit has it.
fn placed(with: &Template) -> Value {
    let pointers = with.expression_pointers().into_iter();
    pointers.zip(with.programs()).map(|(at, text)| json!({ "at": at, "text": text })).collect()
}

/// What the plugin has to say about what was written. One that cannot be judged is refused.
async fn remarks(
    deployer: &Deployer,
    tenant: &TenantId,
    (plugin, name): (&Plugin, &str),
    written: &Value,
) -> Vec<(Severity, (String, String))> {
    let Some(tenant) = deployer.deployed.tenants.get(tenant) else { return vec![] };
    let call = reading(&deployer.sandboxes, tenant, plugin, name);
    let wrong = |why: String| vec![(Severity::Error, (String::new(), why))];
    match deployer.sandboxes.host.check(call, &written.to_string()).await {
        Ok(Called { result: Ok(remarks), .. }) => {
            let severity = |remark: &Remark| match remark.refuses() {
                true => Severity::Error,
                false => Severity::Warning,
            };
            let remarks = remarks.into_iter().take(REMARKS);
            remarks.map(|remark| (severity(&remark), (remark.at, remark.says))).collect()
        }
        Ok(Called { result: Err(problem), .. }) => wrong(format!("the plugin cannot judge it: {problem}")),
        Err(error) => wrong(format!("the plugin cannot judge it: {error}")),
    }
}

/// What is wrong with expressions that a plugin judges later.
async fn check_later(
    deployer: &Deployer,
    tenant: &TenantId,
    expressions: Vec<(String, String)>,
) -> Vec<(String, String)> {
    let Some(limits) = deployer.deployed.tenants.get(tenant).map(|tenant| limits(tenant)) else {
        return vec![];
    };
    let mut findings = vec![];
    for (pointer, program) in expressions {
        let key = (tenant.clone(), "check".to_owned());
        if let Err(reason) = deployer.sandboxes.evaluator.check(&key, &program, &[], limits).await {
            findings.push((pointer, format!("the expression `{program}` is wrong: {reason}")));
        }
    }
    findings
}

/// `with.headers.x` for the pointer `/headers/x`.
fn spot(root: &str, pointer: &str) -> String {
    format!("`{root}{}`", pointer.replace('/', "."))
}

async fn check_expressions(deployer: &Deployer, tenant: &TenantId, flow: &Flow) -> Vec<Finding> {
    let mut findings = vec![];
    let Some(limits) = deployer.deployed.tenants.get(tenant).map(|tenant| limits(tenant)) else {
        return findings;
    };
    let key = (tenant.clone(), flow.id.digest.clone());
    for expression in flow.foreign_expressions() {
        let checked = deployer
            .sandboxes
            .evaluator
            .check(&key, &expression.program, &expression.variables, limits)
            .await;
        if let Err(reason) = checked {
            let message = format!("the expression `{}` is wrong: {reason}", expression.program);
            findings.push(error(&flow.file, (expression.line, expression.column), message));
        }
    }
    findings
}

async fn check_trigger(
    deployer: &Deployer,
    tenant: &TenantId,
    document: &TriggerDocument,
    (documents, bound): (&[Document], &[Document]),
) -> Vec<Finding> {
    let at = |pointer: &str, message: String| error(&document.file, document.place(pointer), message);
    let mut findings = match deployer.sandboxes.plugins.get(tenant, &document.uses) {
        Ok(plugin) => check_config(deployer, tenant, &plugin, document)
            .await
            .into_iter()
            .map(|(severity, (pointer, message))| Finding { severity, ..at(&pointer, message) })
            .collect(),
        Err(reason) => vec![at("/uses", reason)],
    };
    if let Err(reason) = flow_exists(deployer, tenant, document, documents) {
        findings.push(at("/flow", reason));
    }
    if let Err(reason) = path_is_free(deployer, tenant, document, bound) {
        let pointer = document.path.as_ref().map_or("/with", |path| &path.pointer);
        findings.push(at(pointer, reason));
    }
    findings
}

/// Pointers into the trigger document, and sentences.
async fn check_config(
    deployer: &Deployer,
    tenant: &TenantId,
    plugin: &Plugin,
    document: &TriggerDocument,
) -> Vec<(Severity, (String, String))> {
    let wrong = |pointer: String, message| (Severity::Error, (pointer, message));
    let trigger = match plugin.trigger(document.uses.action.as_deref()) {
        Err(reason) => return vec![wrong("/uses".to_owned(), reason)],
        Ok(trigger) => trigger,
    };
    let (known, expressions) = document.skeleton();
    let mut findings = trigger.check(&known, &expressions);
    let contract = deployer.sandboxes.plugins.contracts(tenant).trigger(&document.uses);
    let later = contract.map(|contract| contract.expressions(&known)).unwrap_or_default();
    findings.extend(check_later(deployer, tenant, later).await);
    findings.extend(trigger.wrong_schemas(&known));
    let named = |(severity, (pointer, sentence)): (Severity, (String, String))| {
        (severity, (format!("/with{pointer}"), format!("{}: {sentence}", spot("with", &pointer))))
    };
    if !findings.is_empty() {
        return findings.into_iter().map(|finding| named((Severity::Error, finding))).collect();
    }
    // At an address of the same shape: what an expression of a trigger gives, its address decides.
    let config = match document.config("https://hooks.example.com/hooks/token") {
        Err(reason) => return vec![wrong("/with".to_owned(), reason)],
        Ok(config) => config,
    };
    let expressions = placed(document.template());
    let written = json!({ "kind": "trigger", "with": known, "expressions": expressions, "config": config });
    let said = remarks(deployer, tenant, (plugin, &trigger.name), &written).await;
    said.into_iter().map(named).collect()
}

fn flow_exists(
    deployer: &Deployer,
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
    let catalog = deployer.deployed.catalog();
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
    deployer: &Deployer,
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
    match deployer.deployed.catalog().path_owner(tenant, path) {
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
