//! Reading lists of tasks: what every task has beside its kind, and where its `then` may lead. What comes behind the key
//! of a kind is read in the file of that kind.

use std::collections::HashSet;

use crate::flow::definition::{Builder, ListIndex};
use crate::flow::mask::Mask;
use crate::flow::node::{Data, Entry, Node};
use crate::flow::reader::{BEFORE, Keys, listed};
use crate::nearest::nearest;

use super::kind::{Syntax, TaskParts};
use super::{SYNTAXES, Task, Then, optional};

/// Names that `then` may say.
#[derive(Clone, Copy)]
pub(crate) struct ListNames<'n> {
    /// The tasks of the list.
    own: &'n [&'n str],
    /// Those that run side by side with it, to which nothing goes.
    beside: &'n [&'n str],
}

impl<'n> ListNames<'n> {
    fn of_list(own: &'n [&'n str]) -> Self {
        Self { own, beside: &[] }
    }
}

/// Keys of every task.
const COMMON: &[&str] = &["if", "input", "output", "export", "timeout", "then", "metadata"];
/// Kinds that the language has and this version does not.
const LATER: &[(&str, &str)] = &[
    ("emit", "send the event to its receiver with `call: http`"),
    ("for", "let a plugin work through the list"),
    ("listen", "start the flow with a trigger"),
    ("run", ""),
];
/// Names that `then` has a meaning for.
const DIRECTIVES: &[&str] = &["continue", "exit", "end"];

fn syntaxes() -> impl Iterator<Item = &'static Syntax> {
    SYNTAXES.iter().flatten()
}

