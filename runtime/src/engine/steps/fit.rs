//! Whether a document fits the plugins that it calls: they are installed, its inputs fit their schemas, its expressions
//! compile, and the plugins themselves have nothing to say against what was written. What documents mean to each other is
//! checked where they are deployed.

use flowcell_plugin_json_schema::Finding as Said;
use serde_json::{Value, json};

use super::call::{limits, reading};
use super::sandboxes::Sandboxes;
use crate::engine::tenant::Tenant;
use crate::flow::{CallSite, Contracts, Document, Finding, Flow, Severity, Template, TriggerDocument};
use crate::host::{Called, Plugin, Remark};
use crate::problem::sentence;

/// How much of what a plugin says about one input is shown.
const REMARKS: usize = 50;

impl Sandboxes {
    /// The documents as they are read where the plugins are known, and what is wrong with the others.
    pub fn bound(&self, tenant: &Tenant, documents: &[Document]) -> (Vec<Document>, Vec<Finding>) {
        let contracts = self.plugins.contracts(&tenant.id);
        let (mut bound, mut findings) = (vec![], vec![]);
        for document in documents {
            match document.bound(&contracts) {
                Ok(document) => bound.push(document),
                Err(found) => findings.extend(found),
            }
        }
        (bound, findings)
    }

    /// What is wrong or odd about a bound document, as far as its plugins can tell.
    pub async fn fit(&self, tenant: &Tenant, document: &Document) -> Vec<Finding> {
        match document {
            Document::Flow(flow) => {
                let mut findings = vec![];
                for call in flow.calls() {
                    findings.extend(check_call(self, tenant, flow, &call).await);
                }
                findings.extend(check_expressions(self, tenant, flow).await);
                findings.extend(check_schemas(self, tenant, flow).await);
                findings
            }
            Document::Trigger(trigger) => check_trigger(self, tenant, trigger).await,
        }
    }
}

async fn check_call(
    sandboxes: &Sandboxes,
    tenant: &Tenant,
    flow: &Flow,
    call: &CallSite<'_>,
) -> Vec<Finding> {
    let plugin = match sandboxes.plugins.get(&tenant.id, call.plugin) {
        Ok(plugin) => plugin,
        Err(reason) => return vec![error(&flow.file, call.call_place(), reason)],
    };
    let action = match plugin.action(call.plugin.action.as_deref()) {
        Ok(action) => action,
        Err(reason) => return vec![error(&flow.file, call.call_place(), reason)],
    };
    // A `with` that is one expression has no shape before the run.
    let (known, expressions) = (call.with.skeleton(), call.with.expression_pointers());
    let account = sandboxes.account(tenant);
    let mut findings = action.check(&account, &known, &expressions).await;
    let contract = sandboxes.plugins.contracts(&tenant.id).action(call.plugin);
    let later = contract.map(|contract| contract.expressions(&known)).unwrap_or_default();
    findings.extend(check_later(sandboxes, tenant, later).await);
    findings.extend(action.wrong_schemas(&account, &known).await);
    let finding = |severity, Said { at, says }: Said| {
        let message = format!("{}: {says}", spot("with", &at));
        Finding { severity, ..error(&flow.file, call.place(&at), message) }
    };
    if !findings.is_empty() {
        return findings.into_iter().map(|said| finding(Severity::Error, said)).collect();
    }
    let written = json!({ "kind": "action", "with": known, "expressions": placed(call.with) });
    let said = remarks(sandboxes, tenant, (&plugin, &action.name), &written).await.into_iter();
    said.map(|(severity, said)| finding(severity, said)).collect()
}

async fn check_trigger(sandboxes: &Sandboxes, tenant: &Tenant, document: &TriggerDocument) -> Vec<Finding> {
    let at = |pointer: &str, message: String| error(&document.file, document.place(pointer), message);
    match sandboxes.plugins.get(&tenant.id, &document.uses) {
        Ok(plugin) => check_config(sandboxes, tenant, &plugin, document)
            .await
            .into_iter()
            .map(|(severity, said)| Finding { severity, ..at(&said.at, said.says) })
            .collect(),
        Err(reason) => vec![at("/uses", reason)],
    }
}

