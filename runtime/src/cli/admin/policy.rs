//! `flowcell policy`.

use std::process::ExitCode;

use clap::Subcommand;

use super::super::client::encoded;
use super::super::{Stop, terminal};
use super::Args;

/// What a tenant's steps may reach
#[derive(Subcommand)]
pub(in crate::cli) enum What {
    /// Says which rule decides about a request, and which line would allow it; nothing is sent
    Explain {
        url: String,
        #[arg(long, default_value = "GET")]
        method: String,
    },
}

pub(in crate::cli) async fn run(Args { server, what }: Args<What>) -> Result<ExitCode, Stop> {
    let What::Explain { url, method } = what;
    let path = format!("/policy/explain?method={}&url={}", encoded(&method), encoded(&url));
    terminal::say_json(&server.connect()?.get(&path).await?);
    Ok(ExitCode::SUCCESS)
}
