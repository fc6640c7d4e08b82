//! What the schema of a plugin's input tells the host about a written value: at which places names of connections stand,
//! names of secrets, and what else the host must know. A schema tells it with `format`; the words are those of [`Format`].
//!
//! Only places are found here. What a name means and which one is refused is said where it is read: in `needs`, `task::call`
//! and `trigger`. Which plugin has which contract, [`Contracts`] says; the host's engine has the plugins.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::node::{Data, Node};
use crate::id::PluginRef;

/// How many schemas may be about one and the same place, and how many alternatives one schema may have.
const WIDTH: usize = 64;

/// The contracts of the plugins that a document may call.
pub(crate) trait Contracts {
    /// Of an action's input.
    fn action(&self, plugin: &PluginRef) -> Option<Arc<Contract>>;

    /// Of a trigger's configuration.
    fn trigger(&self, plugin: &PluginRef) -> Option<Arc<Contract>>;

    /// The action that serves the language's own `call: http`.
    fn http(&self) -> Option<PluginRef>;
}

/// What stands at a place, as a schema says it with `format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Format {
    /// The name of a connection.
    Connection,
    /// In a trigger: the name of a secret, or a list of names.
    Secret,
    /// A retry policy: the name of one in `use.retries` may stand in its place.
    RetryPolicy,
    /// In a trigger: the path at which it takes requests.
    HookPath,
    /// A jq program that the plugin evaluates.
    Jq,
    /// Content of the author's own: nothing in it means anything to the host.
    Opaque,
}

impl Format {
    /// What a parameter of this name is in a schema that has none of the formats: plugins have such schemas that were built
    /// before there were formats.
    const BY_NAME: [(&str, Self); 2] = [("connection", Self::Connection), ("secret", Self::Secret)];
    /// The same for parameters of the input itself, and of nothing in it.
    const BY_NAME_AT_THE_ROOT: [(&str, Self); 2] = [("retry", Self::RetryPolicy), ("path", Self::HookPath)];

    fn of(schema: &Value) -> Option<Self> {
        Self::deserialize(schema.get("format")?).ok()
    }
}

/// A place of a value at which something of that format is expected.
pub(crate) struct Site<'n> {
    pub format: Format,
    /// A JSON pointer.
    pub pointer: String,
    pub node: &'n Node,
}

/// The formats in a schema, and the ways to them.
#[derive(Debug)]
pub(crate) struct Contract {
    /// The first one is the root. Others name each other by their place in the list.
    schemas: Vec<Schema>,
}

#[derive(Debug, Default)]
struct Schema {
    format: Option<Format>,
    /// Schemas that are about the same value.
    also: Vec<usize>,
    properties: BTreeMap<String, usize>,
    other_properties: Option<usize>,
    items: Option<usize>,
}

impl Contract {
    /// Each part of the schema is read once, however often it is referred to.
    pub(crate) fn of(schema: &Value) -> Self {
        let mut reading = Reading { root: schema, numbers: HashMap::new(), parts: vec![] };
        reading.number(schema);
        let mut schemas = vec![];
        while let Some(part) = reading.parts.get(schemas.len()).copied() {
            schemas.push(reading.part(part));
        }
        let mut contract = Self { schemas };
        if !contract.schemas.iter().any(|schema| schema.format.is_some_and(|format| format != Format::Jq)) {
            contract.name_formats();
        }
        contract
    }

    /// Gives the formats that go without saying to the parameters of these names.
    fn name_formats(&mut self) {
        for number in 0..self.schemas.len() {
            for (name, format) in Format::BY_NAME {
                self.name_format(number, name, format);
            }
        }
        for number in self.about(&[0]) {
            for (name, format) in Format::BY_NAME_AT_THE_ROOT {
                self.name_format(number, name, format);
            }
        }
    }

    fn name_format(&mut self, number: usize, name: &str, format: Format) {
        if let Some(parameter) = self.schemas[number].properties.get(name).copied() {
            self.schemas[parameter].format.get_or_insert(format);
        }
    }

