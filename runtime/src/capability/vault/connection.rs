//! A connection: credentials for some hosts, kept under a name. A step gives the name and never has the credentials.
//!
//! What goes on the wire for a connection is the business of `http_request::authorize`. A token or a challenge that was
//! learned with it is kept in it. When the connection is edited, a new one takes its place, and what was learned is gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http_auth::DigestClient;
use hyper::header::HeaderValue;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::secret::SecretText;
use crate::capability::http_request::is_header_of_the_host;
use crate::config::Hosts;

/// How many hosts' digest challenges are kept for one connection.
const CHALLENGES: usize = 64;

/// A connection as an operator writes it: at most one way to authenticate, and perhaps a client certificate.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct ConnectionDocument {
    /// The hosts that the credentials may be sent to.
    pub hosts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<Password>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer: Option<Bearer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Password>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificate>,
}

/// A user name and a password.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Password {
    pub username: String,
    pub password: SecretText,
}

/// A token that is sent as it is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bearer {
    pub token: SecretText,
}

/// A key in a header or in the query.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKey {
    #[serde(rename = "in")]
    pub place: ApiKeyPlace,
    /// Of the header, or of the parameter.
    pub name: String,
    pub value: SecretText,
}

/// Where an API key goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ApiKeyPlace {
    Header,
    Query,
}

/// OAuth 2.0 client credentials (RFC 6749, section 4.4).
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct OAuth2 {
    pub token_url: String,
    pub client_id: String,
    pub client_secret: SecretText,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// How the client tells the token server who it is.
    #[serde(default)]
    pub client_authentication: TokenAuth,
}

/// How a client authenticates at a token server (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TokenAuth {
    /// In a header, which every token server knows.
    #[default]
    Basic,
    /// In the body.
    Body,
}

/// A certificate with which the client itself is known, and its key; both PEM.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientCertificate {
    /// The certificate, and those that sign it, if any.
    pub certificate: String,
    pub key: SecretText,
}

/// How a connection authenticates.
#[derive(Clone, Debug)]
pub(crate) enum Auth {
    /// By its certificate, if anything.
    None,
    Basic(Password),
    Bearer(SecretText),
    Digest(Password),
    ApiKey(ApiKey),
    OAuth2(Box<OAuth2>),
}

/// A client certificate that can be shown.
#[derive(Debug)]
pub(crate) struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

/// An access token.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub value: SecretText,
    /// Until when it is used. None where it is used until it is refused.
    pub until: Option<Instant>,
}

impl Token {
    /// As a request shows it.
    pub fn header(&self) -> HeaderValue {
        let bearer = format!("Bearer {}", self.value.expose());
        let mut value = HeaderValue::from_str(&bearer).expect("a token is checked when it comes");
        value.set_sensitive(true);
        value
    }
}

/// A connection that can be used.
#[derive(Debug)]
pub(crate) struct Connection {
    pub name: String,
    pub hosts: Hosts,
    pub auth: Auth,
    pub identity: Option<Arc<Identity>>,
    /// The document without what is secret in it.
    pub shown: Value,
    /// The token of [`Auth::OAuth2`]. Who finds none fetches it, and the others wait for that.
    pub token: tokio::sync::Mutex<Option<Token>>,
    challenges: Mutex<HashMap<String, DigestClient>>,
}

impl Connection {
    /// # Errors
    /// A sentence on what is wrong with the document.
    pub fn new(name: &str, document: ConnectionDocument) -> Result<Self, String> {
        super::check_name(name)?;
        let shown = serde_json::to_value(&document).unwrap_or_default();
        let ConnectionDocument { hosts, basic, bearer, digest, api_key, oauth2, client_certificate } =
            document;
        let ways: Vec<Auth> = [
            basic.map(Auth::Basic),
            bearer.map(|bearer| Auth::Bearer(bearer.token)),
            digest.map(Auth::Digest),
            api_key.map(Auth::ApiKey),
            oauth2.map(|oauth2| Auth::OAuth2(Box::new(oauth2))),
        ]
        .into_iter()
        .flatten()
        .collect();
        if ways.len() > 1 {
            return Err("a connection authenticates in one way: keep one of `basic`, `bearer`, `digest`, `apiKey` and \
                        `oauth2`"
                .to_owned());
        }
        let auth = ways.into_iter().next().unwrap_or(Auth::None);
        auth.check()?;
        let identity = client_certificate.map(Identity::new).transpose()?.map(Arc::new);
        let hosts = Hosts::parse(&hosts)?;
        let connection = Self {
            name: name.to_owned(),
            hosts,
            auth,
            identity,
            shown,
            token: Default::default(),
            challenges: Mutex::default(),
        };
        if !connection.is_empty() && connection.hosts.is_empty() {
            return Err("`hosts` is missing: list the hosts that the credentials may be sent to".to_owned());
        }
        Ok(connection)
    }

