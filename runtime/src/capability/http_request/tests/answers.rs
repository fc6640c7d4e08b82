//! Answers, whole and broken, and how much of them is read.

use async_compression::tokio::write::{BrotliEncoder, DeflateEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use tokio::io::AsyncWriteExt as _;

use super::*;

async fn from(acts: Vec<Act>) -> Result<Response, HttpError> {
    from_with(acts, SendOptions::default()).await
}

async fn from_with(acts: Vec<Act>, options: SendOptions) -> Result<Response, HttpError> {
    let server = Server::start(move |_| acts.clone()).await;
    send_with(&local(), get(server.url("/")), options).await
}

fn raw(text: &str) -> Vec<Act> {
    vec![Act::Send(text.into()), Act::Close]
}

fn at_most(bytes: u64) -> SendOptions {
    SendOptions { max_response_bytes: Some(bytes), ..SendOptions::default() }
}

#[tokio::test]
async fn headers_arrive_in_order_and_as_text() {
    let mut bytes =
        b"HTTP/1.1 299 Odd\r\nSet-Cookie: a=1\r\nX-Caf\x65: caf\xe9\r\nset-cookie: b=2\r\n".to_vec();
    bytes.extend_from_slice("x-utf8: café\r\ncontent-length: 0\r\n\r\n".as_bytes());
    let response = from(vec![Act::Send(bytes)]).await.unwrap();
    assert_eq!(response.status, 299);
    let all: Vec<_> = response.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
    // Values of one name come together.
    assert_eq!(all, ["set-cookie=a=1", "set-cookie=b=2", "x-cafe=café", "x-utf8=café", "content-length=0"]);
}

#[tokio::test]
async fn bodies_of_every_framing_are_whole() {
    for text in [
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n1\r\nf\r\n0\r\nx-trailer: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nabcdef",
        "HTTP/1.0 200 OK\r\n\r\nabcdef",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabcdef",
    ] {
        assert_eq!(from(raw(text)).await.unwrap().body, "abcdef", "{text}");
    }
    assert_eq!(from(raw("HTTP/1.1 204 No Content\r\n\r\n")).await.unwrap().body, "");
}

#[tokio::test]
async fn the_length_that_head_tells_is_not_a_body() {
    let server = Server::start(|_| {
        vec![Act::Send(
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 99999999999\r\n\r\n".to_vec(),
        )]
    })
    .await;
    let response = send(&local(), request("HEAD", server.url("/"), &[], None)).await.unwrap();
    assert!(response.body.is_empty());
    assert_eq!(response.headers.len(), 2);
}

#[tokio::test]
async fn broken_answers_say_how_far_the_request_came() {
    let cases = [
        ("", Sent::Unknown),
        ("HTTP/1.1 200 OK\r\ncontent-le", Sent::Unknown),
        ("SSH-2.0-OpenSSH_9.9\r\n", Sent::Unknown),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", Sent::Unknown),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", Sent::Yes),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc", Sent::Yes),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", Sent::Yes),
    ];
    for (text, sent) in cases {
        assert_eq!(fault(from(raw(text)).await), (Code::Reset, sent), "{text}");
    }
}

#[tokio::test]
async fn silence_and_dripping_end_at_the_timeout() {
    let options = || SendOptions { timeout_ms: Some(80), ..SendOptions::default() };
    let head = || Act::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n".to_vec());
    let cases = [
        (vec![Act::Hang], Sent::Unknown),
        (vec![Act::Drip(b"H".to_vec())], Sent::Unknown),
        (vec![Act::Send(b"HTTP/1.1 200 OK\r\n".to_vec()), Act::Drip(b"x-a: b\r\n".to_vec())], Sent::Unknown),
        (vec![head(), Act::Hang], Sent::Yes),
        (vec![head(), Act::Drip(b"x".to_vec())], Sent::Yes),
    ];
    for (acts, sent) in cases {
        let shown = format!("{acts:?}");
        let begun = Instant::now();
        // Dripping headers may reach the limit of their number first on a slow machine.
        let (code, how) = fault(from_with(acts, options()).await);
        assert!(matches!(code, Code::Timeout | Code::TooLarge) && how == sent, "{shown}: {code} {how}");
        assert!(begun.elapsed() < PATIENCE, "{shown}");
    }
}

