//! `call`: a plugin does the work. Reads every spelling of a call; how a running one comes along is in [`progress`].

use std::sync::Arc;

use serde_json::Value;

use crate::flow::contract::{Contract, Format};
use crate::flow::definition::{Builder, Input, unknown_use};
use crate::flow::node::{Data, Node, Place};
use crate::flow::reader::{INSIDE, Keys};
use crate::flow::state::{Body, Holder, Next, Stop, Turn};
use crate::flow::template::Template;
use crate::id::PluginRef;
use crate::nearest::nearest;
use crate::problem::{Problem, kind};

use super::kind::{Syntax, TaskKind, TaskParts};
use super::{Kind, respond, uri};

mod progress;

pub(crate) use progress::{CallbackNow, Progress, answered, called_back, host_stopped, interrupted};

/// A call of a plugin.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub plugin: PluginRef,
    /// The plugin's input.
    pub with: Template,
    /// Where the value of `call` stands.
    pub at: Place,
    /// `with` as it was written, for its places.
    pub node: Option<Node>,
    /// What `with` is evaluated over, where a function is called with arguments.
    arguments: Option<Arguments>,
    /// The connections that `with` names: this step uses these, and no other one of the flow's.
    pub connections: Arc<[String]>,
    /// Whether `endpoint` has names in braces.
    expand: bool,
}

#[derive(Clone, Debug)]
struct Arguments {
    value: Template,
    input: Arc<Input>,
}

/// A call in `use.functions`.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    call: Call,
    input: Arc<Input>,
    /// A function without `with` of its own hands its arguments on.
    has_with: bool,
}

const HTTP: Keys<'_> =
    Keys { known: &["method", "endpoint", "headers", "query", "body", "output", "redirect"], later: &[] };
const ENDPOINT: Keys<'_> = Keys {
    known: &["uri"],
    later: &[(
        "authentication",
        "call the plugin for HTTP requests by its name (`flowcell plugins list`): it takes `basic` and `connection`",
    )],
};
/// Kinds of call that the language has and this host does not, each with the reason and the way out.
const REFUSED: &[(&str, &str)] = &[
    ("grpc", "gRPC is not spoken inside the sandbox; call the service's HTTP interface with `call: http`"),
    (
        "asyncapi",
        "message brokers are not reachable from the sandbox; use the broker's HTTP interface with `call: http`",
    ),
    ("openapi", "it is not supported yet; write the request with `call: http`"),
    ("a2a", "it is not supported yet; write the request with `call: http`"),
    ("mcp", "it is not supported yet; write the request with `call: http`"),
];

fn read(builder: &mut Builder<'_>, node: &Node, parts: &TaskParts<'_>) -> Option<Kind> {
    let fields = parts.fields;
    let target = builder.reader.text(node, "`call`")?;
    let with = fields.get("with");
    if let Some(function) = builder.uses.functions.get(target).cloned() {
        return Some(call_function(builder, function, node, with).into());
    }
    if target.split(['.', ':', '@']).next() == Some("respond") {
        return respond::read(builder, node, target, with).map(Kind::from);
    }
    read_target(builder, node, target, with).map(Kind::from)
}

/// Reads an element of `use.functions`.
pub(crate) fn function(builder: &mut Builder<'_>, node: &Node) -> Option<Function> {
    let keys = Keys {
        known: &["call", "with", "input", "metadata"],
        later: &[
            ("output", "write it at the task that calls the function"),
            ("export", "write it at the task that calls the function"),
            ("if", "write it at the task that calls the function"),
            ("timeout", "write it at the task that calls the function"),
            ("do", "a function is one call"),
            ("set", "a function is one call"),
            ("run", "a function is one call"),
        ],
    };
    let fields = builder.reader.map(node, "a function", &keys)?;
    let Some(target) = fields.get("call") else {
        builder.reader.error(node.at, "a function needs `call`: what it calls");
        return None;
    };
    let input = builder.input(fields.get("input"), INSIDE);
    if let Some(from) = fields.get("input").and_then(|input| input.get("from")) {
        builder.reader.error(from.at, "`input.from` of a function is not supported yet: use `with`");
    }
    let text = builder.reader.text(target, "`call`")?;
    let call = read_target(builder, target, text, fields.get("with"))?;
    Some(Function { call, input: Arc::new(input), has_with: fields.get("with").is_some() })
}

