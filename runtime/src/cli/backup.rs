//! `flowcell backup`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{Stop, data, hosting, terminal};
use crate::Config;

/// Copies the journal of a host, running or not, into one new file
///
/// The file holds every event that was acknowledged before the command began: runs, flows, triggers and their tokens,
/// plugins that tenants installed, and the keys of the journal. To go on from it, put it into an empty data folder as
/// journal.db and start `flowcell serve --data` on that. Keep it as you keep the data folder: what runs were given is in it.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The file to make
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The data folder of the host [default: .flowcell]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The host's configuration, where it says where the journal is
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Stop> {
    let config = hosting::config(args.config.as_deref(), Config::default)?;
    let data = args.data.unwrap_or_else(|| Path::new(data::DEFAULT).to_owned());
    let file = args.file.clone();
    let copied = tokio::task::spawn_blocking(move || crate::backup(&config, &data, &file)).await;
    let bytes = copied
        .map_err(|error| Stop::failed(format!("the backup failed: {error}")))?
        .map_err(|error| Stop::wrong(error.to_string()))?;
    terminal::say(&format!("{}  {bytes} bytes", args.file.display()));
    Ok(ExitCode::SUCCESS)
}
