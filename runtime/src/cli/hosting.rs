//! A host in this process: what `serve`, `dev` and `demo` share. They differ in what they allow, not in how they start:
//! bind, open, deploy, say so, go. What they deploy is in [`super::deployment`].

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::data::DataFolder;
use super::{Stop, terminal};
use crate::server::{self, Access, ListenError, Listener};
use crate::{Clock, Config, Data, Options, Problem, Runtime};

/// A host that is open and not yet serving.
pub(super) struct Host {
    pub runtime: Runtime,
    pub folder: DataFolder,
    listener: Listener,
}

/// Reads a configuration. Without a file it is what `without` makes.
pub(super) fn config(path: Option<&Path>, without: fn() -> Config) -> Result<Config, Stop> {
    match path {
        None => Ok(without()),
        Some(path) => Config::read(path).map_err(|error| Stop::wrong(error.to_string())),
    }
}

/// Takes the address of `--listen`, or the configuration's.
pub(super) async fn bind(config: &Config, listen: Option<SocketAddr>) -> Result<Listener, ListenError> {
    let tls = config.tls.as_ref().map(|tls| server::acceptor(&tls.cert, &tls.key)).transpose()?;
    Listener::bind(listen.unwrap_or(config.listen), tls).await
}

impl From<ListenError> for Stop {
    fn from(error: ListenError) -> Self {
        Self::wrong(error.to_string())
    }
}

impl Host {
    /// Opens the runtime on a data folder, behind an address that is bound.
    pub(super) async fn open(config: Config, listener: Listener, data: &Path) -> Result<Self, Stop> {
        let folder = DataFolder::create(data)?;
        let base_url = config.public_url.clone().unwrap_or_else(|| listener.local_url());
        let options = Options {
            config,
            data: Data::Folder(folder.path().to_owned()),
            clock: Clock::system(),
            base_url,
            schedules: true,
            listeners: vec![listener.address()],
            compiler: program(),
        };
        let runtime = Runtime::open(options).await.map_err(|error| Stop::wrong(error.to_string()))?;
        Ok(Self { runtime, folder, listener })
    }

    /// Says where it listens; always the first line on stdout.
    pub(super) fn announce_address(&self) {
        terminal::say(&format!("listening on {}", self.listener.url()));
    }

    /// The address for a client on this machine.
    pub(super) fn local_url(&self) -> String {
        self.listener.local_url()
    }

    /// One line for each trigger: where it is called.
    pub(super) fn announce_triggers(&self) {
        for line in trigger_lines(&self.runtime) {
            terminal::say(&line);
        }
    }

    /// Serves until `shutdown`, then drains.
    pub(super) async fn serve(self, access: Access, shutdown: impl Future<Output = ()>) -> Result<(), Stop> {
        self.folder.write_address(&self.listener.local_url())?;
        self.runtime.start().await.map_err(|problem| Stop::failed(problem.to_string()))?;
        server::serve(self.listener, self.runtime, access, shutdown).await;
        self.folder.forget_address();
        Ok(())
    }
}

/// `namespace/name  URL` of every enabled trigger.
pub(super) fn trigger_lines(runtime: &Runtime) -> Vec<String> {
    let triggers = runtime.tenants().into_iter().flat_map(|tenant| runtime.triggers(&tenant));
    let enabled = triggers.filter(|trigger| trigger.enabled);
    enabled.map(|trigger| format!("{}/{}  {}", trigger.namespace, trigger.name, trigger.url)).collect()
}

/// A runtime in memory without an address, for `run`, `check` and `plugin`.
pub(super) async fn in_memory(config: Config) -> Result<Runtime, Stop> {
    let base_url = config.public_url.clone().unwrap_or_else(|| format!("http://{}", config.listen));
    let options = Options {
        config,
        data: Data::Memory,
        clock: Clock::system(),
        base_url,
        schedules: false,
        listeners: vec![],
        compiler: program(),
    };
    Runtime::open(options).await.map_err(|error| Stop::wrong(error.to_string()))
}

/// This program, for its children. On Linux under a name that holds while the file is replaced by a newer version.
fn program() -> Option<PathBuf> {
    match cfg!(target_os = "linux") {
        true => Some("/proc/self/exe".into()),
        false => std::env::current_exe().ok(),
    }
}

/// A text that a plugin could not read.
pub(super) fn unread(problem: Problem) -> Stop {
    Stop::wrong(problem.detail.clone().unwrap_or_else(|| problem.to_string()))
}

/// `--data`, or the usual folder.
pub(super) fn data_folder(data: Option<PathBuf>) -> PathBuf {
    data.unwrap_or_else(|| super::data::DEFAULT.into())
}
