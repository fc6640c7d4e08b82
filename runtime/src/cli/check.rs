//! `flowcell check`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{Stop, deployment, hosting, sources, terminal};
use crate::{Config, Finding, TenantId};

/// Validates flows and triggers without running them
///
/// Finds unknown keys, wrong jq, unknown plugins, inputs that do not fit a plugin, and tasks that are never reached.
/// Prints `file:line:column: message` for each finding and ends with code 2 when there is one.
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
        Err(sources::Refusal::Findings(findings)) => return Ok(report(&findings, 0)),
        Err(unreadable) => return Err(unreadable.into()),
    };
    for path in &args.plugin {
        sources.plugins.push(sources::plugin(path)?);
    }
    let tenant = TenantId::from(args.tenant.as_str());
    let runtime = hosting::in_memory(config).await?;
    deployment::install(&runtime, &tenant, &sources.plugins).await?;
    let checked = runtime.check(&tenant, &sources.documents).await;
    let findings = checked.map_err(|problem| Stop::wrong(problem.to_string()))?;
    Ok(report(&findings, sources.documents.len()))
}

/// Findings on stdout, for editors and pipes.
fn report(findings: &[Finding], documents: usize) -> ExitCode {
    for finding in findings {
        terminal::say(&finding.to_string());
    }
    // A warning too: it would run, and not as its author means.
    if !findings.is_empty() {
        return ExitCode::from(2);
    }
    terminal::say(&format!("{}, no findings", terminal::count(documents, "document")));
    ExitCode::SUCCESS
}
