//! `/openapi.json`: OpenAPI 3.1, made from the router's table. What the table does not say, [`describe`] says for each
//! endpoint, so that a new route without a description does not compile.

mod schemas;

use std::sync::LazyLock;

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::super::response::{self, Outcome};
use super::super::router::{Endpoint, ROUTES, Route};

pub(super) fn document() -> Outcome {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| build().to_string().into());
    Ok(response::bytes(StatusCode::OK, "application/json", TEXT.clone()))
}

fn build() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_lowercase()] = operation(route);
    }
    for (path, what) in [("/hooks/{token}", "token"), ("/hooks/{tenant}/{path}", "path")] {
        for method in ["get", "head", "post", "put", "patch", "delete", "options"] {
            let path = paths.entry(path).or_insert_with(|| json!({}));
            path[method] = hook(method, what);
        }
    }
    paths.insert("/callbacks/{token}".into(), json!({ "post": callback(), "get": callback_looked_at() }));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Flowcell",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Administration of a Flowcell host, and the addresses that take events. \
                Errors are `application/problem+json` (RFC 9457).",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas::all(),
            "responses": {
                "Problem": {
                    "description": "What is wrong and what to do.",
                    "content": { "application/problem+json": { "schema": reference("Problem") } },
                },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let about = describe(route.endpoint);
    let mut parameters: Vec<Value> = places(route.path).map(in_path).collect();
    let role = route.permit.role();
    if role.is_some() {
        parameters.push(json!({
            "name": "flowcell-tenant", "in": "header", "schema": { "type": "string", "default": "default" },
            "description": "Whose things are meant; with a token of one tenant, that one's.",
        }));
    }
    for (name, description) in about.query {
        let required = route.endpoint == Endpoint::ExplainPolicy && *name == "url";
        parameters.push(json!({
            "name": name, "in": "query", "required": required, "schema": { "type": "string" },
            "description": description,
        }));
    }
    let mut responses = Map::new();
    for (status, what, content) in about.answers {
        let mut answer = json!({ "description": what });
        for (media, schema) in content.parts() {
            answer["content"][media] = json!({ "schema": schema });
        }
        responses.insert(status.to_string(), answer);
    }
    responses.insert("default".into(), json!({ "$ref": "#/components/responses/Problem" }));
    let mut operation = json!({
        "operationId": format!("{:?}", route.endpoint),
        "summary": about.summary,
        "parameters": parameters,
        "responses": responses,
        "security": if role.is_none() { json!([]) } else { json!([{ "token": [] }]) },
    });
    if let Some(role) = role {
        operation["description"] =
            json!(format!("Needs a token of the role `{}`, or of a higher one.", role.as_str()));
    }
    if let Some(body) = about.body {
        operation["requestBody"] = body;
    }
    operation
}

