//! A secret: one text, and the hosts that it may be sent to.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::Hosts;

/// The longest value.
const VALUE_BYTES: usize = 16 * 1024;

/// A text that is not shown: neither by `{:?}` nor in JSON.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct SecretText(String);

impl SecretText {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for SecretText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// A secret as an operator writes it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretDocument {
    /// The text itself.
    pub value: SecretText,
    /// The hosts that it may be sent to. Without any it proves things here, and goes nowhere.
    #[serde(default)]
    pub hosts: Vec<String>,
}

/// A secret that can be used.
#[derive(Debug)]
pub(crate) struct Secret {
    pub name: String,
    pub value: SecretText,
    pub hosts: Hosts,
}

impl Secret {
    /// # Errors
    /// A sentence on what is wrong with the document.
    pub fn new(name: &str, document: SecretDocument) -> Result<Self, String> {
        let hosts = Hosts::parse(&document.hosts)?;
        Self::bound(name, document.value, hosts)
    }

    /// # Errors
    /// A sentence on what is wrong with it.
    pub fn bound(name: &str, value: SecretText, hosts: Hosts) -> Result<Self, String> {
        super::check_name(name)?;
        if value.expose().is_empty() {
            return Err("`value` is empty: nothing would be kept secret".to_owned());
        }
        if value.expose().len() > VALUE_BYTES {
            let bytes = value.expose().len();
            return Err(format!("`value` has {bytes} bytes; at most {VALUE_BYTES} are kept"));
        }
        Ok(Self { name: name.to_owned(), value, hosts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let document: SecretDocument =
            serde_json::from_str(r#"{"value": "s3cr3t", "hosts": ["a.example"]}"#).unwrap();
        assert_eq!(serde_json::to_string(&document).unwrap(), r#"{"value":"***","hosts":["a.example"]}"#);
        let secret = Secret::new("key", document).unwrap();
        assert!(!format!("{secret:?}").contains("s3cr3t"));
        let empty = SecretDocument { value: SecretText(String::new()), hosts: vec![] };
        assert!(Secret::new("key", empty).unwrap_err().contains("empty"));
    }
}
