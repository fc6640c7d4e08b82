//! `raise`: ends the task with an error of the author's making.

use serde_json::Value;

use crate::flow::definition::{Builder, unknown_use};
use crate::flow::node::{Data, Node};
use crate::flow::reader::{INSIDE, Keys};
use crate::flow::state::{Next, Stop, Turn};
use crate::flow::template::Template;
use crate::nearest::nearest;
use crate::problem::{Problem, canonical, kind};

use super::kind::{Memory, Syntax, TaskKind, TaskParts};
use super::{Kind, Then};

/// An error as it is written, in `raise` or in `use.errors`.
#[derive(Clone, Debug)]
pub(crate) struct ErrorDefinition(Template);

#[derive(Debug)]
pub(crate) struct Raise {
    error: ErrorDefinition,
}

const ERROR: Keys<'_> = Keys { known: &["type", "status", "title", "detail", "instance"], later: &[] };

impl TaskKind for Raise {
    const NAME: &'static str = "raise";
    const SYNTAX: Option<Syntax> = Some(Syntax { key: Self::NAME, with: &[], read });
    type Progress = Memory<()>;

    fn step(&self, turn: &mut Turn<'_>) -> Result<Next, Stop> {
        let input = turn.input();
        let error = turn.evaluate(&self.error.0, &input)?;
        Err(problem(&error).into())
    }

    /// Nowhere: what catches the error says where the run goes.
    fn leads_to(&self, _: Then) -> Vec<Then> {
        vec![]
    }
}

fn read(builder: &mut Builder<'_>, node: &Node, _: &TaskParts<'_>) -> Option<Kind> {
    let keys = Keys { known: &["error"], later: &[] };
    let fields = builder.reader.map(node, "`raise`", &keys)?;
    let Some(error) = fields.get("error") else {
        builder.reader.error(node.at, "`raise` needs `error`: an error, or the name of one in `use.errors`");
        return None;
    };
    let error = match &error.data {
        Data::Text(name) => named(builder, error, name),
        _ => definition(builder, error),
    };
    Some(Raise { error: error? }.into())
}

fn named(builder: &mut Builder<'_>, node: &Node, name: &str) -> Option<ErrorDefinition> {
    let found = builder.uses.errors.get(name).cloned();
    if found.is_none() {
        let known = builder.uses.errors.keys().map(String::as_str);
        let message = unknown_use("errors", name, nearest(name, known));
        builder.reader.error(node.at, message);
    }
    found
}

/// Reads an error.
pub(crate) fn definition(builder: &mut Builder<'_>, node: &Node) -> Option<ErrorDefinition> {
    let fields = builder.reader.map(node, "an error", &ERROR)?;
    for key in ["type", "status"] {
        if fields.get(key).is_none() {
            builder.reader.error(node.at, format!("an error needs `{key}`"));
        }
    }
    for key in ["type", "title", "detail", "instance"] {
        if let Some(node) = fields.get(key) {
            builder.reader.text(node, &format!("`{key}`"));
        }
    }
    if let Some(status) = fields.get("status")
        && !matches!(status.data, Data::Text(_))
    {
        builder.reader.integer(status, "`status`", 100..=599);
    } else if let Some(status) = fields.get("status")
        && Template::compile(&status.to_value()).is_literal()
    {
        builder.reader.error(status.at, "`status` is a whole number from 100 to 599");
    }
    Some(ErrorDefinition(builder.reader.template(node, INSIDE)))
}

/// The error that was evaluated. Where its fields are not what they must be, it is an error about that instead.
fn problem(error: &Value) -> Problem {
    let status = error["status"].as_u64().filter(|status| (100..=599).contains(status));
    let text = |key: &str| match &error[key] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let (Some(kind), Some(status)) = (error["type"].as_str(), status) else {
        let detail = format!(
            "`raise`: the error's `type` must be a text and its `status` from 100 to 599; it is {error}"
        );
        return Problem::new(kind::VALIDATION, "a value is not what the task needs", 400).detail(detail);
    };
    let status = u16::try_from(status).unwrap_or(500);
    let mut problem = Problem::new(canonical(kind), text("title").unwrap_or_default(), status);
    problem.detail = text("detail");
    problem.instance = text("instance");
    problem
}