    /// Every place of a value that has a format, in the order of the text.
    pub(crate) fn sites<'n>(&self, value: &'n Node) -> Vec<Site<'n>> {
        let mut found = vec![];
        self.walk(&[0], value, &mut String::new(), &mut found);
        found
    }

    /// The expressions that a plugin evaluates, of a value: a JSON pointer and a jq program each.
    pub(crate) fn expressions(&self, value: &Value) -> Vec<(String, String)> {
        let value = Node::from(value);
        let texts = self.sites(&value).into_iter().filter_map(|site| match (site.format, &site.node.data) {
            (Format::Jq, Data::Text(program)) => Some((site.pointer, program.clone())),
            _ => None,
        });
        texts.collect()
    }

    fn walk<'n>(&self, about: &[usize], node: &'n Node, pointer: &mut String, found: &mut Vec<Site<'n>>) {
        let about = self.about(about);
        let schemas = || about.iter().map(|number| &self.schemas[*number]);
        let mut formats: Vec<Format> = vec![];
        for format in schemas().filter_map(|schema| schema.format) {
            if !formats.contains(&format) {
                formats.push(format);
            }
        }
        if formats.contains(&Format::Opaque) {
            return;
        }
        found.extend(formats.into_iter().map(|format| Site { format, pointer: pointer.clone(), node }));
        match &node.data {
            Data::Map(entries) => {
                for entry in entries {
                    let inside: Vec<_> = schemas().filter_map(|schema| schema.property(&entry.key)).collect();
                    self.walk_below(&inside, (&entry.key, &entry.value), pointer, found);
                }
            }
            Data::List(items) => {
                let inside: Vec<_> = schemas().filter_map(|schema| schema.items).collect();
                for (index, item) in items.iter().enumerate() {
                    self.walk_below(&inside, (&index.to_string(), item), pointer, found);
                }
            }
            _ => {}
        }
    }

    fn walk_below<'n>(
        &self,
        about: &[usize],
        (token, node): (&str, &'n Node),
        pointer: &mut String,
        found: &mut Vec<Site<'n>>,
    ) {
        if about.is_empty() {
            return;
        }
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
        self.walk(about, node, pointer, found);
        pointer.truncate(length);
    }

    /// These schemas and all that are about the same value.
    fn about(&self, numbers: &[usize]) -> Vec<usize> {
        let mut all = vec![];
        let mut open = numbers.to_vec();
        while let Some(number) = open.pop() {
            if all.len() < WIDTH && !all.contains(&number) {
                all.push(number);
                open.extend(&self.schemas[number].also);
            }
        }
        all
    }
}

impl Schema {
    fn property(&self, key: &str) -> Option<usize> {
        self.properties.get(key).copied().or(self.other_properties)
    }
}

/// A schema while it is taken apart.
struct Reading<'s> {
    root: &'s Value,
    /// A part, by its address, and its place in the list.
    numbers: HashMap<*const Value, usize>,
    parts: Vec<&'s Value>,
}

impl<'s> Reading<'s> {
    fn number(&mut self, part: &'s Value) -> usize {
        *self.numbers.entry(part).or_insert_with(|| {
            self.parts.push(part);
            self.parts.len() - 1
        })
    }

    fn part(&mut self, part: &'s Value) -> Schema {
        let referred = part["$ref"].as_str().and_then(|place| self.root.pointer(place.strip_prefix('#')?));
        let several = ["anyOf", "oneOf", "allOf"].into_iter().flat_map(|key| part[key].as_array());
        let also: Vec<&Value> = referred.into_iter().chain(several.flatten()).take(WIDTH).collect();
        let properties = part["properties"].as_object().into_iter().flatten();
        let mut below =
            |key: &str| part.get(key).filter(|part| part.is_object()).map(|part| self.number(part));
        let (other_properties, items) = (below("additionalProperties"), below("items"));
        Schema {
            format: Format::of(part),
            also: also.into_iter().map(|part| self.number(part)).collect(),
            properties: properties.map(|(key, part)| (key.clone(), self.number(part))).collect(),
            other_properties,
            items,
        }
    }
}

