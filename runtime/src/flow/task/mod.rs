//! Tasks: what every kind of task has, and how a list of them is read. One file per kind holds its reading and its
//! stepping; [`state`](super::state) holds what is the same for all kinds when a run is moved forward.

use std::time::Duration;

use super::definition::{Builder, Input, ListIndex, Output};
use super::mask::Mask;
use super::node::{Data, Entry, Node, Place};
use super::reader::{BEFORE, Fields, Keys, listed, nearest};
use super::state::{Next, Stop, Turn};
use super::template::Template;

pub(crate) mod call;
pub(crate) mod do_;
pub(crate) mod fork;
pub(crate) mod raise;
pub(crate) mod reply;
pub(crate) mod respond;
pub(crate) mod retry;
pub(crate) mod set;
pub(crate) mod switch;
pub(crate) mod try_;
mod uri;
pub(crate) mod wait;

/// One task of a flow.
#[derive(Debug)]
pub(crate) struct Task {
    pub name: String,
    /// Its JSON pointer in the document.
    pub reference: String,
    /// Where its name stands.
    pub at: Place,
    pub list: ListIndex,
    /// Its position in its list.
    pub position: usize,
    /// The switch beside the condition: off, the task is skipped.
    pub is_enabled: bool,
    /// What the history does not show of it.
    pub mask: Option<Mask>,
    pub condition: Option<Template>,
    pub input: Input,
    pub output: Output,
    pub export: Output,
    pub timeout: Option<Duration>,
    pub then: Then,
    pub kind: Kind,
}

/// Where a run goes after a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Then {
    /// To the next task of the list.
    #[default]
    Continue,
    /// Out of the list.
    Exit,
    /// To the end of the run.
    End,
    /// To the task at this position of the list.
    Task(usize),
}

#[derive(Debug)]
pub(crate) enum Kind {
    Call(Box<call::Call>),
    Do(do_::Do),
    Fork(fork::Fork),
    Raise(raise::Raise),
    Respond(respond::Respond),
    Set(set::Set),
    Switch(switch::Switch),
    Try(Box<try_::Try>),
    Wait(wait::Wait),
}

impl Kind {
    /// As the history shows it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Call(_) | Self::Respond(_) => "call",
            Self::Do(_) => "do",
            Self::Fork(_) => "fork",
            Self::Raise(_) => "raise",
            Self::Set(_) => "set",
            Self::Switch(_) => "switch",
            Self::Try(_) => "try",
            Self::Wait(_) => "wait",
        }
    }

    /// `name:version` of what it calls.
    pub(crate) fn plugin(&self) -> Option<String> {
        match self {
            Self::Call(call) => Some(call.plugin.to_string()),
            Self::Respond(_) => Some(respond::PLUGIN.to_owned()),
            _ => None,
        }
    }

    /// Does the task's own work, as far as it goes without an answer from outside.
    pub(crate) fn step(&self, turn: &mut Turn<'_>) -> Result<Next, Stop> {
        match self {
            Self::Call(call) => call.step(turn),
            Self::Do(do_) => do_.step(turn),
            Self::Fork(fork) => fork.step(turn),
            Self::Raise(raise) => raise.step(turn),
            Self::Respond(respond) => respond.step(turn),
            Self::Set(set) => set.step(turn),
            Self::Switch(switch) => switch.step(turn),
            Self::Try(try_) => try_.step(turn),
            Self::Wait(wait) => wait.step(turn),
        }
    }
}

/// Names that `then` may say.
#[derive(Clone, Copy)]
pub(crate) struct Names<'n> {
    /// The tasks of the list.
    own: &'n [&'n str],
    /// Those that run side by side with it, to which nothing goes.
    beside: &'n [&'n str],
}

impl<'n> Names<'n> {
    fn of_list(own: &'n [&'n str]) -> Self {
        Self { own, beside: &[] }
    }
}

/// Keys of every task.
const COMMON: &[&str] = &["if", "input", "output", "export", "timeout", "then", "metadata"];
/// The key that says the kind, and the keys that come with it.
const KINDS: &[(&str, &[&str])] = &[
    ("call", &["with"]),
    ("do", &[]),
    ("fork", &[]),
    ("raise", &[]),
    ("set", &[]),
    ("switch", &[]),
    ("try", &["catch"]),
    ("wait", &[]),
];
/// Kinds that the language has and this version does not.
const LATER: &[(&str, &str)] = &[
    ("emit", "send the event to its receiver with `call: http`"),
    ("for", "let a plugin work through the list"),
    ("listen", "start the flow with a trigger"),
    ("run", ""),
];
/// Names that `then` has a meaning for.
const DIRECTIVES: &[&str] = &["continue", "exit", "end"];

