//! Log lines on stderr: which, how they look, and how many ([`flood`]).

mod flood;

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, registry};

use self::flood::Flood;
use super::{Stop, terminal};

/// Shown below every command's help.
pub(super) const HELP: &str = "\
Environment:
  FLOWCELL_LOG         which log lines are shown, such as `debug` or `warn,flowcell=debug`
  FLOWCELL_LOG_FORMAT  `text` or `json`, like --log-format
  NO_COLOR             no colours
  FLOWCELL_SERVER, FLOWCELL_TOKEN, FLOWCELL_TENANT  the host that flows, triggers, runs … are asked of";

/// How log lines look.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object for each line.
    Json,
}

/// Starts logging. `usual` holds when FLOWCELL_LOG is not set.
pub(super) fn start(format: Format, usual: &str) -> Result<(), Stop> {
    let wanted = std::env::var("FLOWCELL_LOG").ok().filter(|text| !text.is_empty());
    let filter = EnvFilter::try_new(wanted.as_deref().unwrap_or(usual)).map_err(|error| {
        Stop::wrong(format!("FLOWCELL_LOG: {error}; write it like `info` or `warn,flowcell=debug`"))
    })?;
    let flood = Flood::new();
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match format {
        Format::Json => lines.json().flatten_event(true).boxed(),
        // A person reads along: the time of day and the module would tell nothing.
        Format::Text if io::stderr().is_terminal() => lines
            .without_time()
            .with_target(false)
            .with_ansi(terminal::Style::of_stderr().is_colourful())
            .boxed(),
        Format::Text => lines.with_ansi(false).boxed(),
    };
    registry().with(lines.with_filter(flood.clone()).with_filter(filter)).init();
    flood.tell().map_err(|error| Stop::failed(format!("no thread for the log: {error}")))
}
