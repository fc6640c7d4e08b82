//! A [`Flow`]: the typed, checked form of a document of the workflow language, and how it is read.
//!
//! Tasks lie in one arena and are named by index, so that a run can point at one without borrowing the flow. What a
//! task means is said in [`task`](super::task), one file per kind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::id::{FlowId, PluginRef, version_of};
use crate::nearest::nearest;

use super::contract::{Contract, Contracts};
use super::finding::Finding;
use super::needs::Needs;
use super::node::{Node, Place};
use super::reachable;
use super::reader::{
    AFTER, Fields, ForeignExpression, ForeignSchema, Found, Keys, NAME_RULE, Reader, is_name,
};
use super::schedule::{self, Schedule};
use super::schema::Schema;
use super::task::call::Function;
use super::task::retry::{self, Retry};
use super::task::{Kind, Task, raise};
use super::template::Template;

/// The index of a task in its flow.
pub(crate) type TaskIndex = usize;
/// The index of a task list in its flow.
pub(crate) type ListIndex = usize;

/// Whether the runs of a flow survive the process: `document.metadata.durable`, true by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// They are journalled on disk.
    #[default]
    Durable,
    /// They live in memory.
    Volatile,
}

/// As the document has it: true where they survive.
impl serde::Serialize for Durability {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(*self == Self::Durable)
    }
}

/// A definition, read and checked.
#[derive(Debug)]
pub struct Flow {
    /// Its name, and the digest of its canonical text.
    pub id: FlowId,
    /// One line for people.
    pub title: Option<String>,
    /// Some more, Markdown.
    pub summary: Option<String>,
    /// Whether its runs survive the process.
    pub durability: Durability,
    /// The document as canonical JSON text: reading it gives this flow again.
    pub source: String,
    /// The file as the caller named it.
    pub file: String,
    /// What is odd about it.
    pub warnings: Vec<Finding>,
    /// `$workflow.definition`.
    pub(crate) definition: Value,
    pub(crate) input: Input,
    pub(crate) output: Output,
    pub(crate) timeout: Option<Duration>,
    pub(crate) schedule: Option<Schedule>,
    /// What it may use of its tenant's vault.
    pub(crate) needs: Arc<Needs>,
    pub(crate) root: ListIndex,
    pub(crate) lists: Vec<Vec<TaskIndex>>,
    pub(crate) tasks: Vec<Task>,
    foreign: Vec<ForeignExpression>,
    schemas: Vec<ForeignSchema>,
    /// The document as it was written, as long as nobody has said which plugins there are.
    pub(super) written: Option<Node>,
}

/// `input` of a flow or a task.
#[derive(Debug, Default)]
pub(crate) struct Input {
    pub schema: Option<Schema>,
    pub from: Option<Template>,
}

/// `output` or `export` of a flow or a task.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub as_: Option<Template>,
    pub schema: Option<Schema>,
}

/// A place in a flow that calls a plugin.
pub(crate) struct CallSite<'f> {
    /// What is called.
    pub plugin: &'f PluginRef,
    /// Its input.
    pub with: &'f Template,
    call: Place,
    node: Option<&'f Node>,
}

impl CallSite<'_> {
    /// Line and column of what a JSON pointer into `with` leads to, or of the nearest thing around it.
    pub(crate) fn place(&self, pointer: &str) -> (u64, u64) {
        let at = self.node.map_or(self.call, |node| node.place(pointer));
        (at.line, at.column)
    }

    /// Line and column of the value of `call`.
    pub(crate) fn call_place(&self) -> (u64, u64) {
        (self.call.line, self.call.column)
    }
}

impl Flow {
    /// Whether several things of one run may be under way at the same time.
    pub(crate) fn has_branches(&self) -> bool {
        self.tasks.iter().any(|task| matches!(task.kind, Kind::Fork(_)))
    }

