//! Signatures over the body of a webhook, in the shapes that services use. The host verifies: the secret is not seen here.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use flowcell_plugin_http::input::is_token_byte;
use flowcell_sdk::prelude::*;
use flowcell_sdk::secret::{Algorithm, Key};

use crate::auth::Secrets;

/// How old a signed request may be, and how far ahead its clock.
const TOLERANCE: Duration = Duration::from_secs(300);
/// The most signatures that one request is looked at for.
const SIGNATURES: usize = 16;

/// What is signed, and where the signature stands.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// `standard-webhooks`, `github` or `stripe`. Without it `header`, `algorithm` and `encoding` say what is signed: the
    /// body.
    #[serde(default)]
    scheme: Option<Scheme>,
    /// The secret that signs, or several while one takes the place of another. Of `standard-webhooks`: `whsec_…`, or
    /// `whpk_…` for ed25519.
    secret: Secrets,
    /// How old a signed request may be, and how far ahead its clock, where the scheme has a time: PT5M unless said otherwise.
    #[serde(default)]
    tolerance: Option<TimeSpan>,
    /// The header with the signature.
    #[serde(default)]
    header: Option<String>,
    /// How it is made.
    #[serde(default)]
    algorithm: Option<Hmac>,
    /// How it is written: `hex` unless said otherwise.
    #[serde(default)]
    encoding: Option<Encoding>,
    /// What stands before it, such as `sha256=`.
    #[serde(default)]
    prefix: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Scheme {
    /// `webhook-id`, `webhook-timestamp` and `webhook-signature`, with HMAC (v1) or ed25519 (v1a).
    StandardWebhooks,
    /// `x-hub-signature-256`.
    Github,
    /// `stripe-signature`.
    Stripe,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
enum Hmac {
    #[serde(rename = "hmac-sha1")]
    Sha1,
    #[serde(rename = "hmac-sha256")]
    Sha256,
    #[serde(rename = "hmac-sha384")]
    Sha384,
    #[serde(rename = "hmac-sha512")]
    Sha512,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Hex,
    Base64,
}

impl Signature {
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if self.secret.names().is_empty() {
            return Err("`auth.signature.secret` is empty: name a secret".into());
        }
        let is_generic = self.header.is_some()
            || self.algorithm.is_some()
            || self.encoding.is_some()
            || self.prefix.is_some();
        match (self.scheme, &self.header) {
            (Some(_), _) if is_generic => Err(
                "`auth.signature`: `scheme` says where the signature stands and how it is made; leave `header`, `algorithm`, `encoding` and `prefix` out"
                    .into(),
            ),
            (Some(Scheme::Github), _) if self.tolerance.is_some() => {
                Err("`auth.signature.tolerance`: github signs no time; leave it out".into())
            }
            (Some(_), _) => Ok(()),
            (None, None) => Err("`auth.signature` needs a `scheme`, or the `header` with the signature".into()),
            (None, Some(_)) if self.tolerance.is_some() => {
                Err("`auth.signature.tolerance`: no time is signed; leave it out".into())
            }
            (None, Some(header)) if header.is_empty() || !header.bytes().all(is_token_byte) => {
                Err(format!("`auth.signature.header`: {header:?} is no name of a header"))
            }
            (None, Some(_)) => Ok(()),
        }
    }

    /// The name of the event where the signature says one, which is signed too.
    pub fn event_id<'r>(&self, request: &'r Inbound) -> Option<&'r str> {
        match self.scheme {
            Some(Scheme::StandardWebhooks) => request.header("webhook-id"),
            _ => None,
        }
    }

    /// Whether the signature is right, and new enough.
    pub fn admits(&self, request: &Inbound, body: &[u8], ctx: &Context) -> Result<bool, Problem> {
        match self.scheme {
            Some(Scheme::StandardWebhooks) => self.standard(request, body, ctx),
            Some(Scheme::Github) => {
                let shown = request.header("x-hub-signature-256").unwrap_or_default();
                let Some(signature) = shown.strip_prefix("sha256=").and_then(unhex) else { return Ok(false) };
                self.secret.any(ctx, |secret| secret.verify(Algorithm::HmacSha256, body, &signature))
            }
            Some(Scheme::Stripe) => self.stripe(request, body, ctx),
            None => {
                let name = self.header.as_deref().unwrap_or_default().to_ascii_lowercase();
                let shown = request.header(&name).unwrap_or_default();
                let text = shown.strip_prefix(self.prefix.as_deref().unwrap_or_default());
                let signature = text.and_then(|text| self.encoding.unwrap_or_default().decode(text.trim()));
                let Some(signature) = signature else { return Ok(false) };
                let algorithm = self.algorithm.unwrap_or(Hmac::Sha256).into();
                self.secret.any(ctx, |secret| secret.verify(algorithm, body, &signature))
            }
        }
    }

    fn standard(&self, request: &Inbound, body: &[u8], ctx: &Context) -> Result<bool, Problem> {
        let header = |name| request.header(name).filter(|value| !value.is_empty());
        let (Some(id), Some(time), Some(signatures)) =
            (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"))
        else {
            return Ok(false);
        };
        if !self.is_new_enough(time, request) {
            return Ok(false);
        }
        let message = [id.as_bytes(), b".", time.as_bytes(), b".", body].concat();
        let signatures: Vec<_> =
            signatures.split_ascii_whitespace().take(SIGNATURES).filter_map(versioned).collect();
        if signatures.is_empty() {
            return Ok(false);
        }
        self.secret.any(ctx, |secret| {
            let secret = secret.with_key(Key::StandardWebhooks);
            let mut proved = false;
            let mut broken = None;
            for (algorithm, signature) in &signatures {
                match secret.verify(*algorithm, &message, signature) {
                    Ok(right) => proved |= right,
                    // A key of the one kind says nothing about a signature of the other.
                    Err(problem) => broken = Some(problem),
                }
            }
            match broken {
                Some(problem) if !proved => Err(problem),
                _ => Ok(proved),
            }
        })
    }

    fn stripe(&self, request: &Inbound, body: &[u8], ctx: &Context) -> Result<bool, Problem> {
        let shown = request.header("stripe-signature").unwrap_or_default();
        let parts = || shown.split(',').filter_map(|part| part.trim().split_once('='));
        let Some((_, time)) = parts().find(|(key, _)| *key == "t") else { return Ok(false) };
        if !self.is_new_enough(time, request) {
            return Ok(false);
        }
        let signatures: Vec<_> = parts()
            .filter(|(key, _)| *key == "v1")
            .take(SIGNATURES)
            .filter_map(|(_, text)| unhex(text))
            .collect();
        let message = [time.as_bytes(), b".", body].concat();
        self.secret.any(ctx, |secret| {
            let mut proved = false;
            for signature in &signatures {
                proved |= secret.verify(Algorithm::HmacSha256, &message, signature)?;
            }
            Ok(proved)
        })
    }

    /// `time`: seconds since 1970.
    fn is_new_enough(&self, time: &str, request: &Inbound) -> bool {
        let tolerance = self.tolerance.map_or(TOLERANCE, TimeSpan::as_duration);
        // Digits alone: what is signed is the text, and a number has one.
        let digits = time.bytes().all(|byte| byte.is_ascii_digit());
        time.parse().is_ok_and(|seconds: u64| {
            digits && Duration::from_secs(seconds).abs_diff(request.received()) <= tolerance
        })
    }
}

/// `v1,BASE64` or `v1a,BASE64`.
fn versioned(signature: &str) -> Option<(Algorithm, Vec<u8>)> {
    let (version, text) = signature.split_once(',')?;
    let algorithm = match version {
        "v1" => Algorithm::HmacSha256,
        "v1a" => Algorithm::Ed25519,
        _ => return None,
    };
    Some((algorithm, Encoding::Base64.decode(text)?))
}

impl Encoding {
    fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => unhex(text),
            Self::Base64 => STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok(),
        }
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some((digit(*high)? * 16 + digit(*low)?) as u8),
            _ => None,
        })
        .collect()
}

impl From<Hmac> for Algorithm {
    fn from(hmac: Hmac) -> Self {
        match hmac {
            Hmac::Sha1 => Self::HmacSha1,
            Hmac::Sha256 => Self::HmacSha256,
            Hmac::Sha384 => Self::HmacSha384,
            Hmac::Sha512 => Self::HmacSha512,
        }
    }
}
