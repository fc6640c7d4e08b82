//! The REST API: one file for each resource. Who may call and whose things are meant is settled here, once, before a
//! resource is asked; [`super::router`] has the table of what there is, [`openapi`] describes it.

mod audit;
mod conceal;
mod events;
mod flows;
mod health;
mod import;
mod openapi;
mod plugins;
mod policy;
mod query;
mod runs;
mod subscriptions;
mod tenants;
mod tokens;
mod triggers;
mod vault;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use serde_json::json;

pub(super) use events::EventStream;

use super::auth::Refused;
use super::body::Payload;
use super::response::{self, Outcome};
use super::router::{Endpoint, Permit, Route};
use super::{State, limits};
use crate::{Caller, Deed, DeployError, Document, Finding, Problem, Role, TenantId, VaultKind};

/// The header that says whose flows, triggers, runs and plugins a request is about.
const TENANT: &str = "flowcell-tenant";

/// A request that was let in.
struct Call<'a> {
    state: &'a Arc<State>,
    head: &'a Parts,
    payload: &'a mut Payload<Incoming>,
    /// Who asks, as they were let in; what they sent since is looked at when [`Call::body`] has it.
    caller: Caller,
    tenant: TenantId,
    /// What stands in the places of the route's path.
    places: [&'a str; 2],
    /// What it is done to, where the path does not say it: for the audit log.
    target: Option<String>,
    /// What it came to, in more words than its status: for the audit log.
    detail: Option<String>,
}

/// Answers a row of the router's table.
pub(super) async fn answer(
    state: &Arc<State>,
    remote: SocketAddr,
    head: &Parts,
    payload: &mut Payload<Incoming>,
    route: &Route,
    places: [&str; 2],
) -> Outcome {
    let endpoint = route.endpoint;
    let Some(role) = route.permit.role() else {
        let (caller, tenant) = (Caller::nobody(), TenantId::default_tenant());
        let call = &mut Call { state, head, payload, caller, tenant, places, target: None, detail: None };
        return carry_out(call, endpoint).await;
    };
    let (action, target) = (format!("{endpoint:?}"), target(places));
    let deed = |caller: &Caller| Deed {
        from: Some(remote.ip().to_canonical().to_string()),
        ..Deed::of(caller, &action, &target)
    };
    let caller = match state.access.admit(&state.runtime, remote, head).await {
        Ok(caller) => caller,
        Err(Refused { problem, known }) => {
            deny(state, known.map(|caller| (caller.tenant.clone(), deed(&caller))), &problem).await;
            return Err(problem);
        }
    };
    let deed = deed(&caller);
    let tenant = match permitted(state, head, &caller, role, endpoint) {
        Ok(tenant) => tenant,
        Err(problem) => {
            if problem.status == 403 {
                deny(state, Some((caller.tenant, deed)), &problem).await;
            }
            return Err(problem);
        }
    };
    let conceals = caller.role == Role::Viewer;
    let entry = match route.permit {
        Permit::Audited(_) => Some(state.runtime.audit(&tenant, deed).await?),
        Permit::Open | Permit::For(_) => None,
    };
    let call = &mut Call { state, head, payload, caller, tenant, places, target: None, detail: None };
    let outcome = carry_out(call, endpoint).await;
    if let Some(mut entry) = entry {
        entry.target = call.target.take().unwrap_or(entry.target);
        let (status, detail) = match &outcome {
            Ok(response) => (response.status().as_u16(), call.detail.take()),
            // What is wrong inside the host is for its log.
            Err(problem) if problem.status == 500 => {
                (500, Some("the host could not do it; its log says why".to_owned()))
            }
            Err(problem) => (problem.status, Some(problem.detail.as_ref().unwrap_or(&problem.title).clone())),
        };
        // What was done is done: its entry says that nobody knows what it came to.
        if let Err(problem) = state.runtime.audit_end(entry, status, detail.as_deref()).await {
            tracing::error!(%problem, "the audit log does not say what a request came to");
        }
    }
    match outcome {
        Ok(response) if conceals => Ok(conceal::addresses(&state.runtime, response).await),
        outcome => outcome,
    }
}

