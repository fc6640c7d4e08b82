//! `flowcell runs`.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

use super::super::client::{Client, encoded};
use super::super::{Stop, terminal};
use super::{Args, print, print_list, with_query};

/// Runs of a running host
#[derive(Subcommand)]
pub(in crate::cli) enum What {
    /// Runs, newest first
    List(Filter),
    /// A run with its steps, as JSON
    Show { id: String },
    /// What happened to a run, as JSON, oldest first
    Events { id: String },
    /// Ends a run; one that is over stays as it is
    Cancel { id: String },
    /// Starts a new run of the same flow text with the same input
    Restart {
        id: String,
        /// Begin at the step that failed: what came before counts as done
        #[arg(long)]
        from_failed_step: bool,
    },
}

#[derive(clap::Args)]
pub(in crate::cli) struct Filter {
    /// Only of this flow: NAMESPACE/NAME, or NAME in the namespace `default`
    #[arg(long)]
    flow: Option<String>,
    /// Only those that stand so: pending, running, waiting, suspended, cancelled, faulted or completed
    #[arg(long)]
    status: Option<String>,
    /// Only those accepted at this time or later, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

impl Filter {
    fn path(&self) -> String {
        // The host caps a page at 500; further pages are followed.
        let path = format!("/runs?limit={}", self.limit.min(500));
        with_query(path, [("flow", &self.flow), ("status", &self.status), ("since", &self.since)])
    }
}

const COLUMNS: [(&str, &str); 4] =
    [("ID", "id"), ("FLOW", "flow"), ("STATUS", "status"), ("STARTED", "startedAt")];

pub(in crate::cli) async fn run(Args { server, what }: Args<What>) -> Result<ExitCode, Stop> {
    let client = server.connect()?;
    match &what {
        What::List(filter) => {
            print_list(server.json, &client.list(&filter.path(), filter.limit).await?, COLUMNS);
        }
        What::Show { id } => terminal::say_json(&client.get(&path(id, "")).await?),
        What::Events { id } => terminal::say_json(&client.get(&path(id, "/events")).await?["items"]),
        What::Cancel { id } => act(&client, server.json, id, "cancel").await?,
        What::Restart { id, from_failed_step: false } => {
            act(&client, server.json, id, "restart").await?;
        }
        What::Restart { id, from_failed_step: true } => {
            act(&client, server.json, id, "restart?from=failed-step").await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn act(client: &Client, json: bool, id: &str, action: &str) -> Result<(), Stop> {
    let run = client.post(&path(id, &format!("/{action}")), &Value::Null).await?;
    let text = |field: &str| run[field].as_str().unwrap_or_default();
    print(json, &run, &format!("{} {}", text("id"), text("status")));
    Ok(())
}

fn path(id: &str, below: &str) -> String {
    format!("/runs/{}{below}", encoded(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_becomes_the_query_of_the_api() {
        let filter = Filter {
            flow: Some("shop/in".into()),
            status: None,
            since: Some("2026-01-01T00:00:00Z".into()),
            limit: 900,
        };
        assert_eq!(filter.path(), "/runs?limit=500&flow=shop%2Fin&since=2026-01-01T00%3A00%3A00Z");
    }
}
