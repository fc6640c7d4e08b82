//! What [`super::secrets`] and [`super::connections`] share: both are put in, listed and taken out, and what is secret in
//! them is never given back.

use hyper::StatusCode;

use super::super::limits;
use super::super::response::{self, HandlerResult};
use super::Call;
use crate::{Problem, VaultKind};

pub(super) async fn list(call: &Call<'_>, kind: VaultKind) -> HandlerResult {
    call.query()?;
    response::list(&call.state.runtime.vault(&call.tenant, kind)?, None)
}

pub(super) async fn show(call: &Call<'_>, kind: VaultKind) -> HandlerResult {
    let name = call.places[0];
    let all = call.state.runtime.vault(&call.tenant, kind)?;
    let found = all.into_iter().find(|view| view.name == name);
    response::json(StatusCode::OK, &found.ok_or_else(|| unknown(kind, name))?)
}

pub(super) async fn set(call: &mut Call<'_>, kind: VaultKind) -> HandlerResult {
    let document = call.body(limits::VAULT_BYTES).await?;
    let name = call.places[0];
    let (view, is_new) = call.state.runtime.set_in_vault(&call.tenant, kind, name, &document).await?;
    response::json(if is_new { StatusCode::CREATED } else { StatusCode::OK }, &view)
}

pub(super) async fn remove(call: &Call<'_>, kind: VaultKind) -> HandlerResult {
    let name = call.places[0];
    match call.state.runtime.remove_from_vault(&call.tenant, kind, name).await? {
        true => Ok(response::empty(StatusCode::NO_CONTENT)),
        false => Err(unknown(kind, name)),
    }
}

fn unknown(kind: VaultKind, name: &str) -> Problem {
    response::no_such(format!("{} {name}", kind.as_str()))
}
