//! YAML or JSON text as a tree in which every key and value knows its place.
//!
//! Text comes from tenants: size, depth, aliases and the number of nodes are bounded here, and everything behind this
//! module may recurse over a tree without a thought. What the keys mean is not known here.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Location, Spanned};

use super::finding::{Finding, Severity};

/// The longest text that is read.
const TEXT_BYTES: usize = 4 * 1024 * 1024;
/// The deepest nesting of maps and lists.
const DEPTH: usize = 64;
/// The most keys and values, aliases expanded.
const NODES: usize = 100_000;
/// The most documents in one text.
const DOCUMENTS: usize = 1_000;
/// What the parser may need for [`DEPTH`] levels, with room to spare: an unoptimised build takes 40 KiB for one.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// Where something stands: line and column from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Place {
    pub line: u64,
    pub column: u64,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub at: Place,
    pub data: Data,
}

#[derive(Clone, Debug)]
pub(crate) enum Data {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a map, its place, and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub key: String,
    pub at: Place,
    pub value: Node,
}

/// The documents of a text, in order; empty ones are left out.
pub(crate) fn parse(text: &str, file: &str) -> Result<Vec<Node>, Finding> {
    if text.len() > TEXT_BYTES {
        let message = format!("the text is longer than {TEXT_BYTES} bytes: split it into several files");
        return Err(finding(file, Place { line: 1, column: 1 }, message));
    }
    // The parser recurses, and a caller's stack is as deep as it is: on a thread of its own the bound on depth holds.
    std::thread::scope(|scope| {
        let parser =
            std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, || documents(text, file));
        match parser.map(|parser| parser.join()) {
            Ok(Ok(result)) => result,
            _ => Err(finding(
                file,
                Place { line: 1, column: 1 },
                "the text could not be parsed: the host has no thread to spare, try again".to_owned(),
            )),
        }
    })
}

fn documents(text: &str, file: &str) -> Result<Vec<Node>, Finding> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH,
            flow_nesting_limit: DEPTH,
            max_nodes: NODES,
            max_documents: DOCUMENTS,
            max_aliases: 1_000,
            max_anchors: 1_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: NODES,
        },
        strict_booleans: true,
        with_snippet: false,
        emit_comments: false,
    };
    let roots: Vec<Spanned<Data>> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| syntax_error(file, &error))?;
    Ok(roots.into_iter().map(Node::from).collect())
}

fn syntax_error(file: &str, error: &serde_saphyr::Error) -> Finding {
    let at = error.location().map_or(Place { line: 1, column: 1 }, Place::from);
    let text = error.to_string();
    let message = text.lines().next().unwrap_or_default();
    // The place is ours to print; what the parser says about it would stand there twice. The names of its options
    // mean nothing to the author of a flow.
    let message = message
        .split_once(": ")
        .filter(|(head, _)| head.starts_with("line ") || *head == "error")
        .map_or(message, |(_, tail)| tail);
    let message = [" at line ", ", set DuplicateKeyPolicy", " rejected by the configured policy"]
        .iter()
        .fold(message, |message, end| message.split(end).next().unwrap_or(message));
    finding(file, at, format!("this is not valid YAML or JSON: {message}"))
}

fn finding(file: &str, at: Place, message: String) -> Finding {
    Finding { file: file.to_owned(), line: at.line, column: at.column, message, severity: Severity::Error }
}

