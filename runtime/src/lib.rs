//! Flowcell: durable automations whose every step is a WebAssembly component in a fresh sandbox.
//!
//! A flow is a YAML document of the Open Workflow DSL. [`Runtime`] deploys flows and their triggers, takes events,
//! journals them before it acknowledges them, and moves each run forward: what follows next is decided by a pure
//! function over the run's events, and each step that touches the world is one bounded call of a plugin, which reaches
//! nothing but what its tenant was granted.
//!
//! This crate is the library and the binary `flowcell`. Its public names are the list below; everything else is the
//! crate's own. ARCHITECTURE.md in the repository says how the parts hang together and what must hold.

mod capability;
mod cli;
mod clock;
mod config;
mod descriptors;
mod engine;
mod flow;
mod host;
mod id;
mod journal;
mod json;
mod memory;
mod nearest;
pub mod problem;
mod rate;
mod redact;
mod server;
mod shares;

pub use cli::main;
pub use clock::Clock;
pub use config::{AllowRule, Config, ConfigError, Quota, Retention, TenantConfig, TlsConfig};
pub use engine::{
    Answer, AuditEntry, AuditFilter, AuditView, Callback, Caller, Data, Deed, DeployError, EventReader,
    FlowView, Hook, Imported, Inbound, List, NewToken, OpenError, Options, PluginView, Role, RunChange,
    RunFilter, RunSummary, RunView, Runtime, ScheduleView, Shown, SubscriptionView, TokenView, Trial,
    TrialEnd, TriggerView, VaultKind, VaultView, backup,
};
pub use flow::{
    AttemptRecord, CleanupRecord, Document, Durability, Finding, Flow, Place, Severity, Status, StepId,
    StepRecord, TriggerDocument, paths, read,
};
pub use host::{SandboxCost, compile_component, measure_sandbox};
pub use id::{FlowId, PluginRef, RunId, TenantId, mint_token};
pub use memory::Room;
pub use problem::Problem;
