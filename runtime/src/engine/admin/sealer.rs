//! What seals the vault at rest: the operator's key.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use rand::TryRng as _;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::config::Config;
use crate::engine::folder::write_private;
use crate::engine::options::OpenError;
use crate::id::TenantId;
use crate::journal::{VaultKind, VaultRow};

/// The environment's name for the text that the vault is sealed with.
const KEY_VARIABLE: &str = "FLOWCELL_VAULT_KEY";
/// The shortest text that can be a key: 128 bits in hexadecimal digits.
const KEY_CHARACTERS: usize = 32;

/// What seals and opens. XChaCha is not needed: a random nonce of 96 bits is enough for the few billion times that a
/// vault is written at most.
pub(in crate::engine) struct Sealer(LessSafeKey);

impl Sealer {
    /// With the operator's key: from the environment, the file that the configuration names, or `vault.key` in the data
    /// folder, which is made when it is not there. A host without a folder keeps nothing, and takes any key.
    pub fn find(config: &Config, folder: Option<&Path>) -> Result<Self, OpenError> {
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
    pub fn unkept() -> Self {
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

    pub(super) fn seal(&self, tenant: &TenantId, kind: VaultKind, name: &str, plain: &[u8]) -> Bytes {
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

    /// Returns nothing where another key has sealed it, or it stood in another place.
    pub(super) fn open(&self, row: &VaultRow) -> Option<Vec<u8>> {
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

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
}
