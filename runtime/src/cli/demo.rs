//! `flowcell demo`: the whole way once, for a newcomer.
//!
//! A host with one flow and one trigger, a small server for the flow to call, and one webhook that is sent to the host
//! from here. The documents are those of examples/hello.yaml.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, oneshot};

use super::hosting::{self, Host};
use super::sources::Sources;
use super::terminal::Style;
use super::timeline::Timeline;
use super::{Stop, client, data, deployment, signal, sources, terminal};
use crate::server::{Access, ListenError, Listener};
use crate::{Config, RunChange, TenantId};

/// The flow and its trigger, as a user would write them.
const DOCUMENTS: &str = include_str!("../../examples/hello.yaml");
/// In the documents it stands for the address of the demo's own upstream, which is known only when that runs.
const UPSTREAM: &str = "http://127.0.0.1:9999";
/// What the demo sends.
const EVENT: &str = r#"{"name":"Ada"}"#;

/// Shows it at work: a host, a webhook, a flow that calls a small server, and the answer
///
/// Stays up, with the line to send the webhook again, until Ctrl-C. Everything is on this machine.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The address to listen on [default: 127.0.0.1:8080, or a free port when that is taken]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// The folder of the journal [default: a folder of this user's among the temporary files]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// End after the first answer
    #[arg(long)]
    once: bool,
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Stop> {
    let upstream = upstream().await.map_err(|error| Stop::failed(format!("the demo's upstream: {error}")))?;
    let config = Config::local();
    let listener = bind(&config, args.listen).await?;
    let data = match args.data {
        Some(data) => data,
        None => temporary_folder()?,
    };
    let host = Host::open(config, listener, &data).await?;
    let documents = documents(upstream)?;
    deployment::deploy(&host.runtime, &TenantId::default_tenant(), documents).await?;

    host.announce_address();
    host.announce_triggers();
    introduce(host.folder.path(), upstream);

    let hook = hook_url(&host)?;
    let story =
        Story { changes: host.runtime.watch(), timeline: Timeline::new(Style::of_stderr(), false, false) };
    let (done, first) = oneshot::channel();
    tokio::spawn(story.tell(hook, args.once, done));
    let mut outcome = Ok(());
    let over = async {
        let (mut first, mut signalled) = (pin!(first), pin!(signal::asked_to_end()));
        tokio::select! {
            Ok(told) = &mut first => outcome = told,
            () = &mut signalled => {}
        }
    };
    host.serve(Access::Loopback, over).await?;
    outcome.map(|()| ExitCode::SUCCESS)
}

/// What the user sees of the runs.
struct Story {
    changes: broadcast::Receiver<RunChange>,
    timeline: Timeline,
}

impl Story {
    /// Sends the webhook, shows its run and its answer, then every run that follows. `done` ends the demo.
    async fn tell(mut self, hook: String, once: bool, done: oneshot::Sender<Result<(), Stop>>) {
        let answer = self.first(&hook).await;
        if let Ok(text) = &answer {
            terminal::say(text);
        }
        if once || answer.is_err() {
            // It fails when a signal came first: then the receiver is gone.
            let _ = done.send(answer.map(drop));
            return;
        }
        terminal::say(&format!("\nAgain:\n  {}\nCtrl-C ends it.\n", curl(&hook)));
        while self.show_next().await.is_some() {}
    }

    /// The answer, once the run that gave it has been shown to its end.
    async fn first(&mut self, hook: &str) -> Result<String, Stop> {
        terminal::note(&format!("$ {}", curl(hook)));
        let mut call = pin!(call(hook));
        let mut answer = None;
        let mut over = false;
        loop {
            tokio::select! {
                answered = &mut call, if answer.is_none() => answer = Some(answered?),
                ended = self.show_next(), if !over => over = ended.unwrap_or(true),
            }
            if let Some(answer) = answer.take_if(|_| over) {
                return Ok(answer);
            }
        }
    }

    /// Shows a change, and says whether it ended a run. Returns `None` when no more will come.
    async fn show_next(&mut self) -> Option<bool> {
        match self.changes.recv().await {
            Ok(change) => {
                self.timeline.lines(&change).iter().for_each(|line| terminal::note(line));
                Some(matches!(change, RunChange::Run { run, .. } if run.status.is_final()))
            }
            Err(RecvError::Lagged(_)) => Some(false),
            Err(RecvError::Closed) => None,
        }
    }
}

/// The usual port, or any: a newcomer's first command must not end at a taken port.
async fn bind(config: &Config, listen: Option<SocketAddr>) -> Result<Listener, Stop> {
    match hosting::bind(config, listen).await {
        Err(ListenError::InUse(address)) if listen.is_none() => {
            terminal::note(&format!("{address} is in use, so a free port is taken"));
            Ok(hosting::bind(config, Some(SocketAddr::new(address.ip(), 0))).await?)
        }
        bound => Ok(bound?),
    }
}