    /// Every plugin call, in the order of the text.
    pub(crate) fn calls(&self) -> impl Iterator<Item = CallSite<'_>> {
        self.tasks.iter().filter_map(|task| match &task.kind {
            Kind::Call(call) => Some(CallSite {
                plugin: &call.plugin,
                with: &call.with,
                call: call.at,
                node: call.node.as_ref(),
            }),
            _ => None,
        })
    }

    /// Every expression that is not native: the expression guest must compile it before the flow is deployed.
    pub(crate) fn foreign_expressions(&self) -> &[ForeignExpression] {
        &self.foreign
    }

    /// Every schema that is not plain: the schema guest must compile it before the flow is deployed.
    pub(crate) fn foreign_schemas(&self) -> &[ForeignSchema] {
        &self.schemas
    }

    /// `namespace/name`.
    pub fn qualified_name(&self) -> String {
        format!("{}/{}", self.id.namespace, self.id.name)
    }
}

/// What `use` declares.
#[derive(Default)]
pub(crate) struct Uses {
    pub errors: BTreeMap<String, raise::ErrorDefinition>,
    pub retries: BTreeMap<String, Retry>,
    pub timeouts: BTreeMap<String, Duration>,
    pub functions: BTreeMap<String, Function>,
    /// The retry policies as they were written, for plugins that take one.
    pub written_retries: BTreeMap<String, Node>,
}

/// Where tasks are gathered while a document is read.
pub(crate) struct Builder<'a> {
    pub reader: Reader<'a>,
    pub uses: Uses,
    pub tasks: Vec<Task>,
    pub lists: Vec<Vec<TaskIndex>>,
    contracts: Option<&'a dyn Contracts>,
}

const FLOW: Keys<'_> = Keys {
    known: &["document", "input", "use", "do", "timeout", "output", "schedule", "evaluate"],
    later: &[("metadata", "write it under `document`")],
};
const HEAD: Keys<'_> = Keys {
    known: &["dsl", "namespace", "name", "version", "title", "summary", "tags", "metadata"],
    later: &[],
};
const USE: Keys<'_> = Keys {
    known: &["errors", "retries", "timeouts", "functions", "secrets"],
    later: &[
        ("authentications", "give the plugin its credentials in `with`"),
        ("catalogs", "plugins are installed on the host and called as `name:version@default`"),
        ("extensions", ""),
    ],
};

/// Reads a flow. Without `contracts` nothing is known of the plugins that it calls.
pub(crate) fn read(root: &Node, file: &str, contracts: Option<&dyn Contracts>) -> Result<Flow, Vec<Finding>> {
    let mut builder = Builder {
        reader: Reader::new(file),
        uses: Uses::default(),
        tasks: Vec::new(),
        lists: Vec::new(),
        contracts,
    };
    let flow = builder.flow(root);
    let Builder { mut reader, tasks, lists, .. } = builder;
    if !reader.has_errors() {
        reachable::warn(&tasks, &lists, &mut reader);
    }
    let needs = std::mem::take(&mut reader.needing).finish();
    let Found { findings, expressions: foreign, schemas } = reader.finish();
    match flow {
        Some(flow) if !findings.iter().any(Finding::is_error) => {
            Ok(Flow { warnings: findings, foreign, schemas, needs: needs.into(), tasks, lists, ..flow })
        }
        _ => Err(findings),
    }
}

