//! What speaks against deploying a document, beyond its own text: plugins that are not installed, inputs that do not
//! fit them, expressions that do not compile, triggers without a flow. The same for `check` and for a deployment.

use serde_json::Value;

use super::Deployer;
use crate::engine::Runtime;
use crate::engine::steps::limits;
use crate::engine::tenant::Tenant;
use crate::flow::{CallSite, Contracts, Document, Finding, Flow, HookPath, Severity, TriggerDocument};
use crate::host::{Call, Called, Check, Plugin, Reach};
use crate::id::TenantId;

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
    let checks = call.written().map(|written| action.checks(&written)).unwrap_or_default();
    let said = said(deployer, tenant, checks).await.into_iter();
    said.map(|(severity, said)| finding(severity, said)).collect()
}

/// What a plugin's own checks say about an input as it was written.
async fn said(
    deployer: &Deployer,
    tenant: &TenantId,
    checks: Vec<(Check, String, Value)>,
) -> Vec<(Severity, (String, String))> {
    let Some(limits) = deployer.deployed.tenants.get(tenant).map(|tenant| limits(tenant)) else {
        return vec![];
    };
    let mut said = vec![];
    for (check, pointer, value) in checks {
        let key = (tenant.clone(), "check".to_owned());
        let input = value.to_string();
        // One that fails over what was written says nothing: the run will.
        if let Ok(answer) =
            deployer.sandboxes.evaluator.evaluate(&key, &check.when, &input, "{}", limits).await
            && let Some(sentence) = check.sentence(&answer)
        {
            let severity = if check.refuses { Severity::Error } else { Severity::Warning };
            said.push((severity, (pointer + &check.at, sentence)));
        }
    }
    said
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
    let mut said: Vec<_> =
        said(deployer, tenant, trigger.checks(&document.with)).await.into_iter().map(named).collect();
    // What no schema says. Where switching on reaches the world, it is said then.
    let Some(limits) = deployer.deployed.tenants.get(tenant).map(|tenant| limits(tenant)) else {
        return vec![];
    };
    let config = match document.config("https://hooks.example.com/hooks/token") {
        Err(reason) => return vec![wrong("/with".to_owned(), reason)],
        Ok(_) if trigger.subscribes => return said,
        Ok(config) => config.to_string(),
    };
    let call = Call { plugin, name: &trigger.name, reach: Reach::Nothing, limits };
    match deployer.sandboxes.host.enable(call, &config).await {
        Ok(Called { result: Err(problem), .. }) => {
            said.push(wrong("/with".to_owned(), format!("`with`: {problem}")));
        }
        Ok(_) => {}
        Err(error) => said.push(wrong("/uses".to_owned(), error.to_string())),
    }
    said
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

/// A path of one's own is easily guessed: it wants authentication, and one owner.
fn path_is_free(
    deployer: &Deployer,
    tenant: &TenantId,
    trigger: &TriggerDocument,
    documents: &[Document],
) -> Result<(), String> {
    let Some(HookPath { path, is_guarded, .. }) = &trigger.path else { return Ok(()) };
    if path.is_empty() {
        return Err(
            "the path is empty: write one such as `orders/new`, or leave it out for a minted address"
                .to_owned(),
        );
    }
    if !is_guarded {
        return Err(format!(
            "the path `{path}` can be guessed: declare `auth`, or leave the path out for a minted address"
        ));
    }
    let is_plain = |part: &str| {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !part.is_empty() && part.bytes().all(legal) && ![".", ".."].contains(&part)
    };
    if !path.split('/').all(is_plain) {
        return Err(format!(
            "no request would come to the path `{path}`: its parts consist of letters, digits, `-`, `.`, `_` and `~`, with one \
             `/` between them"
        ));
    }
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