    /// Whether nobody has put credentials in yet.
    pub fn is_empty(&self) -> bool {
        matches!(self.auth, Auth::None) && self.identity.is_none()
    }

    /// What a server asked for last time, so that the next request need not be refused first.
    pub fn challenge<T>(&self, authority: &str, answer: impl FnOnce(&mut DigestClient) -> T) -> Option<T> {
        let mut challenges = self.challenges.lock().unwrap_or_else(PoisonError::into_inner);
        challenges.get_mut(authority).map(answer)
    }

    /// Keeps what a server asks for.
    pub fn keep_challenge(&self, authority: &str, client: DigestClient) {
        let mut challenges = self.challenges.lock().unwrap_or_else(PoisonError::into_inner);
        if challenges.len() >= CHALLENGES && !challenges.contains_key(authority) {
            challenges.clear();
        }
        challenges.insert(authority.to_owned(), client);
    }
}

impl Auth {
    fn check(&self) -> Result<(), String> {
        let filled = |what: &str, value: &str| match value.is_empty() {
            true => Err(format!("`{what}` is empty")),
            false => Ok(()),
        };
        match self {
            Self::None => Ok(()),
            Self::Basic(basic) if basic.username.contains(':') => {
                Err("`basic.username` holds a colon, which Basic authentication cannot carry".to_owned())
            }
            Self::Basic(basic) => filled("basic.username", &basic.username),
            Self::Digest(digest) => filled("digest.username", &digest.username),
            Self::Bearer(token) => {
                filled("bearer.token", token.expose())?;
                sendable("bearer.token", token.expose())
            }
            Self::ApiKey(key) => {
                filled("apiKey.value", key.value.expose())?;
                match key.place {
                    ApiKeyPlace::Query => filled("apiKey.name", &key.name),
                    ApiKeyPlace::Header => {
                        let name =
                            hyper::header::HeaderName::from_bytes(key.name.as_bytes()).map_err(|_| {
                                format!("`apiKey.name`: `{}` is not a header's name", key.name.escape_debug())
                            })?;
                        if is_header_of_the_host(&name) {
                            return Err(format!("`apiKey.name`: the header `{name}` is set by the host"));
                        }
                        sendable("apiKey.value", key.value.expose())
                    }
                }
            }
            Self::OAuth2(oauth2) => {
                filled("oauth2.clientId", &oauth2.client_id)?;
                match url::Url::parse(&oauth2.token_url) {
                    Ok(url) if ["http", "https"].contains(&url.scheme()) => Ok(()),
                    _ => Err(format!(
                        "`oauth2.tokenUrl`: `{}` is not an http or https URL",
                        oauth2.token_url.escape_debug()
                    )),
                }
            }
        }
    }
}

/// Whether a header can carry it.
fn sendable(what: &str, value: &str) -> Result<(), String> {
    HeaderValue::from_str(value)
        .map(drop)
        .map_err(|_| format!("`{what}` holds a line break or another character that no header carries"))
}

