//! Who may do what, and to whose things; and what the audit log has of it. The role that an operation takes is its row's.

use std::net::SocketAddr;

use hyper::http::request::Parts;

use super::super::State;
use super::super::auth::Rejection;
use super::super::response::{self, HandlerResult};
use super::TENANT;
use super::route::{Permit, Route};
use crate::{AuditEntry, Caller, Deed, Problem, Role, TenantId};

/// A caller that was let in.
pub(super) struct Admission {
    pub caller: Caller,
    pub tenant: TenantId,
    /// The entry of an operation that the audit log has. It is journalled by now.
    pub entry: Option<AuditEntry>,
}

/// Lets a caller in that may ask for the operation, which takes at least `role`. The audit log has every denial.
pub(super) async fn admit(
    state: &State,
    remote: SocketAddr,
    head: &Parts,
    route: &Route,
    role: Role,
    places: [&str; 2],
) -> Result<Admission, Problem> {
    let target = target(places);
    let deed = |caller: &Caller| Deed {
        from: Some(remote.ip().to_canonical().to_string()),
        ..Deed::of(caller, route.operation, &target)
    };
    let caller = match state.access.admit(&state.runtime, remote, head).await {
        Ok(caller) => caller,
        Err(Rejection { problem, caller: None }) => {
            state.runtime.count_denied();
            return Err(problem);
        }
        Err(Rejection { problem, caller: Some(caller) }) => {
            deny(state, &caller, deed(&caller), &problem).await;
            return Err(problem);
        }
    };
    let tenant = match permitted(state, head, &caller, role, route) {
        Ok(tenant) => tenant,
        Err(problem) => {
            if problem.status == 403 {
                deny(state, &caller, deed(&caller), &problem).await;
            }
            return Err(problem);
        }
    };
    state.runtime.admit_request(&tenant)?;
    let entry = match route.permit {
        Permit::Audited(_) => Some(state.runtime.audit(&tenant, deed(&caller)).await?),
        Permit::Open | Permit::For(_) => None,
    };
    Ok(Admission { caller, tenant, entry })
}

/// Says in the audit log what came of an operation. `target` and `detail` are what its handler knows better.
pub(super) async fn complete(
    state: &State,
    mut entry: AuditEntry,
    target: Option<String>,
    detail: Option<String>,
    result: &HandlerResult,
) {
    entry.target = target.unwrap_or(entry.target);
    let (status, detail) = match result {
        Ok(response) => (response.status().as_u16(), detail),
        // What is wrong inside the host is for its log.
        Err(problem) if problem.status == 500 => {
            (500, Some("the host could not do it; its log says why".to_owned()))
        }
        Err(problem) => (problem.status, Some(problem.detail.as_ref().unwrap_or(&problem.title).clone())),
    };
    // The operation is over, and its answer stands. An entry without an end says that its result is unknown.
    if let Err(problem) = state.runtime.audit_end(entry, status, detail.as_deref()).await {
        tracing::error!(%problem, "the audit log does not say what a request came to");
    }
}

async fn deny(state: &State, caller: &Caller, deed: Deed, problem: &Problem) {
    let tenant = caller.tenant.clone().unwrap_or_else(TenantId::default_tenant);
    state.runtime.audit_denied(&tenant, deed, problem).await;
}

/// What the path names.
fn target(places: [&str; 2]) -> String {
    let named: Vec<&str> = places.into_iter().filter(|place| !place.is_empty()).collect();
    named.join("/")
}

/// Whose things are meant, where the caller may do that to them.
fn permitted(
    state: &State,
    head: &Parts,
    caller: &Caller,
    role: Role,
    route: &Route,
) -> Result<TenantId, Problem> {
    if caller.role < role {
        return Err(response::forbidden(format!(
            "the token `{}` has the role {}: {} needs {}, which an admin mints with `flowcell tokens create NAME --role {}`",
            caller.name,
            caller.role.as_str(),
            route.operation,
            role.as_str(),
            role.as_str()
        )));
    }
    tenant(state, head, caller)
}

fn tenant(state: &State, head: &Parts, caller: &Caller) -> Result<TenantId, Problem> {
    let own = || caller.tenant.clone();
    let mut values = head.headers.get_all(TENANT).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        if head.headers.contains_key(TENANT) {
            return Err(response::bad_request(format!("`{TENANT}` is there twice: whose things are meant?")));
        }
        return Ok(own().unwrap_or_else(TenantId::default_tenant));
    };
    let name = value.to_str().unwrap_or_default();
    let tenant = TenantId::from(name);
    // A token of one tenant does not learn which others there are.
    if let Some(own) = own().filter(|own| *own != tenant) {
        return Err(response::forbidden(format!(
            "the token `{}` is of the tenant `{own}` only",
            caller.name
        )));
    }
    if state.runtime.tenants().contains(&tenant) {
        return Ok(tenant);
    }
    Err(response::no_such(format!("tenant `{name}` on this host; `flowcell tenants list` names them")))
}
