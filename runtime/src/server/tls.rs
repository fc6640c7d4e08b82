//! TLS for the listener: certificate and key from PEM files, TLS 1.2 as the floor, HTTP/2 and HTTP/1.1 offered.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::listener::ListenError;

/// What `[tls]` of the configuration asks for.
pub(crate) fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor, ListenError> {
    let wrong =
        |name, path: &Path, reason: String| ListenError::Tls { key: name, path: path.to_owned(), reason };
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong("cert", cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(wrong("cert", cert, "the file holds no certificate in PEM form".into()));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong("key", key, error.to_string()))?;
    // The provider is named: a library does not set the default of the process.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| wrong("cert", cert, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| wrong("key", key, format!("does not fit the certificate: {error}")))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_certificate_is_named_with_its_key_and_path() {
        let Err(error) = acceptor(Path::new("/nowhere/cert.pem"), Path::new("/nowhere/key.pem")) else {
            panic!("there is no such file");
        };
        assert!(error.to_string().starts_with("tls.cert: /nowhere/cert.pem: "), "{error}");
    }
}
