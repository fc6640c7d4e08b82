//! `switch`: the first case whose condition holds says where the run goes. The output is the input.

use crate::flow::definition::Builder;
use crate::flow::node::{Entry, Node};
use crate::flow::reader::{INSIDE, Keys};
use crate::flow::state::{Body, Next, Stop, Turn, truthy};
use crate::flow::template::Template;

use super::kind::{Memory, Syntax, TaskKind, TaskParts};
use super::read::ListNames;
use super::{Kind, Then};

#[derive(Debug)]
pub(crate) struct Switch {
    cases: Vec<Case>,
}

#[derive(Debug)]
struct Case {
    /// None where the case always holds.
    when: Option<Template>,
    then: Then,
}

const CASE: Keys<'_> = Keys { known: &["when", "then"], later: &[] };

impl TaskKind for Switch {
    const NAME: &'static str = "switch";
    const SYNTAX: Option<Syntax> = Some(Syntax { key: Self::NAME, with: &[], read });
    /// The case that is looked at.
    type Progress = Memory<usize>;

    fn step(&self, turn: &mut Turn<'_>) -> Result<Next, Stop> {
        let input = turn.input();
        let first = match turn.body() {
            Body::Switch(Memory(case)) => *case,
            _ => 0,
        };
        for (index, case) in self.cases.iter().enumerate().skip(first) {
            *turn.body() = Body::Switch(Memory(index));
            let holds = match &case.when {
                Some(when) => truthy(&turn.evaluate(when, &input)?),
                None => true,
            };
            if holds {
                return Ok(Next::Jump(input, case.then));
            }
        }
        Ok(Next::Done(input))
    }

    fn leads_to(&self, then: Then) -> Vec<Then> {
        let cases = self.cases.iter().map(|case| case.then);
        let always_one = self.cases.iter().any(|case| case.when.is_none());
        cases.chain((!always_one).then_some(then)).collect()
    }
}

fn read(builder: &mut Builder<'_>, node: &Node, parts: &TaskParts<'_>) -> Option<Kind> {
    let items = builder.reader.list(node, "`switch`")?;
    if items.is_empty() {
        builder.reader.error(node.at, "`switch` needs at least one case");
        return None;
    }
    let mut cases = Vec::new();
    let mut default: Option<&str> = None;
    for item in items {
        let Some(entry) = builder.named(item, "a case") else {
            continue;
        };
        if let Some(default) = default {
            let message =
                format!("the case `{}` is never looked at: `{default}` before it always holds", entry.key);
            builder.reader.warning(entry.at, message);
        }
        if let Some(case) = read_case(builder, entry, parts.names) {
            if case.when.is_none() {
                default.get_or_insert(&entry.key);
            }
            cases.push(case);
        }
    }
    (cases.len() == items.len()).then(|| Switch { cases }.into())
}

fn read_case(builder: &mut Builder<'_>, entry: &Entry, names: ListNames<'_>) -> Option<Case> {
    let fields = builder.reader.map(&entry.value, "a case", &CASE)?;
    let when = fields.get("when").map(|node| builder.reader.expression(node, "`when`", INSIDE));
    let Some(then) = fields.get("then") else {
        let message = format!("the case `{}` needs `then`: where the run goes", entry.key);
        builder.reader.error(entry.at, message);
        return None;
    };
    let then = builder.then(then, names)?;
    Some(Case { when: super::optional(when)?, then })
}
