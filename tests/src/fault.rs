//! A server that breaks off: it reads so many bytes of a request, or writes so many of its answer, and closes the connection.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Where a path breaks off.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// When so many bytes of the request have come.
    Request(usize),
    /// When so many bytes of the answer have gone.
    Answer(usize),
}

/// The answer, whole.
pub const ANSWER: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\nx-a: b\r\n\r\n{\"ok\":true}";

/// What came under one path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Came {
    /// Connections that brought at least one byte of a request.
    pub begun: usize,
    /// Requests that came whole.
    pub whole: usize,
    /// Answers that went out whole.
    pub answered: usize,
}

/// A server on an address of this machine. Dropped, it stops.
pub struct Fault {
    address: SocketAddr,
    came: Arc<Mutex<HashMap<String, Came>>>,
    listening: JoinHandle<()>,
}

impl Fault {
    /// On a free port of 127.0.0.1. Requests are cut as their number in the path, `/NUMBER`, says; with `once` only the
    /// first of each path is.
    pub async fn start(cuts: Vec<Cut>, once: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let came: Arc<Mutex<HashMap<String, Came>>> = Arc::default();
        let kept = came.clone();
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, cuts.clone(), once, kept.clone()));
            }
        });
        Self { address, came, listening }
    }

    /// The address of a number.
    pub fn url(&self, number: usize) -> String {
        format!("http://{}/{number}", self.address)
    }

    /// What came under the number so far.
    pub fn came(&self, number: usize) -> Came {
        self.came.lock().expect("no panic while held").get(&format!("/{number}")).copied().unwrap_or_default()
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    cuts: Vec<Cut>,
    once: bool,
    came: Arc<Mutex<HashMap<String, Came>>>,
) -> Option<()> {
    let change = |path: &str, change: &dyn Fn(&mut Came)| {
        let mut came = came.lock().expect("no panic while held");
        let came = came.entry(path.to_owned()).or_default();
        change(came);
        *came
    };
    let mut bytes = vec![];
    // As many as tell the path; a cut before that is made when it is known, which the other side cannot tell apart.
    while bytes.iter().filter(|byte| **byte == b' ').count() < 2 {
        (stream.read_buf(&mut bytes).await.ok()? > 0).then_some(())?;
    }
    let line = String::from_utf8_lossy(&bytes).into_owned();
    let path = line.split(' ').nth(1)?.to_owned();
    let number: usize = path.trim_start_matches('/').parse().ok()?;
    let before = change(&path, &|came| came.begun += 1);
    let cut = cuts.get(number).copied().filter(|_| !once || before.begun == 1);
    if let Some(Cut::Request(at)) = cut {
        while bytes.len() < at && !is_whole(&bytes) {
            (stream.read_buf(&mut bytes).await.ok()? > 0).then_some(())?;
        }
        return Some(());
    }
    while !is_whole(&bytes) {
        (stream.read_buf(&mut bytes).await.ok()? > 0).then_some(())?;
    }
    change(&path, &|came| came.whole += 1);
    let at = match cut {
        Some(Cut::Answer(at)) => at,
        _ => ANSWER.len(),
    };
    if at >= ANSWER.len() {
        change(&path, &|came| came.answered += 1);
    }
    stream.write_all(&ANSWER.as_bytes()[..at.min(ANSWER.len())]).await.ok()?;
    stream.shutdown().await.ok()
}

fn is_whole(request: &[u8]) -> bool {
    let Some(head) = request.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .and_then(|text| text.parse().ok());
    request.len() >= head + 4 + length.unwrap_or(0)
}
