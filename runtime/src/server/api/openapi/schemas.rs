//! The shapes of what the API gives, as JSON Schema: the views of the runtime, and the one error.

use serde_json::{Value, json};

use super::reference;

/// By name, for `#/components/schemas`.
pub(super) fn all() -> Value {
    let text = || json!({ "type": "string" });
    let time = || json!({ "type": "string", "format": "date-time" });
    let hosts = || json!({ "type": "array", "items": { "type": "string" } });
    let of_runs = ["pending", "running", "waiting", "suspended", "cancelled", "faulted", "completed"];
    let status = json!({ "enum": of_runs });
    let of_steps = [&of_runs[..], &["skipped"]].concat();
    let of_step = json!({ "enum": of_steps });
    let run = json!({
        "id": text(), "tenant": text(), "flow": text(), "trigger": text(), "status": status,
        "startedAt": time(), "endedAt": time(),
    });
    let token = json!({
        "name": text(), "role": reference("Role"), "tenant": { "type": ["string", "null"] },
        "createdAt": time(), "createdBy": text(),
        "expiresAt": { "type": ["string", "null"], "format": "date-time" },
    });
    json!({
        "Flow": object(&["namespace", "name", "version"], json!({
            "namespace": text(), "name": text(), "version": text(), "title": text(),
            "durable": { "type": "boolean" }, "installedAt": time(), "document": { "type": "object" },
            "warnings": { "type": "array", "items": { "type": "object" } },
        })),
        "Trigger": object(&["namespace", "name", "uses", "flow", "enabled", "url"], json!({
            "namespace": text(), "name": text(), "uses": text(), "flow": text(),
            "enabled": { "type": "boolean" }, "url": { "type": "string", "format": "uri" },
            "warnings": { "type": "array", "items": { "type": "object" } },
        })),
        "Schedule": object(&["flow", "schedule"], json!({
            "flow": text(), "schedule": { "type": "object" }, "timezone": text(), "dueAt": time(), "run": text(),
        })),
        "Subscription": object(&["id", "trigger", "uses", "url", "status", "attempts"], json!({
            "id": text(), "trigger": text(), "uses": text(), "url": { "type": "string", "format": "uri" },
            "status": { "enum": ["subscribing", "subscribed", "unsubscribing"] },
            "attempts": { "type": "integer" }, "dueAt": time(), "problem": reference("Problem"),
        })),
        "Plugin": object(&["name", "version", "digest", "descriptor"], json!({
            "name": text(), "version": text(), "title": text(), "summary": text(), "digest": text(),
            "descriptor": { "type": "object" },
        })),
        "Secret": object(&["name", "hosts"], json!({
            "name": text(), "hosts": hosts(), "updatedAt": time(),
        })),
        "SecretDocument": closed(&["value"], json!({ "value": text(), "hosts": hosts() })),
        "Connection": object(&["name", "hosts", "isEmpty", "document"], json!({
            "name": text(), "hosts": hosts(), "isEmpty": { "type": "boolean" },
            "document": reference("ConnectionDocument"), "updatedAt": time(),
        })),
        "ConnectionDocument": closed(&[], json!({
            "hosts": hosts(),
            "basic": closed(&["username", "password"], json!({ "username": text(), "password": text() })),
            "digest": closed(&["username", "password"], json!({ "username": text(), "password": text() })),
            "bearer": closed(&["token"], json!({ "token": text() })),
            "apiKey": closed(&["in", "name", "value"], json!({
                "in": { "enum": ["header", "query"] }, "name": text(), "value": text(),
            })),
            "oauth2": closed(&["tokenUrl", "clientId", "clientSecret"], json!({
                "tokenUrl": { "type": "string", "format": "uri" }, "clientId": text(), "clientSecret": text(),
                "scopes": { "type": "array", "items": text() }, "audience": text(),
                "clientAuthentication": { "enum": ["basic", "body"], "default": "basic" },
            })),
            "clientCertificate": closed(&["certificate", "key"], json!({ "certificate": text(), "key": text() })),
        })),
        "Trial": object(&["plugin", "status"], json!({
            "plugin": text(), "status": { "enum": ["completed", "faulted", "suspended"] }, "output": true,
            "paths": { "type": "array", "items": object(&["path", "type", "value"], json!({
                "path": text(), "type": text(), "value": true,
            })) },
            "problem": reference("Problem"), "callback": { "type": "boolean" }, "timerMs": { "type": "integer" },
        })),
        "Role": { "enum": ["viewer", "editor", "admin", "operator"] },
        "Token": object(&["name", "role", "tenant", "createdAt", "createdBy", "expiresAt"], token.clone()),
        "MintedToken": { "allOf": [
            object(&["name", "role", "tenant", "createdAt", "createdBy", "expiresAt"], token),
            object(&["token"], json!({ "token": text() })),
        ] },
        "AuditEntry": object(&["id", "at", "actor", "action", "target", "status"], json!({
            "id": text(), "at": time(), "actor": text(), "role": { "anyOf": [reference("Role"), { "type": "null" }] },
            "from": { "type": ["string", "null"] }, "action": text(), "target": text(),
            "status": { "type": ["integer", "null"] }, "detail": { "type": ["string", "null"] },
        })),
        "Tenant": object(&["name"], json!({ "name": text() })),
        "RunSummary": object(&["id", "status"], run),
        "Run": { "allOf": [reference("RunSummary"), object(&["input", "output", "steps"], json!({
            "input": true, "output": true, "problem": reference("Problem"),
            "steps": { "type": "array", "items": reference("Step") },
        }))] },
        "Step": object(&["id", "name", "reference", "status", "attempts", "input", "output"], json!({
            "id": { "type": "integer" }, "name": text(), "reference": text(), "kind": text(), "plugin": text(),
            "status": of_step, "input": true, "output": true, "startedAt": time(), "endedAt": time(),
            "dueAt": time(), "problem": reference("Problem"),
            "attempts": { "type": "array", "items": object(&["startedAt"], json!({
                "startedAt": time(), "endedAt": time(), "problem": reference("Problem"),
            })) },
            "cleanup": object(&["status", "attempts"], json!({
                "status": { "enum": ["running", "waiting", "completed", "faulted"] },
                "attempts": { "type": "integer" }, "problem": reference("Problem"), "dueAt": time(),
            })),
        })),
        "Change": object(&["kind", "at"], json!({
            "kind": { "enum": ["run", "step", "log"] }, "at": time(),
        })),
        "Problem": object(&["type", "title", "status"], json!({
            "type": { "type": "string", "format": "uri-reference" }, "title": text(),
            "status": { "type": "integer" }, "detail": text(), "instance": text(),
            "retryAfterMs": { "type": "integer" }, "data": { "type": "object" },
        })),
    })
}

/// An object that takes no other keys.
fn closed(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false })
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}
