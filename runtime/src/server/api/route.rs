//! One row of the API: all that the host knows of an operation, written in the file of its resource.
//!
//! The router finds a row, [`super::answer`] lets its caller in and calls its handler, [`super::openapi`] describes it, and
//! the reference of the command line names it with the commands that send it. Nothing is decided here.

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::super::response::HandlerResult;
use super::Call;
use super::shape::{Shape, Shapes};
use crate::Role;

/// An operation of the API. Every field is written in every row: an operation that leaves one open does not compile.
pub(crate) struct Route {
    pub method: &'static str,
    /// A segment in braces is a place that takes any one segment.
    pub path: &'static str,
    /// The name of the operation: its `operationId` in the OpenAPI document, its word in the audit log.
    pub operation: &'static str,
    pub permit: Permit,
    pub(super) handler: Handler,
    /// What it does, in one line.
    pub summary: &'static str,
    pub(super) query: &'static [Parameter],
    pub(super) body: RequestBody,
    /// Status, meaning and content of each answer that is no error.
    pub(super) answers: &'static [(u16, &'static str, Content)],
    /// The commands of the command line that send it, without `flowcell` in front.
    pub commands: &'static [&'static str],
}

/// Carries a request out.
pub(super) type Handler =
    for<'call, 'request> fn(&'call mut Call<'request>) -> BoxFuture<'call, HandlerResult>;

/// Who may ask for an operation, and whether the audit log has each time that it was asked for. A denial is there in any
/// case.
#[derive(Clone, Copy)]
pub(crate) enum Permit {
    /// Anybody, without a token.
    Open,
    /// A caller with this role or a higher one.
    For(Role),
    /// The same, with an entry in the audit log: for what changes what there is, or uses the tenant's credentials. What a
    /// flow does once it is started is in its run.
    Audited(Role),
}

impl Permit {
    /// The least role.
    pub(crate) fn role(self) -> Option<Role> {
        match self {
            Self::Open => None,
            Self::For(role) | Self::Audited(role) => Some(role),
        }
    }
}

/// A parameter of the query.
pub(super) struct Parameter {
    pub name: &'static str,
    pub description: &'static str,
    pub required: bool,
}

/// A parameter that may be left out.
pub(super) const fn optional(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, description, required: false }
}

/// A parameter that must be there.
pub(super) const fn required(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, description, required: true }
}

/// The body that an operation takes, with a sentence about it.
pub(super) enum RequestBody {
    Nothing,
    Optional(&'static str, Content),
    Required(&'static str, Content),
}

/// What a body holds.
pub(super) enum Content {
    Nothing,
    Text,
    /// A list, or the same as server-sent events.
    Events(&'static Shape),
    /// A JSON object that no schema describes.
    Object,
    /// Any JSON value.
    Json,
    One(&'static Shape),
    List(&'static Shape),
    /// JSON of a shape that nothing else refers to.
    Of(fn(&mut Shapes) -> Value),
    /// A flow or a trigger, as YAML or JSON.
    Document,
    /// A WebAssembly component.
    Component,
}
