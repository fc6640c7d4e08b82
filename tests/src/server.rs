//! A running `serve` or `dev`, as its operator sees it: a folder of documents, a configuration, an address, a token.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use serde_json::Value;

use crate::call::{Answer, Call};
use crate::compiled;
use crate::folder::Folder;
use crate::process::{Output, Process};
use crate::product::{Command, Product};
use crate::wait::until;

/// A server that was not started yet, or is about to be started again.
pub struct Setup {
    product: Product,
    command: &'static str,
    folder: Folder,
    configured: bool,
    listen: Option<String>,
    arguments: Vec<OsString>,
}

/// A running server. Dropped, it is killed; when its test fails, what it printed is shown.
pub struct Server {
    /// None: it was taken out to be waited for.
    process: Option<Process>,
    setup: Option<Setup>,
    url: String,
    token: Option<String>,
}

impl Setup {
    pub(crate) fn new(product: Product, command: &'static str) -> Self {
        let folder = Folder::new();
        std::fs::create_dir(folder.at("flows")).expect("a folder can be made in a temporary folder");
        let listen = Some("127.0.0.1:0".to_owned());
        Self { product, command, folder, configured: false, listen, arguments: vec![] }
    }

    /// A file of the folder that is served.
    #[must_use]
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.folder.write(&format!("flows/{name}"), content);
        self
    }

    /// The configuration file.
    #[must_use]
    pub fn config(mut self, toml: impl AsRef<str>) -> Self {
        self.folder.write("flowcell.toml", toml.as_ref());
        self.configured = true;
        self
    }

    /// The address to listen on, or none, so that the configuration decides. A free port of 127.0.0.1 unless told.
    #[must_use]
    pub fn listen(mut self, address: Option<&str>) -> Self {
        self.listen = address.map(str::to_owned);
        self
    }

    /// One argument more.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Its folder: `flows/`, `flowcell.toml`, and the data folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        // `dev` keeps its state where it was started.
        self.folder.at(if self.command == "dev" { ".flowcell" } else { "data" })
    }

    /// The command line.
    pub fn as_command(&self) -> Command {
        let mut command = self.product.command([self.command]).arg("flows").in_folder(self.folder.path());
        if let Some(listen) = &self.listen {
            command = command.arg("--listen").arg(listen);
        }
        if self.configured {
            command = command.arg("--config").arg("flowcell.toml");
        }
        if self.command == "serve" {
            command = command.arg("--data").arg(self.data());
        }
        self.arguments.iter().fold(command, Command::arg)
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When it does not get ready.
    pub async fn start(self) -> Server {
        compiled::give(self.product, &self.data()).await;
        self.start_cold().await
    }

    /// The same without compiled code.
    pub(crate) async fn start_cold(self) -> Server {
        let mut process = self.as_command().start().await;
        let url = process
            .stdout_line("the line `listening on …`", |line| {
                line.strip_prefix("listening on ").map(str::to_owned)
            })
            .await;
        let mut server = Server { process: Some(process), setup: Some(self), url, token: None };
        if server.url.starts_with("http://") {
            until("a ready server", async || server.probe_ready().await).await;
        }
        if server.setup().command == "serve" {
            let file = server.setup().data().join("operator.token");
            let token = until("the operator's token", async || std::fs::read_to_string(&file).ok()).await;
            server.token = Some(token.trim().to_owned());
        }
        server
    }

    /// Starts it and waits for its end, which must be a refusal with exit code 2.
    ///
    /// # Panics
    /// When it does not end, or ends otherwise.
    pub async fn refused(&self) -> Output {
        compiled::give(self.product, &self.data()).await;
        self.as_command().output().await.exited(2)
    }
}

impl Server {
    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The operator's token; `dev` has none.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// What it was started with.
    ///
    /// # Panics
    /// After its end.
    pub fn setup(&self) -> &Setup {
        self.setup.as_ref().expect("the server was not stopped")
    }

