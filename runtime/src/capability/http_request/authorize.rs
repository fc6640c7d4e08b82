//! Credentials of a request, which its guest has not written: the values of secrets, and what a connection adds.
//!
//! They are decided once for each request; [`super::client`] asks for them on each hop. A credential goes to the hosts that
//! it is bound to, and no further than the origin that the guest named.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_auth::{DigestClient, PasswordParams, parse_challenges};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, StatusCode};

use super::error::{Code, Failure};
use super::headers::{self, DroppedHeaders};
use super::message::{BasicOption, Request, SendOptions};
use super::target::Target;
use crate::capability::vault::{ApiKeyPlace, Auth, Connection, Credentials, Filling, Place};
use crate::config::Limits;
use crate::redact::Redactor;

/// A request's credentials.
#[derive(Debug, Default)]
pub(super) struct Attachments {
    filling: Filling,
    connection: Option<Arc<Connection>>,
    /// User name and password, filled in.
    basic: Option<(String, String)>,
    /// Filled in, where anything is.
    body: Option<Bytes>,
    /// Filled in, where anything is, and whether that one holds a secret.
    headers: Vec<(String, String, bool)>,
}

impl Attachments {
    /// Those that the guest asks for, and is given.
    pub(super) fn of(
        request: &Request,
        options: &SendOptions,
        credentials: Option<&Credentials>,
        (limits, body_limit): (&Limits, usize),
    ) -> Result<Self, Failure> {
        let filling = match credentials {
            Some(credentials) if !credentials.is_empty() => {
                Filling::of(credentials, parts(request, options)).map_err(missing)?
            }
            _ => Filling::default(),
        };
        let connection = match (&options.connection, credentials) {
            (None, _) => None,
            (Some(name), Some(credentials)) => Some(credentials.connection(name).map_err(missing)?),
            (Some(_), None) => return Err(missing("this call is given no connections".to_owned())),
        };
        let too_large = |detail: String| Failure::new(Code::TooLarge, detail);
        let filled = |text: &str| {
            let filled = filling.text(text, Place::Header, limits.header_bytes);
            filled.map(Cow::into_owned).map_err(too_large)
        };
        let basic = match &options.basic {
            Some(BasicOption { username, password }) => Some((filled(username)?, filled(password)?)),
            None => None,
        };
        let body = match request.body.as_ref().filter(|body| filling.concerns(body)) {
            Some(body) => {
                let content_type =
                    request.headers.iter().find(|(name, _)| CONTENT_TYPE == *name.to_ascii_lowercase());
                let place = Place::of_body(content_type.map(|(_, value)| value.as_str()));
                Some(filling.body(body, place, body_limit).map_err(too_large)?)
            }
            None => None,
        };
        let headers = filled_headers(&filling, &request.headers, limits.header_bytes)?;
        let attached = Self { filling, connection, basic, body, headers };
        attached.check_headers(&request.headers)?;
        Ok(attached)
    }

    /// A header that both the guest and its credentials set would be sent twice.
    fn check_headers(&self, written: &[(String, String)]) -> Result<(), Failure> {
        let (name, whose) = match (&self.basic, &self.connection) {
            (Some(_), Some(connection)) if !matches!(connection.auth, Auth::None | Auth::ApiKey(_)) => {
                return Err(Failure::invalid(format!(
                    "`basic` and the connection `{}` both authenticate: leave one out",
                    connection.name
                )));
            }
            (Some(_), _) => ("authorization", "`basic`".to_owned()),
            (None, Some(connection)) => match &connection.auth {
                Auth::None => return Ok(()),
                Auth::ApiKey(key) if key.place == ApiKeyPlace::Query => return Ok(()),
                Auth::ApiKey(key) => (key.name.as_str(), format!("the connection `{}`", connection.name)),
                _ => ("authorization", format!("the connection `{}`", connection.name)),
            },
            (None, None) => return Ok(()),
        };
        match written.iter().any(|(written, _)| written.eq_ignore_ascii_case(name)) {
            true => Err(Failure::invalid(format!("{whose} sets the header `{name}`: leave it out"))),
            false => Ok(()),
        }
    }

    /// Whether it goes along with a request to anywhere.
    pub(super) fn is_empty(&self) -> bool {
        self.filling.is_empty() && self.connection.is_none()
    }

