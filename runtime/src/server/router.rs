//! Which request means what. [`ROUTES`] is the whole API; the addresses of hooks and callbacks are found before it,
//! because they take every method and most of the traffic.
//!
//! Nothing is decoded: names, versions and tokens consist of characters that need no percent-encoding.

use self::Permit::{Audited, For, Open};
use crate::Role;
use crate::Role::{Admin, Editor, Viewer};

/// What a request is for.
#[derive(Debug, PartialEq)]
pub(super) enum Found<'a> {
    /// `/hooks/{first}` or `/hooks/{first}/{below}`.
    Hook { first: &'a str, below: &'a str },
    /// `/callbacks/{token}`.
    Callback { token: &'a str },
    /// A row of [`ROUTES`] with what stands in the places of its path.
    Endpoint(&'static Route, [&'a str; 2]),
    /// The path exists, but not for this method; these it takes.
    OtherMethod(String),
    /// There is no such path.
    Nothing,
}

/// The operations of the API, one for each row of [`ROUTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Healthz,
    Readyz,
    Metrics,
    OpenApi,
    ListFlows,
    ShowFlow,
    PutFlow,
    RemoveFlow,
    StartRun,
    ListTriggers,
    ShowTrigger,
    PutTrigger,
    RemoveTrigger,
    EnableTrigger,
    DisableTrigger,
    ListSchedules,
    ListSubscriptions,
    ForgetSubscription,
    ListRuns,
    ShowRun,
    CancelRun,
    RestartRun,
    RunEvents,
    ListPlugins,
    InstallPlugin,
    ShowPlugin,
    ShowPluginVersion,
    ListSecrets,
    ShowSecret,
    SetSecret,
    RemoveSecret,
    ListConnections,
    ShowConnection,
    SetConnection,
    RemoveConnection,
    TryPlugin,
    ImportCurl,
    SampleTrigger,
    ListTokens,
    ShowToken,
    CreateToken,
    RemoveToken,
    ListAudit,
    ListTenants,
    ExplainPolicy,
    ExplainPolicyOf,
}

/// Who may ask for something, and whether the audit log has that they did: where it changes what there is, or uses the
/// tenant's credentials. What a flow does when it is started is in its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permit {
    /// Whoever comes.
    Open,
    /// Whoever has this role or a higher one.
    For(Role),
    /// The same, with an entry in the audit log.
    Audited(Role),
}

impl Permit {
    /// The least role.
    pub(super) fn role(self) -> Option<Role> {
        match self {
            Self::Open => None,
            Self::For(role) | Self::Audited(role) => Some(role),
        }
    }
}

/// One row of the table.
#[derive(Debug, PartialEq)]
pub(super) struct Route {
    pub method: &'static str,
    /// A segment in braces is a place that takes any one segment.
    pub path: &'static str,
    pub endpoint: Endpoint,
    pub permit: Permit,
}

const fn route(method: &'static str, path: &'static str, endpoint: Endpoint, permit: Permit) -> Route {
    Route { method, path, endpoint, permit }
}

