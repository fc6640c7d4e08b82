//! `flowcell serve`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::deployment::OldVersion;
use super::hosting::{self, Host};
use super::{Stop, deployment, signal, sources, terminal};
use crate::server::Access;
use crate::{Config, TenantId};

/// Serves flows and triggers: durable, and denying every connection that the configuration does not allow
///
/// The first line on stdout says where it listens; then follow the file with the operator's token, which the REST API
/// wants, and one line for each trigger with its address. SIGTERM or Ctrl-C drains the host: it takes nothing new and
/// lets what is under way finish. A second one ends it at once; the next start goes on from the journal.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Files or folders of flows, triggers and plugins (.wasm) to deploy at the start
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The configuration: tenants, what they may reach, TLS
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address to listen on instead of the configuration's [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// The folder of the journal, the plugins and the operator's token [default: .flowcell]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Whose flows the paths hold
    #[arg(long, value_name = "NAME", default_value = "default")]
    tenant: String,
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Stop> {
    let end = signal::asked_to_end();
    let config = hosting::config(args.config.as_deref(), Config::default)?;
    if args.config.is_none() && Path::new("flowcell.toml").exists() {
        tracing::warn!("flowcell.toml is here and not used: pass --config flowcell.toml");
    }
    let sources = sources::read(&args.paths)?;
    let tenant = TenantId::from(args.tenant.as_str());

    let listener = hosting::bind(&config, args.listen).await?;
    let host = Host::open(config, listener, &hosting::data_folder(args.data)).await?;
    if !args.paths.is_empty() {
        let documents = sources.documents.clone();
        let mut warnings = deployment::deploy(&host.runtime, &tenant, sources).await?;
        let overtaken = deployment::overtaken(&host.runtime, &tenant, &documents).into_iter();
        warnings.extend(overtaken.map(OldVersion::warning));
        for warning in warnings {
            terminal::note(&warning.to_string());
        }
    }
    let (token, file) = host.folder.operator_token()?;

    host.announce_address();
    terminal::say(&format!("operator token in {}", file.display()));
    host.announce_triggers();
    host.serve(Access::token(&token), end).await?;
    Ok(ExitCode::SUCCESS)
}
