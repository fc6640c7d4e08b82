//! What a Runtime is opened with, and why it could not be.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::clock::Clock;
use crate::config::Config;

/// Where the journal lives.
#[derive(Clone, Debug)]
pub enum Data {
    /// Nowhere: gone with the process.
    Memory,
    /// In this folder, which one process at a time may use.
    Folder(PathBuf),
}

/// What a [`Runtime`](super::Runtime) is opened with.
pub struct Options {
    /// Tenants, their grants and quotas.
    pub config: Config,
    /// Where the journal lives.
    pub data: Data,
    /// The source of time.
    pub clock: Clock,
    /// What the URLs of hooks start with, without a `/` at its end.
    pub base_url: String,
    /// Whether flows with a schedule start by themselves.
    pub schedules: bool,
    /// Where this host listens: no flow reaches the admin API there.
    pub listeners: Vec<SocketAddr>,
    /// The binary `flowcell`, which compiles tenants' components in children of this process; none: this process does.
    pub compiler: Option<PathBuf>,
}

/// Why a Runtime could not be opened; each is a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data folder or the journal.
    #[error("{0}")]
    Journal(String),
    /// The sandbox could not be set up on this machine.
    #[error("the sandbox cannot be set up: {0}")]
    Host(String),
    /// A plugin in the data folder, or one of those that ship with the host.
    #[error("plugin {name}: {reason}")]
    Plugin {
        /// Its file or name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The configuration.
    #[error("{0}")]
    Config(String),
}
