//! The vault at rest: secrets and connections sealed in the journal, opened into memory when a host starts, and changed by
//! the API. What they are used for is in [`capability::vault`](crate::capability::vault).

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use rand::TryRng as _;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde_json::Value;

use super::core::Core;
use super::open::write_private;
use super::options::OpenError;
use super::runs::storage_problem;
use super::tenant::Tenant;
use super::view::VaultView;
use crate::capability::vault::{Connection, ConnectionDocument, Secret, SecretDocument, Vault};
use crate::config::{Config, TenantConfig};
use crate::id::TenantId;
use crate::journal::{Batch, VaultKind, VaultRow, Write};
use crate::problem::{Problem, kind};

/// The environment's name for the text that the vault is sealed with.
const KEY_VARIABLE: &str = "FLOWCELL_VAULT_KEY";
/// The shortest text that can be a key: 128 bits in hexadecimal digits.
const KEY_CHARACTERS: usize = 32;

/// What seals and opens. XChaCha is not needed: a random nonce of 96 bits is enough for the few billion times that a
/// vault is written at most.
pub(super) struct Sealer(LessSafeKey);

impl Sealer {
    /// With the operator's key: from the environment, the file that the configuration names, or `vault.key` in the data
    /// folder, which is made when it is not there. A host without a folder keeps nothing, and takes any key.
    pub(super) fn find(config: &Config, folder: Option<&Path>) -> Result<Self, OpenError> {
        if let Some(text) = std::env::var(KEY_VARIABLE).ok().filter(|text| !text.trim().is_empty()) {
            return Self::of(&text, KEY_VARIABLE);
        }
        if let Some(path) = &config.vault_key {
            let text = fs::read_to_string(path).map_err(|error| {
                OpenError::Config(format!("`vault_key`: {} cannot be read: {error}", path.display()))
            })?;
            return Self::of(&text, &path.display().to_string());
        }
        let Some(folder) = folder else { return Ok(Self::unkept()) };
        let path = folder.join("vault.key");
        let name = path.display().to_string();
        match fs::read_to_string(&path) {
            Ok(text) => Self::of(&text, &name),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let text = crate::id::mint_token() + &crate::id::mint_token();
                write_private(&path, &text)
                    .map_err(|error| OpenError::Journal(format!("cannot write {name}: {error}")))?;
                Self::of(&text, &name)
            }
            Err(error) => Err(OpenError::Journal(format!("{name} cannot be read: {error}"))),
        }
    }

    /// With a key that nobody keeps.
    pub(super) fn unkept() -> Self {
        let mut key = [0; 32];
        rand::rngs::SysRng.try_fill_bytes(&mut key).expect("the system has randomness");
        Self::keyed(&key)
    }

    fn keyed(key: &[u8; 32]) -> Self {
        Self(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).expect("the key has its length")))
    }

    fn of(text: &str, from: &str) -> Result<Self, OpenError> {
        let text = text.trim();
        if text.len() < KEY_CHARACTERS {
            return Err(OpenError::Config(format!(
                "{from} is no key for the vault: it has {} characters, and needs {KEY_CHARACTERS}, such as `openssl rand -hex 32` gives",
                text.len()
            )));
        }
        Ok(Self::keyed(&blake3::derive_key("flowcell vault", text.as_bytes())))
    }

    fn seal(&self, tenant: &TenantId, kind: VaultKind, name: &str, plain: &[u8]) -> Bytes {
        let mut nonce = [0; NONCE_LEN];
        rand::rngs::SysRng.try_fill_bytes(&mut nonce).expect("the system has randomness");
        let mut sealed = plain.to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place(tenant, kind, name)),
                &mut sealed,
            )
            .expect("what is sealed is short");
        [&nonce[..], &sealed].concat().into()
    }

    /// None: another key has sealed it, or it stood in another place.
    fn open(&self, row: &VaultRow) -> Option<Vec<u8>> {
        let (nonce, sealed) = row.sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut opened = sealed.to_vec();
        let place = place(&row.tenant, row.kind, &row.name);
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length =
            self.0.open_in_place(nonce, Aad::from(place), &mut opened).ok().map(|plain| plain.len())?;
        opened.truncate(length);
        Some(opened)
    }
}

/// What is sealed belongs to one place: a row that is copied to another one does not open there.
fn place(tenant: &TenantId, kind: VaultKind, name: &str) -> Vec<u8> {
    [tenant.as_str(), kind.as_str(), name].join("\0").into_bytes()
}

