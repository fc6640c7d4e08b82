//! Requests through the operator's proxy.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::config::ProxyConfig;

/// A proxy that tunnels, forwards what is addressed to it whole, and keeps the heads of both.
async fn proxy(refuses: bool) -> (SocketAddr, Arc<std::sync::Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heads: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let kept = heads.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pass_on(stream, kept.clone(), refuses));
        }
    });
    (address, heads)
}

async fn pass_on(mut client: TcpStream, heads: Arc<std::sync::Mutex<Vec<String>>>, refuses: bool) {
    let mut bytes = vec![];
    while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
        if client.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8(bytes.clone()).unwrap();
    heads.lock().unwrap().push(head.clone());
    if refuses {
        let _ = client
            .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            .await;
        return;
    }
    let to = head.split(' ').nth(1).unwrap();
    let authority = to.trim_start_matches("http://").split('/').next().unwrap();
    let mut server = TcpStream::connect(authority).await.unwrap();
    if head.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    } else {
        let own = head.replacen(&format!("http://{authority}"), "", 1);
        server.write_all(own.as_bytes()).await.unwrap();
    }
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}

fn through(address: SocketAddr, no_proxy: &[&str]) -> Shared {
    configured(address, no_proxy, false)
}

fn configured(address: SocketAddr, no_proxy: &[&str], by_address: bool) -> Shared {
    let config = ProxyConfig {
        url: format!("http://user:pass@{address}"),
        no_proxy: no_proxy.iter().map(|host| (*host).to_owned()).collect(),
        by_address,
    };
    let shared = Shared::new(vec![], Some(&config));
    Arc::try_unwrap(shared).unwrap_or_else(|_| unreachable!("it has just been made"))
}

const RULE: &str = "- network = \"127.0.0.0/8\"";

#[tokio::test]
async fn a_request_of_http_is_given_to_the_proxy_and_what_is_excepted_is_not() {
    let server = Server::start(|_| ok("end")).await;
    let (address, heads) = proxy(false).await;
    let egress = egress_on(RULE, through(address, &[]));
    assert_eq!(send(&egress, post(server.url("/x?y"), "body")).await.unwrap().body, "end");
    let head = heads.lock().unwrap()[0].clone();
    assert!(head.starts_with(&format!("POST {} HTTP/1.1\r\n", server.url("/x?y"))), "{head}");
    assert!(head.contains("proxy-authorization: Basic dXNlcjpwYXNz\r\n"), "{head}");
    for no_proxy in ["127.0.0.1", "127.0.0.0/8"] {
        let egress = egress_on(RULE, through(address, &[no_proxy]));
        assert_eq!(send(&egress, get(server.url("/"))).await.unwrap().body, "end");
        assert!(server.seen().last().unwrap().header("proxy-authorization").is_none());
    }
    assert_eq!(heads.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_request_of_https_goes_through_a_tunnel() {
    let (server, certificate) = tls::start(&["localhost"], tls::BOTH, &["h2"]).await;
    let (address, heads) = proxy(false).await;
    let shared = Shared { roots: tls::trusting_roots(certificate), ..through(address, &[]) };
    let egress = egress_on(RULE, shared);
    let url = format!("https://localhost:{}/", server.port());
    assert_eq!(send(&egress, get(&url)).await.unwrap().body, "HTTP/2.0");
    let head = heads.lock().unwrap()[0].clone();
    assert!(head.starts_with(&format!("CONNECT localhost:{} HTTP/1.1\r\n", server.port())), "{head}");
    assert!(head.to_lowercase().contains("proxy-authorization: basic dxnlcjpwyxnz"), "{head}");
}

/// The proxy never hears the name, so that it cannot find another address for it.
#[tokio::test]
async fn a_proxy_that_does_not_resolve_is_asked_for_the_address_that_was_judged() {
    let server = Server::start(|_| ok("end")).await;
    let (address, heads) = proxy(false).await;
    let egress = egress_on(RULE, configured(address, &[], true));
    assert_eq!(
        send(&egress, post(format!("http://localhost:{}/x?y", server.address.port()), "body"))
            .await
            .unwrap()
            .body,
        "end"
    );
    let head = heads.lock().unwrap()[0].clone();
    assert!(head.starts_with(&format!("CONNECT 127.0.0.1:{} HTTP/1.1\r\n", server.address.port())), "{head}");
    let seen = server.seen().last().unwrap().clone();
    assert!(seen.header("proxy-authorization").is_none());

    let (server, certificate) = tls::start(&["localhost"], tls::BOTH, &["h2"]).await;
    let shared = Shared { roots: tls::trusting_roots(certificate), ..configured(address, &[], true) };
    let url = format!("https://localhost:{}/", server.port());
    assert_eq!(send(&egress_on(RULE, shared), get(&url)).await.unwrap().body, "HTTP/2.0");
    let head = heads.lock().unwrap().last().unwrap().clone();
    assert!(head.starts_with(&format!("CONNECT 127.0.0.1:{} HTTP/1.1\r\n", server.port())), "{head}");
}

#[tokio::test]
async fn the_policy_decides_before_the_proxy_is_asked() {
    let (address, heads) = proxy(false).await;
    let egress = egress_on("- host = \"*\"\nports = [80]", through(address, &[]));
    let error = send(&egress, get("http://127.0.0.1/")).await.unwrap_err();
    assert_eq!((error.code, error.sent), (Code::Blocked, Sent::No));
    assert!(heads.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_proxy_that_refuses_or_is_not_there_is_named() {
    let (address, _) = proxy(true).await;
    let egress = egress_on(RULE, through(address, &[]));
    let error = send(&egress, get("https://localhost:9/")).await.unwrap_err();
    assert_eq!((error.code, error.sent), (Code::Connect, Sent::No), "{error}");
    assert!(error.detail.starts_with(&format!("the proxy {address} gives no connection: ")), "{error}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let egress = egress_on(RULE, through(free, &[]));
    let error = send(&egress, get("http://localhost:9/")).await.unwrap_err();
    assert_eq!((error.code, error.sent), (Code::Connect, Sent::No), "{error}");
    assert!(!error.detail.contains("pass"), "{error}");
}
