//! `flowcell policy`.

use std::process::ExitCode;

use clap::Subcommand;

use super::super::client::{Server, encoded};
use super::super::{Stop, terminal};

/// What a tenant's steps may reach
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Says which rule decides about a request, and which line would allow it; nothing is sent
    Explain {
        url: String,
        #[arg(long, default_value = "GET")]
        method: String,
    },
}

pub(in crate::cli) async fn run(args: Args) -> Result<ExitCode, Stop> {
    let What::Explain { url, method } = args.what;
    let path = format!("/policy/explain?method={}&url={}", encoded(&method), encoded(&url));
    terminal::say_json(&args.server.connect()?.get(&path).await?);
    Ok(ExitCode::SUCCESS)
}