/// Fills the vaults of all tenants: with what the journal has, and what the configuration names.
pub(super) async fn load(core: &Core, config: &Config) -> Result<(), OpenError> {
    let rows = core.durable.ask(|storage| storage.list::<VaultRow>()).await;
    let rows = rows.map_err(|error| OpenError::Journal(error.to_string()))?;
    for row in rows {
        let Some(tenant) = core.tenants.get(&row.tenant) else { continue };
        let VaultRow { kind, name, .. } = &row;
        let opened = match core.sealer.open(&row) {
            Some(plain) => put(&tenant.vault, *kind, name, &plain, Some(row.updated_at)).map(drop),
            None => Err("it is sealed with another key: start the host with the vault's key of before, or set it anew".to_owned()),
        };
        // The rest of the host must start.
        if let Err(reason) = opened {
            tracing::error!(tenant = %row.tenant, name, "the {} cannot be used: {reason}", kind.as_str());
        }
    }
    for configured in &config.tenants {
        let Some(tenant) = core.tenants.get(&configured.name) else { continue };
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

/// Sets a secret or a connection; from the next request on it is used. True: there was none of that name.
pub(super) async fn set(
    core: &Core,
    tenant: &Arc<Tenant>,
    kind: VaultKind,
    name: &str,
    document: &[u8],
) -> Result<(VaultView, bool), Problem> {
    let _turn = tenant.vault_turn.lock().await;
    let old = one(tenant, kind, name);
    refuse_configured(kind, name, old.as_ref())?;
    // Judged apart, so that nothing is used that is not kept.
    let trial = Vault::default();
    let now = core.clock.now();
    put(&trial, kind, name, document, Some(now)).map_err(|reason| {
        let title = format!("the {} cannot be kept", kind.as_str());
        Problem::new(kind::VALIDATION, title, 400).detail(format!("{name}: {reason}"))
    })?;
    let row = VaultRow {
        tenant: tenant.id.clone(),
        kind,
        name: name.to_owned(),
        sealed: core.sealer.seal(&tenant.id, kind, name, document),
        updated_at: now,
    };
    core.durable.commit(Batch::of(vec![Write::put(row)])).await.map_err(|error| storage_problem(&error))?;
    tenant.vault.take_from(trial);
    tracing::info!(tenant = %tenant.id, name, "a {} was set", kind.as_str());
    Ok((one(tenant, kind, name).expect("it was set"), old.is_none()))
}

/// Removes it. False: there was none.
pub(super) async fn remove(
    core: &Core,
    tenant: &Arc<Tenant>,
    kind: VaultKind,
    name: &str,
) -> Result<bool, Problem> {
    let _turn = tenant.vault_turn.lock().await;
    let old = one(tenant, kind, name);
    refuse_configured(kind, name, old.as_ref())?;
    // One that could not be opened is not in memory, and is removed all the same.
    let remove = Write::remove::<VaultRow>((tenant.id.clone(), kind, name.to_owned()));
    core.durable.commit(Batch::of(vec![remove])).await.map_err(|error| storage_problem(&error))?;
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
pub(super) fn list(tenant: &Tenant, kind: VaultKind) -> Vec<VaultView> {
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
pub(super) fn one(tenant: &Tenant, kind: VaultKind, name: &str) -> Option<VaultView> {
    list(tenant, kind).into_iter().find(|view| view.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(text: &str) -> Sealer {
        Sealer::of(text, "test").map_err(|error| error.to_string()).unwrap()
    }

    fn row(sealer: &Sealer, tenant: &str, name: &str) -> VaultRow {
        let tenant = TenantId::from(tenant);
        let sealed = sealer.seal(&tenant, VaultKind::Secret, name, b"s3cr3t");
        VaultRow {
            tenant,
            kind: VaultKind::Secret,
            name: name.to_owned(),
            sealed,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_with_its_key() {
        let sealer = sealer(&"k".repeat(32));
        let kept = row(&sealer, "acme", "key");
        assert_eq!(sealer.open(&kept).unwrap(), b"s3cr3t");
        assert!(!kept.sealed.windows(6).any(|window| window == b"s3cr3t"));
        assert_ne!(row(&sealer, "acme", "key").sealed, kept.sealed, "a nonce is used once");
        for moved in [
            VaultRow { tenant: TenantId::from("other"), ..kept.clone() },
            VaultRow { name: "other".to_owned(), ..kept.clone() },
            VaultRow { kind: VaultKind::Connection, ..kept.clone() },
            VaultRow { sealed: Bytes::from_static(b"short"), ..kept.clone() },
        ] {
            assert_eq!(sealer.open(&moved), None, "{moved:?}");
        }
        assert_eq!(self::sealer(&"l".repeat(32)).open(&kept), None);
    }

    #[test]
    fn a_short_key_is_refused() {
        let error = Sealer::of("secret", "FLOWCELL_VAULT_KEY").err().unwrap().to_string();
        assert_eq!(
            error,
            "FLOWCELL_VAULT_KEY is no key for the vault: it has 6 characters, and needs 32, such as `openssl rand -hex 32` gives"
        );
    }

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
