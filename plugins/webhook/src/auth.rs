//! Who may call a webhook.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
            _ => Ok(self),
        }
    }

    /// Whether callers show who they are.
    pub fn is_needed(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Whether this `authorization` header is the right one. The time it takes does not depend on how much of it is
    /// right.
    pub fn admits(&self, authorization: Option<&str>) -> bool {
        let Self::Basic(basic) = self else { return true };
        let given = authorization.and_then(credentials).unwrap_or_default();
        let wanted = [basic.username.as_bytes(), b":", basic.password.as_bytes()].concat();
        given.ct_eq(&wanted).into()
    }
}

/// `user:password` out of `Basic …`.
fn credentials(authorization: &str) -> Option<Vec<u8>> {
    let (scheme, text) = authorization.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    STANDARD.decode(text.trim()).ok()
}
