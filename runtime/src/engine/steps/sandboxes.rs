//! The plugins of this host and the sandboxes that they run in: what carries out the steps of runs, judges the requests
//! of triggers, and is asked what fits a flow that is deployed.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::call::{self, Attempt};
use super::plugins::Plugins;
use super::switch::{self, SubscribeError};
use super::{GuestExpression, GuestSchema, Pace, Steps};
use crate::clock::Clock;
use crate::engine::addresses::Addresses;
use crate::engine::observers::Observers;
use crate::engine::tenant::Tenant;
use crate::flow::{Ask, Document, Finding, Outcome, read_with};
use crate::host::{Account, Evaluator, Expressions, Host, Schemas};
use crate::id::TenantId;
use crate::journal::SubscriptionRow;
use crate::problem::Problem;

pub(in crate::engine) struct Sandboxes {
    pub host: Host,
    pub evaluator: Evaluator,
    pub schemas: Schemas,
    pub plugins: Plugins,
    pub clock: Clock,
    pub addresses: Addresses,
    pub observers: Arc<Observers>,
}

impl Sandboxes {
    /// What judges the expressions and schemas of a tenant's calls.
    pub fn expressions(&self, tenant: &Tenant) -> Expressions {
        let (evaluator, schemas) = (self.evaluator.clone(), self.schemas.clone());
        Expressions { evaluator, schemas, tenant: tenant.id.clone() }
    }

    /// On whose account the schemas of a tenant's plugins are judged.
    pub fn account(&self, tenant: &Tenant) -> Account {
        let (schemas, limits) = (self.schemas.clone(), call::limits(tenant));
        Account { schemas, tenant: tenant.id.clone(), limits }
    }
}

impl Steps for Sandboxes {
    fn read(&self, tenant: &TenantId, text: &str, file: &str) -> Result<Vec<Document>, Vec<Finding>> {
        read_with(text, file, &self.plugins.contracts(tenant))
    }

    fn in_turns<'a>(&'a self, tenant: &'a Tenant, pace: Pace, work: BoxFuture<'a, ()>) -> BoxFuture<'a, ()> {
        Box::pin(self.host.compute(&tenant.id, call::limits(tenant), pace == Pace::Long, work))
    }

    fn call(self: Arc<Self>, tenant: Arc<Tenant>, attempt: Attempt, ask: Ask) -> BoxFuture<'static, Outcome> {
        Box::pin(async move { call::call(&self, &tenant, attempt, ask).await })
    }

    fn undo(
        self: Arc<Self>,
        tenant: Arc<Tenant>,
        attempt: Attempt,
        state: Arc<str>,
        reason: &'static str,
    ) -> BoxFuture<'static, Option<Problem>> {
        Box::pin(async move { call::undo(&self, &tenant, attempt, &state, reason).await })
    }

    fn subscribe(
        self: Arc<Self>,
        tenant: Arc<Tenant>,
        row: SubscriptionRow,
    ) -> BoxFuture<'static, Result<Vec<u8>, SubscribeError>> {
        Box::pin(async move { switch::subscribe(&self, &tenant, &row).await })
    }

    fn unsubscribe(
        self: Arc<Self>,
        tenant: Arc<Tenant>,
        row: SubscriptionRow,
    ) -> BoxFuture<'static, Result<(), Problem>> {
        Box::pin(async move { switch::unsubscribe(&self, &tenant, &row).await })
    }

    fn evaluate(
        self: Arc<Self>,
        tenant: Arc<Tenant>,
        evaluation: GuestExpression,
    ) -> BoxFuture<'static, Result<Value, String>> {
        Box::pin(async move { call::evaluate(&self, &tenant, evaluation).await })
    }

    fn validate(
        self: Arc<Self>,
        tenant: Arc<Tenant>,
        validation: GuestSchema,
    ) -> BoxFuture<'static, Result<Value, String>> {
        Box::pin(async move { call::validate(&self, &tenant, validation).await })
    }
}
