//! Reading typed fields out of a tree of [`Node`]s and saying what is wrong with them.
//!
//! A reader collects every finding of a document: a method that reports one answers None and the caller reads on.
//! Which keys exist is said by the callers; this module says how a wrong one is reported.

use std::sync::Arc;
use std::time::Duration;

use flowcell_plugin_json_schema::ROOM;
use serde_json::Value;

use super::contract::Contract;
use super::duration;
use super::finding::{Finding, Severity};
use super::needs::Needing;
use super::node::{Data, Entry, Node, Place};
use super::schema::Schema;
use super::template::Template;
use crate::nearest::nearest;
use crate::problem::sentence;

/// Variables that every expression of a task may use once the task's input is known.
pub(crate) const INSIDE: &[&str] = &["context", "input", "task", "workflow", "runtime", "secrets"];
/// Before that: in `if` and `input.from`.
pub(crate) const BEFORE: &[&str] = &["context", "task", "workflow", "runtime", "secrets"];
/// After the task's work: in `output.as` and `export.as`.
pub(crate) const AFTER: &[&str] = &["context", "input", "output", "task", "workflow", "runtime", "secrets"];

/// An expression that only the expression guest can evaluate, and so only it can check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignExpression {
    /// Where it stands, from 1.
    pub line: u64,
    /// Where it stands, from 1.
    pub column: u64,
    /// The jq program.
    pub program: String,
    /// The names, without `$`, that are in scope there.
    pub variables: Vec<String>,
}

/// A schema of which only the schema guest can say what is wrong with it.
#[derive(Clone, Debug)]
pub(crate) struct ForeignSchema {
    /// Where it stands, from 1.
    pub line: u64,
    /// Where it stands, from 1.
    pub column: u64,
    /// JSON text.
    pub text: Arc<str>,
}

/// What a reader found.
pub(crate) struct Found {
    /// In the order of the text.
    pub findings: Vec<Finding>,
    /// What the expression guest must check.
    pub expressions: Vec<ForeignExpression>,
    /// What the schema guest must check.
    pub schemas: Vec<ForeignSchema>,
}

/// The keys that a map may have.
pub(crate) struct Keys<'a> {
    /// Keys that are read.
    pub known: &'a [&'a str],
    /// Keys that the language has and this version does not: each with what to do instead, which may be empty.
    pub later: &'a [(&'a str, &'a str)],
}

/// The entries of a map whose keys were checked.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'n> {
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    pub(crate) fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.value)
    }
}

/// Most errors of one document that are told, and most warnings: nobody reads more, and each costs the host memory.
const MOST_FINDINGS: usize = 20;