    /// The connection, as long as the way has not left the origin.
    pub(super) fn connection(&self, dropped: DroppedHeaders) -> Option<&Arc<Connection>> {
        self.connection.as_ref().filter(|_| !dropped.credentials)
    }

    /// Whether all of it may go there.
    pub(super) fn admit(&self, target: &Target) -> Result<(), Failure> {
        let refused = |detail: String| Failure::new(Code::Blocked, detail);
        self.filling.admit(&target.host(), target.port()).map_err(refused)?;
        match &self.connection {
            Some(connection) if !connection.hosts.admit(&target.host(), target.port()) => {
                Err(refused(format!(
                    "the connection `{}` is not used for {}: it is bound to {}",
                    connection.name,
                    target.authority(),
                    connection.hosts.listed()
                )))
            }
            _ => Ok(()),
        }
    }

    /// The target as it is on the wire; messages and answers show it as the guest wrote it.
    pub(super) fn target(&self, target: Target, limit: usize) -> Result<Target, Failure> {
        let key = self.query_key();
        if key.is_none() && !self.filling.concerns(target.as_str().as_bytes()) {
            return Ok(target);
        }
        let filled = self.filling.text(target.behind_authority(), Place::Url, limit);
        let rest = filled.map_err(Failure::invalid)?.into_owned();
        target.rewritten(&rest, key, limit)
    }

    /// A target that an answer has led to: with the key that goes into the query, at the same origin.
    pub(super) fn next_target(
        &self,
        target: Target,
        dropped: DroppedHeaders,
        limit: usize,
    ) -> Result<Target, Failure> {
        match self.query_key() {
            Some(key) if !dropped.credentials && !target.has_parameter(key.0) => {
                let rest = target.behind_authority().to_owned();
                target.rewritten(&rest, Some(key), limit)
            }
            _ => Ok(target),
        }
    }

    fn query_key(&self) -> Option<(&str, &str)> {
        match self.connection.as_ref().map(|connection| &connection.auth) {
            Some(Auth::ApiKey(key)) if key.place == ApiKeyPlace::Query => {
                Some((key.name.as_str(), key.value.expose()))
            }
            _ => None,
        }
    }

    /// The headers that the guest wrote, as they go on this hop.
    pub(super) fn headers<'h>(
        &self,
        written: &'h [(String, String)],
        dropped: DroppedHeaders,
    ) -> Cow<'h, [(String, String)]> {
        if self.filling.is_empty() {
            return Cow::Borrowed(written);
        }
        let kept = self.headers.iter().filter(|(.., is_secret)| !(dropped.credentials && *is_secret));
        Cow::Owned(kept.map(|(name, value, _)| (name.clone(), value.clone())).collect())
    }

    /// The body on this hop.
    pub(super) fn body<'b>(
        &'b self,
        written: &'b Bytes,
        dropped: DroppedHeaders,
    ) -> Result<&'b Bytes, Failure> {
        match &self.body {
            None => Ok(written),
            Some(filled) if !dropped.credentials => Ok(filled),
            Some(_) => Err(Failure::new(
                Code::Blocked,
                "the redirect leads to another origin, and the body holds a secret, which is sent no further",
            )),
        }
    }

    /// Adds what is known before anybody is asked: all but tokens and digests.
    pub(super) fn authorize(&self, headers: &mut HeaderMap, dropped: DroppedHeaders) {
        if dropped.credentials {
            return;
        }
        if let Some((username, password)) = &self.basic {
            headers.insert(AUTHORIZATION, basic(username, password));
        }
        match self.connection.as_ref().map(|connection| &connection.auth) {
            Some(Auth::Basic(auth)) => {
                headers.insert(AUTHORIZATION, basic(&auth.username, auth.password.expose()));
            }
            Some(Auth::Bearer(token)) => {
                headers.insert(AUTHORIZATION, hidden(&format!("Bearer {}", token.expose())));
            }
            Some(Auth::ApiKey(key)) if key.place == ApiKeyPlace::Header => {
                let name = HeaderName::from_bytes(key.name.as_bytes()).expect("checked when it was put in");
                headers.insert(name, hidden(key.value.expose()));
            }
            _ => {}
        }
    }

    /// What takes all of it out of an answer.
    pub(super) fn redactor(&self) -> Redactor {
        let mut redactor = Redactor::default();
        self.filling.guard(&mut redactor);
        if let Some((username, password)) = self.basic.as_ref().filter(|_| !self.filling.is_empty()) {
            redactor.hide(&encoded(username, password));
        }
        match self.connection.as_ref().map(|connection| &connection.auth) {
            Some(Auth::Basic(auth) | Auth::Digest(auth)) => {
                redactor.hide(auth.password.expose());
                redactor.hide(&encoded(&auth.username, auth.password.expose()));
            }
            Some(Auth::Bearer(token)) => redactor.hide(token.expose()),
            Some(Auth::ApiKey(key)) => redactor.hide(key.value.expose()),
            // The token server may tell it back as well.
            Some(Auth::OAuth2(oauth2)) => {
                redactor.hide(oauth2.client_secret.expose());
                redactor.hide(&encoded(&oauth2.client_id, oauth2.client_secret.expose()));
            }
            _ => {}
        }
        redactor
    }
}

