//! Who carries out what a run wants done outside of itself: [`Sandboxes`](super::sandboxes::Sandboxes) in a host, a
//! scripted world in the simulator.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::call::Attempt;
use super::core::Core;
use super::tenant::Tenant;
use crate::flow::{Ask, Document, Finding, Outcome, Variables};
use crate::id::TenantId;
use crate::problem::Problem;

/// An expression that is not evaluated natively.
pub(super) struct Evaluation {
    /// Of the flow's text: what is compiled for one is kept for all its runs.
    pub flow_digest: String,
    pub program: String,
    pub input: Arc<Value>,
    pub variables: Variables,
}

/// Each of these ends in an answer, whatever goes wrong. A future that is dropped leaves nothing running on this host.
pub(super) trait Steps: Send + Sync {
    /// Reads the text of a tenant's flow, with what the plugins that it calls say of it.
    fn read(&self, tenant: &TenantId, text: &str, file: &str) -> Result<Vec<Document>, Vec<Finding>>;

    /// One attempt of a step.
    fn call(
        self: Arc<Self>,
        core: Arc<Core>,
        tenant: Arc<Tenant>,
        attempt: Attempt,
        ask: Ask,
    ) -> BoxFuture<'static, Outcome>;

    /// One attempt to undo what a step left in the world. None: it is undone.
    fn undo(
        self: Arc<Self>,
        core: Arc<Core>,
        tenant: Arc<Tenant>,
        attempt: Attempt,
        state: Arc<str>,
        reason: &'static str,
    ) -> BoxFuture<'static, Option<Problem>>;

    /// The value of an expression. The error is a sentence for its author.
    fn evaluate(
        self: Arc<Self>,
        tenant: Arc<Tenant>,
        evaluation: Evaluation,
    ) -> BoxFuture<'static, Result<Value, String>>;
}
