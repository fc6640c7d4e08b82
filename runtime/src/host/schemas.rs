//! The schema guest: JSON Schemas that are not plain, judged in kept sandboxes. What is plain, `schema` judges without one.

use std::sync::Arc;

use flowcell_plugin_json_schema::Finding;
use wasmtime::component::ComponentExportIndex;

use super::Host;
use super::bindings::GuestFinding;
use super::exports;
use super::install::{self, InstallError};
use super::kept::{KeptGuest, Key, Turn, Words};
use super::limits::CallLimits;
use super::turns::Record;
use crate::id::TenantId;

const WORDS: Words = Words {
    what: "the schema",
    cpu: "write it with smaller patterns and fewer alternatives, or compare less with it at once",
    memory: "write it with fewer and smaller patterns",
    stack: "leads too deeply into itself: look for a `$ref` that does not end",
    failed: "could not be judged",
};

/// Compares values with JSON Schemas.
#[derive(Clone)]
pub(crate) struct Schemas(Arc<Inner>);

struct Inner {
    guest: KeptGuest,
    validate: ComponentExportIndex,
    check: ComponentExportIndex,
}

/// Who asks for a schema to be judged, and pays for it.
#[derive(Clone)]
pub(crate) struct Account {
    /// What judges it.
    pub schemas: Schemas,
    /// Whose schema it is.
    pub tenant: TenantId,
    /// What judging it may use.
    pub limits: CallLimits,
}

impl Schemas {
    pub(super) async fn new(host: &Host, wasm: &[u8]) -> Result<Self, InstallError> {
        let linked = install::link(host, None, wasm).await?;
        let (validate, check) = exports::schema(&linked.compiled.component)?;
        let guest = KeptGuest::new(host, linked.pre, WORDS);
        host.compiler().keep(linked.compiled).await;
        Ok(Self(Arc::new(Inner { guest, validate, check })))
    }

    /// What is wrong with a value by a schema, both JSON text. Nothing is said about what the parts decide that are not known
    /// yet: null stands for them, at the JSON pointers `unknown`. The error is a sentence about the schema.
    pub(crate) async fn validate(
        &self,
        key: &Key,
        schema: &str,
        value: &str,
        unknown: &[String],
        limits: CallLimits,
    ) -> Result<Vec<Finding>, String> {
        self.validated(key, (schema, value, unknown), limits, Turn::Own).await.0
    }

    /// The same for a guest that asks, in its turn; and the fuel that it took.
    pub(super) async fn validate_counted(
        &self,
        key: &Key,
        (schema, value): (&str, &str),
        limits: CallLimits,
        callers: Record,
    ) -> (Result<Vec<Finding>, String>, u64) {
        self.validated(key, (schema, value, &[]), limits, Turn::Caller(callers)).await
    }

    async fn validated(
        &self,
        key: &Key,
        texts: (&str, &str, &[String]),
        limits: CallLimits,
        whose: Turn,
    ) -> (Result<Vec<Finding>, String>, u64) {
        let Inner { guest, validate, .. } = &*self.0;
        let (judged, spent) = guest.call(key, validate, texts, limits, whose).await;
        let findings = judged.and_then(|result: Result<Vec<GuestFinding>, String>| result);
        (findings.map(|findings| findings.into_iter().map(Finding::from).collect()), spent)
    }

    /// Compiles a schema, JSON text. The error is a sentence about it.
    pub(crate) async fn check(&self, key: &Key, schema: &str, limits: CallLimits) -> Result<(), String> {
        let Inner { guest, check, .. } = &*self.0;
        let (judged, _) = guest.call(key, check, (schema,), limits, Turn::Own).await;
        judged.and_then(|result: Result<(), String>| result)
    }
}

impl Account {
    /// What is wrong with a value: see [`Schemas::validate`].
    pub(super) async fn validate(
        &self,
        schema: &str,
        value: &str,
        unknown: &[String],
    ) -> Result<Vec<Finding>, String> {
        self.schemas.validate(&self.key(schema), schema, value, unknown, self.limits).await
    }

    /// What is wrong with a schema: see [`Schemas::check`].
    pub(super) async fn check(&self, schema: &str) -> Result<(), String> {
        self.schemas.check(&self.key(schema), schema, self.limits).await
    }

    fn key(&self, schema: &str) -> Key {
        key(&self.tenant, schema)
    }
}

/// The sandbox of a text that is part of no flow: what was compiled for it is kept for the next time, and for nobody else.
pub(super) fn key(tenant: &TenantId, text: &str) -> Key {
    (tenant.clone(), blake3::hash(text.as_bytes()).to_hex().to_string())
}
