//! `call: respond`: the answer to the caller who waits for the run. Spelt like a plugin call, but the flow's own: no
//! sandbox is entered for it. The output is the input.
//!
//! Statuses and headers are legal when a [`Reply`] exists: written ones are checked when the flow is read, computed
//! ones when the step runs. The first reply of a run counts; a second one is a conflict that its step shows.

use serde_json::Value;

use crate::flow::definition::Builder;
use crate::flow::event::Effect;
use crate::flow::node::{Data, Node};
use crate::flow::reader::INSIDE;
use crate::flow::state::{Next, Stop, Turn};
use crate::flow::template::Template;
use crate::problem::{Problem, kind};

use super::kind::{Memory, Syntax, TaskKind};
use super::reply::{
    REDIRECT, WITH, base64, content_type, error, header_name, header_values, headers, reply, status,
};

/// What a flow writes after `call`, without the catalog.
pub(crate) const PLUGIN: &str = "respond:1.0.0";

#[derive(Debug)]
pub(crate) struct Respond {
    with: Template,
}

pub(super) fn read(
    builder: &mut Builder<'_>,
    node: &Node,
    target: &str,
    with: Option<&Node>,
) -> Option<Respond> {
    if target.strip_suffix("@default").unwrap_or(target) != PLUGIN {
        let message = format!("`call: {target}` is not known: the answer is given with `{PLUGIN}@default`");
        builder.reader.error(node.at, message);
        return None;
    }
    let Some(with) = with else {
        return Some(Respond { with: Template::literal(Value::Object(Default::default())) });
    };
    if matches!(with.data, Data::Map(_)) {
        check(builder, with)?;
    } else if Template::compile(&with.to_value()).is_literal() {
        builder.reader.entries(with, "`with` of `respond`")?;
    }
    Some(Respond { with: builder.reader.template(with, INSIDE) })
}

/// Every part that is written out is checked now.
fn check(builder: &mut Builder<'_>, with: &Node) -> Option<()> {
    let fields = builder.reader.map(with, "`with` of `respond`", &WITH)?;
    if let (Some(_), Some(base64)) = (fields.get("body"), fields.entry("base64")) {
        builder.reader.error(base64.at, "`body` and `base64` exclude each other");
    }
    for other in ["body", "base64", "redirect", "contentType"] {
        if let (Some(_), Some(entry)) = (fields.get("error"), fields.entry(other)) {
            builder.reader.error(entry.at, format!("`error` and `{other}` exclude each other"));
        }
    }
    written(builder, fields.get("error"), |value| error(value, 400).map(drop));
    if let (Some(_), Some(status)) = (fields.get("redirect"), fields.entry("status")) {
        builder.reader.error(status.at, "the status of a redirect stands in `redirect`");
    }
    written(builder, fields.get("status"), |value| status(value, 200..=599).map(drop));
    written(builder, fields.get("contentType"), |value| content_type(value).map(drop));
    written(builder, fields.get("base64"), |value| base64(value).map(drop));
    match fields.get("headers") {
        Some(Node { data: Data::Map(entries), .. }) => {
            for entry in entries {
                if let Err(message) = header_name(&entry.key) {
                    builder.reader.error(entry.at, message);
                }
                written(builder, Some(&entry.value), |value| header_values(value).map(drop));
            }
        }
        other => written(builder, other, |value| headers(value).map(drop)),
    }
    if let Some(node) = fields.get("redirect")
        && matches!(node.data, Data::Map(_))
        && let Some(redirect) = builder.reader.map(node, "`redirect`", &REDIRECT)
    {
        written(builder, redirect.get("status"), |value| status(value, 300..=399).map(drop));
        written(builder, redirect.get("location"), |value| header_values(value).map(drop));
        if redirect.get("location").is_none() {
            builder.reader.error(node.at, "`redirect` needs `location`: where to");
        }
    }
    Some(())
}

fn written(builder: &mut Builder<'_>, node: Option<&Node>, check: impl Fn(&Value) -> Result<(), String>) {
    if let Some(node) = node {
        let value = node.to_value();
        if Template::compile(&value).is_literal()
            && let Err(message) = check(&value)
        {
            builder.reader.error(node.at, message);
        }
    }
}

impl TaskKind for Respond {
    const NAME: &'static str = "call";
    const SYNTAX: Option<Syntax> = None;
    type Progress = Memory<()>;

    fn plugin(&self) -> Option<String> {
        Some(PLUGIN.to_owned())
    }

    fn step(&self, turn: &mut Turn<'_>) -> Result<Next, Stop> {
        let input = turn.input();
        let with = turn.evaluate(&self.with, &input)?;
        let reply = reply(&with).map_err(|(field, message)| {
            let problem = Problem::new(kind::VALIDATION, "an answer is not legal HTTP", 400);
            let data = serde_json::json!({ "field": field });
            Stop::from(problem.detail(format!("`{field}`: {message}")).data(data))
        })?;
        let step = turn.record_call(with)?;
        match turn.take_reply() {
            Ok(()) => turn.effect(Effect::Reply { step, reply }),
            Err(reason) => turn.record().problem = Some(conflict(&reason)),
        }
        Ok(Next::Done(input))
    }
}

fn conflict(reason: &str) -> Problem {
    Problem::new(kind::RUNTIME, "the answer was not delivered", 409)
        .detail(reason)
        .data(serde_json::json!({ "code": "reply-conflict" }))
}