    /// Its process.
    ///
    /// # Panics
    /// After its end.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the server was not stopped")
    }

    /// What it has printed so far.
    pub fn printed(&self) -> String {
        self.process.as_ref().map(Process::printed).unwrap_or_default()
    }

    /// The address that it prints for a trigger, `namespace/name`.
    pub async fn hook(&mut self, trigger: &str) -> String {
        let what = format!("the address of {trigger}");
        self.process()
            .stdout_line(&what, |line| {
                let mut words = line.split_whitespace();
                (words.next() == Some(trigger)).then(|| words.next_back().map(str::to_owned)).flatten()
            })
            .await
    }

    /// A request to one of its paths, with the operator's token where there is one.
    pub fn call(&self, method: &str, path: &str) -> Call {
        let call = Call::new(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => call.header("authorization", &format!("Bearer {token}")),
            None => call,
        }
    }

    /// `GET` of one of its paths.
    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path).send().await
    }

    /// `POST` of a JSON body to one of its paths.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path).json(body).send().await
    }

    /// Starts a run by the API and gives it when it is over.
    pub async fn run(&self, flow: &str, input: &Value) -> Value {
        let path = format!("/api/v1/flows/{flow}/runs?wait=PT60S");
        let run = self.post(&path, input).await.is(200).json();
        assert!(run["endedAt"].is_string(), "the run is not over: {run}");
        run
    }

    /// Starts a run by the API and gives its id.
    pub async fn begin(&self, flow: &str, input: &Value) -> String {
        let started = self.post(&format!("/api/v1/flows/{flow}/runs"), input).await.is(202).json();
        started["id"].as_str().unwrap_or_else(|| panic!("a run has an id: {started}")).to_owned()
    }

    /// A run as it stands.
    pub async fn look(&self, run: &str) -> Value {
        self.get(&format!("/api/v1/runs/{run}")).await.is(200).json()
    }

    /// Waits until a run has a status.
    pub async fn wait_for(&self, run: &str, status: &str) -> Value {
        let what = format!("the status {status} of run {run}");
        until(&what, async || Some(self.look(run).await).filter(|run| run["status"] == status)).await
    }

    /// Every run that the filter lets through, page by page, newest first. `filter` is a query such as `flow=shop/in`.
    ///
    /// # Panics
    /// When a page is not one.
    pub async fn runs(&self, filter: &str) -> Vec<Value> {
        let (mut runs, mut cursor) = (vec![], String::new());
        loop {
            let page = self.get(&format!("/api/v1/runs?{filter}{cursor}")).await.is(200).json();
            runs.extend_from_slice(page["items"].as_array().expect("a list has items"));
            match page["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return runs,
            }
        }
    }

    /// SIGKILL. What it was started with is kept, for a start on the same data.
    ///
    /// # Panics
    /// After its end.
    pub async fn kill9(mut self) -> Setup {
        self.process().kill9().await;
        self.setup.take().expect("the server was not stopped")
    }

    /// SIGTERM, and its end.
    pub async fn terminate(self) -> (Setup, Output) {
        self.process.as_ref().expect("the server was not stopped").terminate();
        self.ended().await
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn ended(mut self) -> (Setup, Output) {
        let process = self.process.take().expect("the server was not stopped");
        (self.setup.take().expect("the server was not stopped"), process.output().await)
    }

    async fn probe_ready(&mut self) -> Option<()> {
        let answer = Call::get(format!("{}/readyz", self.url)).try_send().await;
        answer.is_ok_and(|answer| answer.status == 200).then_some(())
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.process {
            Some(process) => process.fmt(f),
            None => f.write_str("(stopped)"),
        }
    }
}

impl Drop for Server {
    #[expect(clippy::print_stderr, reason = "the report of a failed test is read on standard error")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server at {} printed:\n{self}", self.url);
        }
    }
}
