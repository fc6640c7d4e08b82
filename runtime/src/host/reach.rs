//! What a guest call may reach, and what it may know of what it is about. What does not stand in its [`Reach`] is not
//! reachable.
//!
//! Who gets which reach is the engine's to say. The functions that answer out of it are in `bindings`.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::evaluator::Evaluator;
use super::schemas::Schemas;
use crate::capability::http_request::Egress;
use crate::capability::vault::Credentials;
use crate::id::{CallbackAddress, RunId, TenantId};

/// What a call may reach.
#[derive(Clone)]
pub(crate) enum Reach {
    /// A step of a run: the world, by the tenant's policy.
    Step(StepContext, Grants),
    /// Switching a trigger on or off: the same.
    Switch(SwitchContext, Grants),
    /// Judging a request that arrived: expressions over it, and proofs. No way out.
    Judge {
        /// The request: the answers of `inbound`.
        arrival: Arrival,
        /// What judges its expressions.
        expressions: Expressions,
        /// What it may use of its tenant's vault.
        credentials: Credentials,
    },
    /// Reading what somebody wrote: expressions.
    Read(Expressions),
    /// Nothing: a guest that describes itself, or that evaluates an expression, on this tenant's account.
    Nothing(TenantId),
}

/// The world, as one tenant may reach it.
#[derive(Clone)]
pub(crate) struct Grants {
    /// The tenant's way out.
    pub egress: Arc<Egress>,
    /// What judges its expressions.
    pub expressions: Expressions,
    /// What it may use of its tenant's vault.
    pub credentials: Credentials,
}

/// What judges expressions and schemas for a call, and for whom.
#[derive(Clone)]
pub(crate) struct Expressions {
    pub evaluator: Evaluator,
    pub schemas: Schemas,
    pub tenant: TenantId,
}

/// What a step may know about itself: the answers of `context`, worded when they are asked for.
#[derive(Clone, Debug)]
pub(crate) struct StepContext {
    /// The run.
    pub run: RunId,
    /// The step in its run.
    pub step: u32,
    /// From 1.
    pub attempt: u32,
    /// When the step is ended, in milliseconds since 1970.
    pub deadline_ms: u64,
    /// Where the world may answer the run's steps.
    pub callbacks: CallbackAddress,
}

/// What switching a trigger on or off may know about itself.
#[derive(Clone, Debug)]
pub(crate) struct SwitchContext {
    /// Of the subscription, 32 hexadecimal digits: the idempotency key of every attempt, on and off.
    pub subscription: String,
    /// From 1.
    pub attempt: u32,
    /// When the call is ended, in milliseconds since 1970.
    pub deadline_ms: u64,
    /// Where the trigger takes requests.
    pub url: String,
}

/// A request that has arrived at a trigger.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub request: Inbound,
    /// When it was complete, in milliseconds since 1970.
    pub received_ms: u64,
    /// `namespace/name` of the trigger.
    pub trigger: String,
}

/// An inbound request for a hook, its body read and within the limit.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// The method as received.
    pub method: String,
    /// The path below the hook's address; `/` for the address itself.
    pub path: String,
    /// The query as received, without `?`.
    pub query: String,
    /// Names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    /// The body as received.
    pub body: Bytes,
    /// Who called.
    pub remote: SocketAddr,
}

impl Reach {
    /// Whose places and turns the call takes.
    pub(super) fn tenant(&self) -> &TenantId {
        match self {
            Self::Step(_, grants) | Self::Switch(_, grants) => &grants.expressions.tenant,
            Self::Judge { expressions, .. } | Self::Read(expressions) => &expressions.tenant,
            Self::Nothing(tenant) => tenant,
        }
    }

    pub(super) fn egress(&self) -> Option<&Arc<Egress>> {
        self.grants().map(|grants| &grants.egress)
    }

    pub(super) fn expressions(&self) -> Option<&Expressions> {
        match self {
            Self::Step(_, grants) | Self::Switch(_, grants) => Some(&grants.expressions),
            Self::Judge { expressions, .. } | Self::Read(expressions) => Some(expressions),
            Self::Nothing(_) => None,
        }
    }

    pub(super) fn credentials(&self) -> Option<&Credentials> {
        match self {
            Self::Judge { credentials, .. } => Some(credentials),
            _ => self.grants().map(|grants| &grants.credentials),
        }
    }

    pub(super) fn arrival(&self) -> Option<&Arrival> {
        match self {
            Self::Judge { arrival, .. } => Some(arrival),
            _ => None,
        }
    }

    /// What `context` answers for.
    pub(super) fn errand(&self) -> Option<Errand<'_>> {
        match self {
            Self::Step(step, _) => Some(Errand::Step(step)),
            Self::Switch(switch, _) => Some(Errand::Switch(switch)),
            _ => None,
        }
    }

    fn grants(&self) -> Option<&Grants> {
        match self {
            Self::Step(_, grants) | Self::Switch(_, grants) => Some(grants),
            _ => None,
        }
    }
}

/// What a call that may reach the world is about.
pub(super) enum Errand<'r> {
    Step(&'r StepContext),
    Switch(&'r SwitchContext),
}

impl<'r> Errand<'r> {
    pub(super) fn step(&self) -> Option<&'r StepContext> {
        match self {
            Self::Step(step) => Some(step),
            Self::Switch(_) => None,
        }
    }

    pub(super) fn attempt(&self) -> u32 {
        match self {
            Self::Step(step) => step.attempt,
            Self::Switch(switch) => switch.attempt,
        }
    }

    /// The same for every attempt.
    pub(super) fn idempotency_key(&self) -> String {
        match self {
            Self::Step(step) => format!("{}-{}", step.run, step.step),
            Self::Switch(switch) => switch.subscription.clone(),
        }
    }

    pub(super) fn deadline_ms(&self) -> u64 {
        match self {
            Self::Step(step) => step.deadline_ms,
            Self::Switch(switch) => switch.deadline_ms,
        }
    }

    /// W3C `traceparent`.
    pub(super) fn trace_parent(&self) -> String {
        match self {
            Self::Step(step) => format!("00-{}-{:016x}-01", step.run, u64::from(step.step) + 1),
            Self::Switch(switch) => format!("00-{}-{:016x}-01", switch.subscription, switch.attempt),
        }
    }

    pub(super) fn callback_url(&self) -> String {
        match self {
            Self::Step(step) => step.callbacks.url(step.step),
            Self::Switch(switch) => switch.url.clone(),
        }
    }
}
