//! Proofs made with a secret by the host: signatures checked and made, credentials compared, each in constant time.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ring::hmac;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use super::secret::Secret;

/// How a secret proves something: `options` of wit/secrets.wit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignatureOptions {
    pub algorithm: Algorithm,
    #[serde(default)]
    pub key: KeyFormat,
}

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Algorithm {
    HmacSha1,
    HmacSha256,
    HmacSha384,
    HmacSha512,
    /// The secret is a public key.
    Ed25519,
    /// Nothing: the signature is the secret itself.
    Equal,
}

/// How the key is written in the secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeyFormat {
    /// As it is.
    #[default]
    Text,
    /// Base64, behind `whsec_`, `whpk_` or nothing: what the Standard Webhooks prescribe.
    StandardWebhooks,
}

/// Whether the signature is that of the message under the secret. The error is a sentence: the secret is no such key.
pub(crate) fn verify(
    secret: &Secret,
    options: SignatureOptions,
    message: &[u8],
    signature: &[u8],
) -> Result<bool, String> {
    // A key of the one kind says nothing about a signature of the other. A public key above all is known to everybody: as the
    // key of an HMAC it would prove nothing, so it is one only where it says so.
    if options.key == KeyFormat::StandardWebhooks
        && is_public(secret) != (options.algorithm == Algorithm::Ed25519)
    {
        return Ok(false);
    }
    let key = key(secret, options)?;
    match options.algorithm {
        Algorithm::Equal => Ok(key.ct_eq(signature).into()),
        Algorithm::Ed25519 => {
            if key.len() != 32 {
                return Err(format!(
                    "the secret `{}` is not an ed25519 public key: it has {} bytes, not 32",
                    secret.name,
                    key.len()
                ));
            }
            Ok(UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok())
        }
        algorithm => Ok(hmac::verify(&hmac_key(algorithm, &key), message, signature).is_ok()),
    }
}

/// The HMAC of the message under the secret. The error is a sentence.
pub(crate) fn hmac(secret: &Secret, options: SignatureOptions, message: &[u8]) -> Result<Vec<u8>, String> {
    if matches!(options.algorithm, Algorithm::Ed25519 | Algorithm::Equal) {
        return Err("`hmac` makes hmac-sha1, hmac-sha256, hmac-sha384 and hmac-sha512".to_owned());
    }
    let key = key(secret, options)?;
    Ok(hmac::sign(&hmac_key(options.algorithm, &key), message).as_ref().to_vec())
}

