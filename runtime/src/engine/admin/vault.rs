//! The vault at rest: secrets and connections sealed in the journal, opened into memory when a host starts, and changed by
//! the API. What they are used for is in [`capability::vault`](crate::capability::vault).

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::capability::vault::{Connection, ConnectionDocument, Secret, SecretDocument, Vault};
use crate::config::{Config, TenantConfig};
use crate::engine::journals::storage_problem;
use crate::engine::options::OpenError;
use crate::engine::tenant::Tenant;
use crate::engine::{Rooms, Runtime, carried};
use crate::id::TenantId;
use crate::journal::{Batch, VaultKind, VaultRow, Write};
use crate::problem::{Problem, kind};

/// A secret or a connection, without what is secret in it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VaultView {
    /// What flows call it.
    pub name: String,
    /// The hosts that it may be sent to.
    pub hosts: Vec<String>,
    /// Of a connection: whether nobody has put credentials in yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_empty: Option<bool>,
    /// Of a connection: how it authenticates, with `***` for what is secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<Value>,
    /// When it was set; none: the host's configuration says it.
    pub updated_at: Option<Timestamp>,
}

impl Runtime {
    /// What a tenant keeps of this kind, without what is secret in it, in order of the names.
    pub fn vault(&self, tenant: &TenantId, kind: VaultKind) -> Result<Vec<VaultView>, Problem> {
        Ok(list(self.tenant(tenant)?, kind))
    }

    /// Sets a secret or a connection, a JSON document; what runs uses it from its next request on. Returns whether there was
    /// none of that name. The error says what is wrong with the document.
    pub async fn set_in_vault(
        &self,
        tenant: &TenantId,
        kind: VaultKind,
        name: &str,
        document: &[u8],
    ) -> Result<(VaultView, bool), Problem> {
        let (rooms, tenant) = (self.rooms.clone(), self.tenant(tenant)?.clone());
        let (name, document) = (name.to_owned(), document.to_owned());
        carried::to_the_end(async move { set(&rooms, &tenant, kind, &name, &document).await }).await
    }

    /// Removes a secret or a connection. Returns false when there was none.
    pub async fn remove_from_vault(
        &self,
        tenant: &TenantId,
        kind: VaultKind,
        name: &str,
    ) -> Result<bool, Problem> {
        let (rooms, tenant, name) = (self.rooms.clone(), self.tenant(tenant)?.clone(), name.to_owned());
        carried::to_the_end(async move { remove(&rooms, &tenant, kind, &name).await }).await
    }
}

/// Fills the vaults of all tenants: with what the journal has, and what the configuration names.
pub(in crate::engine) async fn load(rooms: &Rooms, config: &Config) -> Result<(), OpenError> {
    let rows = rooms.journals.durable.journal.ask(|storage| storage.list::<VaultRow>()).await;
    let rows = rows.map_err(|error| OpenError::Journal(error.to_string()))?;
    for row in rows {
        let Some(tenant) = rooms.tenants.get(&row.tenant) else { continue };
        let VaultRow { kind, name, .. } = &row;
        let opened = match rooms.sealer.open(&row) {
            Some(plain) => put(&tenant.vault, *kind, name, &plain, Some(row.updated_at)).map(drop),
            None => Err("it is sealed with another key: start the host with the vault's key of before, or set it anew".to_owned()),
        };
        // The rest of the host must start.
        if let Err(reason) = opened {
            tracing::error!(tenant = %row.tenant, name, "the {} cannot be used: {reason}", kind.as_str());
        }
    }
    for configured in &config.tenants {
        let Some(tenant) = rooms.tenants.get(&configured.name) else { continue };
        load_configured(&tenant.vault, configured).map_err(OpenError::Config)?;
    }
    Ok(())
}

fn load_configured(vault: &Vault, configured: &TenantConfig) -> Result<(), String> {
    for source in &configured.secrets {
        let named = |reason: String| format!("the secret `{}` of [[tenant.secret]]: {reason}", source.name);
        let value = source.from.read().map_err(named)?.into();
        vault.put_secret(Secret::bound(&source.name, value, source.hosts.clone()).map_err(named)?, None);
    }
    for source in &configured.connections {
        let named =
            |reason: String| format!("the connection `{}` of [[tenant.connection]]: {reason}", source.name);
        let text = source.from.read().map_err(named)?;
        put(vault, VaultKind::Connection, &source.name, text.as_bytes(), None).map_err(named)?;
    }
    Ok(())
}

/// Puts a document into memory. The error is a sentence; what is secret in it is not told.
fn put(
    vault: &Vault,
    kind: VaultKind,
    name: &str,
    document: &[u8],
    at: Option<Timestamp>,
) -> Result<(), String> {
    match kind {
        VaultKind::Secret => {
            let document: SecretDocument = read(document)?;
            vault.put_secret(Secret::new(name, document)?, at);
        }
        VaultKind::Connection => {
            let document: ConnectionDocument = read(document)?;
            vault.put_connection(Connection::new(name, document)?, at);
        }
    }
    Ok(())
}

/// Messages of the parser may quote what they refuse, so that only names of fields and places are told.
fn read<T: serde::de::DeserializeOwned>(document: &[u8]) -> Result<T, String> {
    let value: Value = serde_json::from_slice(document)
        .map_err(|error| format!("it is not JSON: line {}, column {}", error.line(), error.column()))?;
    if !value.is_object() {
        return Err("it is a JSON object".to_owned());
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let reason = error.into_inner().to_string();
        let reason = without_values(&reason);
        match path.as_str() {
            "." => reason,
            path => format!("`{path}`: {reason}"),
        }
    })
}

