//! `/api/v1/secrets` and `/api/v1/connections`: put in, listed and taken out; what is secret in them is never given back.

use hyper::StatusCode;

use super::super::limits;
use super::super::response::{self, Outcome};
use super::Call;
use super::query::Query;
use crate::{Problem, VaultKind};

pub(super) fn list(call: &Call<'_>, kind: VaultKind) -> Outcome {
    Query::read(call.head, &[])?;
    response::list(&call.state.runtime.vault(&call.tenant, kind)?, None)
}

pub(super) fn show(call: &Call<'_>, kind: VaultKind) -> Outcome {
    let name = call.places[0];
    let all = call.state.runtime.vault(&call.tenant, kind)?;
    let found = all.into_iter().find(|view| view.name == name);
    response::json(StatusCode::OK, &found.ok_or_else(|| unknown(kind, name))?)
}

/// The body is the document, JSON.
pub(super) async fn set(call: &mut Call<'_>, kind: VaultKind) -> Outcome {
    let document = call.body(limits::VAULT_BYTES).await?;
    let name = call.places[0];
    let (view, is_new) = call.state.runtime.set_in_vault(&call.tenant, kind, name, &document).await?;
    response::json(if is_new { StatusCode::CREATED } else { StatusCode::OK }, &view)
}

pub(super) async fn remove(call: &Call<'_>, kind: VaultKind) -> Outcome {
    let name = call.places[0];
    match call.state.runtime.remove_from_vault(&call.tenant, kind, name).await? {
        true => Ok(response::empty(StatusCode::NO_CONTENT)),
        false => Err(unknown(kind, name)),
    }
}

fn unknown(kind: VaultKind, name: &str) -> Problem {
    response::no_such(format!("{} {name}", kind.as_str()))
}