impl Node {
    /// The value without places. Keys are sorted, so that equal documents have equal text.
    pub(crate) fn to_value(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Bool(value) => Value::Bool(*value),
            Data::Number(value) => Value::Number(value.clone()),
            Data::Text(value) => Value::String(value.clone()),
            Data::List(items) => Value::Array(items.iter().map(Node::to_value).collect()),
            Data::Map(entries) => {
                let mut sorted: Vec<&Entry> = entries.iter().collect();
                sorted.sort_by(|a, b| a.key.cmp(&b.key));
                let pairs = sorted.into_iter().map(|entry| (entry.key.clone(), entry.value.to_value()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }

    /// The value of a key; nothing where this is not a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.data {
            Data::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// What a JSON pointer leads to.
    pub(crate) fn at_mut(&mut self, pointer: &str) -> Option<&mut Node> {
        let mut node = self;
        for token in pointer.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            node = match &mut node.data {
                Data::Map(entries) => &mut entries.iter_mut().find(|entry| entry.key == token)?.value,
                Data::List(items) => items.get_mut(token.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(node)
    }

    /// What is there, for a sentence: `a list`.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.data {
            Data::Null => "nothing",
            Data::Bool(_) => "true or false",
            Data::Number(_) => "a number",
            Data::Text(_) => "a text",
            Data::List(_) => "a list",
            Data::Map(_) => "a map",
        }
    }

    /// The place of what a JSON pointer leads to, or of the last thing on the way that is there.
    pub(crate) fn place(&self, pointer: &str) -> Place {
        let mut node = self;
        for token in pointer.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            let next = match &node.data {
                Data::Map(_) => node.get(&token).map(|entry| &entry.value),
                Data::List(items) => token.parse::<usize>().ok().and_then(|index| items.get(index)),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node.at
    }
}

/// A value that nobody wrote: without places.
impl From<&Value> for Node {
    fn from(value: &Value) -> Self {
        let data = match value {
            Value::Null => Data::Null,
            Value::Bool(value) => Data::Bool(*value),
            Value::Number(value) => Data::Number(value.clone()),
            Value::String(value) => Data::Text(value.clone()),
            Value::Array(items) => Data::List(items.iter().map(Node::from).collect()),
            Value::Object(fields) => Data::Map(
                fields
                    .iter()
                    .map(|(key, field)| Entry { key: key.clone(), at: Place::default(), value: field.into() })
                    .collect(),
            ),
        };
        Self { at: Place::default(), data }
    }
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        Self { line: location.line().max(1), column: location.column().max(1) }
    }
}

impl From<Spanned<Data>> for Node {
    fn from(spanned: Spanned<Data>) -> Self {
        Self { at: spanned.referenced.into(), data: spanned.value }
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DataVisitor)
    }
}

struct DataVisitor;

impl<'de> Visitor<'de> for DataVisitor {
    type Value = Data;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Data, E> {
        Ok(Data::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Data, E> {
        Ok(Data::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Data, D::Error> {
        Data::deserialize(deserializer)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Data, E> {
        Ok(Data::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Data, E> {
        Ok(Data::Number(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Data, E> {
        Ok(Data::Number(value.into()))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Data, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Data, E> {
        self.visit_f64(value as f64)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Data, E> {
        Number::from_f64(value).map(Data::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Data, E> {
        Ok(Data::Text(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Data, E> {
        Ok(Data::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Data, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Data>>()? {
            items.push(Node::from(item));
        }
        Ok(Data::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Data, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let value = map.next_value::<Spanned<Data>>()?.into();
            entries.push(Entry { key: key.value, at: key.referenced.into(), value });
        }
        Ok(Data::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text, "f.yaml").unwrap_err().to_string()
    }

    #[test]
    fn keys_and_values_know_their_places() {
        let root = &parse("a: 1\nb:\n  - x\n  - {c: true}\n", "f").unwrap()[0];
        let b = root.get("b").unwrap();
        assert_eq!(b.at, Place { line: 2, column: 1 });
        assert_eq!(root.place("/b/0"), Place { line: 3, column: 5 });
        assert_eq!(root.place("/b/1/c"), Place { line: 4, column: 9 });
        assert_eq!(root.place("/b/1/missing"), Place { line: 4, column: 5 });
    }

    #[test]
    fn json_and_yaml_of_the_same_document_give_the_same_value() {
        let yaml = parse("b: [1, 2.5, null, 'yes', no]\na: \"\\u00e9\\n\"\n", "f").unwrap();
        let json = parse(r#"{"a": "é\n", "b": [1, 2.5, null, "yes", "no"]}"#, "f").unwrap();
        assert_eq!(yaml[0].to_value(), json[0].to_value());
    }

    #[test]
    fn documents_are_separated_by_three_dashes_and_empty_ones_left_out() {
        let roots = parse("---\na: 1\n---\n---\nb: 2\n", "f").unwrap();
        assert_eq!(roots.len(), 2);
        assert_eq!(roots[1].at.line, 5);
    }

    #[test]
    fn a_syntax_error_names_its_place_once() {
        let text = error("a: 1\nb: [1, 2\nc: 3\n");
        assert!(text.starts_with("f.yaml:3:"), "{text}");
        assert!(!text.contains(" line "), "{text}");
        assert!(error("a: 1\na: 2\n").contains("f.yaml:2:1: "));
    }

    #[test]
    fn an_alias_bomb_is_an_error() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let inner = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
        }
        assert!(error(&bomb).starts_with("f.yaml:"));
    }

    #[test]
    fn depth_size_and_number_of_nodes_are_bounded() {
        assert!(error(&"[".repeat(10_000)).starts_with("f.yaml:"));
        let mut block = String::new();
        for level in 0..200 {
            block.push_str(&format!("{}a:\n", " ".repeat(level)));
        }
        assert!(error(&block).starts_with("f.yaml:"));
        assert!(error(&"a".repeat(TEXT_BYTES + 1)).contains("longer than"));
        assert!(error(&format!("[{}]", "1,".repeat(NODES + 1))).starts_with("f.yaml:"));
    }

    #[test]
    fn an_alias_is_reported_where_it_is_used() {
        let root = &parse("a: &x {k: 1}\nb: *x\n", "f").unwrap()[0];
        assert_eq!(root.get("b").unwrap().value.at.line, 2);
    }
}
