//! `flowcell audit`.

use std::process::ExitCode;

use clap::Subcommand;

use super::super::Stop;
use super::{Args, print_list, with_query};

/// Who changed what on a running host, or was not let do it
#[derive(Subcommand)]
pub(in crate::cli) enum What {
    /// The audit log of the tenant, newest first
    List(Filter),
}

#[derive(clap::Args)]
pub(in crate::cli) struct Filter {
    /// Only of this one: the name of a token, or operator, local, configuration or 'command line'
    #[arg(long)]
    actor: Option<String>,
    /// Only of this kind, such as PutFlow, SetSecret or Grants
    #[arg(long)]
    action: Option<String>,
    /// Only at this time or later, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only what was not let happen
    #[arg(long)]
    denied: bool,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

impl Filter {
    fn path(&self) -> String {
        // Further pages are followed.
        let path = format!("/audit?limit={}", self.limit.clamp(1, 1_000));
        let denied = self.denied.then(|| "true".to_owned());
        let parameters =
            [("actor", &self.actor), ("action", &self.action), ("since", &self.since), ("denied", &denied)];
        with_query(path, parameters)
    }
}

const COLUMNS: [(&str, &str); 8] = [
    ("AT", "at"),
    ("ACTOR", "actor"),
    ("ROLE", "role"),
    ("FROM", "from"),
    ("ACTION", "action"),
    ("TARGET", "target"),
    ("STATUS", "status"),
    ("DETAIL", "detail"),
];

pub(in crate::cli) async fn run(Args { server, what }: Args<What>) -> Result<ExitCode, Stop> {
    let What::List(filter) = &what;
    let entries = server.connect()?.list(&filter.path(), filter.limit).await?;
    print_list(server.json, &entries, COLUMNS);
    Ok(ExitCode::SUCCESS)
}
