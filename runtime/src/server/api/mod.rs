//! The REST API: one file for each resource, which holds its rows and what they do.
//!
//! [`RESOURCES`] lists them. [`super::router`] finds a row, [`admission`] lets its caller in, its handler carries it out,
//! and [`openapi`] describes it. A new resource is a file, its `mod` and its line in the list.

mod admission;
mod audit;
mod call;
mod conceal;
mod connections;
mod deployment;
mod events;
pub(super) mod flows;
mod health;
mod import;
mod openapi;
pub(super) mod plugins;
mod policy;
mod query;
mod route;
mod runs;
mod schedules;
mod secrets;
mod shape;
mod subscriptions;
mod tenants;
mod tokens;
pub(super) mod triggers;
mod vault;

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::http::request::Parts;

pub(super) use events::EventStream;
#[cfg(test)]
pub(crate) use route::Permit;
pub(crate) use route::Route;

use self::admission::Admission;
use self::call::Call;
use super::State;
use super::body::Payload;
use super::response::HandlerResult;
use super::taken;
use crate::{Caller, Role, TenantId};

/// The header that says whose flows, triggers, runs and plugins a request is about.
const TENANT: &str = "flowcell-tenant";

/// The rows of every resource.
const RESOURCES: &[&[Route]] = &[
    health::ROUTES,
    openapi::ROUTES,
    flows::ROUTES,
    triggers::ROUTES,
    schedules::ROUTES,
    subscriptions::ROUTES,
    runs::ROUTES,
    events::ROUTES,
    plugins::ROUTES,
    secrets::ROUTES,
    connections::ROUTES,
    import::ROUTES,
    tokens::ROUTES,
    audit::ROUTES,
    tenants::ROUTES,
    policy::ROUTES,
];

/// Every row of the API.
pub(crate) fn routes() -> impl Iterator<Item = &'static Route> {
    RESOURCES.iter().copied().flatten()
}

/// Answers a request that the router has found the row of. `places` are what stands in the places of its path.
pub(super) async fn answer(
    state: &Arc<State>,
    remote: SocketAddr,
    head: &Parts,
    payload: &mut Payload<Incoming>,
    route: &'static Route,
    places: [&str; 2],
) -> HandlerResult {
    let Some(role) = route.permit.role() else {
        let (caller, tenant) = (Caller::nobody(), TenantId::default_tenant());
        let call = &mut Call {
            state,
            head,
            payload,
            route,
            places,
            caller,
            tenant,
            target: None,
            detail: None,
            value: None,
        };
        return (route.handler)(call).await;
    };
    let Admission { caller, tenant, entry } =
        admission::admit(state, remote, head, route, role, places).await?;
    let conceals = caller.role == Role::Viewer;
    let call = &mut Call {
        state,
        head,
        payload,
        route,
        places,
        caller,
        tenant,
        target: None,
        detail: None,
        value: None,
    };
    let result = (route.handler)(call).await;
    if let Some(entry) = entry {
        let (target, detail) = (call.target.take(), call.detail.take());
        admission::complete(state, entry, target, detail, &result).await;
    }
    let response = match result? {
        response if conceals => conceal::addresses(&state.runtime, response).await,
        response => response,
    };
    // A tenant that the configuration does not name has no account, and gets the few words that say so.
    Ok(match state.runtime.room(&call.tenant) {
        Ok(room) => taken::on_account(response, room),
        Err(_) => response,
    })
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
