//! The command line: arguments in, one call of the library or of a running host's API out.
//!
//! One file for each subcommand; its doc comments are its help text. What several of them share: [`sources`] reads
//! documents and plugins, [`hosting`] opens a host and serves it, [`deployment`] deploys to it, [`client`] talks to one,
//! [`timeline`] shows runs.
//! Exit codes: 0 done, 1 it failed, 2 the arguments or documents are wrong, 130 interrupted.

mod admin;
mod backup;
mod check;
mod client;
mod compile_component;
mod data;
mod demo;
mod deployment;
mod dev;
mod hosting;
mod import;
mod logging;
mod plugin;
#[cfg(test)]
mod reference;
mod run;
mod serve;
mod signal;
mod sources;
mod terminal;
mod timeline;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Runs automations whose every step is a sandboxed WebAssembly component, and loses none of them.
#[derive(Parser)]
#[command(name = "flowcell", version, after_help = logging::HELP)]
struct Cli {
    /// How log lines look
    #[arg(long, global = true, value_enum, default_value_t, env = "FLOWCELL_LOG_FORMAT", hide_env = true)]
    log_format: logging::Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Args),
    Check(check::Args),
    Dev(dev::Args),
    Serve(serve::Args),
    Demo(demo::Args),
    Backup(backup::Args),
    Flows(admin::Args<admin::flows::What>),
    Triggers(admin::Args<admin::triggers::What>),
    Runs(admin::Args<admin::runs::What>),
    Plugins(admin::Args<plugin::What>),
    Secrets(admin::Args<admin::secrets::What>),
    Connections(admin::Args<admin::connections::What>),
    Tenants(admin::Args<admin::tenants::What>),
    Tokens(admin::Args<admin::tokens::What>),
    Audit(admin::Args<admin::audit::What>),
    Policy(admin::Args<admin::policy::What>),
    Import(import::Args),
    CompileComponent(compile_component::Args),
}

impl Command {
    async fn carry_out(self) -> Result<ExitCode, Stop> {
        match self {
            Self::Run(args) => run::run(args).await,
            Self::Check(args) => check::run(args).await,
            Self::Dev(args) => dev::run(args).await,
            Self::Serve(args) => serve::run(args).await,
            Self::Demo(args) => demo::run(args).await,
            Self::Backup(args) => backup::run(args).await,
            Self::Flows(args) => admin::flows::run(args).await,
            Self::Triggers(args) => admin::triggers::run(args).await,
            Self::Runs(args) => admin::runs::run(args).await,
            Self::Plugins(args) => plugin::run(args).await,
            Self::Secrets(args) => admin::secrets::run(args).await,
            Self::Connections(args) => admin::connections::run(args).await,
            Self::Tenants(args) => admin::tenants::run(args).await,
            Self::Tokens(args) => admin::tokens::run(args).await,
            Self::Audit(args) => admin::audit::run(args).await,
            Self::Policy(args) => admin::policy::run(args).await,
            Self::Import(args) => import::run(args).await,
            Self::CompileComponent(args) => compile_component::run(args),
        }
    }

    /// What is logged unless FLOWCELL_LOG says otherwise: a server reports, a command is silent unless asked.
    fn usual_log(&self) -> &'static str {
        match self {
            Self::Serve(_) | Self::Dev(_) => "warn,flowcell=info",
            _ => "warn",
        }
    }
}

/// Why a command ended without doing what it was asked.
#[derive(Debug)]
struct Stop {
    code: u8,
    /// For stderr; may have several lines.
    text: String,
}

impl Stop {
    /// The arguments, documents, configuration or surroundings are wrong: nothing was begun.
    fn wrong(text: impl Into<String>) -> Self {
        Self { code: 2, text: text.into() }
    }

    /// It was begun and failed.
    fn failed(text: impl Into<String>) -> Self {
        Self { code: 1, text: text.into() }
    }
}

/// The program. Arguments that make no sense end it with code 2 before this returns.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = logging::start(cli.log_format, cli.command.usual_log()).and_then(|()| {
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Stop::failed(format!("no threads to run on: {error}")))?;
        let outcome = tokio.block_on(Box::pin(cli.command.carry_out()));
        // What still runs has had its time: a thread that hangs must not keep the process.
        tokio.shutdown_background();
        outcome
    });
    outcome.unwrap_or_else(|stop| {
        terminal::note(&stop.text);
        ExitCode::from(stop.code)
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Cli, ErrorKind> {
        Cli::try_parse_from(line.split(' ')).map_err(|error| error.kind())
    }

    #[test]
    fn the_definitions_of_the_arguments_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_contract_is_understood() {
        for line in [
            "flowcell run flow.yaml --input @in.json --config c.toml --trace --plugin a.wasm --plugin b.wasm",
            "flowcell run flow.yaml --input -",
            "flowcell check flows other.yaml",
            "flowcell dev flows --listen 127.0.0.1:0",
            "flowcell serve",
            "flowcell serve flows --config flowcell.toml --listen 0.0.0.0:80 --data /var/lib/flowcell",
            "flowcell demo --once",
            "flowcell backup /backups/monday.db --data /var/lib/flowcell --config flowcell.toml",
            "flowcell flows list --json",
            "flowcell flows show shop/order-intake --server http://localhost:1 --token t --tenant acme",
            "flowcell flows run order-intake --input {} --wait PT30S",
            "flowcell triggers list --data .flowcell --json",
            "flowcell triggers enable shop/in",
            "flowcell triggers disable shop/in",
            "flowcell runs list --flow shop/in --status faulted --since 2026-01-01T00:00:00Z --limit 10",
            "flowcell runs show 01",
            "flowcell runs cancel 01",
            "flowcell runs restart 01",
            "flowcell runs restart 01 --from-failed-step",
            "flowcell runs events 01",
            "flowcell plugin inspect a.wasm",
            "flowcell plugins inspect a.wasm --json",
            "flowcell plugin check a.wasm",
            "flowcell plugins install a.wasm",
            "flowcell plugins list",
            "flowcell secrets list",
            "flowcell secrets set shop-key --host api.example.com --host *.example.com:8443 --file key.txt",
            "flowcell secrets delete shop-key",
            "flowcell connections set shop shop.json",
            "flowcell connections show shop --json",
            "flowcell tenants list",
            "flowcell tokens list --json",
            "flowcell tokens show ci",
            "flowcell tokens create ci --role editor --expires P90D",
            "flowcell tokens delete ci --operator",
            "flowcell audit list --actor ci --action PutFlow --since 2026-01-01T00:00:00Z --denied --limit 5",
            "flowcell import curl curl --json",
            "flowcell plugin try http-request --with {}",
            "flowcell triggers sample https://x.example/?a=1",
            "flowcell policy explain https://example.com/ --method POST",
            "flowcell serve --log-format json",
        ] {
            assert!(parse(line).is_ok(), "{line}: {:?}", parse(line).err());
        }
    }

    #[test]
    fn arguments_that_make_no_sense_are_refused() {
        for line in [
            "flowcell",
            "flowcell fly",
            "flowcell run",
            "flowcell check",
            "flowcell backup",
            "flowcell dev",
            "flowcell serve --listen 8080",
            "flowcell flows show",
            "flowcell flows show a/b/c",
            "flowcell triggers enable",
            "flowcell tokens create ci",
            "flowcell tokens create ci --role king",
            "flowcell flows list --server a --data b",
            "flowcell demo --log-format xml",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
