//! `/api/v1/connections`: credentials for some hosts, which steps use by name and never see.

use serde_json::json;

use super::route::Content::{List, Nothing, One};
use super::route::Permit::{Audited, For};
use super::route::{RequestBody, Route};
use super::shape::{Shape, address, closed, object, text, texts, time};
use super::vault;
use crate::Role::{Admin, Editor};
use crate::VaultKind::Connection;

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: "GET",
        path: "/api/v1/connections",
        operation: "ListConnections",
        permit: For(Editor),
        handler: |call| Box::pin(vault::list(call, Connection)),
        summary: "The connections",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(200, "The connections", List(&CONNECTION))],
        commands: &["connections list"],
    },
    Route {
        method: "GET",
        path: "/api/v1/connections/{name}",
        operation: "ShowConnection",
        permit: For(Editor),
        handler: |call| Box::pin(vault::show(call, Connection)),
        summary: "A connection, with `***` for what is secret",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(200, "The connection", One(&CONNECTION))],
        commands: &["connections show"],
    },
    Route {
        method: "PUT",
        path: "/api/v1/connections/{name}",
        operation: "SetConnection",
        permit: Audited(Admin),
        handler: |call| Box::pin(vault::set(call, Connection)),
        summary: "Sets a connection; what runs uses it at once",
        query: &[],
        body: RequestBody::Required("The hosts, and the credentials for them.", One(&DOCUMENT)),
        answers: &[(200, "Changed", One(&CONNECTION)), (201, "A new connection", One(&CONNECTION))],
        commands: &["connections set"],
    },
    Route {
        method: "DELETE",
        path: "/api/v1/connections/{name}",
        operation: "RemoveConnection",
        permit: Audited(Admin),
        handler: |call| Box::pin(vault::remove(call, Connection)),
        summary: "Removes a connection",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(204, "Removed", Nothing)],
        commands: &["connections delete"],
    },
];

const CONNECTION: Shape = Shape {
    name: "Connection",
    schema: |shapes| {
        object(
            &["name", "hosts", "isEmpty", "document"],
            json!({
                "name": text(), "hosts": texts(), "isEmpty": { "type": "boolean" },
                "document": shapes.refer(&DOCUMENT), "updatedAt": time(),
            }),
        )
    },
};

const DOCUMENT: Shape = Shape {
    name: "ConnectionDocument",
    schema: |_| {
        let password =
            || closed(&["username", "password"], json!({ "username": text(), "password": text() }));
        closed(
            &[],
            json!({
                "hosts": texts(),
                "basic": password(),
                "digest": password(),
                "bearer": closed(&["token"], json!({ "token": text() })),
                "apiKey": closed(&["in", "name", "value"], json!({
                    "in": { "enum": ["header", "query"] }, "name": text(), "value": text(),
                })),
                "oauth2": closed(&["tokenUrl", "clientId", "clientSecret"], json!({
                    "tokenUrl": address(), "clientId": text(), "clientSecret": text(),
                    "scopes": texts(), "audience": text(),
                    "clientAuthentication": { "enum": ["basic", "body"], "default": "basic" },
                })),
                "clientCertificate": closed(&["certificate", "key"], json!({ "certificate": text(), "key": text() })),
            }),
        )
    },
};
