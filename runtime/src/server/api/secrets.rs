//! `/api/v1/secrets`.

use serde_json::json;

use super::route::Content::{List, Nothing, One};
use super::route::Permit::{Audited, For};
use super::route::{RequestBody, Route};
use super::shape::{Shape, closed, object, text, texts, time};
use super::vault;
use crate::Role::{Admin, Editor};
use crate::VaultKind::Secret;

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: "GET",
        path: "/api/v1/secrets",
        operation: "ListSecrets",
        permit: For(Editor),
        handler: |call| Box::pin(vault::list(call, Secret)),
        summary: "The secrets, without their values",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(200, "The secrets", List(&SECRET))],
        commands: &["secrets list"],
    },
    Route {
        method: "GET",
        path: "/api/v1/secrets/{name}",
        operation: "ShowSecret",
        permit: For(Editor),
        handler: |call| Box::pin(vault::show(call, Secret)),
        summary: "A secret, without its value",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(200, "The secret", One(&SECRET))],
        commands: &[],
    },
    Route {
        method: "PUT",
        path: "/api/v1/secrets/{name}",
        operation: "SetSecret",
        permit: Audited(Admin),
        handler: |call| Box::pin(vault::set(call, Secret)),
        summary: "Sets a secret; what runs uses it at once",
        query: &[],
        body: RequestBody::Required("The value, and the hosts that it may be sent to.", One(&DOCUMENT)),
        answers: &[(200, "Changed", One(&SECRET)), (201, "A new secret", One(&SECRET))],
        commands: &["secrets set"],
    },
    Route {
        method: "DELETE",
        path: "/api/v1/secrets/{name}",
        operation: "RemoveSecret",
        permit: Audited(Admin),
        handler: |call| Box::pin(vault::remove(call, Secret)),
        summary: "Removes a secret",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(204, "Removed", Nothing)],
        commands: &["secrets delete"],
    },
];

const SECRET: Shape = Shape {
    name: "Secret",
    schema: |_| object(&["name", "hosts"], json!({ "name": text(), "hosts": texts(), "updatedAt": time() })),
};

const DOCUMENT: Shape = Shape {
    name: "SecretDocument",
    schema: |_| closed(&["value"], json!({ "value": text(), "hosts": texts() })),
};
