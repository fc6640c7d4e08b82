//! A change of a run, as streams of events show it, and the head of a run that is shown with it.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::flow::{Status, StepRecord};
use crate::id::{RunId, TenantId};
use crate::problem::Problem;

/// A change of a run as it happens.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum RunChange {
    /// The run began or ended.
    Run {
        /// When.
        at: Timestamp,
        /// How it stands now.
        run: RunSummary,
        /// Why it faulted.
        #[serde(skip_serializing_if = "Option::is_none")]
        problem: Option<Problem>,
    },
    /// A step changed.
    Step {
        /// When.
        at: Timestamp,
        /// Whose run.
        tenant: TenantId,
        /// Which run.
        run: RunId,
        /// How the step stands now.
        step: StepRecord,
    },
    /// A step's plugin logged a line.
    Log {
        /// When its step answered.
        at: Timestamp,
        /// Whose run.
        tenant: TenantId,
        /// Which run.
        run: RunId,
        /// Which step.
        step: u32,
        /// `debug`, `info`, `warn` or `error`.
        level: String,
        /// The line.
        message: String,
        /// What else the plugin said with it.
        fields: Value,
    },
}

impl RunChange {
    /// Which run it is about.
    pub fn run(&self) -> RunId {
        match self {
            Self::Run { run, .. } => run.id,
            Self::Step { run, .. } | Self::Log { run, .. } => *run,
        }
    }

    /// Whose run it is about.
    pub fn tenant(&self) -> &TenantId {
        match self {
            Self::Run { run, .. } => &run.tenant,
            Self::Step { tenant, .. } | Self::Log { tenant, .. } => tenant,
        }
    }
}

/// A run in a list.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// Its id.
    pub id: RunId,
    /// Whose it is.
    pub tenant: TenantId,
    /// `namespace/name:version`.
    pub flow: String,
    /// `namespace/name` of the trigger that started it; `schedule` where its flow started by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// When it was accepted.
    pub started_at: Timestamp,
    /// When it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}
