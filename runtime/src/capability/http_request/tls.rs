//! Whom we trust over TLS: the certificates of this machine, read at the first https request.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use crate::capability::vault::Identity;

/// Certificates that one tenant trusts beside the machine's.
pub(crate) type Trusted = Arc<[CertificateDer<'static>]>;

/// Trusted certificates, read once for all tenants.
#[derive(Debug, Default)]
pub(super) struct Roots {
    more: Vec<CertificateDer<'static>>,
    loaded: OnceCell<Arc<RootCertStore>>,
}

impl Roots {
    /// The machine's certificates and these.
    #[cfg(test)]
    pub(super) fn and(more: Vec<CertificateDer<'static>>) -> Self {
        Self { more, loaded: OnceCell::new() }
    }

    /// A connector of its own for each caller: sessions are resumed by the tenant that began them and by no other.
    /// With an identity, that is shown to a server that asks for one. `trusted` counts beside the machine's.
    pub(super) async fn connector(
        &self,
        identity: Option<&Identity>,
        trusted: &Trusted,
    ) -> Result<TlsConnector, String> {
        let mut roots = self.loaded.get_or_try_init(|| self.load()).await?.clone();
        if !trusted.is_empty() {
            Arc::make_mut(&mut roots).add_parsable_certificates(trusted.iter().cloned());
        }
        // The provider is named, because the process default is not set in a library.
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        let mut config = match identity {
            None => config.with_no_client_auth(),
            Some(Identity { chain, key }) => config
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(|error| format!("the client certificate cannot be used: {error}"))?,
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    }

    async fn load(&self) -> Result<Arc<RootCertStore>, String> {
        let found = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs)
            .await
            .map_err(|error| format!("the certificates of this machine could not be read: {error}"))?;
        let mut roots = RootCertStore::empty();
        // One that cannot be parsed is of no use, and no reason to distrust the others.
        roots.add_parsable_certificates(found.certs.into_iter().chain(self.more.iter().cloned()));
        if roots.is_empty() {
            let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
            return Err(format!(
                "this machine trusts no certificates{why}: install its package of CA certificates"
            ));
        }
        Ok(Arc::new(roots))
    }
}
