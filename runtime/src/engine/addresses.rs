//! The addresses that the world reaches this host under: what the URLs of hooks begin with, and what seals the callback
//! addresses of steps. Nothing is stored for a callback address: it names tenant, run and step, and only this journal's
//! key opens it.

use std::sync::Arc;

use crate::id::{CallbackAddress, CallbackKey, CallbackTarget, RunId, TenantId};

#[derive(Clone)]
pub(super) struct Addresses {
    /// Without a `/` at its end.
    pub base_url: Arc<str>,
    key: CallbackKey,
}

impl Addresses {
    pub fn new(base_url: impl Into<Arc<str>>, key: CallbackKey) -> Self {
        Self { base_url: base_url.into(), key }
    }

    /// Where the steps of a run are called back.
    pub fn of_run(&self, tenant: &TenantId, run: RunId) -> CallbackAddress {
        let (base_url, key) = (self.base_url.clone(), self.key.clone());
        CallbackAddress { base_url, key, tenant: tenant.clone(), run }
    }

    /// The step that a callback token is of; none where another journal has sealed it.
    pub fn open(&self, token: &str) -> Option<CallbackTarget> {
        self.key.open(token)
    }
}
