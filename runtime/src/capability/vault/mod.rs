//! A tenant's vault in memory: its secrets and connections, for the host to use on behalf of guests that never see them.
//!
//! [`secret`] and [`connection`] are what an operator puts in, [`Credentials`] what one call may use of it: the names that
//! its flow or trigger gives, and no others. A flow handles a secret as a placeholder; [`fill`] puts the value in its
//! place as the request leaves, and says what [`redact`](crate::redact) takes out of what comes back. [`signature`] proves
//! things with a secret without telling it. How they are kept at rest is `engine::vault`'s business; where they are sent, `http_request`'s.

mod connection;
mod credentials;
mod fill;
mod secret;
mod signature;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::Timestamp;

use crate::id::{VAULT_NAME_RULE, is_vault_name};

pub(crate) use connection::{
    ApiKeyPlace, Auth, Connection, ConnectionDocument, Identity, OAuth2, Token, TokenAuth,
};
pub(crate) use credentials::Credentials;
pub(crate) use fill::{Filling, Place};
pub(crate) use secret::{Secret, SecretDocument, SecretText};
pub(crate) use signature::{SignatureOptions, hmac, verify};

/// What a tenant has put in.
#[derive(Debug, Default)]
pub(crate) struct Vault {
    items: RwLock<Items>,
}

#[derive(Debug, Default)]
struct Items {
    secrets: ByName<Secret>,
    connections: ByName<Connection>,
}

/// By name, each with the time when it was put in. No time where it stands in the configuration.
type ByName<T> = BTreeMap<String, (Arc<T>, Option<Timestamp>)>;

impl Vault {
    /// The secret of that name.
    pub fn secret(&self, name: &str) -> Option<Arc<Secret>> {
        self.read().secrets.get(name).map(|(secret, _)| secret.clone())
    }

    /// The connection of that name.
    pub fn connection(&self, name: &str) -> Option<Arc<Connection>> {
        self.read().connections.get(name).map(|(connection, _)| connection.clone())
    }

    /// Puts a secret in, in the place of an older one; from the next request on.
    pub fn put_secret(&self, secret: Secret, at: Option<Timestamp>) {
        self.write().secrets.insert(secret.name.clone(), (Arc::new(secret), at));
    }

    /// Puts a connection in, in the place of an older one; from the next request on.
    pub fn put_connection(&self, connection: Connection, at: Option<Timestamp>) {
        self.write().connections.insert(connection.name.clone(), (Arc::new(connection), at));
    }

    /// Takes a secret out.
    pub fn remove_secret(&self, name: &str) {
        self.write().secrets.remove(name);
    }

    /// Takes a connection out.
    pub fn remove_connection(&self, name: &str) {
        self.write().connections.remove(name);
    }

    /// Puts in all that another one holds.
    pub fn take_from(&self, other: Self) {
        let Items { secrets, connections } = other.items.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut items = self.write();
        items.secrets.extend(secrets);
        items.connections.extend(connections);
    }

    /// Every secret, in order of the names.
    pub fn secrets(&self) -> impl Iterator<Item = (Arc<Secret>, Option<Timestamp>)> + use<> {
        self.read().secrets.values().cloned().collect::<Vec<_>>().into_iter()
    }

    /// Every connection, in order of the names.
    pub fn connections(&self) -> impl Iterator<Item = (Arc<Connection>, Option<Timestamp>)> + use<> {
        self.read().connections.values().cloned().collect::<Vec<_>>().into_iter()
    }

    fn read(&self) -> RwLockReadGuard<'_, Items> {
        self.items.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Items> {
        self.items.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error is a sentence.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    match is_vault_name(name) {
        true => Ok(()),
        false => {
            let shown: String = name.escape_debug().take(80).collect();
            Err(format!("`{shown}` cannot be a name here: {VAULT_NAME_RULE}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_no_encoding_changes() {
        for name in ["a", "shop-api", "Key_2.old", "9", &"x".repeat(64)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", "-a", ".a", "a b", "a/b", "ä", "a\n", &"x".repeat(65)] {
            assert!(check_name(name).unwrap_err().contains("at most 64 letters"), "{name:?}");
        }
    }
}