/// At pointers into the trigger document.
async fn check_config(
    sandboxes: &Sandboxes,
    tenant: &Tenant,
    plugin: &Plugin,
    document: &TriggerDocument,
) -> Vec<(Severity, Said)> {
    let wrong = |at: &str, says| (Severity::Error, Said { at: at.to_owned(), says });
    let trigger = match plugin.trigger(document.uses.action.as_deref()) {
        Err(reason) => return vec![wrong("/uses", reason)],
        Ok(trigger) => trigger,
    };
    let (known, expressions) = document.skeleton();
    let account = sandboxes.account(tenant);
    let mut findings = trigger.check(&account, &known, &expressions).await;
    let contract = sandboxes.plugins.contracts(&tenant.id).trigger(&document.uses);
    let later = contract.map(|contract| contract.expressions(&known)).unwrap_or_default();
    findings.extend(check_later(sandboxes, tenant, later).await);
    findings.extend(trigger.wrong_schemas(&account, &known).await);
    let named = |(severity, Said { at, says }): (Severity, Said)| {
        (severity, Said { at: format!("/with{at}"), says: format!("{}: {says}", spot("with", &at)) })
    };
    if !findings.is_empty() {
        return findings.into_iter().map(|finding| named((Severity::Error, finding))).collect();
    }
    // At an address of the same shape: what an expression of a trigger gives, its address decides.
    let config = match document.config("https://hooks.example.com/hooks/token") {
        Err(reason) => return vec![wrong("/with", reason)],
        Ok(config) => config,
    };
    let expressions = placed(document.template());
    let written = json!({ "kind": "trigger", "with": known, "expressions": expressions, "config": config });
    let said = remarks(sandboxes, tenant, (plugin, &trigger.name), &written).await;
    said.into_iter().map(named).collect()
}

async fn check_expressions(sandboxes: &Sandboxes, tenant: &Tenant, flow: &Flow) -> Vec<Finding> {
    let mut findings = vec![];
    let key = (tenant.id.clone(), flow.id.digest.clone());
    for expression in flow.foreign_expressions() {
        let checked =
            sandboxes.evaluator.check(&key, &expression.program, &expression.variables, limits(tenant)).await;
        if let Err(reason) = checked {
            let message = format!("the expression `{}` is wrong: {reason}", expression.program);
            findings.push(error(&flow.file, (expression.line, expression.column), message));
        }
    }
    findings
}

async fn check_schemas(sandboxes: &Sandboxes, tenant: &Tenant, flow: &Flow) -> Vec<Finding> {
    let mut findings = vec![];
    let key = (tenant.id.clone(), flow.id.digest.clone());
    for schema in flow.foreign_schemas() {
        if let Err(reason) = sandboxes.schemas.check(&key, &schema.text, limits(tenant)).await {
            findings.push(error(&flow.file, (schema.line, schema.column), reason));
        }
    }
    findings
}

/// Where expressions stand, and which, as wit/checks.wit has it.
fn placed(with: &Template) -> Value {
    let pointers = with.expression_pointers().into_iter();
    pointers.zip(with.programs()).map(|(at, text)| json!({ "at": at, "text": text })).collect()
}

/// What the plugin has to say about what was written. One that cannot be judged is refused.
async fn remarks(
    sandboxes: &Sandboxes,
    tenant: &Tenant,
    (plugin, name): (&Plugin, &str),
    written: &Value,
) -> Vec<(Severity, Said)> {
    let call = reading(sandboxes, tenant, plugin, name);
    let wrong = |says: String| vec![(Severity::Error, Said { at: String::new(), says })];
    match sandboxes.host.check(call, &written.to_string()).await {
        Ok(Called { result: Ok(remarks), .. }) => {
            let severity = |remark: &Remark| match remark.refuses() {
                true => Severity::Error,
                false => Severity::Warning,
            };
            let remarks = remarks.into_iter().take(REMARKS);
            let said =
                |remark: Remark| (severity(&remark), Said { at: remark.at, says: sentence(remark.says) });
            remarks.map(said).collect()
        }
        Ok(Called { result: Err(problem), .. }) => wrong(format!("the plugin cannot judge it: {problem}")),
        Err(error) => wrong(format!("the plugin cannot judge it: {error}")),
    }
}

/// What is wrong with expressions that a plugin judges later.
async fn check_later(
    sandboxes: &Sandboxes,
    tenant: &Tenant,
    expressions: Vec<(String, String)>,
) -> Vec<Said> {
    let mut findings = vec![];
    for (at, program) in expressions {
        let key = (tenant.id.clone(), "check".to_owned());
        if let Err(reason) = sandboxes.evaluator.check(&key, &program, &[], limits(tenant)).await {
            findings.push(Said { at, says: format!("the expression `{program}` is wrong: {reason}") });
        }
    }
    findings
}

/// `with.headers.x` for the pointer `/headers/x`.
fn spot(root: &str, pointer: &str) -> String {
    format!("`{root}{}`", pointer.replace('/', "."))
}

fn error(file: &str, (line, column): (u64, u64), message: String) -> Finding {
    Finding { file: file.to_owned(), line, column, message, severity: Severity::Error }
}
