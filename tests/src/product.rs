//! The binary under test, and its commands.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;

use crate::process::{Output, Process};
use crate::server::Setup;

/// The binary under test.
#[derive(Clone, Copy)]
pub struct Product {
    binary: &'static str,
    home: &'static str,
}

impl Product {
    /// `home` is the home folder of every command of a test run. It is shared, so that what the product keeps for its
    /// user (compiled code) is made once and not once per test.
    pub const fn new(binary: &'static str, home: &'static str) -> Self {
        Self { binary, home }
    }

    pub(crate) fn home(self) -> &'static str {
        self.home
    }

    /// One command with its arguments.
    pub fn command<A: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = A>) -> Command {
        let arguments = arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
        Command { product: self, arguments, folder: None, environment: vec![], input: None }
    }

    /// `flowcell serve`, to be set up.
    pub fn serve(self) -> Setup {
        Setup::new(self, "serve")
    }

    /// `flowcell dev`, to be set up.
    pub fn dev(self) -> Setup {
        Setup::new(self, "dev")
    }
}

/// A command that was not started yet.
#[derive(Clone)]
pub struct Command {
    product: Product,
    arguments: Vec<OsString>,
    folder: Option<PathBuf>,
    environment: Vec<(String, String)>,
    input: Option<String>,
}

impl Command {
    /// One argument more.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// The folder to run in.
    #[must_use]
    pub fn in_folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// A variable of its environment, which is empty but for the few that every program needs.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What stands on its standard input; without it there is nothing.
    #[must_use]
    pub fn input(mut self, text: &str) -> Self {
        self.input = Some(text.to_owned());
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// When the binary cannot be started.
    pub async fn start(self) -> Process {
        let mut command = tokio::process::Command::new(self.product.binary);
        command
            .args(&self.arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.product.home)
            .env("RUST_BACKTRACE", "0")
            .envs(self.environment)
            .stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let mut child = command.spawn().expect("the binary under test can be started");
        let stdin = child.stdin.take();
        let process = Process::follow(child);
        if let (Some(mut stdin), Some(text)) = (stdin, self.input) {
            // A command that does not read its input closes the pipe, which is its right.
            let _ = stdin.write_all(text.as_bytes()).await;
        }
        process
    }

    /// Starts it and waits for its end.
    pub async fn output(self) -> Output {
        self.start().await.output().await
    }
}
