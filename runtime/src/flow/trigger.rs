//! A trigger document: which plugin judges what comes in, and which flow is started. Beyond the workflow language.
//!
//! Whether the plugin exists and takes this `with`, and whether the flow exists, is checked where triggers are deployed.
//! `with` may hold expressions, which see one thing: `$task.callback.url`, the trigger's own address. At which path of its
//! own a trigger takes requests is known when its plugin is.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::id::{PluginRef, version_of};

use super::contract::{Contract, Contracts, Format};
use super::expression::Budget;
use super::finding::Finding;
use super::needs::Needs;
use super::node::{Data, Node, Place};
use super::reader::{Fields, Keys, NAME_RULE, Reader, is_name, value};
use super::template::{Evaluation, Scope, Template};

/// What evaluating `with` may cost: it is evaluated once for each deployment.
const BUDGET: i64 = 1 << 20;

/// A trigger as it was written.
#[derive(Clone, Debug)]
pub struct TriggerDocument {
    /// Unique in tenant and namespace.
    pub name: String,
    /// `default` where the document names none.
    pub namespace: String,
    /// The plugin that judges requests.
    pub uses: PluginRef,
    /// Its configuration, as it was written.
    pub with: Value,
    /// What it starts.
    pub flow: FlowReference,
    /// Whether it is on.
    pub enabled: bool,
    /// The document as canonical JSON text.
    pub source: String,
    /// The file as the caller named it.
    pub file: String,
    /// What is odd about it.
    pub warnings: Vec<Finding>,
    /// What it may use of its tenant's vault.
    pub(crate) needs: Arc<Needs>,
    /// The path of its own, where it names one.
    pub(crate) path: Option<HookPath>,
    template: Template,
    node: Node,
}

/// The path of its own at which a trigger takes requests.
#[derive(Clone, Debug)]
pub(crate) struct HookPath {
    /// Without slashes around it.
    pub path: String,
    /// A JSON pointer into the document.
    pub pointer: String,
}

/// `name`, `namespace/name` or `namespace/name:version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowReference {
    /// The trigger's own where none is named.
    pub namespace: String,
    /// The flow's name.
    pub name: String,
    /// Without: the newest.
    pub version: Option<String>,
}

impl std::fmt::Display for FlowReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)?;
        match &self.version {
            Some(version) => write!(f, ":{version}"),
            None => Ok(()),
        }
    }
}

impl TriggerDocument {
    /// `namespace/name`.
    pub fn qualified_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// `with` as the plugin gets it, when the trigger takes requests at `url`. The error is a sentence.
    pub(crate) fn config(&self, url: &str) -> Result<Value, String> {
        let task = json!({ "callback": { "url": url } });
        let budget = Budget::new(BUDGET);
        let scope = Scope { input: &Value::Null, variables: &[("task", &task)], budget: &budget };
        match self.template.evaluate(&scope) {
            Evaluation::Value(config) => Ok(config),
            Evaluation::Failed(reason) => Err(format!("an expression in `with` fails: {reason}")),
            Evaluation::Guest => {
                Err("an expression in `with` is more than a trigger evaluates: write a simpler one".into())
            }
        }
    }

    /// `with` with null where expressions stand, and the JSON pointers to them.
    pub(crate) fn skeleton(&self) -> (Value, Vec<String>) {
        (self.template.skeleton(), self.template.expression_pointers())
    }

    /// `with` and its expressions.
    pub(crate) fn template(&self) -> &Template {
        &self.template
    }

    /// The document as it was written.
    pub(super) fn root(&self) -> &Node {
        &self.node
    }

    /// Line and column of what a JSON pointer into the document leads to, as in `/with/methods`, or of the nearest
    /// thing around it.
    pub fn place(&self, pointer: &str) -> (u64, u64) {
        let at = self.node.place(pointer);
        (at.line, at.column)
    }
}

const TRIGGER: Keys<'_> =
    Keys { known: &["trigger", "namespace", "uses", "with", "flow", "enabled"], later: &[] };

