//! What a plugin says about itself, and the JSON Schemas in it, ready to check values with.
//!
//! Parsed once, when the plugin is installed. Keys that this version does not know are kept and shown, not judged.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use semver::Version;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

/// Longest descriptor, in bytes.
const MAX_BYTES: usize = 1024 * 1024;
/// Longest quotation of a value in a finding, in characters.
const MAX_SENTENCE: usize = 300;
/// Findings that are shown about one value.
const MAX_FINDINGS: usize = 20;

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

/// A JSON Schema that values are checked with.
#[derive(Debug)]
pub(crate) struct Schema {
    validator: Validator,
    source: Value,
}

impl Schema {
    /// The error says what is wrong with the schema.
    pub(super) fn compile(schema: &Value) -> Result<Self, String> {
        Self::with_patterns(schema, PatternOptions::regex())
    }

    /// One whose work grows with itself and the value and no faster: it refers to nothing, which could be itself, and its
    /// patterns are few and small.
    pub(super) fn compile_bounded(schema: &Value) -> Result<Self, String> {
        let mut patterns = 0;
        bounded(schema, &mut patterns)?;
        if patterns > PATTERNS {
            return Err(format!("it has {patterns} patterns; at most {PATTERNS} are taken"));
        }
        Self::with_patterns(
            schema,
            PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES),
        )
    }

    fn with_patterns(schema: &Value, patterns: PatternOptions<jsonschema::Regex>) -> Result<Self, String> {
        // Linear-time patterns only: a tenant's schema meets a stranger's values. Nothing is fetched.
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(patterns)
            .build(schema)
            .map_err(|error| format!("at `{}`: {error}", error.instance_path()))?;
        Ok(Self { validator, source: schema.clone() })
    }

    /// What is wrong with the value: a JSON pointer and a sentence each.
    pub(crate) fn validate(&self, value: &Value) -> Result<(), Vec<(String, String)>> {
        if self.validator.is_valid(value) {
            return Ok(());
        }
        let errors = self.validator.iter_errors(value).take(MAX_FINDINGS);
        Err(errors.flat_map(|error| self.findings(&error)).collect())
    }

    /// The schemas that a plugin judges by later, of an input: a JSON pointer and why one cannot be used. The schema marks their
    /// parameters with `"format": "json-schema"`.
    pub(crate) fn wrong_schemas(&self, value: &Value) -> Vec<(String, String)> {
        let parameters = self.source["properties"].as_object().into_iter().flatten();
        let marked = parameters.filter(|(_, schema)| schema["format"] == "json-schema");
        marked
            .filter_map(|(name, _)| {
                let why =
                    Schema::compile_bounded(value.get(name).filter(|schema| !schema.is_null())?).err()?;
                Some((format!("/{name}"), format!("it is not a usable JSON Schema: {why}")))
            })
            .collect()
    }

    /// An error as pointers and sentences; of keys that do not exist, one for each.
    fn findings(&self, error: &ValidationError<'_>) -> Vec<(String, String)> {
        let at = error.instance_path().to_string();
        if let ValidationErrorKind::AnyOf { context } = error.kind() {
            // What is of another kind altogether was not meant; where one is left, it says what is wrong.
            let is_other_kind = |error: &ValidationError<'_>| {
                matches!(error.kind(), ValidationErrorKind::Type { .. })
                    && error.instance_path().to_string() == at
            };
            let mut meant = context.iter().filter(|errors| !errors.iter().any(is_other_kind));
            if let (Some(errors), None) = (meant.next(), meant.next()) {
                return errors.iter().flat_map(|error| self.findings(error)).collect();
            }
        }
        if let ValidationErrorKind::Pattern { .. } = error.kind()
            && let Some(about) = self.about(&error.schema_path().to_string(), &at)
        {
            return vec![(at, shortened(&format!("{} is not one of these: {about}", error.instance())))];
        }
        if let ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::AnyOf { .. } = error.kind()
            && let Some(one_of) = self.choices(&error.schema_path().to_string())
        {
            return vec![(at, shortened(&format!("{} is not one of {one_of}", error.instance())))];
        }
        let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() else {
            return vec![(at, shortened(&error.to_string()))];
        };
        let schema_path = error.schema_path().to_string();
        let known = schema_path
            .strip_suffix("/additionalProperties")
            .and_then(|object| self.source.pointer(&format!("{object}/properties")))
            .and_then(Value::as_object);
        let finding = |key: &String| {
            let token = key.replace('~', "~0").replace('/', "~1");
            (format!("{at}/{token}"), shortened(&unknown_key(key, known)))
        };
        unexpected.iter().map(finding).collect()
    }
}

impl Schema {
    /// The values between which a keyword has one choose, where it is nothing but values.
    fn choices(&self, keyword: &str) -> Option<String> {
        let several = self.source.pointer(keyword)?.as_array()?;
        let mut choices = vec![];
        for one in several {
            match (&one["const"], one["enum"].as_array()) {
                (Value::Null, Some(values)) => choices.extend(values.iter().map(Value::to_string)),
                (Value::Null, None) if one["type"] == "null" => {}
                (Value::Null, None) => return None,
                (value, _) => choices.push(value.to_string()),
            }
        }
        (!choices.is_empty()).then(|| choices.join(", "))
    }

    /// What the schema says in words of the parameter at this place, which is easier to read than a pattern.
    fn about(&self, keyword: &str, at: &str) -> Option<&str> {
        let (parameter, _) = keyword.rsplit_once('/')?;
        let described = |pointer: &str| self.source.pointer(pointer)?["description"].as_str();
        // What it refers to may have no words of its own.
        described(parameter).or_else(|| described(&format!("/properties{at}")))
    }
}