impl Builder<'_> {
    /// Reads a list of tasks; `pointer` is its JSON pointer in the document.
    pub(crate) fn task_list(&mut self, node: &Node, pointer: &str) -> Option<ListIndex> {
        let entries = self.named_tasks(node)?;
        let names: Vec<&str> = entries.iter().flatten().map(|entry| entry.key.as_str()).collect();
        let list = self.new_list();
        for (position, entry) in entries.iter().enumerate() {
            let Some(entry) = entry else { continue };
            self.add_task(list, entry, reference(pointer, position, entry), ListNames::of_list(&names));
        }
        Some(list)
    }

    /// Reads tasks that run side by side: each is a list of its own.
    pub(crate) fn branches(&mut self, node: &Node, pointer: &str) -> Option<Vec<ListIndex>> {
        let entries = self.named_tasks(node)?;
        let names: Vec<&str> = entries.iter().flatten().map(|entry| entry.key.as_str()).collect();
        let mut lists = Vec::new();
        for (position, entry) in entries.iter().enumerate() {
            let Some(entry) = entry else { continue };
            let list = self.new_list();
            let names = ListNames { own: &[entry.key.as_str()], beside: &names };
            self.add_task(list, entry, reference(pointer, position, entry), names);
            lists.push(list);
        }
        Some(lists)
    }

    fn named_tasks<'n>(&mut self, node: &'n Node) -> Option<Vec<Option<&'n Entry>>> {
        let items = self.reader.list(node, "a task list")?;
        if items.is_empty() {
            self.reader.error(node.at, "a task list needs at least one task");
            return None;
        }
        let entries: Vec<Option<&Entry>> = items.iter().map(|item| self.named(item, "a task")).collect();
        self.check_names(&entries);
        Some(entries)
    }

    fn new_list(&mut self) -> ListIndex {
        self.lists.push(Vec::new());
        self.lists.len() - 1
    }

    fn add_task(&mut self, list: ListIndex, entry: &Entry, reference: String, names: ListNames<'_>) {
        // Positions count what could be read: a finding keeps the flow from running anyway.
        let position = self.lists[list].len();
        if let Some(task) = self.task(entry, reference, list, position, names) {
            let index = self.tasks.len();
            self.tasks.push(task);
            self.lists[list].push(index);
        }
    }

    /// The one entry of `- name: {…}`.
    pub(crate) fn named<'n>(&mut self, item: &'n Node, what: &str) -> Option<&'n Entry> {
        match self.reader.entries(item, what)? {
            [entry] => Some(entry),
            _ => {
                let message = format!("{what} is written as `- name: {{ … }}`, one name to a list item");
                self.reader.error(item.at, message);
                None
            }
        }
    }

    fn check_names(&mut self, entries: &[Option<&Entry>]) {
        let mut seen: HashSet<&str> = HashSet::new();
        for entry in entries.iter().flatten() {
            let name = entry.key.as_str();
            if !seen.insert(name) {
                let message =
                    format!("the name `{name}` is used twice in this list: `then` could not tell them apart");
                self.reader.error(entry.at, message);
            } else if DIRECTIVES.contains(&name) {
                let message =
                    format!("`{name}` cannot be the name of a task: `then: {name}` means something else");
                self.reader.error(entry.at, message);
            } else if name.is_empty() {
                self.reader.error(entry.at, "a task needs a name");
            }
        }
    }

    fn task(
        &mut self,
        entry: &Entry,
        reference: String,
        list: ListIndex,
        position: usize,
        names: ListNames<'_>,
    ) -> Option<Task> {
        let entries = self.reader.entries(&entry.value, "a task")?;
        let syntax = self.syntax_of(entry, entries)?;
        let known: Vec<&str> = COMMON.iter().chain(syntax.with).copied().chain([syntax.key]).collect();
        let keys = Keys { known: &known, later: &[] };
        let what = format!("a `{}` task", syntax.key);
        let fields = self.reader.map(&entry.value, &what, &keys)?;
        let condition = fields.get("if").map(|node| self.reader.expression(node, "`if`", BEFORE));
        let input = self.input(fields.get("input"), BEFORE);
        let parts = TaskParts { fields, reference: &reference, names };
        let kind = fields.get(syntax.key).and_then(|node| (syntax.read)(self, node, &parts));
        let output = self.task_output(fields.get("output"), "`output`");
        let export = self.task_output(fields.get("export"), "`export`");
        let timeout = fields.get("timeout").map(|node| self.timeout(node));
        let then = fields.get("then").map(|node| self.then(node, names));
        let metadata = fields.get("metadata");
        if let Some(node) = metadata {
            self.reader.entries(node, "`metadata`");
        }
        let said = |key: &str| metadata.and_then(|node| node.get(key)).map(|entry| &entry.value);
        let is_enabled = said("enabled").map(|node| self.reader.boolean(node, "`enabled`"));
        let mask = said("mask").map(|node| self.mask(node));
        Some(Task {
            name: entry.key.clone(),
            reference,
            at: entry.at,
            list,
            position,
            is_enabled: optional(is_enabled)?.unwrap_or(true),
            mask: optional(mask)?,
            condition: optional(condition)?,
            input,
            output,
            export,
            timeout: optional(timeout)?,
            then: optional(then)?.unwrap_or_default(),
            kind: kind?,
        })
    }

    fn mask(&mut self, node: &Node) -> Option<Mask> {
        let Data::List(items) = &node.data else {
            self.reader
                .error(node.at, "`mask` is a list of places, as in `mask: [input.headers.authorization]`");
            return None;
        };
        let places = items.iter().map(|item| self.reader.text(item, "an element of `mask`"));
        let places: Option<Vec<&str>> = places.collect();
        Mask::read(&places?).map_err(|message| self.reader.error(node.at, message)).ok()
    }

    fn syntax_of(&mut self, task: &Entry, entries: &[Entry]) -> Option<&'static Syntax> {
        for entry in entries {
            if let Some((kind, instead)) = LATER.iter().find(|(kind, _)| *kind == entry.key) {
                self.refuse_kind(entry, kind, instead);
                return None;
            }
        }
        let found: Vec<_> = syntaxes()
            .filter_map(|syntax| Some((syntax, entries.iter().find(|entry| entry.key == syntax.key)?)))
            .collect();
        match found[..] {
            [(syntax, _)] => Some(syntax),
            [] => {
                self.unknown_kind(task, entries);
                None
            }
            [(first, _), (second, entry), ..] => {
                let message = format!(
                    "a task does one thing: `{}` and `{}` stand in the same task",
                    first.key, second.key
                );
                self.reader.error(entry.at, message);
                None
            }
        }
    }

    fn unknown_kind(&mut self, task: &Entry, entries: &[Entry]) {
        let kinds: Vec<&str> = syntaxes().map(|syntax| syntax.key).collect();
        let extra = syntaxes().flat_map(|syntax| syntax.with);
        let known: Vec<&str> = COMMON.iter().chain(extra).copied().collect();
        let near = entries
            .iter()
            .filter(|entry| !known.contains(&entry.key.as_str()))
            .find_map(|entry| Some((entry, nearest(&entry.key, kinds.iter().copied())?)));
        match near {
            Some((entry, near)) => {
                let message = format!("unknown key `{}` in a task: did you mean `{near}`?", entry.key);
                self.reader.error(entry.at, message);
            }
            None => {
                let message =
                    format!("the task `{}` does nothing: it needs one of {}", task.key, listed(&kinds));
                self.reader.error(task.at, message);
            }
        }
    }

    fn refuse_kind(&mut self, entry: &Entry, kind: &str, instead: &str) {
        const OUTSIDE: [&str; 3] = ["container", "shell", "script"];
        let outside = OUTSIDE.iter().find(|what| entry.value.get(what).is_some());
        let message = match outside {
            Some(what) => format!(
                "`run: {what}` is refused: nothing runs outside a sandbox here; make it a plugin and call it as \
                 `name:1.0.0@default`"
            ),
            None if instead.is_empty() => format!("`{kind}` tasks are not supported yet"),
            None => format!("`{kind}` tasks are not supported yet: {instead}"),
        };
        self.reader.error(entry.at, message);
    }

    /// `continue`, `exit`, `end` or the name of a task of the same list.
    pub(crate) fn then(&mut self, node: &Node, names: ListNames<'_>) -> Option<Then> {
        let text = self.reader.text(node, "`then`")?;
        match text {
            "continue" => return Some(Then::Continue),
            "exit" => return Some(Then::Exit),
            "end" => return Some(Then::End),
            _ => {}
        }
        if let Some(position) = names.own.iter().position(|name| *name == text) {
            return Some(Then::Task(position));
        }
        if names.beside.contains(&text) {
            let message = format!(
                "`then` goes to `{text}`, which runs side by side with this branch: a branch goes on within itself, or ends"
            );
            self.reader.error(node.at, message);
            return None;
        }
        let candidates = names.own.iter().chain(DIRECTIVES).copied();
        let hint = match nearest(text, candidates) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", listed(names.own)),
        };
        let message = format!("`then` goes to `{text}`, which is no task of this list: {hint}");
        self.reader.error(node.at, message);
        None
    }
}

/// The JSON pointer of a task in a list.
fn reference(list: &str, position: usize, task: &Entry) -> String {
    let escaped = task.key.replace('~', "~0").replace('/', "~1");
    format!("{list}/{position}/{escaped}")
}
