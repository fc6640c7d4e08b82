//! `/api/v1/plugins`.

use hyper::StatusCode;
use semver::Version;

use super::super::limits;
use super::super::response::{self, Outcome};
use super::Call;
use super::query::Query;
use crate::PluginView;

pub(super) fn list(call: &Call<'_>) -> Outcome {
    Query::read(call.head, &[])?;
    response::list(&call.state.runtime.plugins(&call.tenant), None)
}

/// The newest version of the name.
pub(super) fn show(call: &Call<'_>) -> Outcome {
    let name = call.places[0];
    let newest = named(call, name).max_by_key(|plugin| Version::parse(&plugin.version).ok());
    response::json(StatusCode::OK, &newest.ok_or_else(|| response::no_such(format!("plugin {name}")))?)
}

pub(super) fn show_version(call: &Call<'_>) -> Outcome {
    let [name, version] = call.places;
    let found = named(call, name).find(|plugin| plugin.version == version);
    response::json(
        StatusCode::OK,
        &found.ok_or_else(|| response::no_such(format!("plugin {name}:{version}")))?,
    )
}

/// The body is a component.
pub(super) async fn install(call: &mut Call<'_>) -> Outcome {
    let wasm = call.body(limits::COMPONENT_BYTES).await?;
    let plugin = call.state.runtime.install_plugin(&call.tenant, &wasm).await?;
    call.target = Some(format!("{}:{}", plugin.name, plugin.version));
    call.detail = Some(format!("digest {}", plugin.digest));
    response::json(StatusCode::CREATED, &plugin)
}

/// One real call, of no run. The body is `{"with": …}`.
pub(super) async fn try_out(call: &mut Call<'_>) -> Outcome {
    let body = call.json(limits::INPUT_BYTES).await?;
    let Tried { with } = serde_json::from_value(body)
        .map_err(|error| response::bad_request(format!("the body is not {{\"with\"}}: {error}")))?;
    let action = call.places[0];
    response::json(StatusCode::OK, &call.state.runtime.try_action(&call.tenant, action, with).await?)
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Tried {
    with: serde_json::Value,
}

fn named(call: &Call<'_>, name: &str) -> impl Iterator<Item = PluginView> {
    let plugins = call.state.runtime.plugins(&call.tenant);
    plugins.into_iter().filter(move |plugin| plugin.name == name)
}