/// How many patterns a bounded schema may have, and how much room each of them.
const PATTERNS: usize = 50;
const PATTERN_BYTES: usize = 256 * 1024;

/// Counts patterns; the error names what a bounded schema may not hold.
fn bounded(schema: &Value, patterns: &mut usize) -> Result<(), String> {
    match schema {
        Value::Object(fields) => {
            for (key, field) in fields {
                match key.as_str() {
                    "$ref" | "$dynamicRef" | "$recursiveRef" if field.is_string() => {
                        return Err(format!("`{key}` is not followed here: write the schema in its place"));
                    }
                    "pattern" => *patterns += 1,
                    "patternProperties" => *patterns += field.as_object().map_or(0, serde_json::Map::len),
                    _ => {}
                }
                bounded(field, patterns)?;
            }
            Ok(())
        }
        Value::Array(items) => items.iter().try_for_each(|item| bounded(item, patterns)),
        _ => Ok(()),
    }
}

/// The sentence for a key that the schema does not have.
fn unknown_key(key: &str, known: Option<&serde_json::Map<String, Value>>) -> String {
    let known: Vec<&str> = known.into_iter().flat_map(|known| known.keys()).map(String::as_str).collect();
    if known.is_empty() {
        return format!("there is no `{key}`");
    }
    match crate::config::nearest(key, known.iter().copied()) {
        Some(right) => format!("there is no `{key}`: did you mean `{right}`?"),
        None => format!("there is no `{key}`: known are `{}`", known.join("`, `")),
    }
}

impl Schema {
    /// What is wrong with a value of which parts are not known yet: null stands for them, at the JSON pointers
    /// `unknown`.
    pub(crate) fn check(&self, value: &Value, unknown: &[String]) -> Vec<(String, String)> {
        let decided = |error: &ValidationError<'_>| {
            let at = error.instance_path().to_string();
            let inside = |outer: &str, inner: &str| {
                inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            let chooses = matches!(
                error.kind(),
                ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. }
            );
            !unknown.iter().any(|unknown| inside(unknown, &at) || (chooses && inside(&at, unknown)))
        };
        let errors = self.validator.iter_errors(value).filter(decided).take(MAX_FINDINGS);
        errors.flat_map(|error| self.findings(&error)).collect()
    }
}

fn shortened(sentence: &str) -> String {
    match sentence.char_indices().nth(MAX_SENTENCE) {
        Some((end, _)) => format!("{}…", &sentence[..end]),
        None => sentence.to_owned(),
    }
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
    fn a_finding_says_where_and_what() {
        let schema = Schema::compile(&json!({
            "type": "object", "required": ["city"], "properties": { "days": { "type": "integer" } }
        }))
        .unwrap();
        assert_eq!(schema.validate(&json!({ "city": "Ulm", "days": 3 })), Ok(()));
        let findings = schema.validate(&json!({ "days": "three" })).unwrap_err();
        let pointers: Vec<_> = findings.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert!(pointers.contains(&"") && pointers.contains(&"/days"), "{findings:?}");
        assert!(findings.iter().any(|(_, sentence)| sentence.contains("integer")), "{findings:?}");
    }

    #[test]
    fn of_several_kinds_the_one_that_was_meant_says_what_is_wrong() {
        let schema = Schema::compile(&json!({ "properties": { "retry": { "anyOf": [
            { "type": "object", "properties": { "count": { "maximum": 50 } } }, { "type": "null" },
        ] } } }))
        .unwrap();
        let findings = schema.validate(&json!({ "retry": { "count": 51 } })).unwrap_err();
        let [(pointer, sentence)] = &findings[..] else { panic!("{findings:?}") };
        assert!(pointer == "/retry/count" && sentence.contains("50"), "{findings:?}");
        let findings = schema.validate(&json!({ "retry": 1 })).unwrap_err();
        assert_eq!(findings[0].0, "/retry");
    }

    #[test]
    fn a_finding_does_not_repeat_a_huge_value() {
        let schema = Schema::compile(&json!({ "type": "integer" })).unwrap();
        let findings = schema.validate(&json!("x".repeat(100_000))).unwrap_err();
        assert!(findings[0].1.len() < 2 * MAX_SENTENCE);
    }

    #[test]
    fn a_bounded_schema_refers_to_nothing_and_has_few_and_small_patterns() {
        let refused = |schema: Value| Schema::compile_bounded(&schema).unwrap_err();
        let itself = json!({ "$defs": { "a": { "allOf": [{ "$ref": "#/$defs/a" }] } }, "$ref": "#/$defs/a" });
        assert!(refused(itself).contains("`$ref` is not followed here"));
        let many: Vec<Value> = (0..51).map(|n| json!({ "pattern": format!("a{n}") })).collect();
        assert!(refused(json!({ "allOf": many })).contains("51 patterns"));
        assert!(Schema::compile_bounded(&json!({ "pattern": "\\p{L}{500}" })).is_err());
        let named = json!({ "properties": { "$ref": { "type": "string" } }, "pattern": "^a+$" });
        assert!(Schema::compile_bounded(&named).is_ok());
    }

    #[test]
    fn a_schema_fetches_nothing_and_its_patterns_are_linear() {
        assert!(Schema::compile(&json!({ "$ref": "https://example.com/schema.json" })).is_err());
        assert!(Schema::compile(&json!({ "type": "string", "pattern": "(?=a)b" })).is_err());
    }
}
