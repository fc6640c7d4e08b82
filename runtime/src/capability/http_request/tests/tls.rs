//! TLS: whom we trust, and what we speak then.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::super::tls::Roots;
use super::*;

/// A server that answers with the HTTP version that it is asked in; its certificate signs itself.
pub(super) async fn start(
    names: &[&str],
    protocols: &[&str],
    alpn: &[&str],
) -> (SocketAddr, CertificateDer<'static>) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let versions: Vec<_> = rustls::ALL_VERSIONS
        .iter()
        .copied()
        .filter(|version| protocols.contains(&version.version.as_str().unwrap()))
        .collect();
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config))));
    (address, certificate)
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| async move {
                let version = format!("{:?}", request.version());
                Ok::<_, Infallible>(hyper::Response::new(Full::new(Bytes::from(version))))
            });
            let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

pub(super) fn trusting_roots(certificate: CertificateDer<'static>) -> Roots {
    Roots::and(vec![certificate])
}

fn trusting(certificate: CertificateDer<'static>) -> Egress {
    let shared = Shared { roots: Roots::and(vec![certificate]), ..Shared::default() };
    egress_on("- network = \"127.0.0.0/8\"\n- network = \"::1/128\"", shared)
}

pub(super) const BOTH: &[&str] = &["TLSv1_3", "TLSv1_2"];

#[tokio::test]
async fn http2_is_spoken_where_it_is_offered() {
    for (alpn, version) in
        [(&["h2", "http/1.1"][..], "HTTP/2.0"), (&["http/1.1"], "HTTP/1.1"), (&[], "HTTP/1.1")]
    {
        let (address, certificate) = start(&["localhost"], BOTH, alpn).await;
        let egress = trusting(certificate);
        for _ in 0..2 {
            let response =
                send(&egress, post(format!("https://localhost:{}/", address.port()), "x")).await.unwrap();
            assert_eq!(response.body, version, "{alpn:?}");
        }
    }
}

#[tokio::test]
async fn requests_at_the_same_time_share_a_connection_of_http2() {
    let (address, certificate) = start(&["127.0.0.1"], BOTH, &["h2"]).await;
    let egress = trusting(certificate);
    let url = format!("https://{address}/");
    let all = (0..20).map(|_| send(&egress, get(&url)));
    for response in futures_util::future::join_all(all).await {
        assert_eq!(response.unwrap().body, "HTTP/2.0");
    }
}

#[tokio::test]
async fn tls_1_2_is_spoken_too() {
    let (address, certificate) = start(&["127.0.0.1"], &["TLSv1_2"], &[]).await;
    assert!(send(&trusting(certificate), get(format!("https://{address}/"))).await.is_ok());
}

#[tokio::test]
async fn an_untrusted_or_foreign_certificate_ends_it_before_the_request() {
    let (address, certificate) = start(&["other.example"], BOTH, &[]).await;
    let (_, unrelated) = start(&["localhost"], BOTH, &[]).await;
    for (trusted, word) in [(certificate, "not valid for name"), (unrelated, "invalid peer certificate")] {
        let error = send(&trusting(trusted), post(format!("https://localhost:{}/", address.port()), "x"))
            .await
            .unwrap_err();
        assert_eq!((error.code, error.sent, error.retryable), (Code::Tls, Sent::No, false), "{error}");
        assert!(error.detail.contains(word), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_a_tls_failure() {
    let garbage = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = garbage.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = garbage.accept().await {
            let _ =
                tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let (_, certificate) = start(&["localhost"], BOTH, &[]).await;
    let error = send(&trusting(certificate), get(format!("https://{address}/"))).await.unwrap_err();
    assert_eq!((error.code, error.sent), (Code::Tls, Sent::No), "{error}");
}

/// A server that talks to clients with one of these certificates only, and tells whose it is.
async fn start_for_clients(client: CertificateDer<'static>) -> (SocketAddr, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut trusted = rustls::RootCertStore::empty();
    trusted.add(client).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(trusted), provider.clone())
            .build()
            .unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config))));
    (address, certificate)
}

#[tokio::test]
async fn a_client_certificate_is_shown_by_its_connection_and_by_nobody_else() {
    use crate::capability::vault::{Connection, Credentials, Vault};
    let me = rcgen::generate_simple_self_signed(vec!["me".to_owned()]).unwrap();
    let (address, certificate) = start_for_clients(me.cert.der().clone()).await;
    let egress = trusting(certificate);
    let url = format!("https://localhost:{}/", address.port());
    let vault = Arc::new(Vault::default());
    let document = serde_json::json!({
        "hosts": ["localhost"],
        "clientCertificate": { "certificate": me.cert.pem(), "key": me.signing_key.serialize_pem() },
    });
    let document = serde_json::from_value(document).unwrap();
    vault.put_connection(Connection::new("shop", document).unwrap(), None);
    let credentials = Credentials::of_trigger(vault, ["shop".to_owned()].into(), [].into());
    let options = SendOptions { connection: Some("shop".to_owned()), ..SendOptions::default() };
    for _ in 0..2 {
        let sent =
            egress.send(get(&url), options.clone(), Some(&credentials), Instant::now() + PATIENCE).await;
        assert_eq!(sent.unwrap().status, 200);
        assert!(send(&egress, get(&url)).await.is_err(), "no certificate is shown without the connection");
    }
}

/// What one tenant trusts, another one does not.
#[tokio::test]
async fn a_private_authority_is_trusted_by_its_tenant_alone() {
    let (address, certificate) = start(&["localhost"], BOTH, &[]).await;
    let rule = rules("- network = \"127.0.0.0/8\"");
    let tenant = |trusted: super::super::tls::Trusted| {
        let shared = Shared::new(vec![], None);
        Egress::new(TenantId::default_tenant(), &rule, &Quota::default(), shared, trusted)
    };
    let url = format!("https://localhost:{}/", address.port());
    assert_eq!(send(&tenant([certificate].into()), get(&url)).await.unwrap().status, 200);
    assert_eq!(send(&tenant([].into()), get(&url)).await.unwrap_err().code, Code::Tls);
}
