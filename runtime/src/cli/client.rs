//! Calls of a running host: HTTP in its simplest form, and the REST API on top of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use super::{Stop, data, terminal};
use crate::Problem;

/// The longest wait for an answer: somewhat longer than the longest `?wait=` of the host.
const ANSWER_WITHIN: Duration = Duration::from_secs(310);
/// The largest answer that is read.
const ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// Names the host where no argument does.
const SERVER_VARIABLE: &str = "FLOWCELL_SERVER";

/// Which host is asked, and as whom.
#[derive(clap::Args, Clone)]
pub(super) struct Server {
    /// The host's address [default: the one in the data folder, else http://127.0.0.1:8080]
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    /// The operator's token, or one that `flowcell tokens create` gave
    // One token in 64 begins with a hyphen.
    #[arg(
        long,
        global = true,
        env = "FLOWCELL_TOKEN",
        hide_env = true,
        hide_env_values = true,
        allow_hyphen_values = true
    )]
    token: Option<String>,
    /// Whose things are meant [default: default]
    #[arg(long, global = true, value_name = "NAME", env = "FLOWCELL_TENANT", hide_env = true)]
    tenant: Option<String>,
    /// On the host's own machine: its data folder, which holds address and token [default: .flowcell]
    #[arg(long, global = true, value_name = "DIR", conflicts_with = "server")]
    data: Option<PathBuf>,
    /// Trust this certificate (PEM) too, for an https address
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// A client of one host's REST API.
pub(super) struct Client {
    base: String,
    token: Option<String>,
    tenant: Option<String>,
    http: Http,
}

impl Server {
    pub(super) fn connect(&self) -> Result<Client, Stop> {
        let (base, token) = self.address();
        let base = base.trim_end_matches('/').to_owned();
        if !base.starts_with("http://") && !base.starts_with("https://") {
            return Err(Stop::wrong(format!(
                "--server: `{base}` is not an address such as http://127.0.0.1:8080"
            )));
        }
        Ok(Client { base, token, tenant: self.tenant.clone(), http: Http::new(self.ca.as_deref())? })
    }

    /// Address and token. A token from a data folder goes to that folder's host only.
    fn address(&self) -> (String, Option<String>) {
        // --data on the command line comes before the environment.
        let of_environment = || std::env::var(SERVER_VARIABLE).ok().filter(|server| !server.is_empty());
        let server = self.server.clone().or_else(|| self.data.is_none().then(of_environment).flatten());
        if let Some(server) = server {
            return (server, self.token.clone());
        }
        let folder = self.data.clone().unwrap_or_else(|| data::DEFAULT.into());
        match data::address_in(&folder) {
            Some(address) => (address, self.token.clone().or_else(|| data::token_in(&folder))),
            None => ("http://127.0.0.1:8080".to_owned(), self.token.clone()),
        }
    }
}

