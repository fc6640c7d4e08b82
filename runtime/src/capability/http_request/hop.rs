//! One hop of a request: it is admitted, authorized, framed and given to a [`pool`], which gives the head of its answer.
//!
//! A request is given to a pool once. There are two reasons to give it a second time. An old connection ended without a
//! word, and the method may be repeated. Or the refusal tells what the request lacked: the challenge of a digest, or that
//! its token has expired.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Method, StatusCode};

use super::answer;
use super::authorize::{self, Attachments};
use super::body::{OutgoingBody, Progress};
use super::client::Egress;
use super::cookies::Cookies;
use super::error::{self, Failure};
use super::headers::{self, DroppedHeaders};
use super::oauth2;
use super::pool::{self, Generation};
use super::target::Target;
use crate::capability::vault::Auth;
use crate::redact::Redactor;

/// One request on its way to one target.
pub(super) struct Outbound<'a> {
    pub target: &'a Target,
    pub method: &'a Method,
    pub headers: &'a [(String, String)],
    pub dropped: DroppedHeaders,
    /// What goes along with it.
    pub attached: &'a Attachments,
    pub body: Option<&'a Bytes>,
    /// What the answers on the way have set.
    pub cookies: Option<&'a Cookies>,
    pub until: Instant,
    pub progress: &'a Arc<Progress>,
}

impl Egress {
    /// One request and the head of its answer; what was secret in it is hidden from then on.
    pub(super) async fn hop(
        &self,
        generation: &Generation,
        out: Outbound<'_>,
        redactor: &mut Redactor,
    ) -> Result<hyper::Response<Incoming>, Failure> {
        let Some(connection) = out.attached.connection(out.dropped) else {
            return self.exchange(generation, &out, None).await;
        };
        match &connection.auth {
            Auth::OAuth2(oauth2) => {
                let first = oauth2::token(self, generation, connection, oauth2, None, out.until).await?;
                redactor.hide(first.value.expose());
                let answer = self.exchange(generation, &out, Some(&first.header())).await?;
                if answer.status() != StatusCode::UNAUTHORIZED {
                    return Ok(answer);
                }
                let next =
                    oauth2::token(self, generation, connection, oauth2, Some(&first), out.until).await?;
                redactor.hide(next.value.expose());
                self.exchange(generation, &out, Some(&next.header())).await
            }
            Auth::Digest(auth) => {
                let auth = (auth.username.as_str(), auth.password.expose());
                let answered = |client: &mut _| authorize::digest(client, auth, out.method, out.target);
                let known = connection.challenge(out.target.authority(), answered).transpose()?;
                let answer = self.exchange(generation, &out, known.as_ref()).await?;
                let Some(mut client) = authorize::digest_challenge(answer.status(), answer.headers()) else {
                    return Ok(answer);
                };
                let authorization = answered(&mut client)?;
                connection.keep_challenge(out.target.authority(), client);
                self.exchange(generation, &out, Some(&authorization)).await
            }
            _ => self.exchange(generation, &out, None).await,
        }
    }

    /// One request, with this authorization where there is one, and the head of its answer.
    pub(super) async fn exchange(
        &self,
        generation: &Generation,
        out: &Outbound<'_>,
        authorization: Option<&HeaderValue>,
    ) -> Result<hyper::Response<Incoming>, Failure> {
        let subject = out.target.subject(out.method);
        let access = generation.policy().admit(&subject)?;
        let (request, bytes) = self.request(out, authorization)?;
        self.account.turn(out.until).await?;
        self.account.send(bytes)?;
        let lane = generation.lane(out.attached.connection(out.dropped).map(|connection| &**connection));
        let client = lane.client(access, &self.shared.limits);
        let begun = lane.dialer.begun();
        let mut result = client.request(request).await;
        if let Err(error) = &result
            // A connection from the pool may be closed by the other side just as it is used. Asking again is harmless
            // for a method that may be repeated, as the standard says; any other is left to who asked.
            && out.method.is_idempotent()
            && out.progress.handed()
            && lane.dialer.begun() == begun
            && pool::is_stale(error)
        {
            let (request, bytes) = self.request(out, authorization)?;
            self.account.send(bytes)?;
            result = client.request(request).await;
        }
        let answer = result.map_err(|error| match pool::denial(&error) {
            Some(denial) if denial.wants_rule => generation.policy().no_rule(&subject).into(),
            _ => error::of_client(&error, out.target.authority()),
        })?;
        out.progress.answered();
        answer::check_head(&answer, out.target, &self.shared.limits, &self.account)?;
        Ok(answer)
    }

    /// The request as it is sent, and about how many bytes it has.
    fn request(
        &self,
        out: &Outbound<'_>,
        authorization: Option<&HeaderValue>,
    ) -> Result<(hyper::Request<OutgoingBody>, u64), Failure> {
        let written = out.attached.headers(out.headers, out.dropped);
        let (mut headers, head) = headers::build(&written, out.dropped, &self.shared.limits)?;
        out.attached.authorize(&mut headers, out.dropped);
        if let Some(cookies) = out.cookies.and_then(|cookies| cookies.header(out.target.url())) {
            headers.append(COOKIE, cookies);
        }
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let proxy = self.shared.proxy.as_ref().and_then(|proxy| proxy.way(out.target.uri()));
        if let Some(authorization) = proxy.iter().find_map(|way| way.authorization())
            && out.target.uri().scheme_str() == Some("http")
        {
            headers.insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        let body = match out.body {
            Some(body) => out.attached.body(body, out.dropped)?.clone(),
            None => Bytes::new(),
        };
        if body.is_empty() && [Method::POST, Method::PUT, Method::PATCH].contains(out.method) {
            // Without it some servers wait for a body that never comes, or refuse.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let bytes = head + out.target.as_str().len() + body.len();
        let mut request = hyper::Request::new(OutgoingBody::new(body, out.progress.clone()));
        *request.method_mut() = out.method.clone();
        *request.uri_mut() = out.target.uri().clone();
        *request.headers_mut() = headers;
        Ok((request, bytes as u64))
    }
}