/// A folder that stays from one demo to the next, and that nobody else may write to.
fn temporary_folder() -> Result<PathBuf, Stop> {
    let user = std::env::var("USER").or_else(|_| std::env::var("USERNAME")).unwrap_or_default();
    let user: String = user.chars().filter(char::is_ascii_alphanumeric).collect();
    let path = std::env::temp_dir().join(format!("flowcell-demo-{user}").trim_end_matches('-'));
    data::DataFolder::create(&path)?;
    if is_ones_own(&path) {
        return Ok(path);
    }
    Err(Stop::wrong(format!("{}: others may write to this folder; pass --data", path.display())))
}

#[cfg(unix)]
fn is_ones_own(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    // Not followed: a link could lead into another user's folder.
    let metadata = std::fs::symlink_metadata(path);
    metadata.is_ok_and(|metadata| metadata.is_dir() && metadata.permissions().mode() & 0o022 == 0)
}

#[cfg(not(unix))]
fn is_ones_own(_: &Path) -> bool {
    true
}

fn documents(upstream: SocketAddr) -> Result<Sources, Stop> {
    let text = DOCUMENTS.replace(UPSTREAM, &format!("http://{upstream}"));
    let documents =
        crate::read(&text, "hello.yaml").map_err(|findings| Stop::failed(sources::lines(&findings)))?;
    Ok(Sources { documents, plugins: vec![] })
}

fn introduce(folder: &Path, upstream: SocketAddr) {
    terminal::note(&format!(
        "\nA webhook starts the flow demo/hello. Its first step calls http://{upstream}, its second answers.\n\
         Each step runs in a sandbox of its own; every event is in the journal in {} before it counts.\n",
        folder.display()
    ));
}

fn hook_url(host: &Host) -> Result<String, Stop> {
    let triggers = host.runtime.triggers(&TenantId::default_tenant());
    let trigger = triggers.iter().find(|trigger| trigger.namespace == "demo" && trigger.name == "hello");
    let url = trigger.map(|trigger| trigger.url.as_str()).unwrap_or_default();
    // The host is called as this machine reaches it, whatever its URLs start with.
    match url.find("/hooks/") {
        Some(start) => Ok(format!("{}{}", host.local_url(), &url[start..])),
        None => Err(Stop::failed("the demo's trigger has no address")),
    }
}

fn curl(hook: &str) -> String {
    format!("curl -X POST {hook} -H 'content-type: application/json' -d '{EVENT}'")
}

/// Sends the webhook; gives the answer's text.
async fn call(hook: &str) -> Result<String, Stop> {
    let request = Request::post(hook)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from_static(EVENT.as_bytes())))
        .map_err(|error| Stop::failed(error.to_string()))?;
    let (status, text) = client::Http::new(None)?
        .send(request)
        .await
        .map_err(|error| Stop::failed(format!("the webhook was not answered: {error}")))?;
    let text = terminal::harmless(text.trim());
    if status.is_success() {
        Ok(text)
    } else {
        Err(Stop::failed(format!("the webhook was answered with {status}: {text}")))
    }
}

/// A server that greets: what the flow calls. Runs until the process ends.
async fn upstream() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let greeting = service_fn(|request: Request<hyper::body::Incoming>| async move {
                    Ok::<_, Infallible>(greet(request.uri().query().unwrap_or_default()))
                });
                let http = hyper::server::conn::http1::Builder::new();
                if let Err(error) = http.serve_connection(TokioIo::new(stream), greeting).await {
                    tracing::debug!(%error, "a connection to the demo's upstream ended");
                }
            });
        }
    });
    Ok(address)
}

fn greet(query: &str) -> Response<Full<Bytes>> {
    let name = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "name");
    let name = name.map_or_else(|| "world".into(), |(_, name)| name);
    let body = json!({ "greeting": format!("Hello, {name}!"), "from": "the demo's upstream" });
    let mut response = Response::new(Full::from(body.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::Document;

    #[test]
    fn the_documents_are_valid_and_call_the_upstream_wherever_it_is() {
        assert!(DOCUMENTS.contains(UPSTREAM));
        let sources = documents("127.0.0.1:1".parse().unwrap()).unwrap();
        assert!(matches!(sources.documents.as_slice(), [Document::Flow(_), Document::Trigger(_)]));
    }

    #[tokio::test]
    async fn the_upstream_greets_who_is_named() {
        let body = greet("name=Ada%20L").into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, r#"{"from":"the demo's upstream","greeting":"Hello, Ada L!"}"#);
    }

    #[test]
    fn the_temporary_folder_must_not_be_writable_by_others() {
        let scratch = data::testing::Scratch::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::{PermissionsExt as _, symlink};
            let set = |mode| {
                std::fs::set_permissions(&scratch.0, std::fs::Permissions::from_mode(mode)).unwrap();
            };
            set(0o700);
            assert!(is_ones_own(&scratch.0));
            let link = scratch.0.join("link");
            symlink("/tmp", &link).unwrap();
            assert!(!is_ones_own(&link));
            set(0o777);
            assert!(!is_ones_own(&scratch.0));
        }
    }
}