/// Reads a trigger. Without `contracts` nothing is known of its plugin.
pub(crate) fn read(
    root: &Node,
    file: &str,
    contracts: Option<&dyn Contracts>,
) -> Result<TriggerDocument, Vec<Finding>> {
    let mut reader = Reader::new(file);
    let trigger = trigger(&mut reader, root, contracts);
    let needs = std::mem::take(&mut reader.needing).finish();
    let findings = reader.finish().findings;
    match trigger {
        Some(trigger) if !findings.iter().any(Finding::is_error) => {
            Ok(TriggerDocument { warnings: findings, needs: needs.into(), ..trigger })
        }
        _ => Err(findings),
    }
}

fn trigger(
    reader: &mut Reader<'_>,
    root: &Node,
    contracts: Option<&dyn Contracts>,
) -> Option<TriggerDocument> {
    let fields = reader.map(root, "a trigger", &TRIGGER)?;
    let name = name(reader, fields, "trigger");
    let namespace = match fields.get("namespace") {
        Some(_) => self::name(reader, fields, "namespace"),
        None => Some("default".to_owned()),
    };
    let uses = required(reader, root, fields, "uses", "the plugin, as in `name:1.0.0@default`");
    let uses = uses.and_then(|(at, text)| match text.parse::<PluginRef>() {
        Ok(uses) => Some(uses),
        Err(message) => {
            reader.error(at, message);
            None
        }
    });
    let flow = required(reader, root, fields, "flow", "the name of the flow that it starts");
    let flow =
        flow.and_then(|(at, text)| match reference(&text, namespace.as_deref().unwrap_or("default")) {
            Ok(flow) => Some(flow),
            Err(message) => {
                reader.error(at, message);
                None
            }
        });
    let contract = uses.as_ref().and_then(|uses| contracts?.trigger(uses));
    let mut path = None;
    let template = match fields.get("with") {
        Some(with) => {
            reader.entries(with, "`with`");
            if let Some(contract) = contract {
                reader.need_in_trigger(&contract, with);
                path = hook_path(&contract, with);
            }
            let template = reader.template(with, &["task"]);
            for expression in template.foreign() {
                let message = format!(
                    "`{}` is more than a trigger evaluates: write a simple expression, such as `$task.callback.url`",
                    expression.program
                );
                reader.error(with.place(&expression.pointer), message);
            }
            template
        }
        None => Template::literal(json!({})),
    };
    let enabled = fields.get("enabled").map(|node| reader.boolean(node, "`enabled`"));
    Some(TriggerDocument {
        name: name?,
        namespace: namespace?,
        uses: uses?,
        with: fields.get("with").map_or_else(|| Value::Object(Default::default()), |node| value(Some(node))),
        flow: flow?,
        enabled: enabled.unwrap_or(Some(true))?,
        source: root.to_value().to_string(),
        file: reader.file().to_owned(),
        warnings: Vec::new(),
        needs: Arc::default(),
        path,
        template,
        node: root.clone(),
    })
}

/// The path that stands where the contract has one.
fn hook_path(contract: &Contract, with: &Node) -> Option<HookPath> {
    contract.sites(with).into_iter().find_map(|site| match (site.format, &site.node.data) {
        (Format::HookPath, Data::Text(path)) => Some(HookPath {
            path: path.trim_matches('/').to_owned(),
            pointer: format!("/with{}", site.pointer),
        }),
        _ => None,
    })
}

fn name(reader: &mut Reader<'_>, fields: Fields<'_>, key: &str) -> Option<String> {
    let node = fields.get(key)?;
    let text = reader.text(node, &format!("`{key}`"))?;
    if !is_name(text) {
        let message = format!("`{text}` cannot be the name of a {key}: it consists of {NAME_RULE}");
        reader.error(node.at, message);
        return None;
    }
    Some(text.to_owned())
}

fn required(
    reader: &mut Reader<'_>,
    root: &Node,
    fields: Fields<'_>,
    key: &str,
    meaning: &str,
) -> Option<(Place, String)> {
    let Some(node) = fields.get(key) else {
        reader.error(root.at, format!("a trigger needs `{key}`: {meaning}"));
        return None;
    };
    let text = reader.text(node, &format!("`{key}`"))?;
    Some((node.at, text.to_owned()))
}

