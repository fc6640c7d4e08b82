//! The load: a number of connections, each sending the next request when it has its answer.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// 90 bytes.
const BODY: &[u8] =
    br#"{"order":"2026-000417","sku":"FC-7731","quantity":3,"price":19.9,"express":true,"note":""}"#;

pub struct Target {
    pub name: &'static str,
    pub url: String,
    /// The process that answers.
    pub process: u32,
}

/// What one side did: medians over its rounds.
pub struct Seen {
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// What the process that answers spends of the processor for each request, kernel included, in µs.
    pub cpu_us: f64,
}

/// The targets in turn, A B C A B C …, after one round each that is not counted: a drift of the machine meets them all.
pub async fn in_turn<const N: usize>(
    targets: &[Target; N],
    connections: usize,
    round: Duration,
    rounds: usize,
) -> [Seen; N] {
    let mut seen: [Vec<Seen>; N] = std::array::from_fn(|_| vec![]);
    for counted in 0..=rounds {
        for (target, rounds) in targets.iter().zip(&mut seen) {
            let one = one_round(target, connections, round).await;
            if counted > 0 {
                rounds.push(one);
            }
        }
    }
    seen.map(|rounds| Seen {
        per_second: median(rounds.iter().map(|round| round.per_second)),
        p50_ms: median(rounds.iter().map(|round| round.p50_ms)),
        p99_ms: median(rounds.iter().map(|round| round.p99_ms)),
        cpu_us: median(rounds.iter().map(|round| round.cpu_us)),
    })
}

async fn one_round(target: &Target, connections: usize, round: Duration) -> Seen {
    let uri: Uri = target.url.parse().expect("a URL");
    let before = cpu_us(target.process);
    let end = Instant::now() + round;
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        clients.spawn(one_client(uri.clone(), end));
    }
    let mut times: Vec<f64> = clients.join_all().await.into_iter().flatten().collect();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Seen {
        per_second: times.len() as f64 / round.as_secs_f64(),
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        cpu_us: (cpu_us(target.process) - before) / times.len() as f64,
    }
}

/// What a process has spent of the processor so far, in µs; not a number where the kernel does not tell.
fn cpu_us(process: u32) -> f64 {
    const US_IN_TICK: f64 = 10_000.0;
    let spent = || {
        let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The second field is a name in parentheses, which may hold anything.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
        Some((ticks(11)? + ticks(12)?) * US_IN_TICK)
    };
    spent().unwrap_or(f64::NAN)
}

/// The milliseconds of each request.
async fn one_client(uri: Uri, end: Instant) -> Vec<f64> {
    let authority = uri.authority().expect("an authority").as_str().to_owned();
    let stream = TcpStream::connect(&authority).await.expect("a connection");
    stream.set_nodelay(true).expect("an open socket");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
    tokio::spawn(connection);
    let mut times = vec![];
    while Instant::now() < end {
        let started = Instant::now();
        let request = Request::post(uri.path())
            .header(header::HOST, &authority)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from_static(BODY)))
            .expect("a request");
        let answer = sender.send_request(request).await.expect("an answer");
        let status = answer.status();
        let body = answer.into_body().collect().await.expect("a whole answer").to_bytes();
        assert!(status.is_success(), "{uri} answered {status}: {}", String::from_utf8_lossy(&body));
        times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    times
}

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