/// Every route but hooks and callbacks. `HEAD` goes where `GET` goes; `OPTIONS` is answered from this table.
pub(super) const ROUTES: &[Route] = &[
    route("GET", "/healthz", Endpoint::Healthz, Open),
    route("GET", "/readyz", Endpoint::Readyz, Open),
    route("GET", "/metrics", Endpoint::Metrics, Open),
    route("GET", "/openapi.json", Endpoint::OpenApi, Open),
    route("GET", "/api/v1/flows", Endpoint::ListFlows, For(Viewer)),
    route("GET", "/api/v1/flows/{namespace}/{name}", Endpoint::ShowFlow, For(Viewer)),
    route("PUT", "/api/v1/flows/{namespace}/{name}", Endpoint::PutFlow, Audited(Editor)),
    route("DELETE", "/api/v1/flows/{namespace}/{name}", Endpoint::RemoveFlow, Audited(Editor)),
    route("POST", "/api/v1/flows/{namespace}/{name}/runs", Endpoint::StartRun, For(Editor)),
    route("GET", "/api/v1/triggers", Endpoint::ListTriggers, For(Viewer)),
    route("GET", "/api/v1/triggers/{namespace}/{name}", Endpoint::ShowTrigger, For(Viewer)),
    route("PUT", "/api/v1/triggers/{namespace}/{name}", Endpoint::PutTrigger, Audited(Editor)),
    route("DELETE", "/api/v1/triggers/{namespace}/{name}", Endpoint::RemoveTrigger, Audited(Editor)),
    route("POST", "/api/v1/triggers/{namespace}/{name}/enable", Endpoint::EnableTrigger, Audited(Editor)),
    route("POST", "/api/v1/triggers/{namespace}/{name}/disable", Endpoint::DisableTrigger, Audited(Editor)),
    route("GET", "/api/v1/schedules", Endpoint::ListSchedules, For(Viewer)),
    route("GET", "/api/v1/subscriptions", Endpoint::ListSubscriptions, For(Viewer)),
    route("DELETE", "/api/v1/subscriptions/{id}", Endpoint::ForgetSubscription, Audited(Editor)),
    route("GET", "/api/v1/runs", Endpoint::ListRuns, For(Viewer)),
    route("GET", "/api/v1/runs/{id}", Endpoint::ShowRun, For(Viewer)),
    route("POST", "/api/v1/runs/{id}/cancel", Endpoint::CancelRun, Audited(Editor)),
    route("POST", "/api/v1/runs/{id}/restart", Endpoint::RestartRun, Audited(Editor)),
    route("GET", "/api/v1/runs/{id}/events", Endpoint::RunEvents, For(Viewer)),
    route("GET", "/api/v1/plugins", Endpoint::ListPlugins, For(Viewer)),
    route("POST", "/api/v1/plugins", Endpoint::InstallPlugin, Audited(Admin)),
    route("GET", "/api/v1/plugins/{name}", Endpoint::ShowPlugin, For(Viewer)),
    route("GET", "/api/v1/plugins/{name}/{version}", Endpoint::ShowPluginVersion, For(Viewer)),
    route("GET", "/api/v1/secrets", Endpoint::ListSecrets, For(Editor)),
    route("GET", "/api/v1/secrets/{name}", Endpoint::ShowSecret, For(Editor)),
    route("PUT", "/api/v1/secrets/{name}", Endpoint::SetSecret, Audited(Admin)),
    route("DELETE", "/api/v1/secrets/{name}", Endpoint::RemoveSecret, Audited(Admin)),
    route("GET", "/api/v1/connections", Endpoint::ListConnections, For(Editor)),
    route("GET", "/api/v1/connections/{name}", Endpoint::ShowConnection, For(Editor)),
    route("PUT", "/api/v1/connections/{name}", Endpoint::SetConnection, Audited(Admin)),
    route("DELETE", "/api/v1/connections/{name}", Endpoint::RemoveConnection, Audited(Admin)),
    route("POST", "/api/v1/actions/{name}/try", Endpoint::TryPlugin, Audited(Editor)),
    route("POST", "/api/v1/import/curl", Endpoint::ImportCurl, For(Viewer)),
    route("POST", "/api/v1/triggers/sample", Endpoint::SampleTrigger, For(Viewer)),
    route("GET", "/api/v1/tokens", Endpoint::ListTokens, For(Admin)),
    route("POST", "/api/v1/tokens", Endpoint::CreateToken, Audited(Admin)),
    route("GET", "/api/v1/tokens/{name}", Endpoint::ShowToken, For(Admin)),
    route("DELETE", "/api/v1/tokens/{name}", Endpoint::RemoveToken, Audited(Admin)),
    route("GET", "/api/v1/audit", Endpoint::ListAudit, For(Admin)),
    route("GET", "/api/v1/tenants", Endpoint::ListTenants, For(Viewer)),
    route("GET", "/api/v1/policy/explain", Endpoint::ExplainPolicy, For(Editor)),
    route("POST", "/api/v1/policy/explain", Endpoint::ExplainPolicyOf, For(Editor)),
];

/// Finds what `method` on `path` is for.
pub(super) fn find<'a>(method: &str, path: &'a str) -> Found<'a> {
    if let Some(rest) = path.strip_prefix("/hooks/") {
        return match rest.split_once('/').unwrap_or((rest, "")) {
            ("", _) => Found::Nothing,
            (first, below) => Found::Hook { first, below },
        };
    }
    if let Some(token) = path.strip_prefix("/callbacks/") {
        let one_segment = !token.is_empty() && !token.contains('/');
        return if one_segment { Found::Callback { token } } else { Found::Nothing };
    }
    let method = if method == "HEAD" { "GET" } else { method };
    let mut others = vec![];
    for route in ROUTES {
        let Some(places) = places(route.path, path) else {
            continue;
        };
        if route.method == method {
            return Found::Endpoint(route, places);
        }
        others.push(route.method);
    }
    if others.is_empty() { Found::Nothing } else { Found::OtherMethod(allow(&others)) }
}

