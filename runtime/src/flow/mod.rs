//! Flows: text becomes a [`Flow`], and a [`RunState`] says what a run of it wants done next.
//!
//! Everything here is pure: no clock, no chance, no network, no file. Documents are tenant input, and so is every
//! value of a run; both are bounded where they come in. Carrying out an [`Effect`] is the engine's business.
//!
//! - [`read`] (document, definition, trigger, task/…): text -> [`Document`] or [`Finding`]s, through node and reader
//! - [`Document::bound`] (contract, needs): what the plugins' schemas say of a document, once it is known which plugins
//!   there are
//! - [`RunState`] (state/…, task/…): `advance(event) -> effects`
//! - template, expression, duration: values with expressions in them

mod contract;
mod definition;
mod document;
mod duration;
pub mod event;
mod expression;
mod finding;
mod mask;
mod needs;
mod node;
mod paths;
mod reachable;
mod reader;
mod schedule;
mod schema;
mod state;
mod task;
mod template;
mod trigger;

pub(crate) use contract::{Contract, Contracts};
pub(crate) use definition::CallSite;
pub use definition::{Durability, Flow};
pub(crate) use document::read_with;
pub use document::{Document, read};
pub(crate) use event::ATTEMPTS_TO_UNDO;
pub use event::{
    Ask, AttemptRecord, CleanupRecord, Effect, End, Event, Outcome, Reply, Status, StepId, StepRecord,
    Suspension, TimerId, Variables,
};
pub use finding::{Finding, Severity};
pub(crate) use mask::{Mask, MaskedTexts};
pub(crate) use needs::Needs;
pub use paths::{Place, paths};
pub(crate) use schedule::Schedule;
pub(crate) use schema::violations;
pub use state::RunState;
pub(crate) use state::{CallbackNow, EDITION, admit};
pub(crate) use task::reply::is_json;
pub(crate) use template::{Template, expressions_in};
pub(crate) use trigger::HookPath;
pub use trigger::TriggerDocument;