/// Plugins for tests of reading, which no host has.
#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;
    use crate::flow::node;

    /// Every action and every trigger takes the same: [`schema`]. The language's HTTP call is `http-request.http:1.0.0`.
    pub(crate) struct TestPlugins;

    impl Contracts for TestPlugins {
        fn action(&self, _: &PluginRef) -> Option<Arc<Contract>> {
            Some(Arc::new(Contract::of(&schema())))
        }

        fn trigger(&self, plugin: &PluginRef) -> Option<Arc<Contract>> {
            self.action(plugin)
        }

        fn http(&self) -> Option<PluginRef> {
            "http-request.http:1.0.0".parse().ok()
        }
    }

    /// A request, a list of requests, and what triggers have.
    fn schema() -> Value {
        let request = json!({ "type": "object", "properties": {
            "url": { "type": "string" },
            "connection": { "type": ["string", "null"], "format": "connection" },
            "retry": { "anyOf": [{ "type": "object" }, { "type": "null" }], "format": "retry-policy" },
            "body": { "format": "opaque" },
            "then": { "anyOf": [{ "$ref": "#/$defs/Request" }, { "type": "null" }] },
        } });
        json!({
            "allOf": [{ "$ref": "#/$defs/Request" }],
            "$defs": { "Request": request },
            "properties": {
                "all": { "type": "array", "items": { "$ref": "#/$defs/Request" } },
                "named": { "additionalProperties": { "$ref": "#/$defs/Request" } },
                "auth": { "properties": { "key": { "anyOf": [{ "type": "string" }], "format": "secret" } } },
                "path": { "type": "string", "format": "hook-path" },
                "when": { "type": "string", "format": "jq" },
            },
        })
    }

    fn found(schema: &Value, text: &str) -> Vec<(Format, String)> {
        let value = node::parse(text, "").unwrap().remove(0);
        let found = Contract::of(schema).sites(&value);
        found.into_iter().map(|found| (found.format, found.pointer)).collect()
    }

    #[test]
    fn places_are_found_wherever_the_schema_has_them() {
        let text = "{ connection: a, body: { connection: b }, url: { connection: c }, all: [{ then: { then: { retry: d } } }],
            named: { x/y: { connection: e } }, auth: { key: f }, path: g, when: .h }";
        let places: Vec<_> = found(&schema(), text);
        let expected = [
            (Format::Connection, "/connection"),
            (Format::RetryPolicy, "/all/0/then/then/retry"),
            (Format::Connection, "/named/x~1y/connection"),
            (Format::Secret, "/auth/key"),
            (Format::HookPath, "/path"),
            (Format::Jq, "/when"),
        ];
        assert_eq!(places, expected.map(|(format, pointer)| (format, pointer.to_owned())));
    }

    #[test]
    fn a_schema_without_formats_has_them_by_name() {
        let inner = json!({ "properties": { "connection": true, "retry": true, "path": true } });
        let schema = json!({ "properties": {
            "connection": { "type": "string" }, "retry": true, "when": { "format": "jq" }, "inner": inner, "body": true,
        } });
        let text = "{ connection: a, retry: b, when: c, inner: { connection: d, retry: e, path: f }, body: { connection: g } }";
        let places = found(&schema, text);
        let expected = [
            (Format::Connection, "/connection"),
            (Format::RetryPolicy, "/retry"),
            (Format::Jq, "/when"),
            (Format::Connection, "/inner/connection"),
        ];
        assert_eq!(places, expected.map(|(format, pointer)| (format, pointer.to_owned())));
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let itself = json!({ "$ref": "#", "anyOf": [{ "$ref": "#" }, { "$ref": "#/anyOf/0" }], "items": { "$ref": "#" },
            "format": "opaque" });
        assert_eq!(found(&itself, "[[[1]]]"), []);
        let deep =
            json!({ "items": { "$ref": "#" }, "properties": { "connection": { "format": "connection" } } });
        assert_eq!(
            found(&deep, "[[{ connection: a }]]"),
            [(Format::Connection, "/0/0/connection".to_owned())]
        );
    }

    #[test]
    fn a_wide_schema_is_looked_at_as_far_as_it_is_bounded() {
        let wide: Vec<Value> = (0..10_000).map(|_| json!({ "format": "connection" })).collect();
        assert_eq!(found(&json!({ "anyOf": wide }), "x"), [(Format::Connection, String::new())]);
    }
}