/// Says in the audit log that somebody was not let in, or not let do what they wanted.
async fn deny(state: &State, who: Option<(Option<TenantId>, Deed)>, problem: &Problem) {
    match who {
        Some((tenant, deed)) => {
            let tenant = tenant.unwrap_or_else(TenantId::default_tenant);
            state.runtime.audit_denied(&tenant, deed, problem).await;
        }
        None => state.runtime.count_denied(),
    }
}

/// What the path names.
fn target(places: [&str; 2]) -> String {
    let named: Vec<&str> = places.into_iter().filter(|place| !place.is_empty()).collect();
    named.join("/")
}

async fn carry_out(call: &mut Call<'_>, endpoint: Endpoint) -> Outcome {
    match endpoint {
        Endpoint::Healthz => health::alive(),
        Endpoint::Readyz => health::ready(call).await,
        Endpoint::Metrics => health::metrics(call),
        Endpoint::OpenApi => openapi::document(),
        Endpoint::ListFlows => flows::list(call),
        Endpoint::ShowFlow => flows::show(call),
        Endpoint::PutFlow => flows::put(call).await,
        Endpoint::RemoveFlow => flows::remove(call).await,
        Endpoint::StartRun => flows::start(call).await,
        Endpoint::ListTriggers => triggers::list(call),
        Endpoint::ShowTrigger => triggers::show(call),
        Endpoint::PutTrigger => triggers::put(call).await,
        Endpoint::RemoveTrigger => triggers::remove(call).await,
        Endpoint::EnableTrigger => triggers::set_enabled(call, true).await,
        Endpoint::DisableTrigger => triggers::set_enabled(call, false).await,
        Endpoint::ListSchedules => flows::schedules(call).await,
        Endpoint::ListSubscriptions => subscriptions::list(call).await,
        Endpoint::ForgetSubscription => subscriptions::forget(call).await,
        Endpoint::ListRuns => runs::list(call).await,
        Endpoint::ShowRun => runs::show(call).await,
        Endpoint::CancelRun => runs::cancel(call).await,
        Endpoint::RestartRun => runs::restart(call).await,
        Endpoint::RunEvents => events::show(call).await,
        Endpoint::ListPlugins => plugins::list(call),
        Endpoint::InstallPlugin => plugins::install(call).await,
        Endpoint::ShowPlugin => plugins::show(call),
        Endpoint::ShowPluginVersion => plugins::show_version(call),
        Endpoint::ListSecrets => vault::list(call, VaultKind::Secret),
        Endpoint::ShowSecret => vault::show(call, VaultKind::Secret),
        Endpoint::SetSecret => vault::set(call, VaultKind::Secret).await,
        Endpoint::RemoveSecret => vault::remove(call, VaultKind::Secret).await,
        Endpoint::ListConnections => vault::list(call, VaultKind::Connection),
        Endpoint::ShowConnection => vault::show(call, VaultKind::Connection),
        Endpoint::SetConnection => vault::set(call, VaultKind::Connection).await,
        Endpoint::RemoveConnection => vault::remove(call, VaultKind::Connection).await,
        Endpoint::TryPlugin => plugins::try_out(call).await,
        Endpoint::ImportCurl => import::curl(call).await,
        Endpoint::SampleTrigger => import::sample(call).await,
        Endpoint::ListTokens => tokens::list(call).await,
        Endpoint::ShowToken => tokens::show(call).await,
        Endpoint::CreateToken => tokens::create(call).await,
        Endpoint::RemoveToken => tokens::remove(call).await,
        Endpoint::ListAudit => audit::list(call).await,
        Endpoint::ListTenants => tenants::list(call),
        Endpoint::ExplainPolicy => policy::explain(call).await,
        Endpoint::ExplainPolicyOf => policy::explain_body(call).await,
    }
}

