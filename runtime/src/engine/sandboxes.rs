//! The plugins of this host and the sandboxes that they run in: what carries out the steps of runs, judges the requests
//! of triggers, and is asked what fits a flow that is deployed.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::call::{self, Attempt};
use super::core::Core;
use super::plugins::Plugins;
use super::steps::{Evaluation, Steps};
use super::tenant::Tenant;
use crate::flow::{Ask, Document, Finding, Outcome, read_with};
use crate::host::{Evaluator, Expressions, Host};
use crate::id::TenantId;
use crate::problem::Problem;

pub(super) struct Sandboxes {
    pub host: Host,
    pub evaluator: Evaluator,
    pub plugins: Plugins,
}

impl Sandboxes {
    /// What judges the expressions of a tenant's calls.
    pub fn expressions(&self, tenant: &Tenant) -> Expressions {
        Expressions { evaluator: self.evaluator.clone(), tenant: tenant.id.clone() }
    }
}

impl Steps for Sandboxes {
    fn read(&self, tenant: &TenantId, text: &str, file: &str) -> Result<Vec<Document>, Vec<Finding>> {
        read_with(text, file, &self.plugins.contracts(tenant))
    }

    fn call(
        self: Arc<Self>,
        core: Arc<Core>,
        tenant: Arc<Tenant>,
        attempt: Attempt,
        ask: Ask,
    ) -> BoxFuture<'static, Outcome> {
        Box::pin(async move { call::call(&self, &core, &tenant, attempt, ask).await })
    }

    fn undo(
        self: Arc<Self>,
        core: Arc<Core>,
        tenant: Arc<Tenant>,
        attempt: Attempt,
        state: Arc<str>,
        reason: &'static str,
    ) -> BoxFuture<'static, Option<Problem>> {
        Box::pin(async move { call::undo(&self, &core, &tenant, attempt, &state, reason).await })
    }

    fn evaluate(
        self: Arc<Self>,
        tenant: Arc<Tenant>,
        evaluation: Evaluation,
    ) -> BoxFuture<'static, Result<Value, String>> {
        Box::pin(async move { call::evaluate(&self, &tenant, evaluation).await })
    }
}
