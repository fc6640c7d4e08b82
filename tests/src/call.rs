//! The HTTP client of the tests: one request on one connection of its own, nothing pooled, followed or repeated.

use std::fmt;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::wait::within;

/// A request that was not sent yet.
#[derive(Clone, Debug)]
pub struct Call {
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// An answer whose body is read as it comes.
pub struct Stream {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    body: Incoming,
    text: String,
}

/// Why there was no answer.
#[derive(Debug)]
pub struct Broken(String);

impl Call {
    /// Any method.
    ///
    /// # Panics
    /// When HTTP allows no such method.
    pub fn new(method: &str, url: impl Into<String>) -> Self {
        let method = method.parse().expect("the test names a legal method");
        Self { method, url: url.into(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// `GET`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// `POST` with a JSON body.
    pub fn post(url: impl Into<String>, body: &Value) -> Self {
        Self::new("POST", url).json(body)
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

    /// A JSON body and its content type.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// A body and its content type.
    #[must_use]
    pub fn body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = body.into();
        self
    }

    /// Sends it and reads the whole answer.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn send(self) -> Answer {
        let what = format!("an answer to {} {}", self.method, self.url);
        match within(&what, self.try_send()).await {
            Ok(answer) => answer,
            Err(broken) => panic!("no {what}: {broken}"),
        }
    }

    /// The same, for a server that may die meanwhile.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn try_send(self) -> Result<Answer, Broken> {
        let stream = TcpStream::connect(self.authority()).await?;
        Answer::read(self.exchange(stream).await?).await
    }

    /// The same, over a connection that the caller made.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn send_over(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Answer, Broken> {
        Answer::read(self.exchange(stream).await?).await
    }

    /// Sends it and reads the head of the answer.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn stream(self) -> Stream {
        let what = format!("the head of the answer to {} {}", self.method, self.url);
        let opened = within(&what, async {
            let stream = TcpStream::connect(self.authority()).await?;
            self.exchange(stream).await
        });
        let response = opened.await.unwrap_or_else(|broken| panic!("no {what}: {broken}"));
        let (head, body) = response.into_parts();
        Stream { status: head.status.as_u16(), headers: head.headers, body, text: String::new() }
    }

    fn uri(&self) -> Uri {
        self.url.parse().unwrap_or_else(|error| panic!("`{}` is no URL: {error}", self.url))
    }

    fn authority(&self) -> String {
        let uri = self.uri();
        uri.authority().unwrap_or_else(|| panic!("`{}` has no host and port", self.url)).to_string()
    }

    async fn exchange(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Response<Incoming>, Broken> {
        let (authority, uri) = (self.authority(), self.uri());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = path.parse().expect("a path of a parsed URL is a URL");
        *request.headers_mut() = self.headers;
        let host = HeaderValue::from_str(&authority).expect("an authority is a legal header value");
        request.headers_mut().entry(HOST).or_insert(host);
        Ok(sender.send_request(request).await?)
    }
}

impl Answer {
    async fn read(response: Response<Incoming>) -> Result<Self, Broken> {
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Self { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("the body is no JSON: {error}\n{self}"))
    }

    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The same answer, when it has this status.
    ///
    /// # Panics
    /// When it has another.
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "the status is another one\n{self}");
        self
    }

    /// The Problem of an error answer with this status.
    ///
    /// # Panics
    /// When it is not one.
    pub fn problem(self, status: u16) -> Value {
        let answer = self.is(status);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{answer}");
        let problem = answer.json();
        assert_eq!(problem["status"], status, "{answer}");
        assert!(problem["type"].is_string() && problem["title"].is_string(), "{answer}");
        problem
    }

    /// Everything that a caller can tell two answers apart by, the time of day left out.
    pub fn fingerprint(&self) -> String {
        let mut text = format!("{}\n", self.status);
        for (name, value) in &self.headers {
            if name != "date" {
                text += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
            }
        }
        text + "\n" + &self.text()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint())
    }
}

impl Stream {
    /// Reads on until `find` finds something in all that was read.
    ///
    /// # Panics
    /// When the body ends, or time passes, before it does.
    pub async fn until<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        within(what, async {
            loop {
                if let Some(found) = find(&self.text) {
                    return found;
                }
                match self.body.frame().await {
                    Some(Ok(frame)) => {
                        let data = frame.into_data().unwrap_or_default();
                        self.text += &String::from_utf8_lossy(&data);
                    }
                    _ => panic!("the body ended without: {what}\n{}", self.text),
                }
            }
        })
        .await
    }
}

impl Stream {
    /// Reads until the other side has ended it.
    ///
    /// # Panics
    /// When time passes before it does.
    pub async fn ended(mut self) {
        within("the end of the stream", async { while let Some(Ok(_)) = self.body.frame().await {} }).await;
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<hyper::Error> for Broken {
    fn from(error: hyper::Error) -> Self {
        Self(error.to_string())
    }
}
