//! `flowcell import`: what people have already, as parts of a flow. Needs no host.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::{Stop, hosting, terminal};
use crate::{Config, TenantId};

/// Makes parts of a flow of what there is already
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// A command line of curl, in quotes, as a step of a flow
    Curl {
        /// The whole of it: 'curl -X POST https://…'
        command: String,
        /// JSON instead of YAML
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Stop> {
    let What::Curl { command, json } = args.what;
    let runtime = hosting::in_memory(Config::local()).await?;
    let imported = runtime.import(&TenantId::default_tenant(), "curl", &command).await;
    let imported = imported.map_err(hosting::unread)?;
    for warning in &imported.warnings {
        terminal::note(&format!("warning: {warning}"));
    }
    match json {
        true => terminal::say_json(&serde_json::to_value(&imported).unwrap_or_default()),
        false => terminal::say(terminal::yaml(&json!([imported.step])).trim_end()),
    }
    Ok(ExitCode::SUCCESS)
}
