//! `flowcell secrets`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::super::Stop;
use super::super::client::encoded;
use super::{ALL, Args, print_list, put, read_secret, remove};

/// Secrets of a running host: texts that flows use and never see
#[derive(Subcommand)]
pub(in crate::cli) enum What {
    /// The names, and the hosts that each may be sent to; never the values
    List,
    /// Sets a secret, whose value is read from standard input or a file, and typed unseen at a terminal; what runs uses it at
    /// once
    Set {
        name: String,
        /// A host that it may be sent to, such as api.example.com or *.example.com:8443; may repeat. Without one it is sent
        /// nowhere, and only proves things, as a webhook's signature
        #[arg(long = "host", value_name = "HOST")]
        hosts: Vec<String>,
        /// Where the value is; a line break at its end does not count
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Removes a secret
    Delete { name: String },
}

const COLUMNS: [(&str, &str); 3] = [("NAME", "name"), ("HOSTS", "hosts"), ("SET", "updatedAt")];

pub(in crate::cli) async fn run(Args { server, what }: Args<What>) -> Result<ExitCode, Stop> {
    let client = server.connect()?;
    let path = |name: &str| format!("/secrets/{}", encoded(name));
    match &what {
        What::List => print_list(server.json, &client.list("/secrets", ALL).await?, COLUMNS),
        What::Set { name, hosts, file } => {
            let value = read_secret(file.as_deref(), "the value of the secret")?;
            let value = value.strip_suffix('\n').unwrap_or(&value).trim_end_matches('\r');
            let document = json!({ "value": value, "hosts": hosts }).to_string();
            put(&server, &client, (&path(name), name), document).await?;
        }
        What::Delete { name } => remove(&client, &path(name), name).await?,
    }
    Ok(ExitCode::SUCCESS)
}
