//! `flowcell tenants`.

use std::process::ExitCode;

use clap::Subcommand;

use super::super::Stop;
use super::{ALL, Args, print_list};

/// Tenants of a running host
#[derive(Subcommand)]
pub(in crate::cli) enum What {
    /// The tenants that the configuration names
    List,
}

pub(in crate::cli) async fn run(Args { server, what }: Args<What>) -> Result<ExitCode, Stop> {
    let What::List = what;
    let tenants = server.connect()?.list("/tenants", ALL).await?;
    print_list(server.json, &tenants, [("NAME", "name")]);
    Ok(ExitCode::SUCCESS)
}
