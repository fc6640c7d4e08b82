//! Who may call a webhook.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flowcell_plugin_http::input::is_token_byte;
use flowcell_sdk::prelude::*;
use subtle::ConstantTimeEq as _;

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
}

/// A token.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bearer {
    /// The token.
    pub token: String,
}

/// A header.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Its name, in any case.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A user name and a password.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// The user name, without a colon.
    pub username: String,
    /// The password.
    pub password: String,
}

impl Auth {
    /// Refuses what no caller could send.
    pub fn checked(self) -> Result<Self, String> {
        match &self {
            Self::Basic(Basic { username, .. }) if username.contains(':') => {
                Err("`auth.basic.username` holds a colon, which Basic authentication cannot carry".into())
            }
            Self::Bearer(Bearer { token }) if token.is_empty() => {
                Err("`auth.bearer.token` is empty, so that everybody could send it".into())
            }
            Self::Header(Header { name, value }) if name.is_empty() || value.is_empty() => {
                Err("`auth.header` needs a `name` and a `value` that are not empty".into())
            }
            Self::Header(Header { name, .. }) if !name.bytes().all(is_token_byte) => {
                Err(format!("`auth.header.name`: {name:?} is no name of a header"))
            }
            _ => Ok(self),
        }
    }

    /// The header that shows who calls, in lower case; it has done its work when the request is judged.
    pub fn header(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Basic(_) | Self::Bearer(_) => Some("authorization".to_owned()),
            Self::Header(header) => Some(header.name.to_ascii_lowercase()),
        }
    }

    /// What the answer to a caller that is not admitted asks for, as `WWW-Authenticate` has it.
    pub fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::None | Self::Header(_) => None,
            Self::Basic(_) => Some("Basic realm=\"webhook\", charset=\"UTF-8\""),
            Self::Bearer(_) => Some("Bearer realm=\"webhook\""),
        }
    }

    /// Whether the value of [`Auth::header`] is the right one. The time it takes does not depend on how much of it is
    /// right.
    pub fn admits(&self, given: Option<&str>) -> bool {
        let (given, wanted) = match self {
            Self::None => return true,
            Self::Basic(Basic { username, password }) => (
                given.and_then(credentials).unwrap_or_default(),
                [username.as_bytes(), b":", password.as_bytes()].concat(),
            ),
            Self::Bearer(Bearer { token }) => {
                (given.and_then(bearer).unwrap_or_default().into(), token.clone().into_bytes())
            }
            Self::Header(Header { value, .. }) => {
                (given.unwrap_or_default().into(), value.clone().into_bytes())
            }
        };
        given.ct_eq(&wanted).into()
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
