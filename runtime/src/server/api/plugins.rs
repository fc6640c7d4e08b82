//! `/api/v1/plugins`, and `/api/v1/actions/{name}/try`: one call of what a plugin offers.

use hyper::StatusCode;
use semver::Version;
use serde::Deserialize;
use serde_json::json;

use super::super::limits;
use super::super::response::{self, HandlerResult};
use super::Call;
use super::route::Content::{Component, List, Of, One};
use super::route::Permit::{Audited, For};
use super::route::{RequestBody, Route};
use super::shape::{PROBLEM, Shape, closed, object, text};
use crate::PluginView;
use crate::Role::{Admin, Editor, Viewer};

/// The audit log's word for what a start of the host does too.
pub(crate) const INSTALL_PLUGIN: &str = "InstallPlugin";

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: "GET",
        path: "/api/v1/plugins",
        operation: "ListPlugins",
        permit: For(Viewer),
        handler: |call| Box::pin(list(call)),
        summary: "The installed plugins",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(200, "The plugins", List(&PLUGIN))],
        commands: &["plugins list"],
    },
    Route {
        method: "POST",
        path: "/api/v1/plugins",
        operation: INSTALL_PLUGIN,
        permit: Audited(Admin),
        handler: |call| Box::pin(install(call)),
        summary: "Installs a plugin; the same bytes twice is nothing new",
        query: &[],
        body: RequestBody::Required("A WebAssembly component, at most 32 MiB.", Component),
        answers: &[(201, "Installed", One(&PLUGIN))],
        commands: &["plugins install"],
    },
    Route {
        method: "GET",
        path: "/api/v1/plugins/{name}",
        operation: "ShowPlugin",
        permit: For(Viewer),
        handler: |call| Box::pin(show(call)),
        summary: "A plugin, its newest version",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(200, "The plugin", One(&PLUGIN))],
        commands: &["plugins show"],
    },
    Route {
        method: "GET",
        path: "/api/v1/plugins/{name}/{version}",
        operation: "ShowPluginVersion",
        permit: For(Viewer),
        handler: |call| Box::pin(show_version(call)),
        summary: "One version of a plugin",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(200, "The plugin", One(&PLUGIN))],
        commands: &["plugins show"],
    },
    Route {
        method: "POST",
        path: "/api/v1/actions/{name}/try",
        operation: "TryPlugin",
        permit: Audited(Editor),
        handler: |call| Box::pin(try_out(call)),
        summary: "Calls an action once, under the tenant's policy and of no run",
        query: &[],
        body: RequestBody::Required(
            "The action's input.",
            Of(|_| closed(&["with"], json!({ "with": true }))),
        ),
        answers: &[(200, "What it came to", One(&TRIAL))],
        commands: &["plugins try"],
    },
];

const PLUGIN: Shape = Shape {
    name: "Plugin",
    schema: |_| {
        object(
            &["name", "version", "digest", "descriptor"],
            json!({
                "name": text(), "version": text(), "title": text(), "summary": text(), "digest": text(),
                "descriptor": { "type": "object" },
            }),
        )
    },
};

const TRIAL: Shape = Shape {
    name: "Trial",
    schema: |shapes| {
        let path =
            object(&["path", "type", "value"], json!({ "path": text(), "type": text(), "value": true }));
        object(
            &["plugin", "status"],
            json!({
                "plugin": text(), "status": { "enum": ["completed", "faulted", "suspended"] }, "output": true,
                "paths": { "type": "array", "items": path }, "problem": shapes.refer(&PROBLEM),
                "callback": { "type": "boolean" }, "timerMs": { "type": "integer" },
            }),
        )
    },
};

async fn list(call: &Call<'_>) -> HandlerResult {
    call.query()?;
    response::list(&call.state.runtime.plugins(&call.tenant), None)
}

async fn show(call: &Call<'_>) -> HandlerResult {
    let name = call.places[0];
    let newest = named(call, name).max_by_key(|plugin| Version::parse(&plugin.version).ok());
    response::json(StatusCode::OK, &newest.ok_or_else(|| response::no_such(format!("plugin {name}")))?)
}

async fn show_version(call: &Call<'_>) -> HandlerResult {
    let [name, version] = call.places;
    let found = named(call, name).find(|plugin| plugin.version == version);
    response::json(
        StatusCode::OK,
        &found.ok_or_else(|| response::no_such(format!("plugin {name}:{version}")))?,
    )
}

async fn install(call: &mut Call<'_>) -> HandlerResult {
    let wasm = call.body(limits::COMPONENT_BYTES).await?;
    let plugin = call.state.runtime.install_plugin(&call.tenant, &wasm).await?;
    call.target = Some(format!("{}:{}", plugin.name, plugin.version));
    call.detail = Some(format!("digest {}", plugin.digest));
    response::json(StatusCode::CREATED, &plugin)
}

async fn try_out(call: &mut Call<'_>) -> HandlerResult {
    let TrialInput { with } = call.parsed(limits::INPUT_BYTES, "{\"with\"}").await?;
    let action = call.places[0];
    response::json(StatusCode::OK, &call.state.runtime.try_action(&call.tenant, action, with).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrialInput {
    with: serde_json::Value,
}

fn named(call: &Call<'_>, name: &str) -> impl Iterator<Item = PluginView> {
    let plugins = call.state.runtime.plugins(&call.tenant);
    plugins.into_iter().filter(move |plugin| plugin.name == name)
}
