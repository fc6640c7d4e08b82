//! The two other processes: an upstream that answers at once, and the bare proxy that stands for "nothing but the two
//! hops". Both print their address and serve until they are ended.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, header};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

const ANSWER: &[u8] =
    br#"{"accepted":true,"id":"4f1c2a","note":"a body of about the size of a usual small answer"}"#;

/// Answers every request with the same small JSON.
pub async fn upstream() {
    serve(|request: Request<Incoming>| async move {
        let _ = request.into_body().collect().await;
        json(Bytes::from_static(ANSWER))
    })
    .await;
}

/// Sends every request on to the upstream and its answer back, with the client that the host uses.
pub async fn proxy(upstream: SocketAddr) {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let url: hyper::Uri = format!("http://{upstream}/").parse().expect("a URL");
    serve(move |request: Request<Incoming>| {
        let (client, url) = (client.clone(), url.clone());
        async move {
            let body = request.into_body().collect().await.expect("a whole body").to_bytes();
            let onward = Request::post(url)
                .header(header::CONTENT_TYPE, "application/json")
                .body(Full::new(body))
                .expect("a request");
            let answer = client.request(onward).await.expect("the upstream answers");
            json(answer.into_body().collect().await.expect("a whole answer").to_bytes())
        }
    })
    .await;
}

fn json(body: Bytes) -> Response<Full<Bytes>> {
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .expect("an answer")
}

async fn serve<F, A>(answer: F)
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<Full<Bytes>>> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("listening on http://{}", listener.local_addr().expect("an address"));
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let _ = stream.set_nodelay(true);
        let answer = answer.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer.clone();
                async move { Ok::<_, Infallible>(answer(request).await) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
