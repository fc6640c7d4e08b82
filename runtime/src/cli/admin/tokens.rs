//! `flowcell tokens`.

use std::process::ExitCode;

use clap::Subcommand;
use hyper::Method;
use serde_json::json;

use super::super::client::encoded;
use super::super::{Stop, terminal};
use super::{ALL, Args, print_list, remove};

/// Who may use the API of a running host: tokens, each with a role
#[derive(Subcommand)]
pub(in crate::cli) enum What {
    /// The tokens of the tenant, without themselves; an operator sees those of all tenants too
    List,
    /// A token, without itself
    Show { name: String },
    /// Mints a token of the tenant and prints it, here and never again
    Create {
        /// What people will call it
        name: String,
        /// What it opens, each what those before it do: `viewer` sees flows, triggers without their addresses, and runs with their
        /// history; `editor` deploys, starts, cancels and restarts; `admin` sets secrets and connections, installs plugins,
        /// mints tokens and reads the audit log; `operator` does everything, for every tenant
        #[arg(long, value_parser = ["viewer", "editor", "admin", "operator"])]
        role: String,
        /// How long it does, such as P90D or PT12H; without, until it is deleted
        #[arg(long, value_name = "DURATION")]
        expires: Option<String>,
    },
    /// Revokes a token: it opens nothing from then on
    Delete {
        name: String,
        /// One of all tenants
        #[arg(long)]
        operator: bool,
    },
}

const COLUMNS: [(&str, &str); 6] = [
    ("NAME", "name"),
    ("ROLE", "role"),
    ("TENANT", "tenant"),
    ("CREATED", "createdAt"),
    ("BY", "createdBy"),
    ("EXPIRES", "expiresAt"),
];

pub(in crate::cli) async fn run(Args { server, what }: Args<What>) -> Result<ExitCode, Stop> {
    let client = server.connect()?;
    let path = |name: &str| format!("/tokens/{}", encoded(name));
    match &what {
        What::List => print_list(server.json, &client.list("/tokens", ALL).await?, COLUMNS),
        What::Show { name } => terminal::say_json(&client.get(&path(name)).await?),
        What::Create { name, role, expires } => {
            let mut wanted = json!({ "name": name, "role": role });
            if let Some(expires) = expires {
                wanted["expiresIn"] = json!(expires);
            }
            let minted = client.send(Method::POST, "/tokens", "application/json", wanted.to_string()).await?;
            match server.json {
                true => terminal::say_json(&minted),
                false => {
                    terminal::note(&format!("{name}, {role}; it is not shown again:"));
                    terminal::say(minted["token"].as_str().unwrap_or_default());
                }
            }
        }
        What::Delete { name, operator } => {
            let of = if *operator { "?role=operator" } else { "" };
            remove(&client, &(path(name) + of), name).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
