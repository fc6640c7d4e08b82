//! What the outside sees of flows, triggers, subscriptions and schedules: the shapes of the REST API.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::flow::Durability;
use crate::id::RunId;
use crate::journal::SubscriptionPhase;
use crate::problem::Problem;

/// A deployed flow.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowView {
    /// Its namespace.
    pub namespace: String,
    /// Its name, unique in tenant and namespace.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What its author calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Whether its runs are journalled on disk.
    pub durable: Durability,
    /// When this text was deployed.
    pub installed_at: Timestamp,
    /// The document.
    pub document: Value,
}

/// A deployed trigger.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerView {
    /// Its namespace.
    pub namespace: String,
    /// Its name, unique in tenant and namespace.
    pub name: String,
    /// The plugin that judges its requests.
    pub uses: String,
    /// The flow that it starts, as its document names it.
    pub flow: String,
    /// Whether it takes requests.
    pub enabled: bool,
    /// Where it takes them.
    pub url: String,
}

/// What a trigger has subscribed to, is subscribing to, or is to end.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionView {
    /// Its id; the plugin gives it to the other side as idempotency key.
    pub id: String,
    /// `namespace/name` of the trigger, which may be gone by now.
    pub trigger: String,
    /// The plugin that was switched on.
    pub uses: String,
    /// The address that was given to the other side.
    pub url: String,
    /// Where it stands.
    pub status: SubscriptionPhase,
    /// Calls of the plugin to bring it from there to the next status.
    pub attempts: u32,
    /// When the next one is made; none: it rests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// Why the last one failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// When a flow starts by itself.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleView {
    /// `namespace/name`.
    pub flow: String,
    /// `schedule` of its document, and the time zone that `cron` is read in.
    #[serde(flatten)]
    pub definition: Value,
    /// The next time; none while it waits for the end of a run, or when no time is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// The run that it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
}
