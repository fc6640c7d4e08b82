//! `flowcell plugins`, also `flowcell plugin`: what is installed on a host, and what a component's file holds.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use hyper::Method;
use serde_json::{Value, json};

use super::admin::{ALL, Args, print, print_list};
use super::client::encoded;
use super::{Stop, hosting, sources, terminal};
use crate::{Config, PluginView, TenantId};

/// Plugins: of a running host, and in files
#[derive(Subcommand)]
#[command(visible_alias = "plugin")]
pub(super) enum What {
    /// The plugins installed on a host
    List,
    /// A plugin of a host and its descriptor, as JSON
    Show {
        /// NAME, or NAME:VERSION
        plugin: String,
    },
    /// Installs a component on a host
    Install {
        #[arg(value_name = "FILE.wasm")]
        file: PathBuf,
    },
    /// Calls an action once, under the tenant's policy and of no run: on a host, or from a component's file
    Try {
        /// NAME or NAME.ACTION, perhaps with :VERSION; or FILE.wasm, which needs no host
        action: String,
        /// The action's input: JSON, @FILE, or - for stdin
        #[arg(long)]
        with: String,
        /// With FILE.wasm: the configuration that says what may be reached; loopback and public addresses without it
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Says what a component's file holds; needs no host
    Inspect {
        #[arg(value_name = "FILE.wasm")]
        file: PathBuf,
    },
    /// Says whether a component will link here, and what it asks for; needs no host
    Check {
        #[arg(value_name = "FILE.wasm")]
        file: PathBuf,
    },
}

pub(super) async fn run(Args { server, what }: Args<What>) -> Result<ExitCode, Stop> {
    let json = server.json;
    match &what {
        What::List => {
            let plugins = server.connect()?.list("/plugins", ALL).await?;
            print_list(json, &plugins, [("NAME", "name"), ("VERSION", "version"), ("TITLE", "title")]);
        }
        What::Show { plugin } => {
            let path: Vec<_> = plugin.splitn(2, ':').map(encoded).collect();
            let shown = server.connect()?.get(&format!("/plugins/{}", path.join("/"))).await?;
            terminal::say_json(&shown);
        }
        What::Install { file } => {
            let client = server.connect()?;
            let wasm = sources::plugin(file)?.wasm;
            let plugin = client.send(Method::POST, "/plugins", "application/wasm", wasm).await?;
            let text = |field: &str| terminal::harmless(plugin[field].as_str().unwrap_or_default());
            print(json, &plugin, &format!("installed {}:{}", text("name"), text("version")));
        }
        What::Try { action, with, config } => {
            let with = super::run::input(Some(with))?;
            let trial = match action.strip_suffix(".wasm") {
                Some(_) => try_file(Path::new(action), config.as_deref(), with).await?,
                None => {
                    let path = format!("/actions/{action}/try");
                    server.connect()?.post(&path, &json!({ "with": with })).await?
                }
            };
            return Ok(tried(json, &trial));
        }
        What::Inspect { file } => {
            let plugin = load(file).await?;
            print(json, &serde_json::to_value(&plugin).unwrap_or_default(), &described(&plugin));
        }
        What::Check { file } => {
            let plugin = load(file).await?;
            let text = format!("{}: links\n{}", file.display(), asked_for(&plugin.descriptor));
            print(json, &serde_json::to_value(&plugin).unwrap_or_default(), &text);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Installs the component in a runtime of its own, which compiles it, links it and asks it to describe itself.
async fn load(file: &Path) -> Result<PluginView, Stop> {
    let wasm = sources::plugin(file)?.wasm;
    let runtime = hosting::in_memory(Config::default()).await?;
    let installed = runtime.install_plugin(&TenantId::default_tenant(), &wasm).await;
    installed.map_err(|problem| Stop::wrong(format!("{}: {problem}", file.display())))
}

/// Calls the one action of a component in a runtime of its own.
async fn try_file(file: &Path, config: Option<&Path>, with: Value) -> Result<Value, Stop> {
    let config = hosting::config(config, Config::local)?;
    let wasm = sources::plugin(file)?.wasm;
    let runtime = hosting::in_memory(config).await?;
    let tenant = TenantId::default_tenant();
    let installed = runtime.install_plugin(&tenant, &wasm).await;
    let plugin = installed.map_err(|problem| Stop::wrong(format!("{}: {problem}", file.display())))?;
    let action = format!("{}:{}", plugin.name, plugin.version);
    let trial = runtime.try_action(&tenant, &action, with).await;
    let trial = trial.map_err(|problem| Stop::wrong(problem.to_string()))?;
    Ok(serde_json::to_value(&trial).unwrap_or_default())
}

/// The output on stdout, and the places in it beside; a problem as `flowcell run` shows one.
fn tried(json: bool, trial: &Value) -> ExitCode {
    let has_failed = trial["status"] == "faulted";
    if json {
        terminal::say_json(trial);
    } else if has_failed {
        terminal::note(&trial["problem"].to_string());
    } else if trial["status"] == "suspended" {
        let text = "it would wait for the world; what it had begun was undone";
        let problem = trial["problem"]["detail"].as_str().map(|why| format!(", but for this: {why}"));
        terminal::note(&terminal::harmless(&format!("{text}{}", problem.unwrap_or_default())));
    } else {
        terminal::say_json(&trial["output"]);
        let places = trial["paths"].as_array().map(Vec::as_slice).unwrap_or_default();
        let text =
            |value: &Value| terminal::harmless(&value.as_str().map_or(value.to_string(), str::to_owned));
        let rows: Vec<_> = places.iter().map(|place| [text(&place["path"]), text(&place["value"])]).collect();
        terminal::note(&terminal::table(["PATH", "VALUE"], &rows));
    }
    if has_failed { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

fn described(plugin: &PluginView) -> String {
    let mut lines = vec![
        format!("{}:{}  {}", plugin.name, plugin.version, plugin.title),
        format!("digest {}", plugin.digest),
    ];
    lines.extend(plugin.summary.lines().map(|line| format!("  {line}")));
    for (kind, list) in [("action", "actions"), ("trigger", "triggers")] {
        for item in plugin.descriptor[list].as_array().into_iter().flatten() {
            let text = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
            lines.push(format!("{kind} {}  {}", text("name"), text("title")));
            lines.extend(fields(item));
        }
    }
    let formats = plugin.descriptor["imports"].as_array().into_iter().flatten();
    lines.extend(formats.filter_map(Value::as_str).map(|format| format!("import {format}")));
    lines.push(asked_for(&plugin.descriptor));
    let lines: Vec<_> = lines.iter().map(|line| terminal::harmless(line).trim_end().to_owned()).collect();
    lines.join("\n")
}

/// The inputs that a schema names, required ones marked.
fn fields(item: &Value) -> Vec<String> {
    let schema = if item["input"].is_object() { &item["input"] } else { &item["config"] };
    let required = schema["required"].as_array();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let line = |(name, schema): (&String, &Value)| {
        let mark =
            if required.is_some_and(|required| required.iter().any(|it| it == name)) { "*" } else { " " };
        let about = schema["description"].as_str().and_then(|text| text.lines().next()).unwrap_or_default();
        format!("  {mark} {name}  {about}")
    };
    properties.map(line).collect()
}

/// What it wants to use, in its own words.
fn asked_for(descriptor: &Value) -> String {
    let items =
        ["actions", "triggers"].iter().flat_map(|list| descriptor[list].as_array().into_iter().flatten());
    let wants: Vec<_> = items
        .flat_map(|item| match &item["wants"] {
            Value::Array(wants) => wants.iter().map(want).collect(),
            Value::Object(wants) => {
                wants.iter().map(|(what, why)| format!("{what}: {}", want(why))).collect()
            }
            _ => vec![],
        })
        .map(|want| format!("wants {}", terminal::harmless(&want)))
        .collect();
    if wants.is_empty() { "wants nothing".to_owned() } else { wants.join("\n") }
}

fn want(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let texts = fields.iter().map(|(name, value)| match value {
                Value::String(text) => format!("{name} {text}"),
                other => format!("{name} {other}"),
            });
            texts.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_described_by_what_it_offers_takes_and_wants() {
        let plugin = PluginView {
            name: "weather".into(),
            version: "1.0.0".into(),
            title: "Weather".into(),
            summary: "Asks a public service.".into(),
            digest: "abc".into(),
            descriptor: json!({ "actions": [{
                "name": "temperature", "title": "Current temperature",
                "input": { "required": ["city"], "properties": { "city": { "description": "Which\none" }, "unit": {} } },
                "wants": [{ "http": "api.example.com", "reason": "reads the weather" }],
            }], "imports": ["postcard"] }),
        };
        assert_eq!(
            described(&plugin),
            "weather:1.0.0  Weather\ndigest abc\n  Asks a public service.\naction temperature  Current temperature\n  \
             * city  Which\n    unit\nimport postcard\nwants http api.example.com, reason reads the weather"
        );
    }
}