fn call_function(builder: &mut Builder<'_>, function: Function, node: &Node, with: Option<&Node>) -> Call {
    let call = function.call;
    let Some(with) = with else {
        return call;
    };
    if !function.has_with {
        let (with, template, connections) = written(builder, &call.plugin, with);
        return Call { with: template, node: Some(with), connections, at: node.at, ..call };
    }
    let value = builder.reader.template(with, INSIDE);
    Call { arguments: Some(Arguments { value, input: function.input }), ..call }
}

fn read_target(builder: &mut Builder<'_>, node: &Node, target: &str, with: Option<&Node>) -> Option<Call> {
    if target == "http" {
        return http(builder, node, with);
    }
    if let Some((_, reason)) = REFUSED.iter().find(|(name, _)| *name == target) {
        builder.reader.error(node.at, format!("`call: {target}` is refused: {reason}"));
        return None;
    }
    if target.contains("://") {
        let message = "a function from a URL is not supported yet: install a plugin and call it as `name:1.0.0@default`";
        builder.reader.error(node.at, message);
        return None;
    }
    let plugin: PluginRef = match target.parse() {
        Ok(plugin) => plugin,
        Err(message) => {
            let message = unknown_target(builder, target).unwrap_or(message);
            builder.reader.error(node.at, message);
            return None;
        }
    };
    let call = Call {
        plugin,
        with: Template::literal(Value::Object(Default::default())),
        at: node.at,
        node: None,
        arguments: None,
        connections: [].into(),
        expand: false,
    };
    let Some(with) = with else {
        return Some(call);
    };
    let (with, template, connections) = written(builder, &call.plugin, with);
    Some(Call { with: template, node: Some(with), connections, ..call })
}

/// The `with` of a call, as the plugin's contract has it: the value in which retry policies stand instead of their names,
/// that as a template, and the connections that it names.
fn written(builder: &mut Builder<'_>, plugin: &PluginRef, with: &Node) -> (Node, Template, Arc<[String]>) {
    let Some(contract) = builder.contract(plugin) else {
        return (with.clone(), builder.reader.template(with, INSIDE), [].into());
    };
    let with = with_retries(builder, &contract, with);
    let connections = builder.reader.need_in_call(&contract, &with);
    let template = builder.reader.template(&with, INSIDE);
    (with, template, connections)
}

/// `with`, in which the name of a policy in `use.retries` stands for what it says. In a flow without such policies a name is
/// what the action takes it for.
fn with_retries(builder: &mut Builder<'_>, contract: &Contract, with: &Node) -> Node {
    let mut with = with.clone();
    if builder.uses.written_retries.is_empty() {
        return with;
    }
    let named = contract.sites(&with).into_iter().filter_map(|site| match (site.format, &site.node.data) {
        (Format::RetryPolicy, Data::Text(name)) if !name.trim_start().starts_with("${") => {
            Some((site.pointer, name.clone(), site.node.at))
        }
        _ => None,
    });
    for (pointer, name, at) in named.collect::<Vec<_>>() {
        match (builder.uses.written_retries.get(&name), with.at_mut(&pointer)) {
            (Some(policy), Some(place)) => *place = policy.clone(),
            _ => {
                let known = builder.uses.written_retries.keys().map(String::as_str);
                let message = unknown_use("retries", &name, nearest(&name, known));
                builder.reader.error(at, message);
            }
        }
    }
    with
}

/// A name without a version: perhaps a misspelt function or kind of call.
fn unknown_target(builder: &Builder<'_>, target: &str) -> Option<String> {
    if target.contains([':', '@']) {
        return None;
    }
    let functions = builder.uses.functions.keys().map(String::as_str);
    if let Some(near) = nearest(target, functions.chain(["http"])) {
        return Some(format!("`call: {target}` is neither a plugin nor a function: did you mean `{near}`?"));
    }
    Some(format!("`call: {target}` has no version: a plugin is called as `{target}:1.0.0@default`"))
}

