//! `flowcell triggers`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::super::client::Server;
use super::super::{Stop, hosting, terminal};
use super::{ALL, Name, deploy, print_list, remove};
use crate::{Config, TenantId};

/// Triggers of a running host, and their addresses
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
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

pub(in crate::cli) async fn run(args: Args) -> Result<ExitCode, Stop> {
    if let What::Sample { sample } = &args.what {
        return show_sample(sample, args.server.json).await;
    }
    let client = args.server.connect()?;
    let switch = async |trigger: &Name, to: &str| {
        let changed = client.post(&format!("{}/{to}", trigger.path("triggers")), &Value::Null).await?;
        if args.server.json {
            terminal::say_json(&changed);
        } else {
            terminal::say(&format!("{to}d {trigger}"));
        }
        Ok::<_, Stop>(())
    };
    match &args.what {
        What::List => print_list(args.server.json, &client.list("/triggers", ALL).await?, COLUMNS),
        What::Show { trigger } => terminal::say_json(&client.get(&trigger.path("triggers")).await?),
        What::Deploy { file } => {
            let deployed = deploy(&client, file).await?;
            if args.server.json {
                terminal::say_json(&deployed);
            } else {
                terminal::say(&format!("deployed {}", file.display()));
            }
        }
        What::Delete { trigger } => remove(&client, &trigger.path("triggers"), &trigger).await?,
        What::Subscriptions { forget: Some(id) } => {
            client.delete(&format!("/subscriptions/{id}")).await?;
            terminal::note(&format!("forgot {id}"));
        }
        What::Subscriptions { forget: None } => {
            print_list(args.server.json, &client.list("/subscriptions", ALL).await?, SUBSCRIPTIONS);
        }
        What::Sample { .. } => unreachable!("it needs no host"),
        What::Enable { trigger } => switch(trigger, "enable").await?,
        What::Disable { trigger } => switch(trigger, "disable").await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn show_sample(text: &str, json: bool) -> Result<ExitCode, Stop> {
    let sample = match text.contains("://") && !text.trim_start().starts_with(['{', '[', '"']) {
        true => json!({ "url": text }),
        false => json!({ "body": super::super::run::input(Some(text))? }),
    };
    let runtime = hosting::in_memory(Config::local()).await?;
    let variables = runtime.sample(&TenantId::default_tenant(), &sample).await.map_err(hosting::unread)?;
    let variables = variables.as_array().map(Vec::as_slice).unwrap_or_default();
    print_list(json, variables, [("FROM", "from"), ("PATH", "path"), ("AS", "as"), ("VALUE", "value")]);
    Ok(ExitCode::SUCCESS)
}
