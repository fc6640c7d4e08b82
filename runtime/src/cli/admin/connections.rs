//! `flowcell connections`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::super::client::encoded;
use super::super::{Stop, terminal};
use super::{ALL, Args, print_list, put, read_value, remove};

/// Connections of a running host: credentials for some hosts, which steps use by name and never see
#[derive(Subcommand)]
pub(in crate::cli) enum What {
    /// The names, and the hosts that each is used for
    List,
    /// A connection, as JSON, with *** for what is secret
    Show { name: String },
    /// Sets a connection from a JSON document; what runs uses it at once
    ///
    /// {"hosts": ["api.example.com"], "bearer": {"token": "…"}}. Instead of `bearer`: `basic` or `digest` {username, password},
    /// `apiKey` {in: header or query, name, value}, `oauth2` {tokenUrl, clientId, clientSecret, scopes, audience,
    /// clientAuthentication: basic or body}; beside it or alone `clientCertificate` {certificate, key}, both PEM.
    #[command(verbatim_doc_comment)]
    Set {
        name: String,
        /// Where the document is; standard input without it
        file: Option<PathBuf>,
    },
    /// Removes a connection
    Delete { name: String },
}

const COLUMNS: [(&str, &str); 4] =
    [("NAME", "name"), ("HOSTS", "hosts"), ("EMPTY", "isEmpty"), ("SET", "updatedAt")];

pub(in crate::cli) async fn run(Args { server, what }: Args<What>) -> Result<ExitCode, Stop> {
    let client = server.connect()?;
    let path = |name: &str| format!("/connections/{}", encoded(name));
    match &what {
        What::List => print_list(server.json, &client.list("/connections", ALL).await?, COLUMNS),
        What::Show { name } => terminal::say_json(&client.get(&path(name)).await?),
        What::Set { name, file } => {
            let document = read_value(file.as_deref(), "the connection, a JSON document")?;
            put(&server, &client, (&path(name), name), document).await?;
        }
        What::Delete { name } => remove(&client, &path(name), name).await?,
    }
    Ok(ExitCode::SUCCESS)
}
