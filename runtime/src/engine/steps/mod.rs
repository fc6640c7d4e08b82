//! The steps of runs as the engine sees them: what a run asks of the outside, and who carries it out.
//!
//! [`Steps`] is the seam: [`Sandboxes`] behind it in a host, a scripted world in the simulator. One call of a guest is
//! in `call`, what judges a request in `judge`, what switches a trigger in `switch`, a call of no run in `trial`, what
//! reads a text that somebody has in `import`. Whether a document fits its plugins, `fit` says; which plugins there are,
//! `plugins` knows; where the steps of one run work, `places`. What follows from an outcome, the run's own room decides.

mod call;
mod fit;
mod import;
mod judge;
mod places;
mod plugins;
mod sandboxes;
mod switch;
mod trial;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;

pub(super) use self::call::{Attempt, json_text};
pub use self::import::Imported;
pub(super) use self::judge::{Judge, PluginJudge};
pub(super) use self::places::Places;
pub use self::plugins::PluginView;
pub(super) use self::plugins::{Plugins, view as plugin_view};
pub(super) use self::sandboxes::Sandboxes;
pub(super) use self::switch::SubscribeError;
pub use self::trial::{Trial, TrialEnd};
use super::tenant::Tenant;
use crate::flow::{Ask, Document, Finding, Outcome, Variables};
use crate::id::TenantId;
use crate::journal::SubscriptionRow;
use crate::problem::Problem;

/// An expression that is not evaluated natively.
pub(super) struct GuestExpression {
    /// Of the flow's text: what is compiled for one is kept for all its runs.
    pub flow_digest: String,
    pub program: String,
    pub input: Arc<Value>,
    pub variables: Variables,
}

/// A value to be compared with a schema that is not judged natively.
pub(super) struct GuestSchema {
    /// As for an expression.
    pub flow_digest: String,
    /// JSON text.
    pub schema: Arc<str>,
    pub value: Arc<Value>,
}

/// How work begins that is done in turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// As a call does, which nobody has seen compute for long yet.
    Quick,
    /// As one that has computed for long: no quick one waits for it.
    Long,
}

/// Each of these ends in an answer, whatever goes wrong. A future that is dropped leaves nothing running on this host.
pub(super) trait Steps: Send + Sync {
    /// Reads the text of a tenant's flow, with what the plugins that it calls say of it.
    fn read(&self, tenant: &TenantId, text: &str, file: &str) -> Result<Vec<Document>, Vec<Finding>>;

    /// What the engine itself computes on a tenant's account: each poll of the work is one turn.
    fn in_turns<'a>(&'a self, tenant: &'a Tenant, pace: Pace, work: BoxFuture<'a, ()>) -> BoxFuture<'a, ()>;

    /// One attempt of a step.
    fn call(self: Arc<Self>, tenant: Arc<Tenant>, attempt: Attempt, ask: Ask) -> BoxFuture<'static, Outcome>;

    /// One attempt to undo what a step left in the world. Returns why it is not undone.
    fn undo(
        self: Arc<Self>,
        tenant: Arc<Tenant>,
        attempt: Attempt,
        state: Arc<str>,
        reason: &'static str,
    ) -> BoxFuture<'static, Option<Problem>>;

    /// Calls the `enable` of the trigger that a subscription is of: the bytes that it leaves.
    fn subscribe(
        self: Arc<Self>,
        tenant: Arc<Tenant>,
        row: SubscriptionRow,
    ) -> BoxFuture<'static, Result<Vec<u8>, SubscribeError>>;

    /// Calls its `disable` with what `enable` left.
    fn unsubscribe(
        self: Arc<Self>,
        tenant: Arc<Tenant>,
        row: SubscriptionRow,
    ) -> BoxFuture<'static, Result<(), Problem>>;

    /// The value of an expression. The error is a sentence for its author.
    fn evaluate(
        self: Arc<Self>,
        tenant: Arc<Tenant>,
        evaluation: GuestExpression,
    ) -> BoxFuture<'static, Result<Value, String>>;

    /// What is wrong with a value by a schema, as [`violations`](crate::flow::violations) lists it. The error is a sentence
    /// for the author of the schema.
    fn validate(
        self: Arc<Self>,
        tenant: Arc<Tenant>,
        validation: GuestSchema,
    ) -> BoxFuture<'static, Result<Value, String>>;
}