/// The headers with the values in them, each with whether it holds one; nothing where none does.
fn filled_headers(
    filling: &Filling,
    written: &[(String, String)],
    limit: usize,
) -> Result<Vec<(String, String, bool)>, Failure> {
    let mut headers = Vec::new();
    if filling.is_empty() {
        return Ok(headers);
    }
    let mut left = limit;
    for (name, value) in written {
        if filling.concerns(name.as_bytes()) {
            return Err(Failure::invalid("the name of a header holds a secret: it belongs in the value"));
        }
        let filled = filling.text(value, Place::Header, left);
        let filled = filled.map_err(|detail| Failure::new(Code::TooLarge, detail))?.into_owned();
        left = left.saturating_sub(name.len() + filled.len());
        headers.push((name.clone(), filled, filling.concerns(value.as_bytes())));
    }
    Ok(headers)
}

fn parts<'a>(request: &'a Request, options: &'a SendOptions) -> impl Iterator<Item = &'a [u8]> + Clone {
    let headers = request.headers.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
    let basic = options.basic.iter().flat_map(|basic| [basic.username.as_bytes(), basic.password.as_bytes()]);
    std::iter::once(request.url.as_bytes()).chain(headers).chain(basic).chain(request.body.as_deref())
}

fn missing(detail: String) -> Failure {
    Failure::new(Code::Credentials, detail)
}

fn encoded(username: &str, password: &str) -> String {
    STANDARD.encode(format!("{username}:{password}"))
}

/// `Basic …`, as in RFC 7617.
pub(super) fn basic(username: &str, password: &str) -> HeaderValue {
    hidden(&format!("Basic {}", encoded(username, password)))
}

/// A value that no table of HTTP/2 keeps.
pub(super) fn hidden(text: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(text).expect("checked when it was put in, or base64");
    value.set_sensitive(true);
    value
}

/// The best digest challenge of an answer that refuses. None where the answer asks for something else.
pub(super) fn digest_challenge(status: StatusCode, answer: &HeaderMap) -> Option<DigestClient> {
    if status != StatusCode::UNAUTHORIZED {
        return None;
    }
    let texts: Vec<String> = answer.get_all(WWW_AUTHENTICATE).iter().map(headers::text).collect();
    let challenges = texts.iter().filter_map(|text| parse_challenges(text).ok()).flatten();
    let clients = challenges.filter_map(|challenge| DigestClient::try_from(&challenge).ok());
    // SHA-256 before MD5, whatever the order.
    clients.max_by_key(|client| client.algorithm() != http_auth::digest::Algorithm::Md5)
}

/// `Digest …`, as in RFC 7616.
pub(super) fn digest(
    client: &mut DigestClient,
    auth: (&str, &str),
    method: &Method,
    target: &Target,
) -> Result<HeaderValue, Failure> {
    let uri = target.uri().path_and_query().map_or("/", |uri| uri.as_str());
    // Without the body: `auth-int`, which few servers know, would be chosen where it is offered.
    let params =
        PasswordParams { username: auth.0, password: auth.1, uri, method: method.as_str(), body: None };
    let refused = |why: String| {
        Failure::new(
            Code::Credentials,
            format!("{} asks for a digest that cannot be made: {why}", target.authority()),
        )
    };
    let answer = client.respond(&params).map_err(refused)?;
    let mut value = HeaderValue::from_str(&answer).map_err(|error| refused(error.to_string()))?;
    value.set_sensitive(true);
    Ok(value)
}
