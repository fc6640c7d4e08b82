//! What a plugin says about itself: the JSON that `describe` returns.
//!
//! It is made once, at installation, in a sandbox where every import traps: nothing here calls the host.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::Value;

/// A plugin, its actions, its triggers and its imports.
#[derive(Debug, Serialize)]
pub struct Descriptor {
    /// The name by which flows refer to it.
    pub name: &'static str,
    /// Its version, semver.
    pub version: &'static str,
    /// A few words.
    pub title: &'static str,
    /// A few sentences; empty where there are none.
    pub summary: &'static str,
    /// SPDX expression; empty where it is not said.
    pub licence: &'static str,
    /// Where its source is; empty where it is not said.
    pub source: &'static str,
    /// What flows may call.
    pub actions: Vec<ActionDescriptor>,
    /// What trigger documents may use.
    pub triggers: Vec<TriggerDescriptor>,
    /// The formats of the texts that it makes steps of.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub imports: &'static [&'static str],
}

/// An action.
#[derive(Debug, Serialize)]
pub struct ActionDescriptor {
    /// The name by which flows call it.
    pub name: &'static str,
    /// The first line of the function's documentation.
    pub title: &'static str,
    /// The rest of it.
    pub summary: &'static str,
    /// JSON Schema 2020-12 of the input.
    pub input: Value,
    /// JSON Schema 2020-12 of the output.
    pub output: Value,
    /// Whether a repeat does no harm.
    pub idempotent: bool,
    /// What it asks to be granted.
    pub wants: Vec<Want>,
    /// Inputs as they may be written.
    pub examples: Vec<Value>,
}

/// A trigger.
#[derive(Debug, Serialize)]
pub struct TriggerDescriptor {
    /// The name by which trigger documents use it.
    pub name: &'static str,
    /// The first line of the function's documentation.
    pub title: &'static str,
    /// The rest of it.
    pub summary: &'static str,
    /// JSON Schema 2020-12 of the configuration.
    pub config: Value,
    /// JSON Schema 2020-12 of the event that starts a run.
    pub event: Value,
    /// What it asks to be granted.
    pub wants: Vec<Want>,
    /// Whether switching it on and off does something in the world.
    pub subscribes: bool,
    /// Configurations as they may be written.
    pub examples: Vec<Value>,
    /// Whether it says what it could take out of a sample of a request.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub samples: bool,
}

/// A capability that is asked for, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Want {
    /// Which one, such as `http-request`.
    pub capability: &'static str,
    /// What it is to reach, such as a host.
    pub target: &'static str,
    /// Why, in words.
    pub reason: &'static str,
}

/// The schema of what is read: input and configuration.
#[doc(hidden)]
pub fn schema_in<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

/// The schema of what is written: output and event.
#[doc(hidden)]
pub fn schema_out<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>().to_value()
}

/// An example that the attribute has found to be JSON.
#[doc(hidden)]
pub fn example(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// A package's name without the prefix that packages of plugins have.
#[doc(hidden)]
pub const fn plugin_name(package: &'static str) -> &'static str {
    const PREFIX: &str = "flowcell-plugin-";
    match package.split_at_checked(PREFIX.len()) {
        Some((prefix, name)) if is(prefix, PREFIX) && !name.is_empty() => name,
        _ => package,
    }
}

const fn is(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut at = 0;
    while at < left.len() && at < right.len() && left[at] == right[at] {
        at += 1;
    }
    at == left.len() && at == right.len()
}

#[cfg(test)]
mod tests {
    use super::plugin_name;

    #[test]
    fn the_prefix_of_packages_is_no_part_of_a_plugins_name() {
        assert_eq!(plugin_name("flowcell-plugin-slack"), "slack");
        assert_eq!(plugin_name("slack"), "slack");
        assert_eq!(plugin_name("flowcell-plugin-"), "flowcell-plugin-");
    }
}