/// Collects what is found while a document is read.
pub(crate) struct Reader<'a> {
    file: &'a str,
    findings: Vec<Finding>,
    /// How many were too many.
    left_out: usize,
    foreign: Vec<ForeignExpression>,
    schemas: Vec<ForeignSchema>,
    /// How many parts the plain schemas that follow may have.
    schema_room: usize,
    /// Names of caught errors, in scope inside `catch`.
    caught: Vec<String>,
    /// What the document needs of the vault, as far as it is read.
    pub(crate) needing: Needing,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(file: &'a str) -> Self {
        Self {
            file,
            findings: Vec::new(),
            left_out: 0,
            foreign: Vec::new(),
            schemas: Vec::new(),
            schema_room: ROOM,
            caught: Vec::new(),
            needing: Needing::default(),
        }
    }

    pub(crate) fn file(&self) -> &'a str {
        self.file
    }

    pub(crate) fn finish(mut self) -> Found {
        self.findings.sort_by_key(|finding| (finding.line, finding.column));
        if let (Some(last), 1..) = (self.findings.last().cloned(), self.left_out) {
            let message = format!("there is more to mend, in {} places that are not listed", self.left_out);
            self.findings.push(Finding { message, ..last });
        }
        Found { findings: self.findings, expressions: self.foreign, schemas: self.schemas }
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.findings.iter().any(Finding::is_error)
    }

    pub(crate) fn error(&mut self, at: Place, message: impl Into<String>) {
        self.report(at, message.into(), Severity::Error);
    }

    pub(crate) fn warning(&mut self, at: Place, message: impl Into<String>) {
        self.report(at, message.into(), Severity::Warning);
    }

    fn report(&mut self, at: Place, message: String, severity: Severity) {
        let of_this_kind = self.findings.iter().filter(|finding| finding.severity == severity).count();
        if of_this_kind == MOST_FINDINGS {
            self.left_out += 1;
            return;
        }
        self.findings.push(Finding {
            file: self.file.to_owned(),
            line: at.line,
            column: at.column,
            message: sentence(message),
            severity,
        });
    }

    /// A map with checked keys; `what` names it in a sentence, as in `a task`.
    pub(crate) fn map<'n>(&mut self, node: &'n Node, what: &str, keys: &Keys<'_>) -> Option<Fields<'n>> {
        let entries = self.entries(node, what)?;
        for entry in entries {
            self.check_key(entry, what, keys);
        }
        Some(Fields { entries })
    }

    /// A map whose keys are names of the author's choice.
    pub(crate) fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Entry]> {
        match &node.data {
            Data::Map(entries) => Some(entries),
            _ => {
                self.error(node.at, format!("{what} is a map, here is {}", node.describe()));
                None
            }
        }
    }

    pub(crate) fn check_key(&mut self, entry: &Entry, what: &str, keys: &Keys<'_>) {
        let key = entry.key.as_str();
        if keys.known.contains(&key) {
            return;
        }
        if let Some((_, instead)) = keys.later.iter().find(|(later, _)| *later == key) {
            let instead = if instead.is_empty() { String::new() } else { format!(": {instead}") };
            self.error(entry.at, format!("`{key}` in {what} is not supported yet{instead}"));
            return;
        }
        let known = keys.known.iter().copied();
        let hint = match nearest(key, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("{what} has {}", listed(keys.known)),
        };
        self.error(entry.at, format!("unknown key `{key}` in {what}: {hint}"));
    }

    /// A list.
    pub(crate) fn list<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        match &node.data {
            Data::List(items) => Some(items),
            _ => {
                self.error(node.at, format!("{what} is a list, here is {}", node.describe()));
                None
            }
        }
    }

    /// A text. A number that was meant as one, such as the version 1.0, is told to be quoted.
    pub(crate) fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        match &node.data {
            Data::Text(text) => Some(text),
            Data::Number(_) | Data::Bool(_) => {
                let message = format!("{what} is a text, here is {}: put it in quotes", node.describe());
                self.error(node.at, message);
                None
            }
            _ => {
                self.error(node.at, format!("{what} is a text, here is {}", node.describe()));
                None
            }
        }
    }

    pub(crate) fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        match node.data {
            Data::Bool(value) => Some(value),
            _ => {
                self.error(node.at, format!("{what} is true or false, here is {}", node.describe()));
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(crate) fn integer(
        &mut self,
        node: &Node,
        what: &str,
        bounds: std::ops::RangeInclusive<u64>,
    ) -> Option<u64> {
        if let Data::Number(number) = &node.data
            && let Some(value) = number.as_u64()
            && bounds.contains(&value)
        {
            return Some(value);
        }
        let (from, to) = bounds.into_inner();
        self.error(node.at, format!("{what} is a whole number from {from} to {to}"));
        None
    }

    /// A duration that is written out; expressions are for `wait` alone.
    pub(crate) fn duration(&mut self, node: &Node, what: &str) -> Option<Duration> {
        match duration::parse(&node.to_value()) {
            Ok(value) => Some(value),
            Err(message) => {
                self.error(node.at, format!("{what}: {message}"));
                None
            }
        }
    }

    /// `{schema: {format, document}}`'s inside: a schema that is written in place.
    pub(crate) fn schema(&mut self, node: &Node) -> Option<Schema> {
        let fields = self.map(
            node,
            "`schema`",
            &Keys {
                known: &["format", "document"],
                later: &[("resource", "write the schema in place, under `document`")],
            },
        )?;
        if let Some(format) = fields.get("format")
            && let Some(text) = self.text(format, "`format`")
            && text != "json"
            && !text.starts_with("json:")
        {
            self.error(format.at, format!("`{text}` is not a supported schema format: it is `json`"));
        }
        let Some(document) = fields.get("document") else {
            if fields.get("resource").is_none() {
                self.error(node.at, "`schema` needs `document`: the JSON Schema");
            }
            return None;
        };
        match Schema::read(&document.to_value(), &mut self.schema_room) {
            Ok(schema) => {
                if schema.is_foreign() {
                    let Place { line, column, .. } = document.at;
                    self.schemas.push(ForeignSchema { line, column, text: schema.text().clone() });
                }
                Some(schema)
            }
            Err(message) => {
                self.error(document.at, message);
                None
            }
        }
    }

    /// A value in which `${ }` texts are expressions.
    pub(crate) fn template(&mut self, node: &Node, scope: &[&str]) -> Template {
        let value = node.to_value();
        for pointer in Template::embedded(&value) {
            let at = node.place(&pointer);
            self.warning(
                at,
                "`${ }` inside longer text stays as it is written: make the whole text one expression, \
                 as in ${ \"Hello \\(.name)\" }",
            );
        }
        let template = Template::compile(&value);
        self.check_expressions(&template, node, scope);
        template
    }

    /// An expression, with or without `${ }` around it.
    pub(crate) fn expression(&mut self, node: &Node, what: &str, scope: &[&str]) -> Option<Template> {
        let text = self.text(node, what)?;
        if text.trim().is_empty() {
            self.error(node.at, format!("{what} is empty: write an expression, such as `.id`"));
            return None;
        }
        let template = Template::expression(text);
        self.check_expressions(&template, node, scope);
        Some(template)
    }

    /// A text is an expression, anything else a value in which `${ }` texts are.
    pub(crate) fn transform(&mut self, node: &Node, what: &str, scope: &[&str]) -> Option<Template> {
        match node.data {
            Data::Text(_) => self.expression(node, what, scope),
            _ => Some(self.template(node, scope)),
        }
    }

    /// Reads `use.secrets`.
    pub(crate) fn declare_secrets(&mut self, node: &Node) {
        self.needing(|needing, reader| needing.declare(reader, node));
    }

    /// Notes what the `with` of a call needs of the vault; gives its connections.
    pub(crate) fn need_in_call(&mut self, contract: &Contract, with: &Node) -> Arc<[String]> {
        let mut own = Needing::default();
        own.in_call(self, contract, with);
        let connections = own.connections();
        self.needing.add(own);
        connections
    }

    /// Notes what the `with` of a trigger needs of the vault.
    pub(crate) fn need_in_trigger(&mut self, contract: &Contract, with: &Node) {
        self.needing(|needing, reader| needing.in_trigger(reader, contract, with));
    }

    fn needing(&mut self, read: impl FnOnce(&mut Needing, &mut Self)) {
        let mut needing = std::mem::take(&mut self.needing);
        read(&mut needing, self);
        self.needing = needing;
    }

    /// Runs `read` with an error's name in scope.
    pub(crate) fn with_caught<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.enter_catch(name);
        let result = read(self);
        self.leave_catch();
        result
    }

    pub(crate) fn enter_catch(&mut self, name: &str) {
        self.caught.push(name.to_owned());
    }

    pub(crate) fn leave_catch(&mut self) {
        self.caught.pop();
    }

    /// Variables of a native expression are checked here; a foreign one is compiled by the guest with the names in
    /// scope, because only it knows which of them the program binds itself.
    fn check_expressions(&mut self, template: &Template, node: &Node, scope: &[&str]) {
        let names = || scope.iter().copied().chain(self.caught.iter().map(String::as_str));
        let foreign = template.foreign();
        let mut unknown = None;
        if foreign.is_empty() {
            unknown =
                template.variables().iter().find(|name| !names().any(|known| known == name.as_str())).map(
                    |name| {
                        let hint = nearest(name, names()).map_or_else(
                            || format!("there are {}", listed(&names().collect::<Vec<_>>())),
                            |near| format!("did you mean `${near}`?"),
                        );
                        format!("unknown variable `${name}` here: {hint}")
                    },
                );
        }
        if unknown.is_none() && template.variables().iter().any(|name| name == "secrets") {
            unknown = template.programs().into_iter().find_map(|program| self.needing.undeclared(&program));
        }
        let variables: Vec<String> = names().map(str::to_owned).collect();
        if let Some(message) = unknown {
            let pointer = template.expression_pointers().into_iter().next().unwrap_or_default();
            self.error(node.place(&pointer), message);
        }
        for expression in foreign {
            let at = node.place(&expression.pointer);
            self.foreign.push(ForeignExpression {
                line: at.line,
                column: at.column,
                program: expression.program,
                variables: variables.clone(),
            });
        }
    }
}