/// What stands in the places of `template`, when `path` has its form.
fn places<'a>(template: &str, path: &'a str) -> Option<[&'a str; 2]> {
    let mut places = [""; 2];
    let mut filled = 0;
    let mut segments = path.split('/');
    for expected in template.split('/') {
        let segment = segments.next()?;
        if !expected.starts_with('{') {
            if segment != expected {
                return None;
            }
        } else if segment.is_empty() {
            return None;
        } else {
            places[filled] = segment;
            filled += 1;
        }
    }
    segments.next().is_none().then_some(places)
}

fn allow(methods: &[&str]) -> String {
    let mut allow = methods.to_vec();
    if allow.contains(&"GET") {
        allow.push("HEAD");
    }
    allow.push("OPTIONS");
    allow.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(endpoint: Endpoint) -> &'static Route {
        ROUTES.iter().find(|route| route.endpoint == endpoint).unwrap()
    }

    #[test]
    fn requests_find_what_they_are_for() {
        let table = [
            ("POST", "/hooks/t0ken", Found::Hook { first: "t0ken", below: "" }),
            ("PATCH", "/hooks/t0ken/", Found::Hook { first: "t0ken", below: "" }),
            ("GET", "/hooks/shop/orders/in", Found::Hook { first: "shop", below: "orders/in" }),
            ("POST", "/hooks/", Found::Nothing),
            ("POST", "/hooks", Found::Nothing),
            ("POST", "/hooks//x", Found::Nothing),
            ("POST", "/callbacks/t0ken", Found::Callback { token: "t0ken" }),
            ("GET", "/callbacks/t0ken", Found::Callback { token: "t0ken" }),
            ("POST", "/callbacks/t0ken/x", Found::Nothing),
            ("POST", "/callbacks/", Found::Nothing),
            ("GET", "/healthz", Found::Endpoint(row(Endpoint::Healthz), ["", ""])),
            ("HEAD", "/readyz", Found::Endpoint(row(Endpoint::Readyz), ["", ""])),
            ("PUT", "/api/v1/flows/shop/in", Found::Endpoint(row(Endpoint::PutFlow), ["shop", "in"])),
            ("POST", "/api/v1/flows/shop/in/runs", Found::Endpoint(row(Endpoint::StartRun), ["shop", "in"])),
            ("GET", "/api/v1/runs/7", Found::Endpoint(row(Endpoint::ShowRun), ["7", ""])),
            ("POST", "/api/v1/runs/7/cancel", Found::Endpoint(row(Endpoint::CancelRun), ["7", ""])),
            ("GET", "/api/v1/flows/", Found::Nothing),
            ("GET", "/api/v1/flows/shop", Found::Nothing),
            ("GET", "/api/v1/flows/shop/in/", Found::Nothing),
            ("GET", "/api/v1/flows//in", Found::Nothing),
            ("GET", "/api/v2/flows", Found::Nothing),
            ("GET", "//healthz", Found::Nothing),
            ("GET", "/", Found::Nothing),
            ("GET", "*", Found::Nothing),
            ("POST", "/healthz", Found::OtherMethod("GET, HEAD, OPTIONS".into())),
            ("PATCH", "/api/v1/flows/a/b", Found::OtherMethod("GET, PUT, DELETE, HEAD, OPTIONS".into())),
            ("GET", "/api/v1/runs/7/cancel", Found::OtherMethod("POST, OPTIONS".into())),
            ("OPTIONS", "/api/v1/plugins", Found::OtherMethod("GET, POST, HEAD, OPTIONS".into())),
        ];
        for (method, path, expected) in table {
            assert_eq!(find(method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn every_row_of_the_table_is_reached() {
        for route in ROUTES {
            let path = route.path.replace(['{', '}'], "");
            let Found::Endpoint(found, _) = find(route.method, &path) else {
                panic!("{} {path} leads nowhere", route.method);
            };
            assert_eq!(found, route, "{} {path} is shadowed", route.method);
        }
    }
}
