//! What a plugin says about itself. The JSON Schemas in it, `schema` compares values with.
//!
//! Parsed once, when the plugin is installed. Keys that this version does not know are kept and shown, not judged.

use semver::Version;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

/// Longest descriptor, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// A plugin's description of itself.
#[derive(Clone, Debug)]
pub(crate) struct Descriptor {
    /// What a flow calls it.
    pub name: String,
    /// What a flow pins.
    pub version: Version,
    /// A few words.
    pub title: String,
    /// A sentence or more.
    pub summary: String,
    /// What it can do.
    pub actions: Vec<ActionDescriptor>,
    /// What it can start runs with.
    pub triggers: Vec<TriggerDescriptor>,
    /// The formats of the texts that it makes steps of.
    pub imports: Vec<String>,
    /// As the plugin wrote it.
    pub raw: Value,
}

/// One action.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "read so that a field of a wrong type is found at installation; shown from the raw text"
)]
pub(crate) struct ActionDescriptor {
    /// Unique in the plugin.
    pub name: String,
    /// A few words.
    #[serde(default)]
    pub title: String,
    /// A sentence or more.
    #[serde(default)]
    pub summary: String,
    /// JSON Schema of the input; none: anything.
    #[serde(default = "anything")]
    pub input: Value,
    /// JSON Schema of the output; none: anything.
    #[serde(default = "anything")]
    pub output: Value,
    /// The capabilities it asks for, each with its reason.
    #[serde(default)]
    pub wants: Value,
    /// Whether a repeat does no harm.
    #[serde(default)]
    pub idempotent: bool,
}

/// One trigger.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "read so that a field of a wrong type is found at installation; shown from the raw text"
)]
pub(crate) struct TriggerDescriptor {
    /// Unique in the plugin.
    pub name: String,
    /// A few words.
    #[serde(default)]
    pub title: String,
    /// A sentence or more.
    #[serde(default)]
    pub summary: String,
    /// JSON Schema of the configuration; none: anything.
    #[serde(default = "anything")]
    pub config: Value,
    /// JSON Schema of the event that a run starts with; none: anything.
    #[serde(default = "anything")]
    pub event: Value,
    /// The capabilities it asks for, each with its reason.
    #[serde(default)]
    pub wants: Value,
    /// Whether `enable` and `disable` do something in the world.
    #[serde(default)]
    pub subscribes: bool,
    /// Whether it says what it could take out of a sample of a request.
    #[serde(default)]
    pub samples: bool,
}

#[derive(Deserialize)]
struct Written {
    name: String,
    version: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    actions: Vec<ActionDescriptor>,
    #[serde(default)]
    triggers: Vec<TriggerDescriptor>,
    #[serde(default)]
    imports: Vec<String>,
}

fn anything() -> Value {
    Value::Bool(true)
}

impl Descriptor {
    /// The error is a sentence for the plugin's author.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("it is {} bytes long, and may have {MAX_BYTES}", text.len()));
        }
        let raw: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        let written = Written::deserialize(&raw).map_err(|error| error.to_string())?;
        let version = Version::parse(&written.version).map_err(|error| {
            format!("its version `{}` is not one such as 1.0.0: {error}", written.version)
        })?;
        check_name("its name", &written.name)?;
        check_names("action", written.actions.iter().map(|action| &action.name))?;
        check_names("trigger", written.triggers.iter().map(|trigger| &trigger.name))?;
        Ok(Self {
            title: if written.title.is_empty() { written.name.clone() } else { written.title },
            name: written.name,
            version,
            summary: written.summary,
            actions: written.actions,
            triggers: written.triggers,
            imports: written.imports,
            raw,
        })
    }
}

impl Serialize for Descriptor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.serialize(serializer)
    }
}

fn check_names<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<(), String> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        check_name(&format!("the name of its {what}"), name)?;
        if !seen.insert(name) {
            return Err(format!("it has two {what}s of the name `{name}`"));
        }
    }
    Ok(())
}

fn check_name(what: &str, name: &str) -> Result<(), String> {
    let fits = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.len() <= 64
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fits {
        return Ok(());
    }
    Err(format!(
        "{what} `{name}` cannot stand in a flow: use a-z, 0-9 and `-`, a letter first, at most 64 characters"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_descriptor_is_read_and_shown_as_it_was_written() {
        let text = json!({
            "name": "weather", "version": "1.2.0", "summary": "s", "licence": "MIT",
            "actions": [{ "name": "read", "input": { "type": "object" }, "idempotent": true, "later": 1 }],
        });
        let descriptor = Descriptor::parse(&text.to_string()).unwrap();
        assert_eq!(descriptor.title, "weather");
        assert!(descriptor.actions[0].idempotent && descriptor.actions[0].output == json!(true));
        assert_eq!(serde_json::to_value(&descriptor).unwrap(), text);
    }

    #[test]
    fn a_wrong_descriptor_is_told_why() {
        let cases = [
            ("nonsense", "not JSON"),
            (r#"{"version":"1.0.0"}"#, "name"),
            (r#"{"name":"a","version":"1"}"#, "such as 1.0.0"),
            (r#"{"name":"A b","version":"1.0.0"}"#, "`A b` cannot stand in a flow"),
            (r#"{"name":"a","version":"1.0.0","actions":[{"name":"x"},{"name":"x"}]}"#, "two actions"),
            (
                r#"{"name":"a","version":"1.0.0","triggers":[{"name":"x.y"}]}"#,
                "the name of its trigger `x.y`",
            ),
        ];
        for (text, expected) in cases {
            let error = Descriptor::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn fuzz_whatever_describes_itself_is_read_or_refused() {
        let seeds = [
            r##"{"name":"a","version":"1.0.0","title":"T","summary":"s","imports":["curl"],"actions":[{"name":"x","input":
                {"type":"object","properties":{"a":{"format":"secret"}}},"output":true,"idempotent":true}],"triggers":[{"name":
                "t","config":{"$ref":"#/$defs/a","$defs":{"a":{}}},"subscribes":true,"samples":true}]}"##,
            r#"{"name":"b-1","version":"0.0.1-a+b"}"#,
        ];
        flowcell_fuzz::texts(file!(), &seeds, |text| {
            match Descriptor::parse(text) {
                // It is shown as it was written, and read so again.
                Ok(descriptor) => {
                    let shown = serde_json::to_string(&descriptor).unwrap();
                    let again = Descriptor::parse(&shown).unwrap();
                    assert_eq!((again.name, again.version), (descriptor.name, descriptor.version));
                }
                Err(why) => assert!(!why.is_empty() && why.len() < 70_000, "{why}"),
            }
        });
    }
}