impl Builder<'_> {
    /// Reads a list of tasks; `pointer` is its JSON pointer in the document.
    pub(crate) fn task_list(&mut self, node: &Node, pointer: &str) -> Option<ListIndex> {
        let entries = self.named_tasks(node)?;
        let names: Vec<&str> = entries.iter().flatten().map(|entry| entry.key.as_str()).collect();
        let list = self.new_list();
        for (position, entry) in entries.iter().enumerate() {
            let Some(entry) = entry else { continue };
            self.add_task(list, entry, reference(pointer, position, entry), Names::of_list(&names));
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
            let names = Names { own: &[entry.key.as_str()], beside: &names };
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

    fn add_task(&mut self, list: ListIndex, entry: &Entry, reference: String, names: Names<'_>) {
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
        let mut seen: Vec<&str> = Vec::new();
        for entry in entries.iter().flatten() {
            let name = entry.key.as_str();
            if seen.contains(&name) {
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
            seen.push(name);
        }
    }

    fn task(
        &mut self,
        entry: &Entry,
        reference: String,
        list: ListIndex,
        position: usize,
        names: Names<'_>,
    ) -> Option<Task> {
        let entries = self.reader.entries(&entry.value, "a task")?;
        let (kind, extra) = self.kind_of(entry, entries)?;
        let known: Vec<&str> = COMMON.iter().chain(extra).copied().chain([kind]).collect();
        let keys = Keys { known: &known, later: &[] };
        let what = format!("a `{kind}` task");
        let fields = self.reader.map(&entry.value, &what, &keys)?;
        let condition = fields.get("if").map(|node| self.reader.expression(node, "`if`", BEFORE));
        let input = self.input(fields.get("input"), BEFORE);
        let kind = self.kind(kind, fields, &reference, names);
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

    fn kind_of(
        &mut self,
        task: &Entry,
        entries: &[Entry],
    ) -> Option<(&'static str, &'static [&'static str])> {
        for entry in entries {
            if let Some((kind, instead)) = LATER.iter().find(|(kind, _)| *kind == entry.key) {
                self.refuse_kind(entry, kind, instead);
                return None;
            }
        }
        let found: Vec<_> = KINDS
            .iter()
            .filter_map(|kind| Some((kind, entries.iter().find(|entry| entry.key == kind.0)?)))
            .collect();
        match found[..] {
            [((kind, extra), _)] => Some((kind, extra)),
            [] => {
                self.unknown_kind(task, entries);
                None
            }
            [((first, _), _), ((second, _), entry), ..] => {
                let message =
                    format!("a task does one thing: `{first}` and `{second}` stand in the same task");
                self.reader.error(entry.at, message);
                None
            }
        }
    }

    fn unknown_kind(&mut self, task: &Entry, entries: &[Entry]) {
        let kinds: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
        let known: Vec<&str> = COMMON.iter().chain(&["with", "catch"]).copied().collect();
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

    fn kind(&mut self, kind: &str, fields: Fields<'_>, reference: &str, names: Names<'_>) -> Option<Kind> {
        let node = fields.get(kind)?;
        match kind {
            "call" => call::read(self, node, fields),
            "do" => do_::read(self, node, reference).map(Kind::Do),
            "fork" => fork::read(self, node, reference).map(Kind::Fork),
            "raise" => raise::read(self, node).map(Kind::Raise),
            "set" => set::read(self, node).map(Kind::Set),
            "switch" => switch::read(self, node, names).map(Kind::Switch),
            "try" => try_::read(self, node, fields, reference).map(|task| Kind::Try(Box::new(task))),
            "wait" => wait::read(self, node).map(Kind::Wait),
            _ => None,
        }
    }

    /// `continue`, `exit`, `end` or the name of a task of the same list.
    pub(crate) fn then(&mut self, node: &Node, names: Names<'_>) -> Option<Then> {
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

/// A field that is there must have been readable.
fn optional<T>(field: Option<Option<T>>) -> Option<Option<T>> {
    match field {
        None => Some(None),
        Some(None) => None,
        Some(some) => Some(some),
    }
}