#[tokio::test]
async fn the_deadline_of_the_step_ends_it_too() {
    let server = Server::start(|_| vec![Act::Hang]).await;
    let deadline = Instant::now() + Duration::from_millis(50);
    let error = local().send(get(server.url("/")), SendOptions::default(), None, deadline).await.unwrap_err();
    assert_eq!(error.code, Code::Timeout);
    assert!(error.detail.contains("all that the step has"), "{error}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_not_read() {
    let declared = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\nabcdef\r\n";
    let endless = vec![Act::Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()), Act::Drip(vec![b'x'; 4096])];
    for acts in [raw(declared), raw(chunked), endless] {
        let error = from_with(acts, at_most(10)).await.unwrap_err();
        assert_eq!((error.code, error.sent, error.retryable), (Code::TooLarge, Sent::Yes, false));
    }
    let exact = raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789");
    assert_eq!(from_with(exact, at_most(10)).await.unwrap().body.len(), 10);
}

#[tokio::test]
async fn headers_over_the_limit_are_not_read() {
    let huge = format!("HTTP/1.1 200 OK\r\nx-huge: {}\r\n\r\n", "x".repeat(100_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-many: 1\r\n".repeat(1000));
    for text in [huge, many] {
        assert_eq!(from(raw(&text)).await.unwrap_err().code, Code::TooLarge);
    }
}

const TEXT: &str = "the same words, the same words, the same words, the same words";

async fn pack(encoding: &str, text: &[u8]) -> Vec<u8> {
    macro_rules! with {
        ($encoder:ident) => {{
            let mut encoder = $encoder::new(Vec::new());
            encoder.write_all(text).await.unwrap();
            encoder.shutdown().await.unwrap();
            encoder.into_inner()
        }};
    }
    match encoding {
        "gzip" => with!(GzipEncoder),
        "br" => with!(BrotliEncoder),
        "deflate" => with!(ZlibEncoder),
        "raw" => with!(DeflateEncoder),
        _ => with!(ZstdEncoder),
    }
}

fn packed(encoding: &str, body: &[u8]) -> Vec<Act> {
    answer("200 OK", &format!("content-encoding: {encoding}\r\n"), body)
}

#[tokio::test]
async fn compressed_bodies_are_unpacked() {
    for (name, encoding) in [
        ("gzip", "gzip"),
        ("X-GZIP", "gzip"),
        ("br", "br"),
        ("zstd", "zstd"),
        ("deflate", "deflate"),
        ("deflate", "raw"),
    ] {
        let response = from(packed(name, &pack(encoding, TEXT.as_bytes()).await)).await.unwrap();
        assert_eq!(response.body, TEXT, "{encoding}");
        assert!(response.headers.is_empty(), "{:?}", response.headers);
    }
    let twice = pack("br", &pack("gzip", TEXT.as_bytes()).await).await;
    assert_eq!(from(packed("gzip, br", &twice)).await.unwrap().body, TEXT);
    let mut members = pack("gzip", b"one ").await;
    members.extend(pack("gzip", b"two").await);
    assert_eq!(from(packed("gzip", &members)).await.unwrap().body, "one two");
    assert_eq!(from(packed("gzip", b"")).await.unwrap().body, "");
}

#[tokio::test]
async fn what_cannot_be_unpacked_stays_as_it_is() {
    let response = from(packed("compress", b"xyz")).await.unwrap();
    assert_eq!(response.body, "xyz");
    assert!(response.headers.iter().any(|(name, value)| name == "content-encoding" && value == "compress"));
}

#[tokio::test]
async fn garbled_compression_is_a_failure_and_not_a_body() {
    let whole = pack("gzip", TEXT.as_bytes()).await;
    let large_window = b"\x11\x1e\x00\x00".to_vec();
    for (encoding, body) in [
        ("gzip", b"plain text".to_vec()),
        ("gzip", whole[..whole.len() - 9].to_vec()),
        ("br", large_window),
        ("zstd", b"no".to_vec()),
    ] {
        let error = from(packed(encoding, &body)).await.unwrap_err();
        assert_eq!((error.code, error.sent, error.retryable), (Code::Reset, Sent::Yes, false), "{error}");
    }
    let error = from(packed("gzip, gzip, gzip, gzip", &whole)).await.unwrap_err();
    assert!(error.detail.contains("4 times over"), "{error}");
}

#[tokio::test]
async fn a_bomb_does_not_go_off() {
    let zeros = vec![0; 4 << 20];
    for encoding in ["gzip", "br", "zstd", "deflate"] {
        let bomb = pack(encoding, &zeros).await;
        assert!(bomb.len() < 20_000);
        let error = from_with(packed(encoding, &bomb), at_most(64 << 10)).await.unwrap_err();
        assert_eq!((error.code, error.sent), (Code::TooLarge, Sent::Yes), "{encoding}");
    }
    // One that unfolds to nothing by way of much.
    let nothing = pack("gzip", b"").await.repeat(20_000);
    let bomb = pack("gzip", &nothing).await;
    let error = from_with(packed("gzip, gzip", &bomb), at_most(64 << 10)).await.unwrap_err();
    assert_eq!(error.code, Code::TooLarge);
}
