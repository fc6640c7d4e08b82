//! `flowcell tenants`.

use std::process::ExitCode;

use clap::Subcommand;

use super::super::Stop;
use super::super::client::Server;
use super::{ALL, print_list};

/// Tenants of a running host
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The tenants that the configuration names
    List,
}

pub(in crate::cli) async fn run(args: Args) -> Result<ExitCode, Stop> {
    let What::List = args.what;
    let tenants = args.server.connect()?.list("/tenants", ALL).await?;
    print_list(args.server.json, &tenants, [("NAME", "name")]);
    Ok(ExitCode::SUCCESS)
}
