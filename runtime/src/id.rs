//! The names of things: tenants, flows, runs, plugins, and unguessable tokens.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng as _;
use semver::Version;
use serde::{Deserialize, Serialize};

mod callback;

/// What names of secrets and connections consist of: they stand in URLs, documents and placeholders as they are.
pub(crate) const VAULT_NAME_RULE: &str =
    "use at most 64 letters, digits, `-`, `_` and `.`, a letter or digit first";

/// Whether a secret or a connection may have that name.
pub(crate) fn is_vault_name(name: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    name.len() <= 64
        && name.bytes().all(is_legal)
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
}

pub(crate) use callback::{CallbackAddress, CallbackKey, CallbackTarget, PLACEHOLDER};

/// Whose it is. Every key in the journal begins with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// The tenant of a host that names none.
    pub fn default_tenant() -> Self {
        Self("default".into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for TenantId {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One execution of a flow; ids made later sort later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub struct RunId(uuid::Uuid);

/// As it is displayed: one spelling everywhere.
impl Serialize for RunId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl RunId {
    /// A new id. Version 7: time-ordered, 74 random bits.
    pub fn mint() -> Self {
        Self(uuid::Uuid::now_v7())
    }

    /// The id of what is done at a time that is known before: the same whoever makes it with this key, and sorted as the
    /// others.
    pub(crate) fn of(key: &[u8; 32], time: jiff::Timestamp, of: &[&[u8]]) -> Self {
        let mut hash = blake3::Hasher::new_keyed(key);
        for part in of {
            hash.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        let mut bits = [0; 10];
        hash.finalize_xof().fill(&mut bits);
        let millis = u64::try_from(time.as_millisecond()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &bits).into_uuid())
    }

    /// The 16 bytes that the journal stores.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// From the 16 bytes that the journal stores.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl FromStr for RunId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

/// One definition of a flow. The digest tells apart two texts that carry the same version, as they do while a flow is
/// being written; a run ends on the text it began on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FlowId {
    /// The flow's namespace.
    pub namespace: String,
    /// The flow's name.
    pub name: String,
    /// The flow's version.
    pub version: String,
    /// The first 32 hexadecimal digits of BLAKE3 over the document's text.
    pub digest: String,
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.namespace, self.name, self.version)
    }
}

/// What a flow calls: `name[.action]:version@catalog`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PluginRef {
    /// The plugin's name.
    pub name: String,
    /// Which of its actions; may be left out where there is one.
    pub action: Option<String>,
    /// The exact version.
    pub version: Version,
}

impl fmt::Display for PluginRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(action) = &self.action {
            write!(f, ".{action}")?;
        }
        write!(f, ":{}", self.version)
    }
}

impl Serialize for PluginRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The longest name of a plugin or an action, in bytes.
const LONGEST_NAME: usize = 64;
/// The longest version of anything, in bytes.
const LONGEST_VERSION: usize = 64;

/// A version that somebody wrote. The error is a sentence.
pub(crate) fn version_of(text: &str) -> Result<Version, String> {
    if text.len() > LONGEST_VERSION {
        return Err(format!("the version has {} characters, and may have {LONGEST_VERSION}", text.len()));
    }
    Version::parse(text).map_err(|error| format!("`{text}` is not a version such as 1.0.0: {error}"))
}

impl FromStr for PluginRef {
    type Err = String;

    /// ```
    /// let plugin: flowcell::PluginRef = "slack.post-message:1.2.0@default".parse().unwrap();
    /// assert_eq!((plugin.name.as_str(), plugin.action.as_deref()), ("slack", Some("post-message")));
    /// assert!("slack".parse::<flowcell::PluginRef>().unwrap_err().contains("version"));
    /// ```
    fn from_str(text: &str) -> Result<Self, String> {
        let (text, catalog) = text.split_once('@').unwrap_or((text, "default"));
        if catalog != "default" {
            return Err(format!("unknown catalog `{catalog}`: installed plugins are in `default`"));
        }
        let Some((name, version)) = text.split_once(':') else {
            return Err(format!("`{text}` has no version: write it as `{text}:1.0.0@default`"));
        };
        let version = version_of(version)?;
        let (name, action) = match name.split_once('.') {
            Some((name, action)) => (name, Some(action.to_owned())),
            None => (name, None),
        };
        if name.is_empty() || action.as_deref() == Some("") {
            return Err(format!("`{text}` has an empty name: write it as `name:1.0.0@default`"));
        }
        if name.len() > LONGEST_NAME || action.as_deref().is_some_and(|action| action.len() > LONGEST_NAME) {
            return Err(format!("a plugin and an action have names of at most {LONGEST_NAME} characters"));
        }
        Ok(Self { name: name.to_owned(), action, version })
    }
}

/// Text that nobody can guess: 192 random bits of the operating system in 32 URL-safe characters.
///
/// # Panics
/// When the operating system has no randomness to give, which none of the supported ones reports after boot.
pub fn mint_token() -> String {
    URL_SAFE_NO_PAD.encode(random::<24>())
}

/// A new id in 32 hexadecimal digits; one made later sorts later.
pub(crate) fn mint_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// A key that nobody can guess.
///
/// # Panics
/// As [`mint_token`].
pub(crate) fn mint_key() -> [u8; 32] {
    random()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
