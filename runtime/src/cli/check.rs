//! `flowcell check`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{Stop, hosting, sources, terminal};
use crate::{Config, Finding, TenantId};

/// Validates flows and triggers without running them
///
/// Finds unknown keys, wrong jq, unknown plugins, inputs that do not fit a plugin, and tasks that are never reached.
/// Prints `file:line:column: message` for each finding and ends with code 2 when one of them is an error.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Files or folders of flows, triggers and plugins (.wasm)
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Check as the tenant of this configuration
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A plugin that the flows use; may be given several times
    #[arg(long, value_name = "FILE.wasm")]
    plugin: Vec<PathBuf>,
    /// Whose flows they are
    #[arg(long, value_name = "NAME", default_value = "default")]
    tenant: String,
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Stop> {
    let config = hosting::config(args.config.as_deref(), Config::local)?;
    let mut sources = match sources::read(&args.paths) {
        Ok(sources) => sources,
        Err(sources::Refusal::Findings(findings)) => return Ok(report(&findings, None)),
        Err(unreadable) => return Err(unreadable.into()),
    };
    for path in &args.plugin {
        sources.plugins.push(sources::plugin(path)?);
    }
    let tenant = TenantId::from(args.tenant.as_str());
    let runtime = hosting::in_memory(config).await?;
    hosting::install(&runtime, &tenant, &sources.plugins).await?;
    let findings = runtime.check(&tenant, &sources.documents).await;
    Ok(report(&findings, Some(sources.documents.len())))
}

/// Findings on stdout, for editors and pipes.
fn report(findings: &[Finding], documents: Option<usize>) -> ExitCode {
    for finding in findings {
        terminal::say(&finding.to_string());
    }
    if findings.iter().any(Finding::is_error) {
        return ExitCode::from(2);
    }
    terminal::say(&summary(documents.unwrap_or_default(), findings.len()));
    ExitCode::SUCCESS
}

fn summary(documents: usize, warnings: usize) -> String {
    let documents = terminal::count(documents, "document");
    match warnings {
        0 => format!("{documents}, no findings"),
        warnings => format!("{documents}, {}", terminal::count(warnings, "warning")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts() {
        assert_eq!(summary(1, 0), "1 document, no findings");
        assert_eq!(summary(3, 1), "3 documents, 1 warning");
    }
}