/// What an answer holds.
enum Content {
    Nothing,
    Text,
    Events,
    Any,
    One(&'static str),
    List(&'static str),
}

impl Content {
    /// Media types and their schemas.
    fn parts(&self) -> Vec<(&'static str, Value)> {
        let json = "application/json";
        let text = || json!({ "type": "string" });
        match self {
            Self::Nothing => vec![],
            Self::Text => vec![("text/plain", text())],
            Self::Events => vec![(json, list_of("Change")), ("text/event-stream", text())],
            Self::Any => vec![(json, json!({ "type": "object" }))],
            Self::One(name) => vec![(json, reference(name))],
            Self::List(name) => vec![(json, list_of(name))],
        }
    }
}

struct About {
    summary: &'static str,
    query: &'static [(&'static str, &'static str)],
    body: Option<Value>,
    answers: Vec<(u16, &'static str, Content)>,
}

fn about(summary: &'static str, answers: Vec<(u16, &'static str, Content)>) -> About {
    About { summary, query: &[], body: None, answers }
}

fn describe(endpoint: Endpoint) -> About {
    use Content::{Any, Events, List, Nothing, One, Text};
    match endpoint {
        Endpoint::Healthz => about("Whether the process answers", vec![(200, "It does", Any)]),
        Endpoint::Readyz => about(
            "Whether events are taken now",
            vec![(200, "They are", Any), (503, "They are not", One("Problem"))],
        ),
        Endpoint::Metrics => about("Figures for Prometheus", vec![(200, "Text format 0.0.4", Text)]),
        Endpoint::OpenApi => about("This document", vec![(200, "OpenAPI 3.1", Any)]),
        Endpoint::ListFlows => about("The deployed flows", vec![(200, "The flows", List("Flow"))]),
        Endpoint::ShowFlow => about("A flow, its newest version", vec![(200, "The flow", One("Flow"))]),
        Endpoint::PutFlow => About {
            body: Some(document_body("A flow document, YAML or JSON, called what the address says.")),
            ..about(
                "Deploys a flow",
                vec![(200, "A new text of the flow", One("Flow")), (201, "A new flow", One("Flow"))],
            )
        },
        Endpoint::RemoveFlow => about("Removes a flow; its runs go on", vec![(204, "Removed", Nothing)]),
        Endpoint::StartRun => About {
            query: &[
                ("wait", "ISO 8601 duration up to PT300S: answer when the run is over, at the latest then."),
                ("version", "The flow's version; the newest without it."),
            ],
            body: Some(json!({
                "description": "The run's input; none is null.", "required": false,
                "content": { "application/json": { "schema": true } },
            })),
            ..about(
                "Starts a run",
                vec![
                    (200, "With `wait`: the finished run", One("Run")),
                    (202, "Journalled; with `wait`: not over yet", One("RunSummary")),
                ],
            )
        },
        Endpoint::ListTriggers => {
            about("The deployed triggers", vec![(200, "The triggers", List("Trigger"))])
        }
        Endpoint::ShowTrigger => about("A trigger", vec![(200, "The trigger", One("Trigger"))]),
        Endpoint::PutTrigger => About {
            body: Some(document_body("A trigger document, YAML or JSON, called what the address says.")),
            ..about(
                "Deploys a trigger; its address stays through every edit",
                vec![(200, "Changed", One("Trigger")), (201, "A new trigger", One("Trigger"))],
            )
        },
        Endpoint::RemoveTrigger => {
            about("Removes a trigger and its address", vec![(204, "Removed", Nothing)])
        }
        Endpoint::EnableTrigger => about("Takes events again", vec![(200, "The trigger", One("Trigger"))]),
        Endpoint::DisableTrigger => {
            about("Takes no events until enabled", vec![(200, "The trigger", One("Trigger"))])
        }
        Endpoint::ListSchedules => {
            about("When flows start by themselves", vec![(200, "The schedules", List("Schedule"))])
        }
        Endpoint::ListSubscriptions => about(
            "What triggers have subscribed to, and what of that is still to be ended",
            vec![(200, "The subscriptions, oldest first", List("Subscription"))],
        ),
        Endpoint::ForgetSubscription => {
            about("Forgets a subscription that could not be ended", vec![(204, "Forgotten", Nothing)])
        }
        Endpoint::ListRuns => About {
            query: &[
                ("flow", "`namespace/name`, or a name in the namespace `default`."),
                ("status", "Only those that stand so."),
                ("since", "Only those accepted at this time or later, RFC 3339."),
                ("cursor", "The `cursor` of the page before."),
                ("limit", "At most so many."),
            ],
            ..about("Runs, newest first", vec![(200, "A page", List("RunSummary"))])
        },
        Endpoint::ShowRun => about("A run with its steps", vec![(200, "The run", One("Run"))]),
        Endpoint::CancelRun => about(
            "Ends a run; one that is over stays as it is",
            vec![(200, "How it stands", One("RunSummary"))],
        ),
        Endpoint::RestartRun => About {
            query: &[(
                "from",
                "`input`, which is usual, or `failed-step`: what came before that counts as done.",
            )],
            ..about(
                "Starts a new run of the same text with the same input, or from the step that failed",
                vec![(202, "The new run", One("RunSummary"))],
            )
        },
        Endpoint::RunEvents => about(
            "What happened to a run; with `Accept: text/event-stream` as it happens, until it is over",
            vec![(200, "The changes, oldest first", Events)],
        ),
        Endpoint::ListPlugins => about("The installed plugins", vec![(200, "The plugins", List("Plugin"))]),
        Endpoint::InstallPlugin => About {
            body: Some(json!({
                "description": "A WebAssembly component, at most 32 MiB.", "required": true,
                "content": { "application/wasm": {} },
            })),
            ..about(
                "Installs a plugin; the same bytes twice is nothing new",
                vec![(201, "Installed", One("Plugin"))],
            )
        },
        Endpoint::ShowPlugin => {
            about("A plugin, its newest version", vec![(200, "The plugin", One("Plugin"))])
        }
        Endpoint::ShowPluginVersion => {
            about("One version of a plugin", vec![(200, "The plugin", One("Plugin"))])
        }
        Endpoint::ListSecrets => {
            about("The secrets, without their values", vec![(200, "The secrets", List("Secret"))])
        }
        Endpoint::ShowSecret => {
            about("A secret, without its value", vec![(200, "The secret", One("Secret"))])
        }
        Endpoint::SetSecret => About {
            body: Some(json_body("SecretDocument")),
            ..about(
                "Sets a secret; what runs uses it at once",
                vec![(200, "Changed", One("Secret")), (201, "A new secret", One("Secret"))],
            )
        },
        Endpoint::RemoveSecret => about("Removes a secret", vec![(204, "Removed", Nothing)]),
        Endpoint::ListConnections => {
            about("The connections", vec![(200, "The connections", List("Connection"))])
        }
        Endpoint::ShowConnection => about(
            "A connection, with `***` for what is secret",
            vec![(200, "The connection", One("Connection"))],
        ),
        Endpoint::SetConnection => About {
            body: Some(json_body("ConnectionDocument")),
            ..about(
                "Sets a connection; what runs uses it at once",
                vec![(200, "Changed", One("Connection")), (201, "A new connection", One("Connection"))],
            )
        },
        Endpoint::RemoveConnection => about("Removes a connection", vec![(204, "Removed", Nothing)]),
        Endpoint::TryPlugin => About {
            body: Some(object_body(&["with"], json!({ "with": true }))),
            ..about(
                "Calls an action once, under the tenant's policy and of no run",
                vec![(200, "What it came to", One("Trial"))],
            )
        },
        Endpoint::ImportCurl => About {
            body: Some(object_body(&["command"], json!({ "command": { "type": "string" } }))),
            ..about(
                "A command line of curl as a step",
                vec![(200, "The step, and what it does otherwise", Any)],
            )
        },
        Endpoint::SampleTrigger => About {
            body: Some(object_body(
                &[],
                json!({
                    "url": { "type": "string" }, "body": true,
                    "headers": { "type": "object", "additionalProperties": { "type": "string" } },
                }),
            )),
            ..about("A sample of a request as variables of a webhook", vec![(200, "The variables", Any)])
        },
        Endpoint::ListTokens => about(
            "The tokens of the tenant; an operator sees those of all tenants too",
            vec![(200, "The tokens", List("Token"))],
        ),
        Endpoint::ShowToken => about("A token, without itself", vec![(200, "The token", One("Token"))]),
        Endpoint::CreateToken => About {
            body: Some(object_body(
                &["name", "role"],
                json!({
                    "name": { "type": "string" }, "role": reference("Role"),
                    "expiresIn": { "type": "string", "format": "duration" },
                }),
            )),
            ..about(
                "Mints a token, up to the caller's own role",
                vec![(201, "The token, which is told here and never again", One("MintedToken"))],
            )
        },
        Endpoint::RemoveToken => About {
            query: &[("role", "`operator` for a token of all tenants.")],
            ..about("Revokes a token; it opens nothing from then on", vec![(204, "Revoked", Nothing)])
        },
        Endpoint::ListAudit => About {
            query: &[
                ("actor", "The name of a token, or `operator`, `local`, `command line` or `configuration`."),
                ("action", "An operationId of this document, or `Grants`."),
                ("since", "Only at this time or later, RFC 3339."),
                ("denied", "`true`: only what was not let happen."),
                ("cursor", "The `cursor` of the page before."),
                ("limit", "At most so many, up to 1000."),
            ],
            ..about("Who did what, newest first", vec![(200, "A page", List("AuditEntry"))])
        },
        Endpoint::ListTenants => {
            about("The tenants of this host", vec![(200, "The tenants", List("Tenant"))])
        }
        Endpoint::ExplainPolicy => About {
            query: &[("url", "The address that a step would call."), ("method", "GET without it.")],
            ..about("Which egress rule decides about a request", vec![(200, "The decision", Any)])
        },
        Endpoint::ExplainPolicyOf => About {
            body: Some(json!({
                "required": true,
                "content": { "application/json": { "schema": {
                    "type": "object", "required": ["url"], "additionalProperties": false,
                    "properties": { "url": { "type": "string" }, "method": { "type": "string", "default": "GET" } },
                } } },
            })),
            ..about("The same, asked by body", vec![(200, "The decision", Any)])
        },
    }
}

fn object_body(required: &[&str], properties: Value) -> Value {
    let schema = json!({
        "type": "object", "required": required, "additionalProperties": false, "properties": properties,
    });
    json!({ "required": true, "content": { "application/json": { "schema": schema } } })
}

fn json_body(schema: &str) -> Value {
    json!({ "required": true, "content": { "application/json": { "schema": reference(schema) } } })
}

fn hook(method: &str, what: &str) -> Value {
    let parameters: Vec<Value> = match what {
        "token" => vec![in_path("token")],
        _ => vec![in_path("tenant"), in_path("path")],
    };
    json!({
        "operationId": format!("hook-by-{what}-{method}"),
        "summary": "An event for a trigger; which methods it takes and what it answers, the trigger decides",
        "parameters": parameters,
        "responses": {
            "200": { "description": "Journalled, or what the flow answers" },
            "404": { "description": "No such address" },
            "default": { "$ref": "#/components/responses/Problem" },
        },
        "security": [],
    })
}

fn callback() -> Value {
    json!({
        "operationId": "callback",
        "summary": "Answers a waiting step",
        "parameters": [in_path("token")],
        "requestBody": { "required": false, "content": { "*/*": { "schema": {} } } },
        "responses": {
            "202": { "description": "The step goes on with it" },
            "400": json!({ "$ref": "#/components/responses/Problem" }),
            "404": json!({ "$ref": "#/components/responses/Problem" }),
            "409": json!({ "$ref": "#/components/responses/Problem" }),
            "410": json!({ "$ref": "#/components/responses/Problem" }),
            "413": json!({ "$ref": "#/components/responses/Problem" }),
            "429": json!({ "$ref": "#/components/responses/Problem" }),
            "503": json!({ "$ref": "#/components/responses/Problem" }),
        },
        "security": [],
    })
}

fn callback_looked_at() -> Value {
    json!({
        "operationId": "callback-looked-at",
        "summary": "Says what the address is; resumes nothing",
        "parameters": [in_path("token")],
        "responses": { "405": { "description": "It takes POST" } },
        "security": [],
    })
}

fn places(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

fn in_path(name: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
}

fn document_body(description: &str) -> Value {
    let text = json!({ "schema": { "type": "string" } });
    json!({
        "description": description, "required": true,
        "content": { "application/yaml": text, "application/json": { "schema": { "type": "object" } } },
    })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn list_of(name: &str) -> Value {
    json!({
        "type": "object", "required": ["items", "cursor"],
        "properties": {
            "items": { "type": "array", "items": reference(name) },
            "cursor": { "type": ["string", "null"] },
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::super::router::{Found, find};
    use super::super::super::snapshot;
    use super::*;

    #[test]
    fn the_document_is_as_kept() {
        snapshot::assert_kept("snapshots/openapi.json", &format!("{:#}\n", build()));
    }

    fn leads_somewhere(method: &str, path: &str) -> bool {
        match find(method, path) {
            Found::Endpoint(..) | Found::Hook { .. } => true,
            Found::Callback { .. } => matches!(method, "POST" | "GET"),
            Found::OtherMethod(_) | Found::Nothing => false,
        }
    }

    #[test]
    fn the_document_and_the_router_know_the_same_routes() {
        let document = build();
        let mut described = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            let concrete = path.replace(['{', '}'], "");
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
                let has = operations.get(method.to_lowercase()).is_some();
                assert_eq!(has, leads_somewhere(method, &concrete), "{method} {path}");
                if has {
                    described.insert((method, path.as_str()));
                }
            }
        }
        for route in ROUTES {
            assert!(described.contains(&(route.method, route.path)), "{} {}", route.method, route.path);
        }
    }

    #[test]
    fn every_reference_and_place_of_the_document_is_declared() {
        let document = build();
        let text = document.to_string();
        for part in text.split("\"$ref\":\"#").skip(1) {
            let pointer = part.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer} is not there");
        }
        let mut ids = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for operation in operations.as_object().unwrap().values() {
                assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{path}");
                let declared: Vec<_> = operation["parameters"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|parameter| parameter["in"] == "path")
                    .map(|parameter| parameter["name"].as_str().unwrap())
                    .collect();
                assert_eq!(places(path).collect::<Vec<_>>(), declared, "{path}");
            }
        }
    }
}
