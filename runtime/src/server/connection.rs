//! From a bound listener to connections, and from a signal to a drained server.

use std::future::pending;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use futures_util::TryFutureExt as _;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use super::{Access, Listener, State, limits, request, taken};
use crate::Runtime;
use crate::descriptors::connections_in;
use crate::shares::Shares;

type Protocol = auto::Builder<TokioExecutor>;

/// Serves until `shutdown`, then drains: no new connection, requests and runs under way are let finish for a while,
/// and the journal is synced. Returns when nothing is left.
pub(crate) async fn serve(
    listener: Listener,
    runtime: Runtime,
    access: Access,
    shutdown: impl Future<Output = ()>,
) {
    let (close, closing) = watch::channel(false);
    let state = Arc::new(State { runtime: runtime.clone(), access, metrics: Metrics::default(), closing });
    let open = GracefulShutdown::new();

    accept(&listener, &state, &open, shutdown).await;
    drop(listener);

    tracing::info!("draining: {} connections are open", open.count());
    close.send_replace(true);
    // Both at once: a request that waits for its run needs the run to be driven on.
    let (_, finished) =
        tokio::join!(runtime.drain(limits::DRAIN_WITHIN), timeout(limits::DRAIN_WITHIN, open.shutdown()));
    match finished {
        Ok(()) => tracing::info!("drained"),
        Err(_) => tracing::warn!("some connections did not end in time and are cut"),
    }
}

async fn accept(
    listener: &Listener,
    state: &Arc<State>,
    open: &GracefulShutdown,
    shutdown: impl Future<Output = ()>,
) {
    let protocol = Arc::new(protocol());
    let places = Shares::new(connections_in());
    let mut shutdown = pin!(shutdown);
    loop {
        let (tcp, remote) = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => return,
        };
        let Some(place) = places.try_take(&client(remote)) else {
            tracing::warn!(%remote, "too many connections from one address: this one is closed");
            continue;
        };
        let (state, protocol, tls, watcher) =
            (state.clone(), protocol.clone(), listener.tls(), open.watcher());
        tokio::spawn(async move {
            let _open = state.metrics.connection();
            // Small answers must not wait for the acknowledgement of the one before.
            let _ = tcp.set_nodelay(true);
            let tcp = patient(tcp);
            match tls {
                None => drive(TokioIo::new(tcp), remote, state.clone(), &protocol, watcher).await,
                Some(tls) => {
                    if let Some(stream) = handshake(&tls, tcp, remote).await {
                        drive(TokioIo::new(stream), remote, state.clone(), &protocol, watcher).await;
                    }
                }
            }
            drop(place);
        });
    }
}

/// Whose connection it is. A network of IPv6 is one client: whoever has one address of it has all.
fn client(remote: SocketAddr) -> IpAddr {
    match remote.ip().to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        ip => ip,
    }
}

type Patient<S> = Pin<Box<TimeoutStream<S>>>;

/// The stream, which fails when its peer does not read for long: a peer that never reads would keep a place for ever.
fn patient<S: AsyncRead + AsyncWrite>(stream: S) -> Patient<S> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits::WRITE_WITHIN));
    Box::pin(stream)
}

async fn handshake(
    tls: &tokio_rustls::TlsAcceptor,
    tcp: Patient<TcpStream>,
    remote: SocketAddr,
) -> Option<tokio_rustls::server::TlsStream<Patient<TcpStream>>> {
    match timeout(limits::HANDSHAKE_WITHIN, tls.accept(tcp)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%remote, %error, "TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(%remote, "TLS handshake took too long");
            None
        }
    }
}

/// One connection to its end.
async fn drive<I>(io: I, remote: SocketAddr, state: Arc<State>, protocol: &Protocol, watcher: Watcher)
where
    I: Read + Write + Unpin + Send + 'static,
{
    let (begun, cut) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
    let service = service_fn({
        let (begun, cut) = (begun.clone(), cut.clone());
        move |request: Request<Incoming>| {
            begun.store(true, Relaxed);
            let cut = (request.version() == Version::HTTP_2).then(|| cut.clone());
            let answer = request::answer(state.clone(), remote, request);
            answer.map_ok(|response| match cut {
                Some(cut) => taken::in_time(response, cut),
                // Of HTTP/1.1 the stream itself fails.
                None => response,
            })
        }
    });
    // hyper's own header timeout begins only when hyper has the protocol's version, which a silent client never sends.
    let nothing_came = async {
        sleep(limits::HEADERS_WITHIN).await;
        if begun.load(Relaxed) {
            pending::<()>().await;
        }
    };
    let connection = watcher.watch(protocol.serve_connection(io, service).into_owned());
    tokio::select! {
        ended = connection => {
            if let Err(error) = ended {
                tracing::debug!(%remote, %error, "connection ended");
            }
        }
        () = cut.cancelled() => tracing::debug!(%remote, "an answer was not taken in time"),
        () = nothing_came => tracing::debug!(%remote, "no request came in time"),
    }
}

fn protocol() -> Protocol {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADERS_WITHIN)
        .max_buf_size(limits::HEADER_BYTES)
        .max_headers(limits::HEADERS)
        .half_close(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::STREAMS)
        .max_header_list_size(limits::HEADER_BYTES as u32)
        .keep_alive_interval(limits::PING_EVERY);
    builder
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::super::testing;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_nothing_is_cut_off_and_a_slow_one_is_not() {
        let (near, mut far) = tokio::io::duplex(16);
        let mut near = patient(near);
        let slow = tokio::spawn(async move {
            for _ in 0..4 {
                sleep(limits::WRITE_WITHIN / 2).await;
                far.read_exact(&mut [0; 16]).await.unwrap();
            }
            far
        });
        near.write_all(&[7; 64]).await.unwrap();
        let _far = slow.await.unwrap();
        let begun = tokio::time::Instant::now();
        let error = near.write_all(&[7; 64]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), limits::WRITE_WITHIN.as_secs());
    }

    #[test]
    fn a_client_is_an_address_or_a_network_of_ipv6() {
        let client = |remote: &str| client(remote.parse().unwrap()).to_string();
        assert_eq!(client("192.0.2.7:80"), "192.0.2.7");
        assert_eq!(client("[::ffff:192.0.2.7]:80"), "192.0.2.7");
        assert_eq!(client("[2001:db8:1:2:3:4:5:6]:80"), "2001:db8:1:2::");
    }

    #[tokio::test]
    async fn a_signal_ends_idle_connections_and_the_server() {
        let (listener, runtime) = testing::open().await;
        let address = listener.address();
        let (signal, signalled) = tokio::sync::oneshot::channel::<()>();
        let shutdown = async {
            let _ = signalled.await;
        };
        let server = tokio::spawn(serve(listener, runtime, Access::Loopback, shutdown));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut first = [0; 15];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200 OK");

        signal.send(()).unwrap();
        let mut rest = vec![];
        stream.read_to_end(&mut rest).await.unwrap();
        server.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
