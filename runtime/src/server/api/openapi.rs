//! `/openapi.json`: OpenAPI 3.1, made of the rows of the resources. Only the addresses of hooks and callbacks, which are no
//! rows, are described by hand.

use std::sync::LazyLock;

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::super::response::{self, HandlerResult};
use super::route::{Content, Parameter, Permit, RequestBody, Route};
use super::shape::{PROBLEM, Shapes, text};
use super::{TENANT, routes};

pub(super) const ROUTES: &[Route] = &[Route {
    method: "GET",
    path: "/openapi.json",
    operation: "OpenApi",
    permit: Permit::Open,
    handler: |_| Box::pin(document()),
    summary: "This document",
    query: &[],
    body: RequestBody::Nothing,
    answers: &[(200, "OpenAPI 3.1", Content::Object)],
    commands: &[],
}];

async fn document() -> HandlerResult {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| build().to_string().into());
    Ok(response::bytes(StatusCode::OK, "application/json", TEXT.clone()))
}

fn build() -> Value {
    let mut shapes = Shapes::default();
    let mut paths = Map::new();
    for route in routes() {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_lowercase()] = operation(route, &mut shapes);
    }
    for (path, what) in [("/hooks/{token}", "token"), ("/hooks/{tenant}/{path}", "path")] {
        for method in ["get", "head", "post", "put", "patch", "delete", "options"] {
            let path = paths.entry(path).or_insert_with(|| json!({}));
            path[method] = hook(method, what);
        }
    }
    paths.insert("/callbacks/{token}".into(), json!({ "post": callback(), "get": opened_callback() }));
    let problem = shapes.refer(&PROBLEM);
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
            "schemas": shapes.into_json(),
            "responses": {
                "Problem": {
                    "description": "What is wrong and what to do.",
                    "content": { "application/problem+json": { "schema": problem } },
                },
            },
        },
    })
}

fn operation(route: &Route, shapes: &mut Shapes) -> Value {
    let role = route.permit.role();
    let mut operation = json!({
        "operationId": route.operation,
        "summary": route.summary,
        "parameters": parameters(route),
        "responses": responses(route, shapes),
        "security": if role.is_none() { json!([]) } else { json!([{ "token": [] }]) },
    });
    if let Some(role) = role {
        operation["description"] =
            json!(format!("Needs a token of the role `{}`, or of a higher one.", role.as_str()));
    }
    match &route.body {
        RequestBody::Nothing => {}
        RequestBody::Optional(about, content) => {
            operation["requestBody"] = request_body(about, false, content, shapes);
        }
        RequestBody::Required(about, content) => {
            operation["requestBody"] = request_body(about, true, content, shapes);
        }
    }
    if !route.commands.is_empty() {
        let commands: Vec<_> = route.commands.iter().map(|command| format!("flowcell {command}")).collect();
        operation["x-commands"] = json!(commands);
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let mut parameters: Vec<Value> = places(route.path).map(in_path).collect();
    if route.permit.role().is_some() {
        parameters.push(json!({
            "name": TENANT, "in": "header", "schema": { "type": "string", "default": "default" },
            "description": "Whose things are meant; with a token of one tenant, that one's.",
        }));
    }
    let in_query = |Parameter { name, description, required }: &Parameter| {
        json!({
            "name": name, "in": "query", "required": required, "schema": text(), "description": description,
        })
    };
    parameters.extend(route.query.iter().map(in_query));
    parameters
}

fn responses(route: &Route, shapes: &mut Shapes) -> Value {
    let mut responses = Map::new();
    for (status, meaning, content) in route.answers {
        let mut answer = json!({ "description": meaning });
        if !matches!(content, Content::Nothing) {
            answer["content"] = media(content, shapes);
        }
        responses.insert(status.to_string(), answer);
    }
    responses.insert("default".into(), json!({ "$ref": "#/components/responses/Problem" }));
    responses.into()
}

fn request_body(about: &str, required: bool, content: &Content, shapes: &mut Shapes) -> Value {
    json!({ "description": about, "required": required, "content": media(content, shapes) })
}

/// The media types of a body, each with its schema.
fn media(content: &Content, shapes: &mut Shapes) -> Value {
    let any_object = || json!({ "type": "object" });
    let json_of = |schema: Value| json!({ "application/json": { "schema": schema } });
    match content {
        Content::Nothing => json!({}),
        Content::Text => json!({ "text/plain": { "schema": text() } }),
        Content::Events(shape) => json!({
            "application/json": { "schema": shapes.list_of(shape) },
            "text/event-stream": { "schema": text() },
        }),
        Content::Object => json_of(any_object()),
        Content::Json => json_of(Value::Bool(true)),
        Content::One(shape) => json_of(shapes.refer(shape)),
        Content::List(shape) => json_of(shapes.list_of(shape)),
        Content::Of(schema) => json_of(schema(shapes)),
        Content::Document => json!({
            "application/yaml": { "schema": text() },
            "application/json": { "schema": any_object() },
        }),
        Content::Component => json!({ "application/wasm": {} }),
    }
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
    let problem = || json!({ "$ref": "#/components/responses/Problem" });
    json!({
        "operationId": "callback",
        "summary": "Answers a waiting step",
        "parameters": [in_path("token")],
        "requestBody": { "required": false, "content": { "*/*": { "schema": {} } } },
        "responses": {
            "202": { "description": "The step goes on with it" },
            "400": problem(),
            "404": problem(),
            "409": problem(),
            "410": problem(),
            "413": problem(),
            "429": problem(),
            "503": problem(),
        },
        "security": [],
    })
}

/// What a `GET` of a callback address answers.
fn opened_callback() -> Value {
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
    json!({ "name": name, "in": "path", "required": true, "schema": text() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::super::router::{Destination, find};
    use super::super::super::snapshot;
    use super::*;

    #[test]
    fn the_document_is_as_kept() {
        snapshot::assert_kept("snapshots/openapi.json", &format!("{:#}\n", build()));
    }

    fn leads_somewhere(method: &str, path: &str) -> bool {
        match find(method, path) {
            Destination::Api(..) | Destination::Hook { .. } => true,
            Destination::Callback { .. } => matches!(method, "POST" | "GET"),
            Destination::OtherMethod(_) | Destination::Nothing => false,
        }
    }

    #[test]
    fn the_document_and_the_router_have_the_same_routes() {
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
        for route in routes() {
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
