//! `flowcell triggers`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::super::client::Server;
use super::super::{Stop, hosting, terminal};
use super::{ALL, Args, Name, deploy, print, print_list, remove};
use crate::{Config, TenantId};

/// Triggers of a running host, and their addresses
#[derive(Subcommand)]
pub(in crate::cli) enum What {
    /// The deployed triggers with their addresses
    List,
    /// A trigger, as JSON
    Show {
        /// NAMESPACE/NAME
        trigger: Name,
    },
    /// Deploys the one document in FILE, a trigger or a flow
    Deploy { file: PathBuf },
    /// Removes a trigger and its address
    Delete {
        /// NAMESPACE/NAME
        trigger: Name,
    },
    /// Takes events again, at the same address
    Enable {
        /// NAMESPACE/NAME
        trigger: Name,
    },
    /// What a trigger could list under `variables`, from a pasted address or JSON body; needs no host
    Sample {
        /// A URL with its query, or a body: JSON, @FILE, or - for stdin
        sample: String,
    },
    /// What triggers have subscribed to, and what of that is still to be ended
    Subscriptions {
        /// Forget the one of this ID, which could not be ended
        #[arg(long, value_name = "ID")]
        forget: Option<String>,
    },
    /// Takes no events until enabled: its address answers as if it did not exist
    Disable {
        /// NAMESPACE/NAME
        trigger: Name,
    },
}

const SUBSCRIPTIONS: [(&str, &str); 5] = [
    ("ID", "id"),
    ("TRIGGER", "trigger"),
    ("STATUS", "status"),
    ("ATTEMPTS", "attempts"),
    ("PROBLEM", "problem.detail"),
];
const COLUMNS: [(&str, &str); 5] =
    [("NAMESPACE", "namespace"), ("NAME", "name"), ("FLOW", "flow"), ("ENABLED", "enabled"), ("URL", "url")];

pub(in crate::cli) async fn run(Args { server, what }: Args<What>) -> Result<ExitCode, Stop> {
    match &what {
        What::List => print_list(server.json, &server.connect()?.list("/triggers", ALL).await?, COLUMNS),
        What::Show { trigger } => {
            terminal::say_json(&server.connect()?.get(&trigger.path("triggers")).await?);
        }
        What::Deploy { file } => deploy(&server, file).await?,
        What::Delete { trigger } => {
            remove(&server.connect()?, &trigger.path("triggers"), &trigger).await?;
        }
        What::Enable { trigger } => switch(&server, trigger, "enable").await?,
        What::Sample { sample } => show_sample(sample, server.json).await?,
        What::Subscriptions { forget: Some(id) } => {
            server.connect()?.delete(&format!("/subscriptions/{id}")).await?;
            terminal::note(&format!("forgot {id}"));
        }
        What::Subscriptions { forget: None } => {
            print_list(server.json, &server.connect()?.list("/subscriptions", ALL).await?, SUBSCRIPTIONS);
        }
        What::Disable { trigger } => switch(&server, trigger, "disable").await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Enables or disables a trigger; `to` is the last part of the path.
async fn switch(server: &Server, trigger: &Name, to: &str) -> Result<(), Stop> {
    let path = format!("{}/{to}", trigger.path("triggers"));
    let changed = server.connect()?.post(&path, &Value::Null).await?;
    print(server.json, &changed, &format!("{to}d {trigger}"));
    Ok(())
}

async fn show_sample(text: &str, json: bool) -> Result<(), Stop> {
    let sample = match text.contains("://") && !text.trim_start().starts_with(['{', '[', '"']) {
        true => json!({ "url": text }),
        false => json!({ "body": super::super::run::input(Some(text))? }),
    };
    let runtime = hosting::in_memory(Config::local()).await?;
    let variables = runtime.sample(&TenantId::default_tenant(), &sample).await.map_err(hosting::unread)?;
    let variables = variables.as_array().map(Vec::as_slice).unwrap_or_default();
    print_list(json, variables, [("FROM", "from"), ("PATH", "path"), ("AS", "as"), ("VALUE", "value")]);
    Ok(())
}
