//! Proofs with secrets that the plugin never sees.

use serde::Serialize;

use crate::context::Context;
use crate::host::{Here, Host as _};
use crate::problem::Problem;

/// What is computed with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// For old signatures.
    HmacSha1,
    /// The usual one.
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
    /// The secret is a public key; only [`Secret::verify`].
    Ed25519,
    /// The signature is the secret itself; only [`Secret::verify`].
    Equal,
}

/// How the key is written in the secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Key {
    /// As it is.
    #[default]
    Text,
    /// Base64 behind `whsec_` or `whpk_`, as the Standard Webhooks have it.
    StandardWebhooks,
}

#[derive(Serialize)]
struct Options {
    algorithm: Algorithm,
    key: Key,
}

/// A secret, for the host to prove something with; see [`Context::secret`].
///
/// ```
/// use flowcell_sdk::prelude::*;
/// use flowcell_sdk::secret::Algorithm;
/// use flowcell_sdk::testing::{MockHost, proof};
///
/// let host = MockHost::new().with_secret("shop-key", "s3cr3t");
/// let ctx = host.context();
/// let signature = proof(Algorithm::HmacSha256, "s3cr3t", b"message");
/// let secret = ctx.secret("shop-key");
/// assert!(secret.verify(Algorithm::HmacSha256, b"message", &signature).unwrap());
/// assert!(!secret.verify(Algorithm::HmacSha256, b"another", &signature).unwrap());
/// assert_eq!(secret.hmac(Algorithm::HmacSha256, b"message").unwrap(), signature);
/// assert!(ctx.secret("other").verify(Algorithm::Equal, b"", b"").is_err());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Secret<'a> {
    host: &'a Here,
    given: &'a str,
    key: Key,
}

impl Context {
    /// A secret: in a step by the placeholder that the flow hands over, in a trigger by the name that stands in its
    /// configuration, at a parameter whose schema has the format `secret`: `#[schemars(extend("format" = "secret"))]`.
    pub fn secret<'a>(&'a self, given: &'a str) -> Secret<'a> {
        Secret { host: &self.host, given, key: Key::default() }
    }
}

impl Secret<'_> {
    /// The same, whose key is written so.
    pub fn with_key(self, key: Key) -> Self {
        Self { key, ..self }
    }

    /// Whether the signature is that of the message. The problem is about the secret: it is not there, or no such key.
    pub fn verify(self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<bool, Problem> {
        self.host
            .verify(self.given, &self.options(algorithm), message, signature)
            .map_err(Problem::configuration)
    }

    /// The HMAC of the message. The problem is about the secret, or the algorithm is none.
    pub fn hmac(self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, Problem> {
        self.host.hmac(self.given, &self.options(algorithm), message).map_err(Problem::configuration)
    }

    fn options(self, algorithm: Algorithm) -> String {
        serde_json::to_string(&Options { algorithm, key: self.key }).unwrap_or_default()
    }
}