impl Identity {
    fn new(written: ClientCertificate) -> Result<Self, String> {
        let refused = |what: &str, why: &dyn std::fmt::Display| format!("`clientCertificate.{what}`: {why}");
        let chain: Vec<_> = CertificateDer::pem_slice_iter(written.certificate.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| refused("certificate", &format!("it is not PEM: {error}")))?;
        if chain.is_empty() {
            return Err(refused(
                "certificate",
                &"it holds no certificate: begin with -----BEGIN CERTIFICATE-----",
            ));
        }
        let key = PrivateKeyDer::from_pem_slice(written.key.expose().as_bytes())
            .map_err(|error| refused("key", &format!("it is not a private key in PEM: {error}")))?;
        let provider = rustls::crypto::ring::default_provider();
        let signing = provider
            .key_provider
            .load_private_key(key.clone_key())
            .map_err(|error| refused("key", &error))?;
        // Otherwise every server would say so, each in its own words.
        rustls::sign::CertifiedKey::new(chain.clone(), signing)
            .keys_match()
            .map_err(|_| refused("key", &"it is not the key of the certificate"))?;
        Ok(Self { chain, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn connection(document: Value) -> Result<Connection, String> {
        let document: ConnectionDocument =
            serde_json::from_value(document).map_err(|error| error.to_string())?;
        Connection::new("shop", document)
    }

    #[test]
    fn one_way_to_authenticate_is_read() {
        for document in [
            json!({ "basic": { "username": "u", "password": "p" } }),
            json!({ "bearer": { "token": "t" } }),
            json!({ "digest": { "username": "u", "password": "" } }),
            json!({ "apiKey": { "in": "query", "name": "key", "value": "v" } }),
            json!({ "oauth2": { "tokenUrl": "https://t.example/", "clientId": "c", "clientSecret": "s" } }),
        ] {
            let mut whole = document.clone();
            whole["hosts"] = json!(["a.example"]);
            let read = connection(whole).unwrap();
            assert!(!read.is_empty() && !matches!(read.auth, Auth::None), "{document}");
            assert!(connection(document).unwrap_err().contains("`hosts` is missing"));
        }
        assert!(connection(json!({ "hosts": ["a.example"] })).unwrap().is_empty());
        assert!(connection(json!({})).unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_name() {
        let cases = [
            (json!({ "bearer": { "token": "" } }), "`bearer.token` is empty"),
            (json!({ "bearer": { "token": "a\nb" } }), "`bearer.token` holds a line break"),
            (json!({ "bearer": { "tokn": "" } }), "unknown field `tokn`"),
            (json!({ "basic": { "username": "a:b", "password": "p" } }), "colon"),
            (json!({ "apiKey": { "in": "body", "name": "k", "value": "v" } }), "`body`"),
            (json!({ "apiKey": { "in": "header", "name": "a b", "value": "v" } }), "not a header's name"),
            (json!({ "apiKey": { "in": "header", "name": "Host", "value": "v" } }), "is set by the host"),
            (
                json!({ "oauth2": { "tokenUrl": "ftp://t", "clientId": "c", "clientSecret": "s" } }),
                "tokenUrl",
            ),
            (
                json!({ "clientCertificate": { "certificate": "x", "key": "y" } }),
                "clientCertificate.certificate",
            ),
            (
                json!({ "bearer": { "token": "a" }, "basic": { "username": "u", "password": "p" } }),
                "in one way",
            ),
        ];
        for (mut document, reason) in cases {
            document["hosts"] = json!(["a.example"]);
            let error = connection(document.clone()).unwrap_err();
            assert!(error.contains(reason), "{document}: {error}");
        }
    }

    #[test]
    fn a_certificate_comes_with_its_own_key() {
        let made = || rcgen::generate_simple_self_signed(vec!["me".to_owned()]).unwrap();
        let (one, other) = (made(), made());
        let document = |certificate: String, key: String| {
            connection(json!({
                "hosts": ["a.example"], "clientCertificate": { "certificate": certificate, "key": key },
            }))
        };
        assert!(document(one.cert.pem(), one.signing_key.serialize_pem()).is_ok());
        let error = document(one.cert.pem(), other.signing_key.serialize_pem()).unwrap_err();
        assert!(error.contains("not the key of the certificate"), "{error}");
        let error = document(one.cert.pem(), "no key".to_owned()).unwrap_err();
        assert!(error.contains("`clientCertificate.key`"), "{error}");
    }

    #[test]
    fn credentials_are_not_shown() {
        let document: ConnectionDocument = serde_json::from_value(json!({
            "hosts": ["a.example"], "bearer": { "token": "s3cr3t" },
        }))
        .unwrap();
        assert_eq!(
            serde_json::to_value(&document).unwrap(),
            json!({ "hosts": ["a.example"], "bearer": { "token": "***" } })
        );
        assert!(!format!("{:?}", Connection::new("shop", document)).contains("s3cr3t"));
    }
}