fn reference(text: &str, own_namespace: &str) -> Result<FlowReference, String> {
    let (path, version) = match text.split_once(':') {
        Some((path, version)) => (path, Some(version)),
        None => (text, None),
    };
    let (namespace, name) = path.split_once('/').unwrap_or((own_namespace, path));
    if !is_name(namespace) || !is_name(name) {
        return Err(format!(
            "`{text}` does not name a flow: write `name`, `namespace/name` or `namespace/name:version`"
        ));
    }
    version.map(version_of).transpose()?;
    Ok(FlowReference {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        version: version.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Document, read};

    const GOOD: &str = "trigger: orders-in\nnamespace: shop\nuses: webhook:1.0.0@default\nwith: { methods: [POST] }\nflow: order-intake\n";

    #[test]
    fn a_trigger_is_read_with_its_defaults_and_places() {
        let documents = read(GOOD, "t.yaml").unwrap();
        let Document::Trigger(trigger) = &documents[0] else {
            panic!("a trigger");
        };
        assert_eq!(trigger.qualified_name(), "shop/orders-in");
        assert_eq!(trigger.flow.to_string(), "shop/order-intake");
        assert!(trigger.enabled);
        assert_eq!(trigger.place("/with/methods/0"), (4, 19));
        let again = read(&trigger.source, "journal").unwrap();
        let Document::Trigger(again) = &again[0] else {
            panic!("a trigger");
        };
        assert_eq!(again.source, trigger.source);
    }

    #[test]
    fn the_configuration_may_name_the_triggers_address() {
        let text =
            "trigger: a\nuses: x:1.0.0\nflow: f\nwith: { to: '${ \"\\($task.callback.url)?a=1\" }', n: 1 }\n";
        let documents = read(text, "t.yaml").unwrap();
        let Document::Trigger(trigger) = &documents[0] else {
            panic!("a trigger");
        };
        let config = trigger.config("https://h/hooks/t").unwrap();
        assert_eq!(config, serde_json::json!({ "to": "https://h/hooks/t?a=1", "n": 1 }));
        let wrong = |with: &str| {
            let text = format!("trigger: a\nuses: x:1.0.0\nflow: f\nwith: {{ to: '${{ {with} }}' }}\n");
            read(&text, "t.yaml").unwrap_err()[0].to_string()
        };
        assert_eq!(wrong("$workflow.id"), "t.yaml:4:13: unknown variable `$workflow` here: there are `task`");
        assert_eq!(
            wrong("$task | test(\"x\")"),
            "t.yaml:4:13: `$task | test(\"x\")` is more than a trigger evaluates: write a simple expression, such as `$task.callback.url`"
        );
    }

    #[test]
    fn a_wrong_trigger_says_everything_that_is_wrong() {
        let cases = [
            (
                "trigger: a\nuse: webhook:1.0.0\nflow: f\n",
                vec![
                    "t.yaml:1:1: a trigger needs `uses`: the plugin, as in `name:1.0.0@default`",
                    "t.yaml:2:1: unknown key `use` in a trigger: did you mean `uses`?",
                ],
            ),
            (
                "trigger: -a\nuses: webhook\nflow: a/b/c\nenabled: maybe\n",
                vec![
                    "t.yaml:1:10: `-a` cannot be the name of a trigger: it consists of letters, digits and dashes between them, at most 63 characters",
                    "t.yaml:2:7: `webhook` has no version: write it as `webhook:1.0.0@default`",
                    "t.yaml:3:7: `a/b/c` does not name a flow: write `name`, `namespace/name` or `namespace/name:version`",
                    "t.yaml:4:10: `enabled` is true or false, here is a text",
                ],
            ),
            (
                "trigger: a\nuses: webhook:1.0.0\nflow: f:latest\nwith: 3\n",
                vec![
                    "t.yaml:3:7: `latest` is not a version such as 1.0.0: unexpected character 'l' while parsing major version number",
                    "t.yaml:4:7: `with` is a map, here is a number",
                ],
            ),
        ];
        for (text, expected) in cases {
            let found: Vec<String> =
                read(text, "t.yaml").unwrap_err().iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