fn http(builder: &mut Builder<'_>, node: &Node, with: Option<&Node>) -> Option<Call> {
    let Some(with) = with else {
        builder.reader.error(node.at, "`call: http` needs `with`: at least `method` and `endpoint`");
        return None;
    };
    let fields = builder.reader.map(with, "`with` of `call: http`", &HTTP)?;
    if let Some(method) = fields.get("method") {
        builder.reader.text(method, "`method`");
    } else {
        builder.reader.error(with.at, "`call: http` needs `method`, such as get");
    }
    if let Some(output) = fields.get("output")
        && let Some(text) = builder.reader.text(output, "`output`")
        && !["content", "raw", "response"].contains(&text)
    {
        let message = format!("`output: {text}` is none of `content`, `raw` and `response`");
        builder.reader.error(output.at, message);
    }
    if let Some(redirect) = fields.get("redirect") {
        builder.reader.boolean(redirect, "`redirect`");
    }
    let Some(endpoint) = fields.get("endpoint") else {
        builder.reader.error(with.at, "`call: http` needs `endpoint`: the address to call");
        return None;
    };
    let (address, expand) = endpoint_of(builder, endpoint)?;
    let normal = with_endpoint(with, address);
    Some(Call {
        plugin: builder.http(),
        with: builder.reader.template(&normal, INSIDE),
        at: node.at,
        node: Some(normal),
        arguments: None,
        connections: [].into(),
        expand,
    })
}

/// The text of an endpoint, and whether it has names in braces.
fn endpoint_of(builder: &mut Builder<'_>, endpoint: &Node) -> Option<(Node, bool)> {
    let address = match &endpoint.data {
        Data::Map(_) => {
            let fields = builder.reader.map(endpoint, "`endpoint`", &ENDPOINT)?;
            let Some(uri) = fields.get("uri") else {
                builder.reader.error(endpoint.at, "`endpoint` needs `uri`");
                return None;
            };
            uri
        }
        _ => endpoint,
    };
    let text = builder.reader.text(address, "`endpoint`")?;
    let is_literal = Template::compile(&address.to_value()).is_literal() && !text.contains("${");
    if !is_literal {
        return Some((address.clone(), false));
    }
    match uri::check(text) {
        Ok(expand) => Some((address.clone(), expand)),
        Err(message) => {
            builder.reader.error(address.at, message);
            None
        }
    }
}

fn with_endpoint(with: &Node, address: Node) -> Node {
    let mut normal = with.clone();
    if let Data::Map(entries) = &mut normal.data {
        for entry in entries.iter_mut().filter(|entry| entry.key == "endpoint") {
            entry.value = address.clone();
        }
    }
    normal
}

impl TaskKind for Call {
    const NAME: &'static str = "call";
    const SYNTAX: Option<Syntax> = Some(Syntax { key: Self::NAME, with: &["with"], read });
    type Progress = Progress;

    fn plugin(&self) -> Option<String> {
        Some(self.plugin.to_string())
    }

    fn step(&self, turn: &mut Turn<'_>) -> Result<Next, Stop> {
        if matches!(turn.body(), Body::Call(progress) if progress.attempt > 0) {
            return Err(Stop::Park);
        }
        let over = self.evaluated_over(turn)?;
        let mut with = turn.evaluate(&self.with, &over)?;
        if self.expand
            && let Some(Value::String(endpoint)) = with.get_mut("endpoint")
        {
            *endpoint = uri::expand(endpoint, &over).map_err(|message| {
                let problem = Problem::new(kind::EXPRESSION, "an expression failed", 400);
                Stop::from(problem.detail(message))
            })?;
        }
        turn.record_call(with)?;
        progress::attempt(turn, &self.plugin);
        Err(Stop::Park)
    }
}

impl Call {
    fn evaluated_over(&self, turn: &mut Turn<'_>) -> Result<Arc<Value>, Stop> {
        let Some(arguments) = &self.arguments else {
            return Ok(turn.input());
        };
        if let Body::Call(Progress { arguments: Some(value), .. }) = turn.body() {
            return Ok(Arc::clone(value));
        }
        let input = turn.input();
        let value = match turn.validated() {
            Some(value) => value,
            None => Arc::new(turn.evaluate(&arguments.value, &input)?),
        };
        turn.validate(arguments.input.schema.as_ref(), &value, "the function's arguments")?;
        turn.hold(Holder::Task, |turn| turn.measure(&value));
        turn.check_held()?;
        if let Body::Call(progress) = turn.body() {
            progress.arguments = Some(Arc::clone(&value));
        }
        Ok(value)
    }
}
