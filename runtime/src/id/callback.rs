//! The addresses under which the world answers a step: tokens that name a run and a step, sealed with a key of the
//! journal. Nothing is stored for one, so an address costs nothing until it is used, and there may be millions.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use super::{RunId, TenantId};

const SEAL: usize = 16;
const RUN: usize = 16;
const STEP: usize = 4;
/// What the placeholder of every secret begins with.
pub(crate) const PLACEHOLDER: &str = "flowcell-secret-";

/// What seals the tokens of one journal. Its keeper mints it once; with another key every address is another.
#[derive(Clone)]
pub(crate) struct CallbackKey(Arc<[u8; 32]>);

/// Nobody reads a key in a log.
impl fmt::Debug for CallbackKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallbackKey(…)")
    }
}

/// The step that a callback is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallbackTarget {
    pub tenant: TenantId,
    pub run: RunId,
    pub step: u32,
}

/// Where callbacks of one run's steps arrive.
#[derive(Clone, Debug)]
pub(crate) struct CallbackAddress {
    /// `https://…`, without a slash at its end.
    pub base_url: Arc<str>,
    pub key: CallbackKey,
    pub tenant: TenantId,
    pub run: RunId,
}

impl CallbackAddress {
    pub fn url(&self, step: u32) -> String {
        let target = CallbackTarget { tenant: self.tenant.clone(), run: self.run, step };
        format!("{}/callbacks/{}", self.base_url, self.key.token(&target))
    }

    /// What stands for a secret in this run, wherever its value must not be: unguessable, this run's alone, and of
    /// characters that no encoding changes.
    pub fn placeholder(&self, secret: &str) -> String {
        let key = blake3::derive_key("flowcell placeholders of secrets", &*self.key.0);
        let mut hasher = blake3::Hasher::new_keyed(&key);
        hasher
            .update(self.run.as_bytes())
            .update(self.tenant.as_str().as_bytes())
            .update(b"/")
            .update(secret.as_bytes());
        format!("{PLACEHOLDER}{secret}-{}", &hasher.finalize().to_hex()[..32])
    }
}

impl CallbackKey {
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Arc::new(bytes))
    }

    /// URL-safe characters: a seal of 128 bits, the run, the step and the tenant.
    pub fn token(&self, target: &CallbackTarget) -> String {
        let mut bytes = vec![0; SEAL];
        bytes.extend_from_slice(target.run.as_bytes());
        bytes.extend_from_slice(&target.step.to_be_bytes());
        bytes.extend_from_slice(target.tenant.as_str().as_bytes());
        let seal = self.seal(&bytes[SEAL..]);
        bytes[..SEAL].copy_from_slice(&seal);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// None for what this key has not sealed. Takes the same time whatever is wrong with the seal.
    pub fn open(&self, token: &str) -> Option<CallbackTarget> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (seal, named) = bytes.split_at_checked(SEAL)?;
        let (run, rest) = named.split_first_chunk::<RUN>()?;
        let (step, tenant) = rest.split_first_chunk::<STEP>()?;
        if !bool::from(seal.ct_eq(&self.seal(named))) {
            return None;
        }
        let tenant = std::str::from_utf8(tenant).ok()?;
        Some(CallbackTarget {
            tenant: TenantId::from(tenant),
            run: RunId::from_bytes(*run),
            step: u32::from_be_bytes(*step),
        })
    }

    fn seal(&self, named: &[u8]) -> [u8; SEAL] {
        let digest = blake3::keyed_hash(&self.0, named);
        *digest.as_bytes().first_chunk().expect("a digest is longer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> CallbackTarget {
        CallbackTarget { tenant: "acme".into(), run: RunId::from_bytes([7; 16]), step: 3 }
    }

    #[test]
    fn a_token_names_its_step_to_whoever_has_the_key() {
        let key = CallbackKey::new([1; 32]);
        let token = key.token(&target());
        assert_eq!(key.open(&token), Some(target()));
        assert_eq!(CallbackKey::new([2; 32]).open(&token), None);
        assert_ne!(key.token(&CallbackTarget { step: 4, ..target() }), token);
    }

    #[test]
    fn no_altered_character_is_let_pass() {
        let key = CallbackKey::new([1; 32]);
        let token = key.token(&target());
        assert!(token.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'));
        for at in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(key.open(std::str::from_utf8(&altered).unwrap()), None, "character {at}");
        }
        for wrong in ["", "A", &token[1..], &token[..token.len() - 1], &format!("{token}A"), "ü"] {
            assert_eq!(key.open(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn fuzz_what_the_key_has_not_sealed_names_nothing() {
        let key = CallbackKey::new([1; 32]);
        let tokens = [key.token(&target()), CallbackKey::new([2; 32]).token(&target())];
        let seeds = tokens.each_ref().map(String::as_str);
        flowcell_fuzz::texts(file!(), &seeds, |token| {
            if let Some(named) = key.open(token) {
                assert_eq!((token, named), (seeds[0], target()));
            }
        });
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", CallbackKey::new([1; 32])), "CallbackKey(…)");
    }
}