fn hmac_key(algorithm: Algorithm, key: &[u8]) -> hmac::Key {
    let algorithm = match algorithm {
        Algorithm::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Algorithm::HmacSha384 => hmac::HMAC_SHA384,
        Algorithm::HmacSha512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    hmac::Key::new(algorithm, key)
}

/// What a public key begins with.
const PUBLIC: &str = "whpk_";
/// The shortest key of the Standard Webhooks.
const SHORTEST: usize = 16;

fn is_public(secret: &Secret) -> bool {
    secret.value.expose().starts_with(PUBLIC)
}

fn key(secret: &Secret, SignatureOptions { algorithm, key }: SignatureOptions) -> Result<Vec<u8>, String> {
    let text = secret.value.expose();
    match key {
        KeyFormat::Text => Ok(text.as_bytes().to_vec()),
        KeyFormat::StandardWebhooks => {
            let prefix = if algorithm == Algorithm::Ed25519 { PUBLIC } else { "whsec_" };
            let bare = text.strip_prefix(prefix).unwrap_or(text);
            let decoded = STANDARD.decode(bare).or_else(|_| STANDARD_NO_PAD.decode(bare)).map_err(|_| {
                format!(
                    "the secret `{}` is not a key of the Standard Webhooks: `whsec_` or `whpk_` and base64",
                    secret.name
                )
            })?;
            match decoded.len() {
                SHORTEST.. => Ok(decoded),
                bytes => Err(format!(
                    "the secret `{}` is too short a key: it has {bytes} bytes, and needs {SHORTEST}",
                    secret.name
                )),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::SecretDocument;
    use super::*;

    fn secret(value: &str) -> Secret {
        Secret::new("key", SecretDocument { value: value.to_owned().into(), hosts: vec![] }).unwrap()
    }

    fn options(algorithm: Algorithm, key: KeyFormat) -> SignatureOptions {
        SignatureOptions { algorithm, key }
    }

    fn hex(text: &str) -> Vec<u8> {
        let pairs = text.as_bytes().chunks(2);
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// The vector that GitHub's documentation gives for webhooks.
    #[test]
    fn the_vector_of_github_is_accepted() {
        let secret = secret("It's a Secret to Everybody");
        let signature = hex("757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
        let options = options(Algorithm::HmacSha256, KeyFormat::Text);
        assert_eq!(verify(&secret, options, b"Hello, World!", &signature), Ok(true));
        assert_eq!(verify(&secret, options, b"Hello, World?", &signature), Ok(false));
        assert_eq!(verify(&secret, options, b"Hello, World!", &signature[1..]), Ok(false));
        assert_eq!(hmac(&secret, options, b"Hello, World!").unwrap(), signature);
    }

    /// The vector that the specification of the Standard Webhooks gives.
    #[test]
    fn the_vector_of_the_standard_webhooks_is_accepted() {
        let message = br#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
        let signature = STANDARD.decode("g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=").unwrap();
        for value in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            let options = options(Algorithm::HmacSha256, KeyFormat::StandardWebhooks);
            assert_eq!(verify(&secret(value), options, message, &signature), Ok(true), "{value}");
        }
    }

    #[test]
    fn an_ed25519_signature_is_checked_with_the_public_key() {
        use ring::signature::{Ed25519KeyPair, KeyPair as _};
        let pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
        let public = format!("whpk_{}", STANDARD.encode(pair.public_key()));
        let signature = pair.sign(b"message");
        let options = options(Algorithm::Ed25519, KeyFormat::StandardWebhooks);
        assert_eq!(verify(&secret(&public), options, b"message", signature.as_ref()), Ok(true));
        assert_eq!(verify(&secret(&public), options, b"massage", signature.as_ref()), Ok(false));
        let short = format!("whpk_{}", STANDARD.encode([1; 31]));
        let error = verify(&secret(&short), options, b"", b"").unwrap_err();
        assert_eq!(error, "the secret `key` is not an ed25519 public key: it has 31 bytes, not 32");
        assert!(hmac(&secret(&public), options, b"").is_err());
    }

    #[test]
    fn a_key_of_one_kind_checks_nothing_of_the_other() {
        let bare = STANDARD.encode([1; 32]);
        for (value, algorithm) in [
            (format!("whpk_{bare}"), Algorithm::HmacSha256),
            (format!("whsec_{bare}"), Algorithm::Ed25519),
            (bare, Algorithm::Ed25519),
        ] {
            let options = options(algorithm, KeyFormat::StandardWebhooks);
            assert_eq!(verify(&secret(&value), options, b"", b""), Ok(false), "{value}");
        }
        let options = options(Algorithm::HmacSha256, KeyFormat::StandardWebhooks);
        let error = verify(&secret("whsec_"), options, b"", b"").unwrap_err();
        assert_eq!(error, "the secret `key` is too short a key: it has 0 bytes, and needs 16");
    }

    #[test]
    fn credentials_are_compared() {
        let options = options(Algorithm::Equal, KeyFormat::Text);
        assert_eq!(verify(&secret("u:p"), options, b"", b"u:p"), Ok(true));
        assert_eq!(verify(&secret("u:p"), options, b"", b"u:q"), Ok(false));
        assert_eq!(verify(&secret("u:p"), options, b"", b""), Ok(false));
    }

    #[test]
    fn what_is_not_base64_is_no_key_of_the_standard() {
        let options = options(Algorithm::HmacSha256, KeyFormat::StandardWebhooks);
        let error = verify(&secret("whsec_*"), options, b"", b"").unwrap_err();
        assert!(error.contains("`whsec_` or `whpk_` and base64"), "{error}");
    }
}