/// What is expected, and not what was there: a value in a wrong place may be a secret.
fn without_values(reason: &str) -> String {
    let expected = reason.split_once(", expected ").map(|(_, expected)| expected);
    for (begins, says) in [
        ("invalid type", "it is of another type than it may be"),
        ("invalid value", "it is not a value that it may have"),
        ("invalid length", "it is not as long as it may be"),
        ("unknown variant", "it is none of what it may be"),
    ] {
        if reason.starts_with(begins) {
            return match expected {
                Some(expected) if expected.starts_with("struct ") => format!("{says}: expected is an object"),
                Some(expected) => format!("{says}: expected is {expected}"),
                None => says.to_owned(),
            };
        }
    }
    reason.to_owned()
}

async fn set(
    rooms: &Rooms,
    tenant: &Arc<Tenant>,
    kind: VaultKind,
    name: &str,
    document: &[u8],
) -> Result<(VaultView, bool), Problem> {
    let _turn = tenant.vault_turn.lock().await;
    let old = one(tenant, kind, name);
    refuse_configured(kind, name, old.as_ref())?;
    if old.is_none() {
        let has = match kind {
            VaultKind::Secret => tenant.vault.secrets().count(),
            VaultKind::Connection => tenant.vault.connections().count(),
        };
        tenant.admit_credential(has, kind.as_str())?;
    }
    // Judged apart, so that nothing is used that is not kept.
    let trial = Vault::default();
    let now = rooms.lifecycle.clock.now();
    put(&trial, kind, name, document, Some(now)).map_err(|reason| {
        let title = format!("the {} cannot be kept", kind.as_str());
        Problem::new(kind::VALIDATION, title, 400).detail(format!("{name}: {reason}"))
    })?;
    let row = VaultRow {
        tenant: tenant.id.clone(),
        kind,
        name: name.to_owned(),
        sealed: rooms.sealer.seal(&tenant.id, kind, name, document),
        updated_at: now,
    };
    rooms
        .journals
        .durable
        .journal
        .commit(Batch::of(vec![Write::put(row)]))
        .await
        .map_err(|error| storage_problem(&error))?;
    tenant.vault.take_from(trial);
    tracing::info!(tenant = %tenant.id, name, "a {} was set", kind.as_str());
    Ok((one(tenant, kind, name).expect("it was set"), old.is_none()))
}

async fn remove(rooms: &Rooms, tenant: &Arc<Tenant>, kind: VaultKind, name: &str) -> Result<bool, Problem> {
    let _turn = tenant.vault_turn.lock().await;
    let old = one(tenant, kind, name);
    refuse_configured(kind, name, old.as_ref())?;
    // One that could not be opened is not in memory, and is removed all the same.
    let remove = Write::remove::<VaultRow>((tenant.id.clone(), kind, name.to_owned()));
    rooms
        .journals
        .durable
        .journal
        .commit(Batch::of(vec![remove]))
        .await
        .map_err(|error| storage_problem(&error))?;
    match kind {
        VaultKind::Secret => tenant.vault.remove_secret(name),
        VaultKind::Connection => tenant.vault.remove_connection(name),
    }
    if old.is_some() {
        tracing::info!(tenant = %tenant.id, name, "a {} was removed", kind.as_str());
    }
    Ok(old.is_some())
}

fn refuse_configured(kind: VaultKind, name: &str, old: Option<&VaultView>) -> Result<(), Problem> {
    match old {
        Some(VaultView { updated_at: None, .. }) => {
            let (kind, title) = (kind.as_str(), "it comes from the configuration");
            Err(Problem::new(kind::CONFIGURATION, title, 409).detail(format!(
                "the {kind} `{name}` is set in the host's configuration: change it there and start the host again"
            )))
        }
        _ => Ok(()),
    }
}

/// All of a kind, in order of their names; nothing that is secret.
fn list(tenant: &Tenant, kind: VaultKind) -> Vec<VaultView> {
    match kind {
        VaultKind::Secret => tenant
            .vault
            .secrets()
            .map(|(secret, updated_at)| VaultView {
                name: secret.name.clone(),
                hosts: secret.hosts.names(),
                is_empty: None,
                document: None,
                updated_at,
            })
            .collect(),
        VaultKind::Connection => tenant
            .vault
            .connections()
            .map(|(connection, updated_at)| VaultView {
                name: connection.name.clone(),
                hosts: connection.hosts.names(),
                is_empty: Some(connection.is_empty()),
                document: Some(connection.shown.clone()),
                updated_at,
            })
            .collect(),
    }
}

/// One of them.
fn one(tenant: &Tenant, kind: VaultKind, name: &str) -> Option<VaultView> {
    list(tenant, kind).into_iter().find(|view| view.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_is_refused_is_not_quoted() {
        let refused = |kind, document: &str| {
            put(&Vault::default(), kind, "key", document.as_bytes(), None).unwrap_err()
        };
        let cases = [
            (VaultKind::Secret, r#""s3cr3t""#, "it is a JSON object"),
            (VaultKind::Secret, r#"{"value": "s3cr3t""#, "it is not JSON: line 1, column 18"),
            (
                VaultKind::Secret,
                r#"{"value": "s3cr3t", "host": []}"#,
                "`host`: unknown field `host`, expected `value` or `hosts`",
            ),
            (
                VaultKind::Connection,
                r#"{"bearer": "s3cr3t"}"#,
                "`bearer`: it is of another type than it may be: expected is an object",
            ),
        ];
        for (kind, document, expected) in cases {
            assert_eq!(refused(kind, document), expected);
        }
    }
}