impl Builder<'_> {
    fn flow(&mut self, root: &Node) -> Option<Flow> {
        let fields = self.reader.map(root, "a flow", &FLOW)?;
        let source = root.to_value();
        let text = source.to_string();
        let head = fields
            .get("document")
            .and_then(|node| self.reader.map(node, "`document`", &HEAD).map(|head| (node, head)));
        let id = head.and_then(|(node, head)| self.id(node, head, &text));
        let optional = |builder: &mut Self, key: &str| {
            let node = head.and_then(|(_, head)| head.get(key))?;
            builder.reader.text(node, &format!("`{key}`")).map(str::to_owned)
        };
        let (title, summary) = (optional(self, "title"), optional(self, "summary"));
        let durability = head.and_then(|(_, head)| self.durability(head));
        if let Some(node) = fields.get("use") {
            self.uses(node);
        }
        if let Some(node) = fields.get("evaluate") {
            self.evaluate(node);
        }
        let input = self.input(fields.get("input"), &["workflow", "runtime", "secrets"]);
        let root_list = match fields.get("do") {
            Some(node) => self.task_list(node, "/do"),
            None => {
                self.reader.error(root.at, "a flow needs `do`: the list of its tasks");
                None
            }
        };
        let scope = ["context", "input", "output", "workflow", "runtime", "secrets"];
        let output = self.output(fields.get("output"), "`output`", &scope);
        let timeout = fields.get("timeout").and_then(|node| self.timeout(node));
        let timezone = head.and_then(|(_, head)| head.get("metadata")?.get("timezone"));
        let timezone = timezone.map(|entry| &entry.value);
        let schedule =
            fields.get("schedule").and_then(|node| schedule::read(&mut self.reader, node, timezone));
        Some(Flow {
            id: id?,
            title,
            summary,
            durability: durability.unwrap_or_default(),
            definition: json!({ "document": source["document"].clone() }),
            source: text,
            file: self.reader.file().to_owned(),
            warnings: Vec::new(),
            input,
            output,
            timeout,
            schedule,
            needs: Arc::default(),
            root: root_list?,
            lists: Vec::new(),
            tasks: Vec::new(),
            foreign: Vec::new(),
            schemas: Vec::new(),
            written: self.contracts.is_none().then(|| root.clone()),
        })
    }

    /// What is known of an action's input.
    pub(crate) fn contract(&self, plugin: &PluginRef) -> Option<Arc<Contract>> {
        self.contracts?.action(plugin)
    }

    /// The action that serves `call: http`. A flow that is not bound yet has a name of the language's in its place.
    pub(crate) fn http(&self) -> PluginRef {
        let served = self.contracts.and_then(|contracts| contracts.http());
        served.unwrap_or_else(|| PluginRef {
            name: "http".to_owned(),
            action: None,
            version: semver::Version::new(1, 0, 0),
        })
    }

    fn id(&mut self, node: &Node, head: Fields<'_>, text: &str) -> Option<FlowId> {
        let mut required = |key: &str| {
            let Some(value) = head.get(key) else {
                self.reader.error(node.at, format!("`document` needs `{key}`"));
                return None;
            };
            Some((value.at, self.reader.text(value, &format!("`{key}`"))?.to_owned()))
        };
        let (dsl, namespace) = (required("dsl"), required("namespace"));
        let (name, version) = (required("name"), required("version"));
        if let Some((at, dsl)) = dsl
            && !semver::Version::parse(&dsl).is_ok_and(|dsl| (dsl.major, dsl.minor) == (1, 0))
        {
            self.reader.error(at, format!("`dsl: {dsl}` is not supported: it is 1.0.x, such as '1.0.3'"));
        }
        for (key, value) in [("namespace", &namespace), ("name", &name)] {
            if let Some((at, text)) = value
                && !is_name(text)
            {
                self.reader.error(*at, format!("`{text}` cannot be a {key}: it consists of {NAME_RULE}"));
            }
        }
        if let Some((at, version)) = &version
            && let Err(message) = version_of(version)
        {
            self.reader.error(*at, message);
        }
        let digest = blake3::hash(text.as_bytes()).to_hex();
        Some(FlowId {
            namespace: namespace?.1,
            name: name?.1,
            version: version?.1,
            digest: digest[..32].to_owned(),
        })
    }

    fn durability(&mut self, head: Fields<'_>) -> Option<Durability> {
        let metadata = head.get("metadata")?;
        self.reader.entries(metadata, "`metadata`")?;
        let durable = &metadata.get("durable")?.value;
        match self.reader.boolean(durable, "`durable`")? {
            true => Some(Durability::Durable),
            false => Some(Durability::Volatile),
        }
    }

    fn evaluate(&mut self, node: &Node) {
        let keys = Keys { known: &["language", "mode"], later: &[] };
        let Some(fields) = self.reader.map(node, "`evaluate`", &keys) else {
            return;
        };
        for (key, only) in [("language", "jq"), ("mode", "strict")] {
            if let Some(node) = fields.get(key)
                && let Some(text) = self.reader.text(node, &format!("`{key}`"))
                && text != only
            {
                self.reader.error(node.at, format!("`{key}: {text}` is not supported: it is `{only}`"));
            }
        }
    }

    fn uses(&mut self, node: &Node) {
        let Some(fields) = self.reader.map(node, "`use`", &USE) else {
            return;
        };
        if let Some(secrets) = fields.get("secrets") {
            self.reader.declare_secrets(secrets);
        }
        let section = |builder: &mut Self, key: &str| {
            let node = fields.get(key)?;
            builder.reader.entries(node, &format!("`use.{key}`"))
        };
        for entry in section(self, "timeouts").unwrap_or_default() {
            if let Some(timeout) = self.inline_timeout(&entry.value) {
                self.uses.timeouts.insert(entry.key.clone(), timeout);
            }
        }
        for entry in section(self, "errors").unwrap_or_default() {
            if let Some(error) = raise::definition(self, &entry.value) {
                self.uses.errors.insert(entry.key.clone(), error);
            }
        }
        for entry in section(self, "retries").unwrap_or_default() {
            if let Some(retry) = retry::policy(self, &entry.value) {
                self.uses.retries.insert(entry.key.clone(), retry);
                self.uses.written_retries.insert(entry.key.clone(), entry.value.clone());
            }
        }
        for entry in section(self, "functions").unwrap_or_default() {
            if let Some(function) = super::task::call::function(self, &entry.value) {
                self.uses.functions.insert(entry.key.clone(), function);
            }
        }
    }

    pub(crate) fn input(&mut self, node: Option<&Node>, scope: &[&str]) -> Input {
        let keys = Keys { known: &["schema", "from"], later: &[] };
        let Some(fields) = node.and_then(|node| self.reader.map(node, "`input`", &keys)) else {
            return Input::default();
        };
        Input {
            schema: fields.get("schema").and_then(|node| self.reader.schema(node)),
            from: fields.get("from").and_then(|node| self.reader.transform(node, "`from`", scope)),
        }
    }

    pub(crate) fn output(&mut self, node: Option<&Node>, what: &str, scope: &[&str]) -> Output {
        let keys = Keys { known: &["schema", "as"], later: &[] };
        let Some(fields) = node.and_then(|node| self.reader.map(node, what, &keys)) else {
            return Output::default();
        };
        Output {
            as_: fields.get("as").and_then(|node| self.reader.transform(node, "`as`", scope)),
            schema: fields.get("schema").and_then(|node| self.reader.schema(node)),
        }
    }

    /// `output` or `export` of a task.
    pub(crate) fn task_output(&mut self, node: Option<&Node>, what: &str) -> Output {
        self.output(node, what, AFTER)
    }

    /// A timeout: in place, or the name of one in `use.timeouts`.
    pub(crate) fn timeout(&mut self, node: &Node) -> Option<Duration> {
        let super::node::Data::Text(name) = &node.data else {
            return self.inline_timeout(node);
        };
        let found = self.uses.timeouts.get(name).copied();
        if found.is_none() {
            let known = self.uses.timeouts.keys().map(String::as_str);
            let message = unknown_use("timeouts", name, nearest(name, known));
            self.reader.error(node.at, message);
        }
        found
    }

    fn inline_timeout(&mut self, node: &Node) -> Option<Duration> {
        let keys = Keys { known: &["after"], later: &[] };
        let fields = self.reader.map(node, "`timeout`", &keys)?;
        match fields.get("after") {
            Some(after) => self.reader.duration(after, "`after`"),
            None => {
                self.reader.error(node.at, "`timeout` needs `after`: a duration such as PT30S");
                None
            }
        }
    }
}

/// The sentence about a name that `use` does not declare.
pub(crate) fn unknown_use(section: &str, name: &str, near: Option<&str>) -> String {
    match near {
        Some(near) => format!("`use.{section}` has no `{name}`: did you mean `{near}`?"),
        None => format!("`use.{section}` has no `{name}`: declare it there"),
    }
}