/// The most names that a message lists.
const LISTED: usize = 20;

/// "`a`, `b` and `c`".
pub(crate) fn listed(names: &[&str]) -> String {
    let more = names.len().saturating_sub(LISTED);
    let shown = names.iter().take(LISTED).map(|name| format!("`{name}`"));
    let mut shown: Vec<String> = shown.collect();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    match shown.split_last() {
        None => "no keys".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// A name as the language's schema wants it: letters, digits and inner dashes, at most 63.
pub(crate) fn is_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (1..=63).contains(&text.len())
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// What [`is_name`] wants, for a sentence.
pub(crate) const NAME_RULE: &str = "letters, digits and dashes between them, at most 63 characters";

/// Any value, for `with` of what is not evaluated.
pub(crate) fn value(node: Option<&Node>) -> Value {
    node.map_or(Value::Null, Node::to_value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_told_of_a_document_than_anybody_reads() {
        let mut reader = Reader::new("f.yaml");
        let at = Place { line: 1, column: 1 };
        for number in 0..50 {
            reader.warning(at, format!("odd {number}"));
        }
        reader.error(at, "e".repeat(10_000));
        let found = reader.finish().findings;
        assert!(found.iter().any(Finding::is_error), "an error is told whatever else there is");
        assert!(found.iter().all(|finding| finding.message.len() < 510));
        let last = found.last().expect("there are findings");
        assert_eq!(
            (found.len(), last.message.as_str()),
            (22, "there is more to mend, in 30 places that are not listed")
        );
    }

    #[test]
    fn a_message_lists_as_many_names_as_one_reads() {
        assert_eq!(listed(&["a", "b", "c"]), "`a`, `b` and `c`");
        assert!(listed(&["a"; 1_000]).ends_with("`a` and 980 more"));
    }

    #[test]
    fn names_are_like_dns_labels() {
        assert!(is_name("order-intake2") && is_name("a"));
        for bad in ["", "-a", "a-", "a_b", "a.b", "ä", &"a".repeat(64)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
