//! The other side of every HTTP request that a flow makes: a server that answers by script and records what it saw.
//!
//! It counts raw TCP connections too, because "was not called" is less than "was not even connected to".

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::wait::until;

/// A recording server on an address of this machine. Dropped, it stops.
pub struct Stub {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    listening: JoinHandle<()>,
}

/// One answer of a script.
#[derive(Clone)]
pub struct Given {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    delay: Duration,
    gate: Option<Gate>,
}

/// Holds answers back until it is opened.
#[derive(Clone)]
pub struct Gate(watch::Sender<bool>);

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Its query, as it was sent.
    pub query: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

#[derive(Default)]
struct Script {
    /// Used up one by one.
    queues: HashMap<String, VecDeque<Given>>,
    /// When the queue of a path is empty.
    always: HashMap<String, Given>,
    seen: Vec<Seen>,
    connections: usize,
    in_work: usize,
    most_at_once: usize,
}

impl Stub {
    /// On a free port of 127.0.0.1.
    pub async fn start() -> Self {
        Self::start_on("127.0.0.1").await
    }

    /// On a free port of another address of this machine.
    ///
    /// # Panics
    /// When the machine has no such address.
    pub async fn start_on(ip: &str) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.expect("the address is one of this machine");
        let address = listener.local_addr().expect("a bound socket has an address");
        let script = Arc::new(Mutex::new(Script::default()));
        let listening = tokio::spawn(listen(listener, script.clone()));
        Self { address, script, listening }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The next answer for a path; several are given in order. After the last, and without any, the answer is 200 with
    /// `{"ok": true}`.
    pub fn next(&self, path: &str, answer: Given) -> &Self {
        self.script().queues.entry(path.to_owned()).or_default().push_back(answer);
        self
    }

    /// The answer for a path whenever there is no next one.
    pub fn always(&self, path: &str, answer: Given) -> &Self {
        self.script().always.insert(path.to_owned(), answer);
        self
    }

    /// The requests for a path so far, in order.
    pub fn seen(&self, path: &str) -> Vec<Seen> {
        self.script().seen.iter().filter(|seen| seen.path == path).cloned().collect()
    }

    /// Every request so far, in order.
    pub fn all(&self) -> Vec<Seen> {
        self.script().seen.clone()
    }

    /// Waits for that many requests for a path.
    pub async fn wait_for(&self, path: &str, count: usize) -> Vec<Seen> {
        let what = format!("{count} requests for {path}");
        until(&what, async || Some(self.seen(path)).filter(|seen| seen.len() >= count)).await
    }

    /// TCP connections that were opened to it, with or without a request.
    pub fn connections(&self) -> usize {
        self.script().connections
    }

    /// The most requests that were in work at the same time.
    pub fn most_at_once(&self) -> usize {
        self.script().most_at_once
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        locked(&self.script)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Given {
    /// A status with an empty JSON object.
    ///
    /// # Panics
    /// When HTTP has no such status.
    pub fn status(status: u16) -> Self {
        Self::json(status, &json!({}))
    }

    /// A status and a JSON body.
    ///
    /// # Panics
    /// When HTTP has no such status.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::body(status, "application/json", body.to_string())
    }

    /// A status and a body of any type.
    ///
    /// # Panics
    /// When HTTP has no such status or header.
    pub fn body(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let status = StatusCode::from_u16(status).expect("the test gives a legal status");
        let bare =
            Self { status, headers: HeaderMap::new(), body: body.into(), delay: Duration::ZERO, gate: None };
        bare.header("content-type", content_type)
    }

    /// One header more.
    ///
    /// # Panics
    /// When HTTP allows no such header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("the test names a legal header");
        let value: HeaderValue = value.parse().expect("the test gives a legal header value");
        self.headers.append(name, value);
        self
    }

    /// Given after this time: a slow server, not a way to wait.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Given when the gate opens.
    #[must_use]
    pub fn behind(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }
}

impl Gate {
    /// A closed one.
    #[expect(clippy::new_without_default, reason = "a gate is closed by intent, not by default")]
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets through what waits and what comes.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    async fn pass(&self) {
        // An error: the gate is gone with its test, and so is everything that waits at it.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

impl Seen {
    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("the body is no JSON: {error}: {self:?}"))
    }
}

async fn listen(listener: TcpListener, script: Arc<Mutex<Script>>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                locked(&script).connections += 1;
                let script = script.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(script.clone(), request));
                    // A client that goes away in the middle is no fault of the stub.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(
    script: Arc<Mutex<Script>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let seen = Seen {
        method: head.method.to_string(),
        path: path.clone(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: body.collect().await.map(|body| body.to_bytes()).unwrap_or_default(),
    };
    let (given, _working) = {
        let mut now = locked(&script);
        now.seen.push(seen);
        now.in_work += 1;
        now.most_at_once = now.most_at_once.max(now.in_work);
        let next = now.queues.get_mut(&path).and_then(VecDeque::pop_front);
        let given = next.or_else(|| now.always.get(&path).cloned());
        (given.unwrap_or_else(|| Given::json(200, &json!({ "ok": true }))), Working(script.clone()))
    };
    if !given.delay.is_zero() {
        tokio::time::sleep(given.delay).await;
    }
    if let Some(gate) = &given.gate {
        gate.pass().await;
    }
    let mut response = Response::new(Full::new(given.body));
    *response.status_mut() = given.status;
    *response.headers_mut() = given.headers;
    Ok(response)
}

/// A request is in work while this lives: a client that hangs up ends it too.
struct Working(Arc<Mutex<Script>>);

impl Drop for Working {
    fn drop(&mut self) {
        locked(&self.0).in_work -= 1;
    }
}

fn locked(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().expect("no panic while held")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Call;

    #[tokio::test]
    async fn a_script_is_answered_in_order_and_then_by_what_always_holds() {
        let stub = Stub::start().await;
        stub.next("/a", Given::status(503)).next("/a", Given::status(404)).always("/a", Given::status(201));
        let mut statuses = vec![];
        for _ in 0..4 {
            statuses.push(Call::get(stub.url() + "/a").send().await.status);
        }
        assert_eq!(statuses, [503, 404, 201, 201]);
        assert_eq!(Call::get(stub.url() + "/b").send().await.json(), json!({ "ok": true }));
    }

    #[tokio::test]
    async fn requests_and_connections_are_counted() {
        let stub = Stub::start().await;
        Call::post(stub.url() + "/a?x=1", &json!({ "n": 7 })).header("x-k", "v").send().await;
        let _silent = tokio::net::TcpStream::connect(("127.0.0.1", stub.port())).await.unwrap();
        until("the second connection", async || (stub.connections() == 2).then_some(())).await;
        let [seen] = &stub.wait_for("/a", 1).await[..] else { panic!("one request") };
        assert_eq!((seen.method.as_str(), seen.query.as_str(), seen.header("x-k")), ("POST", "x=1", "v"));
        assert_eq!(seen.json(), json!({ "n": 7 }));
        assert_eq!(stub.most_at_once(), 1);
    }

    #[tokio::test]
    async fn a_gate_holds_an_answer_back() {
        let (stub, gate) = (Stub::start().await, Gate::new());
        stub.next("/slow", Given::status(200).behind(&gate));
        let asked = tokio::spawn(Call::get(stub.url() + "/slow").send());
        stub.wait_for("/slow", 1).await;
        assert!(!asked.is_finished());
        gate.open();
        assert_eq!(asked.await.unwrap().status, 200);
    }
}
