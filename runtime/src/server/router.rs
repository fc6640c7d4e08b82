//! Which request means what. [`ROUTES`] is the whole API; the addresses of hooks and callbacks are found before it,
//! because they take every method and most of the traffic.
//!
//! Nothing is decoded: names, versions and tokens consist of characters that need no percent-encoding.

use crate::Role;

/// What a request is for.
#[derive(Debug, PartialEq)]
pub(super) enum Found<'a> {
    /// `/hooks/{first}` or `/hooks/{first}/{below}`.
    Hook { first: &'a str, below: &'a str },
    /// `/callbacks/{token}`.
    Callback { token: &'a str },
    /// A row of [`ROUTES`] with what stands in the places of its path.
    Endpoint(Endpoint, [&'a str; 2]),
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

impl Endpoint {
    /// Who may ask for it; none: whoever comes.
    pub(super) fn role(self) -> Option<Role> {
        match self {
            Self::Healthz | Self::Readyz | Self::Metrics | Self::OpenApi => None,
            Self::ListFlows
            | Self::ShowFlow
            | Self::ListTriggers
            | Self::ShowTrigger
            | Self::ListSchedules
            | Self::ListSubscriptions
            | Self::ListRuns
            | Self::ShowRun
            | Self::RunEvents
            | Self::ListPlugins
            | Self::ShowPlugin
            | Self::ShowPluginVersion
            | Self::ImportCurl
            | Self::SampleTrigger
            | Self::ListTenants => Some(Role::Viewer),
            Self::PutFlow
            | Self::RemoveFlow
            | Self::StartRun
            | Self::PutTrigger
            | Self::RemoveTrigger
            | Self::EnableTrigger
            | Self::DisableTrigger
            | Self::ForgetSubscription
            | Self::CancelRun
            | Self::RestartRun
            | Self::ListSecrets
            | Self::ShowSecret
            | Self::ListConnections
            | Self::ShowConnection
            | Self::TryPlugin
            | Self::ExplainPolicy
            | Self::ExplainPolicyOf => Some(Role::Editor),
            Self::InstallPlugin
            | Self::SetSecret
            | Self::RemoveSecret
            | Self::SetConnection
            | Self::RemoveConnection
            | Self::ListTokens
            | Self::ShowToken
            | Self::CreateToken
            | Self::RemoveToken
            | Self::ListAudit => Some(Role::Admin),
        }
    }

    /// Whether the audit log has who asked for it: it changes what there is, or uses the tenant's credentials. What a flow
    /// does when it is started is in its run.
    pub(super) fn is_audited(self) -> bool {
        match self {
            Self::PutFlow
            | Self::RemoveFlow
            | Self::PutTrigger
            | Self::RemoveTrigger
            | Self::EnableTrigger
            | Self::DisableTrigger
            | Self::ForgetSubscription
            | Self::CancelRun
            | Self::RestartRun
            | Self::InstallPlugin
            | Self::SetSecret
            | Self::RemoveSecret
            | Self::SetConnection
            | Self::RemoveConnection
            | Self::TryPlugin
            | Self::CreateToken
            | Self::RemoveToken => true,
            Self::Healthz
            | Self::Readyz
            | Self::Metrics
            | Self::OpenApi
            | Self::ListFlows
            | Self::ShowFlow
            | Self::StartRun
            | Self::ListTriggers
            | Self::ShowTrigger
            | Self::ListSchedules
            | Self::ListSubscriptions
            | Self::ListRuns
            | Self::ShowRun
            | Self::RunEvents
            | Self::ListPlugins
            | Self::ShowPlugin
            | Self::ShowPluginVersion
            | Self::ListSecrets
            | Self::ShowSecret
            | Self::ListConnections
            | Self::ShowConnection
            | Self::ImportCurl
            | Self::SampleTrigger
            | Self::ListTokens
            | Self::ShowToken
            | Self::ListAudit
            | Self::ListTenants
            | Self::ExplainPolicy
            | Self::ExplainPolicyOf => false,
        }
    }
}

/// One row of the table.
pub(super) struct Route {
    pub method: &'static str,
    /// A segment in braces is a place that takes any one segment.
    pub path: &'static str,
    pub endpoint: Endpoint,
}

const fn route(method: &'static str, path: &'static str, endpoint: Endpoint) -> Route {
    Route { method, path, endpoint }
}

/// Every route but hooks and callbacks. `HEAD` goes where `GET` goes; `OPTIONS` is answered from this table.
pub(super) const ROUTES: &[Route] = &[
    route("GET", "/healthz", Endpoint::Healthz),
    route("GET", "/readyz", Endpoint::Readyz),
    route("GET", "/metrics", Endpoint::Metrics),
    route("GET", "/openapi.json", Endpoint::OpenApi),
    route("GET", "/api/v1/flows", Endpoint::ListFlows),
    route("GET", "/api/v1/flows/{namespace}/{name}", Endpoint::ShowFlow),
    route("PUT", "/api/v1/flows/{namespace}/{name}", Endpoint::PutFlow),
    route("DELETE", "/api/v1/flows/{namespace}/{name}", Endpoint::RemoveFlow),
    route("POST", "/api/v1/flows/{namespace}/{name}/runs", Endpoint::StartRun),
    route("GET", "/api/v1/triggers", Endpoint::ListTriggers),
    route("GET", "/api/v1/triggers/{namespace}/{name}", Endpoint::ShowTrigger),
    route("PUT", "/api/v1/triggers/{namespace}/{name}", Endpoint::PutTrigger),
    route("DELETE", "/api/v1/triggers/{namespace}/{name}", Endpoint::RemoveTrigger),
    route("POST", "/api/v1/triggers/{namespace}/{name}/enable", Endpoint::EnableTrigger),
    route("POST", "/api/v1/triggers/{namespace}/{name}/disable", Endpoint::DisableTrigger),
    route("GET", "/api/v1/schedules", Endpoint::ListSchedules),
    route("GET", "/api/v1/subscriptions", Endpoint::ListSubscriptions),
    route("DELETE", "/api/v1/subscriptions/{id}", Endpoint::ForgetSubscription),
    route("GET", "/api/v1/runs", Endpoint::ListRuns),
    route("GET", "/api/v1/runs/{id}", Endpoint::ShowRun),
    route("POST", "/api/v1/runs/{id}/cancel", Endpoint::CancelRun),
    route("POST", "/api/v1/runs/{id}/restart", Endpoint::RestartRun),
    route("GET", "/api/v1/runs/{id}/events", Endpoint::RunEvents),
    route("GET", "/api/v1/plugins", Endpoint::ListPlugins),
    route("POST", "/api/v1/plugins", Endpoint::InstallPlugin),
    route("GET", "/api/v1/plugins/{name}", Endpoint::ShowPlugin),
    route("GET", "/api/v1/plugins/{name}/{version}", Endpoint::ShowPluginVersion),
    route("GET", "/api/v1/secrets", Endpoint::ListSecrets),
    route("GET", "/api/v1/secrets/{name}", Endpoint::ShowSecret),
    route("PUT", "/api/v1/secrets/{name}", Endpoint::SetSecret),
    route("DELETE", "/api/v1/secrets/{name}", Endpoint::RemoveSecret),
    route("GET", "/api/v1/connections", Endpoint::ListConnections),
    route("GET", "/api/v1/connections/{name}", Endpoint::ShowConnection),
    route("PUT", "/api/v1/connections/{name}", Endpoint::SetConnection),
    route("DELETE", "/api/v1/connections/{name}", Endpoint::RemoveConnection),
    route("POST", "/api/v1/actions/{name}/try", Endpoint::TryPlugin),
    route("POST", "/api/v1/import/curl", Endpoint::ImportCurl),
    route("POST", "/api/v1/triggers/sample", Endpoint::SampleTrigger),
    route("GET", "/api/v1/tokens", Endpoint::ListTokens),
    route("POST", "/api/v1/tokens", Endpoint::CreateToken),
    route("GET", "/api/v1/tokens/{name}", Endpoint::ShowToken),
    route("DELETE", "/api/v1/tokens/{name}", Endpoint::RemoveToken),
    route("GET", "/api/v1/audit", Endpoint::ListAudit),
    route("GET", "/api/v1/tenants", Endpoint::ListTenants),
    route("GET", "/api/v1/policy/explain", Endpoint::ExplainPolicy),
    route("POST", "/api/v1/policy/explain", Endpoint::ExplainPolicyOf),
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
            return Found::Endpoint(route.endpoint, places);
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
            ("GET", "/healthz", Found::Endpoint(Endpoint::Healthz, ["", ""])),
            ("HEAD", "/readyz", Found::Endpoint(Endpoint::Readyz, ["", ""])),
            ("PUT", "/api/v1/flows/shop/in", Found::Endpoint(Endpoint::PutFlow, ["shop", "in"])),
            ("POST", "/api/v1/flows/shop/in/runs", Found::Endpoint(Endpoint::StartRun, ["shop", "in"])),
            ("GET", "/api/v1/runs/7", Found::Endpoint(Endpoint::ShowRun, ["7", ""])),
            ("POST", "/api/v1/runs/7/cancel", Found::Endpoint(Endpoint::CancelRun, ["7", ""])),
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
            let Found::Endpoint(endpoint, _) = find(route.method, &path) else {
                panic!("{} {path} leads nowhere", route.method);
            };
            assert_eq!(endpoint, route.endpoint, "{} {path} is shadowed", route.method);
        }
    }
}
