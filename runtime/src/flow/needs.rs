//! What a document needs of its tenant's vault: the secrets and connections that it names. Only these are used for it.
//!
//! Names are written out, not computed, so that a deployment can tell which of them are missing. Where they stand, the
//! plugin's contract says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::contract::{Contract, Format};
use super::node::{Data, Node, Place};
use super::reader::Reader;
use crate::nearest::nearest;

/// Names, each with the place where it stands first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    pub secrets: Arc<[String]>,
    pub connections: Arc<[String]>,
    secret_places: Vec<Place>,
    connection_places: Vec<Place>,
}

impl Needs {
    /// The same for one step, which names these connections.
    pub fn of_step(&self, connections: &Arc<[String]>) -> Self {
        Self { secrets: self.secrets.clone(), connections: connections.clone(), ..Self::default() }
    }

    /// Those of a trigger's configuration, which was checked when the trigger was deployed.
    pub fn of_config(contract: &Contract, config: &Value) -> Self {
        let mut needing = Needing::default();
        needing.in_trigger(&mut Reader::new(""), contract, &config.into());
        needing.finish()
    }

    /// Those of a call's `with`.
    pub fn of_call(contract: &Contract, with: &Value) -> Self {
        let mut needing = Needing::default();
        needing.in_call(&mut Reader::new(""), contract, &with.into());
        needing.finish()
    }

    /// Every secret with line and column.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, (u64, u64))> {
        named(&self.secrets, &self.secret_places)
    }

    /// Every connection with line and column.
    pub fn connections(&self) -> impl Iterator<Item = (&str, (u64, u64))> {
        named(&self.connections, &self.connection_places)
    }
}

fn named<'n>(names: &'n [String], places: &'n [Place]) -> impl Iterator<Item = (&'n str, (u64, u64))> {
    names.iter().zip(places).map(|(name, at)| (name.as_str(), (at.line, at.column)))
}

/// Needs as they are found.
#[derive(Debug, Default)]
pub(crate) struct Needing {
    secrets: BTreeMap<String, Place>,
    connections: BTreeMap<String, Place>,
}

impl Needing {
    /// Reads `use.secrets`: a list of names.
    pub fn declare(&mut self, reader: &mut Reader<'_>, node: &Node) {
        let Data::List(items) = &node.data else {
            reader.error(node.at, "`use.secrets` is a list of names: `secrets: [shop-key]`");
            return;
        };
        for item in items {
            if let Some(name) = reader.text(item, "an element of `use.secrets`") {
                match is_name(name) {
                    true => drop(self.secrets.entry(name.to_owned()).or_insert(item.at)),
                    false => reader.error(item.at, refused(name)),
                }
            }
        }
    }

    /// Reads the `with` of a call: the connections in it.
    pub fn in_call(&mut self, reader: &mut Reader<'_>, contract: &Contract, with: &Node) {
        for site in contract.sites(with) {
            if site.format == Format::Connection {
                self.found(reader, site.node, false);
            }
        }
    }

    /// Reads the `with` of a trigger: the connections and the secrets in it.
    pub fn in_trigger(&mut self, reader: &mut Reader<'_>, contract: &Contract, with: &Node) {
        for site in contract.sites(with) {
            match site.format {
                Format::Connection => self.found(reader, site.node, false),
                Format::Secret => self.found(reader, site.node, true),
                _ => {}
            }
        }
    }

    fn found(&mut self, reader: &mut Reader<'_>, node: &Node, secret: bool) {
        let found = if secret { &mut self.secrets } else { &mut self.connections };
        match &node.data {
            Data::Text(name) if is_name(name) => drop(found.entry(name.clone()).or_insert(node.at)),
            Data::Text(name) if secret || name.trim_start().starts_with("${") => {
                reader.error(node.at, refused(name));
            }
            // Several, for the time in which one takes the place of another.
            Data::List(items) if secret => items.iter().for_each(|item| self.found(reader, item, true)),
            // Another value is the plugin's to refuse.
            _ => {}
        }
    }

    /// The names of the connections.
    pub fn connections(&self) -> Arc<[String]> {
        self.connections.keys().cloned().collect()
    }

    /// Takes what another one has found.
    pub fn add(&mut self, other: Self) {
        self.secrets.extend(other.secrets);
        for (name, at) in other.connections {
            self.connections.entry(name).or_insert(at);
        }
    }

    pub fn finish(self) -> Needs {
        let (secrets, secret_places): (Vec<_>, Vec<_>) = self.secrets.into_iter().unzip();
        let (connections, connection_places): (Vec<_>, Vec<_>) = self.connections.into_iter().unzip();
        Needs { secrets: secrets.into(), connections: connections.into(), secret_places, connection_places }
    }

    /// What an expression names of `$secrets` and `use.secrets` does not.
    pub fn undeclared(&self, program: &str) -> Option<String> {
        let names: BTreeSet<&str> = mentioned(program).collect();
        let name = names.into_iter().find(|name| !self.secrets.contains_key(*name))?;
        let known = self.secrets.keys().map(String::as_str);
        Some(match nearest(name, known) {
            Some(near) => format!("`use.secrets` does not list `{name}`: did you mean `{near}`?"),
            None => format!(
                "`use.secrets` does not list `{name}`: add it there, as in `use: {{ secrets: [{name}] }}`"
            ),
        })
    }
}

/// The names behind `$secrets` in a program: `.name`, `["name"]` or `."name"`.
fn mentioned(program: &str) -> impl Iterator<Item = &str> {
    program.split("$secrets").skip(1).filter_map(|rest| {
        let rest = rest.trim_start();
        let quoted = rest
            .strip_prefix("[\"")
            .or_else(|| rest.strip_prefix(".\""))
            .or_else(|| rest.strip_prefix(".[\""));
        match quoted {
            Some(quoted) => quoted.split_once('"').map(|(name, _)| name),
            None => {
                let bare = rest.strip_prefix('.')?;
                let end = bare.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(bare.len());
                (end > 0).then(|| &bare[..end])
            }
        }
    })
}

/// Names of secrets and connections; the vault takes no others.
fn is_name(text: &str) -> bool {
    crate::id::is_vault_name(text)
}

fn refused(name: &str) -> String {
    if name.trim_start().starts_with("${") {
        return "the name of a secret or a connection is written out, not computed: a deployment checks whether it is there"
            .to_owned();
    }
    format!(
        "`{}` is no name of a secret or a connection: {}",
        name.escape_debug(),
        crate::id::VAULT_NAME_RULE
    )
}

/// The values of `$secrets`: each name with what stands for it.
pub(crate) fn variable(needs: &Needs, placeholder: impl Fn(&str) -> String) -> Value {
    needs.secrets.iter().map(|name| (name.clone(), Value::String(placeholder(name)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_behind_secrets_are_found() {
        let found = |program| mentioned(program).collect::<Vec<_>>();
        assert_eq!(found(r#""Bearer " + $secrets.token"#), ["token"]);
        assert_eq!(
            found(r#"$secrets["shop-key"], $secrets."a.b" , $secrets.["c"]"#),
            ["shop-key", "a.b", "c"]
        );
        assert_eq!(found("\"\\($secrets.user):\\($secrets.pass)\""), ["user", "pass"]);
        assert_eq!(found("$secrets | keys"), [""; 0]);
    }
}
