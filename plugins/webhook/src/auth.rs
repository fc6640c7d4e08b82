//! Who may call a webhook. What is checked with a secret of the vault, the host checks: it is not seen here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flowcell_plugin_http::input::is_token_byte;
use flowcell_sdk::prelude::*;
use flowcell_sdk::secret::Algorithm;
use subtle::ConstantTimeEq as _;

use crate::signature::Signature;

/// How a caller shows who it is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// Whoever knows the address may call.
    #[default]
    None,
    /// A user name and a password, as browsers and most services send them.
    Basic(Basic),
    /// A token, as `Authorization: Bearer TOKEN`.
    Bearer(Bearer),
    /// A header with a value that only the right callers know.
    Header(Header),
    /// A signature over the body, made with a secret that both sides know.
    Signature(Signature),
}

/// A token: written here, or the value of a secret.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bearer {
    /// The token.
    #[serde(default)]
    pub token: Option<String>,
    /// The secret that is the token, or several while one takes the place of another.
    #[serde(default)]
    pub secret: Option<Secrets>,
}

/// A header whose value is written here, or is the value of a secret.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Its name, in any case.
    pub name: String,
    /// Its value.
    #[serde(default)]
    pub value: Option<String>,
    /// The secret that is its value, or several while one takes the place of another.
    #[serde(default)]
    pub secret: Option<Secrets>,
}

/// A user name and a password, or a secret of the form `user:password`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// The user name, without a colon.
    #[serde(default)]
    pub username: Option<String>,
    /// The password.
    #[serde(default)]
    pub password: Option<String>,
    /// The secret `user:password`, or several while one takes the place of another.
    #[serde(default)]
    pub secret: Option<Secrets>,
}

/// Names of secrets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("format" = "secret"))]
pub enum Secrets {
    /// One.
    One(String),
    /// Any of them.
    Several(Vec<String>),
}

impl Secrets {
    /// The names.
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }

    /// Whether one of them proves it. One that cannot is said in the log; the problem is that none can.
    pub fn any(
        &self,
        ctx: &Context,
        proves: impl Fn(flowcell_sdk::secret::Secret<'_>) -> Result<bool, Problem>,
    ) -> Result<bool, Problem> {
        let mut broken = None;
        let (mut proved, mut usable) = (false, false);
        // All are tried, whichever is the right one.
        for name in self.names() {
            match proves(ctx.secret(name)) {
                Ok(right) => {
                    usable = true;
                    proved |= right;
                }
                Err(problem) => {
                    ctx.error(&format!("`auth`: {}", problem.detail_text()));
                    broken = Some(problem);
                }
            }
        }
        match broken {
            // What is wrong with the secret is not the caller's to know.
            Some(_) if !usable => Err(Problem::runtime("whether the caller is the right one cannot be said")),
            _ => Ok(proved),
        }
    }
}

/// What the value of a header is compared with.
enum Wanted<'a> {
    Text(Vec<u8>),
    Secret(&'a Secrets),
}

impl Auth {
    /// Refuses what no caller could send.
    pub fn checked(self) -> Result<Self, String> {
        let one_of = |what: &str, written: bool, secret: &Option<Secrets>| match (written, secret) {
            (true, Some(_)) => {
                Err(format!("`auth.{what}` is written out and names a `secret`: leave one out"))
            }
            (false, None) => Err(format!("`auth.{what}` is not complete: write it out, or name a `secret`")),
            (false, Some(secrets)) if secrets.names().is_empty() => {
                Err(format!("`auth.{what}.secret` is empty: name a secret"))
            }
            _ => Ok(()),
        };
        match &self {
            Self::None => {}
            Self::Basic(Basic { username, password, secret }) => {
                if username.as_deref().is_some_and(|username| username.contains(':')) {
                    return Err(
                        "`auth.basic.username` holds a colon, which Basic authentication cannot carry".into(),
                    );
                }
                if username.is_some() != password.is_some() {
                    return Err("`auth.basic` needs both of `username` and `password`, or a `secret`".into());
                }
                one_of("basic", username.is_some(), secret)?;
            }
            Self::Bearer(Bearer { token, secret }) => {
                if token.as_deref() == Some("") {
                    return Err("`auth.bearer.token` is empty, so that everybody could send it".into());
                }
                one_of("bearer", token.is_some(), secret)?;
            }
            Self::Header(Header { name, value, secret }) => {
                if name.is_empty() || value.as_deref() == Some("") {
                    return Err("`auth.header` needs a `name` and a `value` that are not empty".into());
                }
                if !name.bytes().all(is_token_byte) {
                    return Err(format!("`auth.header.name`: {name:?} is no name of a header"));
                }
                one_of("header", value.is_some(), secret)?;
            }
            Self::Signature(signature) => signature.check()?,
        }
        Ok(self)
    }

    /// The header that shows who calls, in lower case; it has done its work when the request is judged.
    pub fn header(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Basic(_) | Self::Bearer(_) => Some("authorization".to_owned()),
            Self::Header(header) => Some(header.name.to_ascii_lowercase()),
            // Says nothing to who has not the secret, and something to who looks into a delivery.
            Self::Signature(_) => None,
        }
    }

    /// What the answer to a caller that is not admitted asks for, as `WWW-Authenticate` has it.
    pub fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::None | Self::Header(_) | Self::Signature(_) => None,
            Self::Basic(_) => Some("Basic realm=\"webhook\", charset=\"UTF-8\""),
            Self::Bearer(_) => Some("Bearer realm=\"webhook\""),
        }
    }

    /// Whether the caller is the right one. The time it takes does not depend on how much of what it shows is right.
    pub fn admits(&self, request: &Inbound, body: &[u8], ctx: &Context) -> Result<bool, Problem> {
        let shown = self.header().and_then(|name| request.header(&name)).unwrap_or_default();
        let written = |text: &Option<String>| text.as_deref().unwrap_or_default().as_bytes().to_vec();
        let (given, wanted) = match self {
            Self::None => return Ok(true),
            Self::Signature(signature) => return signature.admits(request, body, ctx),
            Self::Basic(Basic { secret: Some(secret), .. }) => {
                (credentials(shown).unwrap_or_default(), Wanted::Secret(secret))
            }
            Self::Basic(Basic { username, password, .. }) => (
                credentials(shown).unwrap_or_default(),
                Wanted::Text([written(username), b":".to_vec(), written(password)].concat()),
            ),
            Self::Bearer(Bearer { token, secret }) => {
                let wanted = secret.as_ref().map_or_else(|| Wanted::Text(written(token)), Wanted::Secret);
                (bearer(shown).unwrap_or_default().into(), wanted)
            }
            Self::Header(Header { value, secret, .. }) => {
                let wanted = secret.as_ref().map_or_else(|| Wanted::Text(written(value)), Wanted::Secret);
                (shown.as_bytes().to_vec(), wanted)
            }
        };
        match wanted {
            Wanted::Text(wanted) => Ok(given.ct_eq(&wanted).into()),
            Wanted::Secret(secrets) => {
                secrets.any(ctx, |secret| secret.verify(Algorithm::Equal, b"", &given))
            }
        }
    }
}

/// The token out of `Bearer …`.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// `user:password` out of `Basic …`.
fn credentials(authorization: &str) -> Option<Vec<u8>> {
    let (scheme, text) = authorization.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    STANDARD.decode(text.trim()).ok()
}
