//! One server on a free port with a runtime in memory, for the tests of this module. They share it, since opening a
//! runtime compiles its plugins: each takes names of its own.

use std::net::SocketAddr;
use std::sync::LazyLock;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Access, Listener, serve};
use crate::{Clock, Config, Data, Options, Runtime};

pub(super) struct Site {
    pub address: SocketAddr,
    /// A runtime of a test would end with that test; this one serves all of them.
    _tokio: tokio::runtime::Runtime,
}

static SITE: LazyLock<Site> = LazyLock::new(|| {
    // A thread of its own: a test is inside a tokio runtime already and may not start another one.
    std::thread::spawn(|| {
        let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (listener, runtime) = tokio.block_on(open());
        let address = listener.address();
        tokio.spawn(serve(listener, runtime, Access::token("operator"), std::future::pending()));
        Site { address, _tokio: tokio }
    })
    .join()
    .unwrap()
});

/// The server that the tests share; its operator token is `operator`.
pub(super) fn site() -> &'static Site {
    &SITE
}

/// A bound listener and an open runtime.
pub(super) async fn open() -> (Listener, Runtime) {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
    let options = Options {
        config: Config::default(),
        data: Data::Memory,
        clock: Clock::system(),
        base_url: listener.local_url(),
        schedules: true,
        listeners: vec![listener.address()],
        compiler: None,
    };
    let runtime = Runtime::open(options).await.unwrap();
    runtime.start().await.unwrap();
    (listener, runtime)
}

impl Site {
    /// Sends these bytes on a connection of their own, and reads until the server closes it.
    pub(super) async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![];
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// Calls the API as the operator: status and body.
    pub(super) async fn api(&self, method: &str, path: &str, body: &str) -> (u16, serde_json::Value) {
        let length = body.len();
        let answer = self
            .raw(&format!(
                "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer operator\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            ))
            .await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    }
}