/// Whose things are meant, where the caller may do that to them.
fn permitted(
    state: &State,
    head: &Parts,
    caller: &Caller,
    role: Role,
    endpoint: Endpoint,
) -> Result<TenantId, Problem> {
    if caller.role < role {
        return Err(response::forbidden(format!(
            "the token `{}` has the role {}: {endpoint:?} needs {}, which an admin mints with `flowcell tokens create NAME --role {}`",
            caller.name,
            caller.role.as_str(),
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
    // Which others there are, it does not learn.
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

impl Call<'_> {
    /// The body; it may have taken its time, in which whoever sends it was shut out.
    async fn body(&mut self, limit: u64) -> Result<Bytes, Problem> {
        let body = self.payload.read(self.head, limit).await?;
        match self.state.runtime.still_admits(&self.caller).await? {
            true => Ok(body),
            false => Err(response::unauthorized(
                "the token that the request began with is no longer one of this host",
            )),
        }
    }

    /// The body as JSON; an empty one is null.
    async fn json(&mut self, limit: u64) -> Result<serde_json::Value, Problem> {
        let body = self.body(limit).await?;
        if body.is_empty() {
            return Ok(serde_json::Value::Null);
        }
        serde_json::from_slice(&body)
            .map_err(|error| response::bad_request(format!("the body is not JSON: {error}")))
    }

    /// The body as the one document that it must be.
    async fn document(&mut self) -> Result<Document, Problem> {
        let body = self.body(limits::DOCUMENT_BYTES).await?;
        let text = std::str::from_utf8(&body)
            .map_err(|error| response::bad_request(format!("the document is not UTF-8: {error}")))?;
        let mut documents = crate::read(text, "body").map_err(|findings| refused(&findings))?;
        match (documents.pop(), documents.len()) {
            (Some(document), 0) => Ok(document),
            (None, _) => Err(response::bad_request("the body holds no document")),
            (Some(_), others) => Err(response::bad_request(format!(
                "the body holds {} documents; send each to its own address",
                others + 1
            ))),
        }
    }

    /// Deploys a document, which must be called what the address says. Gives what should be set right all the same.
    async fn deploy(&self, document: Document, namespace: &str, name: &str) -> Result<Vec<Finding>, Problem> {
        let [expected_namespace, expected_name] = self.places;
        if (namespace, name) != (expected_namespace, expected_name) {
            return Err(response::bad_request(format!(
                "the document is called {namespace}/{name}, the address says {expected_namespace}/{expected_name}"
            )));
        }
        let runtime = &self.state.runtime;
        let documents = std::slice::from_ref(&document);
        let mut warnings = runtime.check(&self.tenant, documents).await;
        warnings.retain(|finding| !finding.is_error());
        warnings.extend(runtime.missing(&self.tenant, documents));
        runtime.deploy(&self.tenant, vec![document]).await.map_err(|error| match error {
            DeployError::Findings(findings) => refused(&findings),
            DeployError::Problem(problem) => problem,
        })?;
        Ok(warnings)
    }
}

/// What was deployed, with its warnings.
#[derive(serde::Serialize)]
struct Deployed<T> {
    #[serde(flatten)]
    view: T,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Finding>,
}

/// A document that cannot be used, with every reason and its place.
fn refused(findings: &[Finding]) -> Problem {
    let first = findings.iter().find(|finding| finding.is_error()).or(findings.first());
    let detail = match first {
        None => "the document cannot be used".to_owned(),
        Some(first) => {
            let more = match findings.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more in data.findings)"),
            };
            format!("line {}, column {}: {}{more}", first.line, first.column, first.message)
        }
    };
    Problem::new(crate::problem::kind::VALIDATION, "The document is not valid", 400)
        .detail(detail)
        .data(json!({ "findings": findings }))
}

#[cfg(test)]
mod tests {
    use super::super::testing::site;

    #[tokio::test]
    async fn the_api_wants_the_token_and_health_does_not() {
        let site = site();
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let refused = site.raw(&get("/api/v1/flows")).await;
        assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
        assert!(refused.contains("www-authenticate: Bearer"), "{refused}");
        for open in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
            assert!(site.raw(&get(open)).await.starts_with("HTTP/1.1 200 "), "{open}");
        }
    }

    #[tokio::test]
    async fn an_unknown_tenant_is_named() {
        let site = site();
        let answer = site
            .raw("GET /api/v1/flows HTTP/1.1\r\nhost: x\r\nauthorization: Bearer operator\r\nflowcell-tenant: acme\r\nconnection: close\r\n\r\n")
            .await;
        assert!(
            answer.starts_with("HTTP/1.1 404 ") && answer.contains("there is no tenant `acme`"),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn lists_are_items_and_a_cursor() {
        let site = site();
        for list in ["flows", "triggers", "runs"] {
            let (status, body) = site.api("GET", &format!("/api/v1/{list}"), "").await;
            assert_eq!((status, &body["cursor"]), (200, &serde_json::Value::Null), "{list}");
            assert!(body["items"].is_array(), "{list}");
        }
    }

    #[tokio::test]
    async fn a_document_that_is_not_valid_says_where() {
        let site = site();
        let (status, body) = site.api("PUT", "/api/v1/flows/shop/in", "document: {}\n").await;
        assert_eq!(status, 400, "{body}");
        let finding = &body["data"]["findings"][0];
        assert!(
            finding["line"].is_u64() && finding["column"].is_u64() && finding["message"].is_string(),
            "{body}"
        );
    }

    #[tokio::test]
    async fn a_flow_is_put_shown_run_and_removed() {
        let site = site();
        let flow = "document: { dsl: 1.0.3, namespace: shop, name: in, version: 1.0.0 }\ndo:\n- one: { set: { a: 1 } }\n";
        let path = "/api/v1/flows/shop/in";
        assert_eq!(site.api("GET", path, "").await.0, 404);
        assert_eq!(site.api("PUT", path, flow).await.0, 201);
        assert_eq!(site.api("PUT", path, flow).await.0, 200);
        let (status, body) = site.api("PUT", "/api/v1/flows/shop/out", flow).await;
        assert_eq!(status, 400);
        assert!(body["detail"].as_str().unwrap().contains("shop/in, the address says shop/out"), "{body}");
        assert_eq!(site.api("GET", path, "").await.1["version"], "1.0.0");

        let (status, run) = site.api("POST", &format!("{path}/runs?wait=PT30S"), "{}").await;
        assert_eq!(
            (status, &run["status"], &run["output"]["a"]),
            (200, &"completed".into(), &1.into()),
            "{run}"
        );
        let (status, run) = site.api("POST", &format!("{path}/runs"), "{}").await;
        assert_eq!(status, 202);
        let id = run["id"].as_str().unwrap();
        let (status, shown) = site.api("GET", &format!("/api/v1/runs/{id}"), "").await;
        assert_eq!((status, &shown["id"], &shown["flow"]), (200, &run["id"], &"shop/in:1.0.0".into()));

        assert_eq!(site.api("DELETE", path, "").await.0, 204);
        assert_eq!(site.api("DELETE", path, "").await.0, 404);
        assert_eq!(site.api("POST", &format!("{path}/runs"), "").await.0, 404);
    }

    #[tokio::test]
    async fn wrong_parameters_are_named() {
        let site = site();
        for (method, path, word) in [
            ("GET", "/api/v1/runs?status=done", "`done`"),
            ("GET", "/api/v1/runs?since=yesterday", "`yesterday`"),
            ("GET", "/api/v1/runs?limit=many", "`many`"),
            ("GET", "/api/v1/runs?flwo=a", "`flwo`"),
            ("POST", "/api/v1/flows/a/b/runs?wait=30", "`30`"),
            ("POST", "/api/v1/flows/a/b/runs?wait=PT1H", "PT1H"),
            ("GET", "/api/v1/policy/explain", "`url`"),
        ] {
            let (status, body) = site.api(method, path, "").await;
            assert_eq!(status, 400, "{path}");
            assert!(body["detail"].as_str().unwrap().contains(word), "{path}: {body}");
        }
    }

    #[tokio::test]
    async fn bytes_that_are_no_component_are_refused_as_the_callers_error() {
        let site = site();
        let (status, body) = site.api("POST", "/api/v1/plugins", "not wasm").await;
        assert!((400..500).contains(&status), "{status} {body}");
    }
}
