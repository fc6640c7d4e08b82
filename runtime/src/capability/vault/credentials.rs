//! The part of its tenant's vault that one call may use: what its flow or its trigger names, and nothing else.

use std::sync::Arc;

use super::{Connection, Secret, Vault};
use crate::id::CallbackAddress;

/// A call's credentials. The guest has names and placeholders, the host what they stand for.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    vault: Arc<Vault>,
    connections: Arc<[String]>,
    secrets: Arc<[String]>,
    run: Option<CallbackAddress>,
}

impl Credentials {
    /// Those of a step: it has placeholders of the secrets.
    pub fn of_step(
        vault: Arc<Vault>,
        connections: Arc<[String]>,
        secrets: Arc<[String]>,
        run: CallbackAddress,
    ) -> Self {
        Self { vault, connections, secrets, run: Some(run) }
    }

    /// Those of a trigger: its configuration names the secrets.
    pub fn of_trigger(vault: Arc<Vault>, connections: Arc<[String]>, secrets: Arc<[String]>) -> Self {
        Self { vault, connections, secrets, run: None }
    }

    /// Whether there is nothing that it could use.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty() && self.secrets.is_empty()
    }

    /// The connection that a guest names. The error is a sentence for the author of the flow.
    pub fn connection(&self, name: &str) -> Result<Arc<Connection>, String> {
        if !self.connections.iter().any(|named| named == name) {
            return Err(format!(
                "the connection `{name}` is not named by the step: a plugin uses what `connection` in `with` says"
            ));
        }
        let connection = self.vault.connection(name).ok_or_else(|| {
            format!("there is no connection `{name}`: make it with `flowcell connections set {name} FILE`")
        })?;
        match connection.is_empty() {
            true => Err(format!(
                "the connection `{name}` is empty: put credentials in with `flowcell connections set {name} FILE`"
            )),
            false => Ok(connection),
        }
    }

    /// The secret that a guest gives a placeholder of, or in a trigger its name. The error is a sentence for the author.
    pub fn secret(&self, given: &str) -> Result<Arc<Secret>, String> {
        let mut named = self.secrets.iter();
        let name = match &self.run {
            Some(run) => named.find(|name| run.placeholder(name) == given),
            None => named.find(|name| *name == given),
        };
        match name {
            Some(name) => self.named(name),
            None => Err("a plugin uses the secrets that its flow or trigger names, and this is none of them"
                .to_owned()),
        }
    }

    /// Every placeholder that the call may hold, and the name of what it stands for.
    pub(super) fn placeholders(&self) -> impl Iterator<Item = (String, &str)> {
        let run = self.run.iter();
        run.flat_map(|run| self.secrets.iter().map(|name| (run.placeholder(name), name.as_str())))
    }

    pub(super) fn named(&self, name: &str) -> Result<Arc<Secret>, String> {
        self.vault
            .secret(name)
            .ok_or_else(|| format!("there is no secret `{name}`: set it with `flowcell secrets set {name}`"))
    }
}
