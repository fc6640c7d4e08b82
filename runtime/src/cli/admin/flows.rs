//! `flowcell flows`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::super::client::encoded;
use super::super::{Stop, run, terminal};
use super::{ALL, Args, Name, deploy, print_list, remove};

/// Flows of a running host
#[derive(Subcommand)]
pub(in crate::cli) enum What {
    /// The deployed flows
    List,
    /// A flow and its document, as JSON
    Show {
        /// NAMESPACE/NAME
        flow: Name,
    },
    /// Deploys the one document in FILE, a flow or a trigger
    Deploy { file: PathBuf },
    /// Removes a flow; its runs go on
    Delete {
        /// NAMESPACE/NAME
        flow: Name,
    },
    /// When flows start by themselves
    Schedules,
    /// Starts a run
    Run {
        /// NAMESPACE/NAME
        flow: Name,
        /// The run's input: JSON, @FILE, or - for stdin; null without it
        #[arg(long, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
        input: Option<String>,
        /// Answer when the run is over, at the latest after this time, such as PT30S
        #[arg(long, value_name = "DURATION")]
        wait: Option<String>,
    },
}

pub(in crate::cli) async fn run(Args { server, what }: Args<What>) -> Result<ExitCode, Stop> {
    let client = server.connect()?;
    match what {
        What::List => {
            let flows = client.list("/flows", ALL).await?;
            let columns =
                [("NAMESPACE", "namespace"), ("NAME", "name"), ("VERSION", "version"), ("TITLE", "title")];
            print_list(server.json, &flows, columns);
        }
        What::Show { flow } => terminal::say_json(&client.get(&flow.path("flows")).await?),
        What::Deploy { file } => deploy(&server, &file).await?,
        What::Delete { flow } => remove(&client, &flow.path("flows"), &flow).await?,
        What::Schedules => {
            let schedules = client.list("/schedules", ALL).await?;
            let columns =
                [("FLOW", "flow"), ("NEXT", "dueAt"), ("AFTER RUN", "run"), ("SCHEDULE", "schedule")];
            print_list(server.json, &schedules, columns);
        }
        What::Run { flow, input, wait } => {
            let input = run::input(input.as_deref())?;
            let wait = wait.map(|wait| format!("?wait={}", encoded(&wait))).unwrap_or_default();
            let started = client.post(&format!("{}/runs{wait}", flow.path("flows")), &input).await?;
            terminal::say_json(&started);
        }
    }
    Ok(ExitCode::SUCCESS)
}