impl Client {
    pub(super) async fn get(&self, path: &str) -> Result<Value, Stop> {
        self.call(Method::GET, path, "application/json", Bytes::new()).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Value, Stop> {
        self.call(Method::DELETE, path, "application/json", Bytes::new()).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Stop> {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        self.call(Method::POST, path, "application/json", body).await
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Result<Value, Stop> {
        self.call(method, path, content_type, body.into()).await
    }

    /// The items of a list, following its pages until there are `limit`.
    pub(super) async fn list(&self, path: &str, limit: usize) -> Result<Vec<Value>, Stop> {
        let mut items = vec![];
        let mut cursor = None::<String>;
        loop {
            let page = match &cursor {
                None => self.get(path).await?,
                Some(cursor) => {
                    let with = if path.contains('?') { '&' } else { '?' };
                    self.get(&format!("{path}{with}cursor={}", encoded(cursor))).await?
                }
            };
            items.extend(page["items"].as_array().cloned().unwrap_or_default());
            cursor = page["cursor"].as_str().map(str::to_owned);
            if cursor.is_none() || items.len() >= limit {
                items.truncate(limit);
                return Ok(items);
            }
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<Value, Stop> {
        let url = format!("{}/api/v1{path}", self.base);
        let mut request = Request::builder().method(method).uri(&url).header(CONTENT_TYPE, content_type);
        if let Some(token) = &self.token {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| Stop::wrong("--token: this is not a token"))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        if let Some(tenant) = &self.tenant {
            request = request.header("flowcell-tenant", tenant);
        }
        let request = request
            .body(Full::new(body))
            .map_err(|error| Stop::wrong(format!("{url} cannot be asked: {error}")))?;
        let (status, text) = self.http.send(request).await.map_err(|error| {
            Stop::failed(format!(
                "{}: {error}. Is the host running there? --server, or --data on its machine, names another one",
                self.base
            ))
        })?;
        answer(status, &text)
    }
}

fn answer(status: StatusCode, text: &str) -> Result<Value, Stop> {
    let value = serde_json::from_str::<Value>(text);
    if status.is_success() {
        return match value {
            _ if text.is_empty() => Ok(Value::Null),
            Ok(value) => Ok(value),
            Err(error) => Err(Stop::failed(format!("the host's answer is not JSON: {error}"))),
        };
    }
    let Some(problem) = value.ok().and_then(|value| serde_json::from_value::<Problem>(value).ok()) else {
        return Err(Stop::failed(format!("the host answered {status}")));
    };
    let findings = problem.data.as_ref().and_then(|data| data["findings"].as_array()).into_iter().flatten();
    let lines = findings.map(|finding| {
        let message = finding["message"].as_str().unwrap_or_default();
        format!("\n{}:{}: {message}", finding["line"], finding["column"])
    });
    let text = std::iter::once(problem.to_string()).chain(lines).collect::<String>();
    let text: Vec<_> = text.lines().map(terminal::harmless).collect();
    Err(Stop::failed(text.join("\n")))
}

/// Text as it stands in a path or query.
pub(super) fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// One HTTP exchange at a time.
pub(super) struct Http(legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Http {
    pub(super) fn new(ca: Option<&std::path::Path>) -> Result<Self, Stop> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = ca {
            let wrong = |reason: String| Stop::wrong(format!("--ca: {}: {reason}", path.display()));
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| wrong(error.to_string()))?;
            for certificate in certificates {
                roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Stop::failed(format!("TLS cannot be set up: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        Ok(Self(legacy::Client::builder(TokioExecutor::new()).build(connector)))
    }

    /// Status and text of the answer; the error is a part of a sentence.
    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, String), String> {
        let exchange = async {
            let response = self.0.request(request).await.map_err(|error| reason(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| format!("the answer broke off: {error}"))?.to_bytes();
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        };
        match tokio::time::timeout(ANSWER_WITHIN, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} s", ANSWER_WITHIN.as_secs())),
        }
    }
}

/// The innermost cause says what happened; the outer ones say which part of the client noticed.
fn reason(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::super::data::testing::Scratch;
    use super::*;

    fn server(server: Option<&str>, data: Option<PathBuf>) -> Server {
        Server { server: server.map(str::to_owned), token: None, tenant: None, data, ca: None, json: false }
    }

    #[test]
    fn a_token_may_begin_with_a_hyphen() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            server: Server,
        }
        let line =
            <Line as clap::Parser>::try_parse_from(["flowcell", "--token", "-8abc", "--json"]).unwrap();
        assert_eq!((line.server.token.as_deref(), line.server.json), (Some("-8abc"), true));
    }

    #[test]
    fn the_token_of_a_data_folder_goes_to_its_own_host_only() {
        let scratch = Scratch::new();
        scratch.write("address", "http://127.0.0.1:7\n");
        scratch.write("operator.token", "t0ken\n");
        let data = Some(scratch.0.clone());
        assert_eq!(server(None, data).address(), ("http://127.0.0.1:7".into(), Some("t0ken".into())));
        assert_eq!(server(Some("http://x"), None).address(), ("http://x".into(), None));
    }

    #[test]
    fn a_problem_of_the_host_is_told_in_its_words() {
        let text = r#"{"type":"x","title":"The document is not valid","status":400,"detail":"line 1","data":{"findings":[{"line":1,"column":2,"message":"unknown key"}]}}"#;
        let stop = answer(StatusCode::BAD_REQUEST, text).unwrap_err();
        assert_eq!(
            (stop.code, stop.text.as_str()),
            (1, "The document is not valid: line 1\n1:2: unknown key")
        );
        assert_eq!(
            answer(StatusCode::BAD_GATEWAY, "<html>").unwrap_err().text,
            "the host answered 502 Bad Gateway"
        );
        assert_eq!(answer(StatusCode::NO_CONTENT, "").unwrap(), Value::Null);
    }

    #[tokio::test]
    async fn a_host_that_is_not_there_is_named_with_what_to_do() {
        // Bound and not accepting is not enough: the port must refuse.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let client = server(Some(&format!("http://127.0.0.1:{port}")), None).connect().unwrap();
        let stop = client.get("/flows").await.unwrap_err();
        assert_eq!(stop.code, 1);
        assert!(stop.text.contains("Is the host running there?"), "{}", stop.text);
    }
}
