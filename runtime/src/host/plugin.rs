//! A plugin that is installed: its descriptor, and its component compiled and linked to everything it imports.
//!
//! Making one is in `install`; calling one in `call`. A plugin knows no tenant.

use std::fmt;

use flowcell_plugin_json_schema::Finding;
use semver::Version;
use serde_json::Value;
use wasmtime::component::InstancePre;

use super::descriptor::Descriptor;
use super::exports::Exports;
use super::install::{InstallError, wrong_schema};
use super::schema::Schema;
use super::schemas::Account;
use super::store::CallState;

/// An installed component.
pub(crate) struct Plugin {
    /// What a flow calls it.
    pub name: String,
    /// What a flow pins.
    pub version: Version,
    /// BLAKE3 of the .wasm file, hexadecimal.
    pub digest: String,
    /// What it says about itself.
    pub descriptor: Descriptor,
    pub(super) actions: Vec<Action>,
    pub(super) triggers: Vec<Trigger>,
    pub(super) pre: InstancePre<CallState>,
    pub(super) exports: Exports,
}

/// One of a plugin's actions.
#[derive(Debug)]
pub(crate) struct Action {
    /// Its name in the plugin.
    pub name: String,
    pub(super) input: Schema,
}

impl Action {
    /// What is wrong with an input.
    pub(crate) async fn validate(&self, account: &Account, input: &Value) -> Vec<Finding> {
        self.input.findings(account, input, &[]).await
    }

    /// The same for an input whose expressions are not evaluated yet: `known` has null where they stand, at the
    /// JSON pointers `expressions`, and nothing is said about what they decide.
    pub(crate) async fn check(
        &self,
        account: &Account,
        known: &Value,
        expressions: &[String],
    ) -> Vec<Finding> {
        self.input.findings(account, known, expressions).await
    }

    /// The schemas of an input that the plugin cannot judge by later.
    pub(crate) async fn wrong_schemas(&self, account: &Account, known: &Value) -> Vec<Finding> {
        self.input.wrong_schemas(account, known).await
    }
}

/// One of a plugin's triggers.
#[derive(Debug)]
pub(crate) struct Trigger {
    /// Its name in the plugin.
    pub name: String,
    /// Whether `enable` and `disable` do something in the world.
    pub subscribes: bool,
    /// Whether it says what it could take out of a sample of a request.
    pub samples: bool,
    pub(super) config: Schema,
}

impl Trigger {
    /// What is wrong with a configuration. `known` and `expressions` as for [`Action::check`].
    pub(crate) async fn check(
        &self,
        account: &Account,
        known: &Value,
        expressions: &[String],
    ) -> Vec<Finding> {
        self.config.findings(account, known, expressions).await
    }

    /// As [`Action::wrong_schemas`].
    pub(crate) async fn wrong_schemas(&self, account: &Account, known: &Value) -> Vec<Finding> {
        self.config.wrong_schemas(account, known).await
    }
}

impl Plugin {
    /// Bytes of its native code.
    pub(crate) fn code_bytes(&self) -> u64 {
        let code = self.pre.component().image_range();
        (code.end as usize - code.start as usize) as u64
    }

    /// Whether its schemas can be judged by, those that are not judged here. The error is worded for its author.
    pub(crate) async fn check_schemas(&self, account: &Account) -> Result<(), InstallError> {
        let inputs = self.actions.iter().map(|action| ("input", &action.name, &action.input));
        let configs = self.triggers.iter().map(|trigger| ("config", &trigger.name, &trigger.config));
        for (what, name, schema) in inputs.chain(configs) {
            schema.check(account).await.map_err(|why| wrong_schema(what, name, &why))?;
        }
        Ok(())
    }

    /// Whether it makes steps of texts in this format.
    pub(crate) fn imports(&self, format: &str) -> bool {
        self.descriptor.imports.iter().any(|known| known == format)
    }

    /// The trigger that reads samples of requests.
    pub(crate) fn sampler(&self) -> Option<&Trigger> {
        self.triggers.iter().find(|trigger| trigger.samples)
    }

    /// The action of that name; without a name, the only one or the one that is named like the plugin. The error is a sentence that lists them.
    pub(crate) fn action(&self, name: Option<&str>) -> Result<&Action, String> {
        let names: Vec<&str> = self.actions.iter().map(|action| action.name.as_str()).collect();
        choose(&self.name, "action", &names, name).map(|chosen| &self.actions[chosen])
    }

    /// The trigger of that name; without a name, the only one or the one that is named like the plugin. The error is a sentence that lists them.
    pub(crate) fn trigger(&self, name: Option<&str>) -> Result<&Trigger, String> {
        let names: Vec<&str> = self.triggers.iter().map(|trigger| trigger.name.as_str()).collect();
        choose(&self.name, "trigger", &names, name).map(|chosen| &self.triggers[chosen])
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plugin({}:{})", self.name, self.version)
    }
}

fn choose(plugin: &str, what: &str, names: &[&str], wanted: Option<&str>) -> Result<usize, String> {
    let all = || names.iter().map(|name| format!("`{plugin}.{name}`")).collect::<Vec<_>>().join(", ");
    match (names, wanted) {
        ([], _) => Err(format!("plugin `{plugin}` has no {what}s")),
        ([_], None) => Ok(0),
        // An integration of several actions may have one that goes by its own name.
        (_, None) if names.contains(&plugin) => choose(plugin, what, names, Some(plugin)),
        (_, None) => Err(format!("plugin `{plugin}` has several {what}s, so name one: {}", all())),
        (_, Some(wanted)) => names
            .iter()
            .position(|name| *name == wanted)
            .ok_or_else(|| format!("plugin `{plugin}` has no {what} `{wanted}`: it has {}", all())),
    }
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn one_action_needs_no_name_and_several_do() {
        assert_eq!(choose("a", "action", &["x"], None), Ok(0));
        assert_eq!(choose("a", "action", &["x", "y"], Some("y")), Ok(1));
        assert_eq!(choose("x", "action", &["y", "x"], None), Ok(1));
        assert!(choose("a", "action", &["x", "y"], None).unwrap_err().contains("`a.x`, `a.y`"));
        assert!(
            choose("a", "action", &["x"], Some("z")).unwrap_err().contains("no action `z`: it has `a.x`")
        );
        assert_eq!(choose("a", "trigger", &[], None).unwrap_err(), "plugin `a` has no triggers");
    }
}
