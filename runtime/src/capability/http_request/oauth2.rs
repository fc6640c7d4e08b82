//! Access tokens by client credentials (RFC 6749, section 4.4): fetched through the tenant's own policy, kept until they
//! expire, and fetched anew when a server refuses them.
//!
//! The exchange is one form and one answer; a library for all of OAuth would bring its own HTTP client or types for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Method;
use hyper::header::ACCEPT;
use serde::Deserialize;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::answer;
use super::authorize::{self, Attachments};
use super::body::Progress;
use super::client::Egress;
use super::error::{Code, Failure};
use super::headers::DroppedHeaders;
use super::hop::Outbound;
use super::pool::Generation;
use super::target::Target;
use crate::capability::vault::{Connection, OAuth2, SecretText, Token, TokenAuth};

/// The largest answer of a token server.
const ANSWER_BYTES: u64 = 64 * 1024;
/// How long before its end a token is not used any more, at most.
const EARLY: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct GrantedToken {
    access_token: String,
    token_type: Option<String>,
    expires_in: Option<f64>,
}

#[derive(Deserialize)]
struct TokenRefusal {
    error: String,
    error_description: Option<String>,
}

/// The connection's token. `refused` is one that a server has not taken.
pub(super) async fn token(
    egress: &Egress,
    generation: &Generation,
    connection: &Connection,
    oauth2: &OAuth2,
    refused: Option<&Token>,
    until: Instant,
) -> Result<Token, Failure> {
    // The lock is held while a token is fetched: a request that comes meanwhile gets the same one.
    let mut kept = connection.token.lock().await;
    if let Some(token) = &*kept
        && token.until.is_none_or(|until| Instant::now() < until)
        && refused.is_none_or(|refused| refused.value != token.value)
    {
        return Ok(token.clone());
    }
    let named = |failure: Failure| Failure {
        detail: format!("the token of the connection `{}`: {}", connection.name, failure.detail),
        ..failure
    };
    let token = fetch(egress, generation, oauth2, until).await.map_err(named)?;
    *kept = Some(token.clone());
    Ok(token)
}

async fn fetch(
    egress: &Egress,
    generation: &Generation,
    oauth2: &OAuth2,
    until: Instant,
) -> Result<Token, Failure> {
    let limits = &egress.shared.limits;
    let target = Target::parse(&oauth2.token_url, limits.url)?;
    let (headers, body) = request(oauth2);
    let out = Outbound {
        target: &target,
        method: &Method::POST,
        headers: &headers,
        dropped: DroppedHeaders::default(),
        attached: &Attachments::default(),
        body: Some(&body),
        cookies: None,
        until,
        // Of its own: what becomes of it says nothing about the guest's request.
        progress: &Arc::new(Progress::default()),
    };
    let authorization = match oauth2.client_authentication {
        // Each is encoded as in a form before the two are joined (RFC 6749, section 2.3.1).
        TokenAuth::Basic => Some(authorize::basic(
            &byte_serialize(oauth2.client_id.as_bytes()).collect::<String>(),
            &byte_serialize(oauth2.client_secret.expose().as_bytes()).collect::<String>(),
        )),
        TokenAuth::Body => None,
    };
    let begun = Instant::now();
    let answer = egress.exchange(generation, &out, authorization.as_ref()).await?;
    let way = (target.clone(), vec![], begun);
    let answer = answer::read(answer, ANSWER_BYTES, limits, &egress.account, way).await?;
    read(answer.status, &answer.body, target.authority(), begun)
}

fn request(oauth2: &OAuth2) -> (Vec<(String, String)>, Bytes) {
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if !oauth2.scopes.is_empty() {
        form.append_pair("scope", &oauth2.scopes.join(" "));
    }
    if let Some(audience) = &oauth2.audience {
        form.append_pair("audience", audience);
    }
    if oauth2.client_authentication == TokenAuth::Body {
        form.append_pair("client_id", &oauth2.client_id);
        form.append_pair("client_secret", oauth2.client_secret.expose());
    }
    let headers = vec![
        ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
        (ACCEPT.as_str().to_owned(), "application/json".to_owned()),
    ];
    (headers, form.finish().into())
}

/// As much of a server's words as a message needs, without what would break a line.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn read(status: u16, body: &[u8], from: &str, begun: Instant) -> Result<Token, Failure> {
    let refused = |detail: String| Failure {
        retryable: status == 429 || status >= 500,
        ..Failure::new(Code::Credentials, detail)
    };
    if status != 200 {
        // What the standard's errors say; another body may hold anything.
        let why = match serde_json::from_slice::<TokenRefusal>(body) {
            Ok(TokenRefusal { error, error_description: Some(description) }) => {
                format!(": {} ({})", shown(&error), shown(&description))
            }
            Ok(TokenRefusal { error, .. }) => format!(": {}", shown(&error)),
            Err(_) => String::new(),
        };
        return Err(refused(format!("{from} answered {status}{why}")));
    }
    let granted: GrantedToken = serde_json::from_slice(body).map_err(|_| {
        refused(format!("{from} answered 200, but not with a JSON object that has an access_token"))
    })?;
    if granted.token_type.as_deref().is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(refused(format!("{from} gives tokens of a type that is not Bearer")));
    }
    let header = hyper::header::HeaderValue::from_str(&granted.access_token);
    if granted.access_token.is_empty() || header.is_err() {
        return Err(refused(format!("{from} gives a token that no header can carry")));
    }
    let lasts = granted.expires_in.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let until = lasts.and_then(|lasts| begun.checked_add(lasts - EARLY.min(lasts / 10)));
    Ok(Token { value: SecretText::from(granted.access_token), until })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(body: &str) -> Result<Token, Failure> {
        read(200, body.as_bytes(), "t.example", Instant::now())
    }

    #[test]
    fn a_token_is_used_until_shortly_before_its_end() {
        let begun = Instant::now();
        for (expires_in, seconds) in [("3600", 3570.0), ("100", 90.0), ("1", 0.9), ("\"x\"", -1.0)] {
            let body =
                format!(r#"{{"access_token": "t", "token_type": "bearer", "expires_in": {expires_in}}}"#);
            match read(200, body.as_bytes(), "t.example", begun) {
                Ok(token) => assert_eq!(token.until.unwrap(), begun + Duration::from_secs_f64(seconds)),
                Err(failure) => assert!(seconds < 0.0, "{}", failure.detail),
            }
        }
        assert_eq!(granted(r#"{"access_token": "t"}"#).unwrap().until, None);
        assert_eq!(granted(r#"{"access_token": "t", "expires_in": -5}"#).unwrap().until, None);
    }

    #[test]
    fn what_is_no_token_says_why() {
        for (status, body, detail, retryable) in [
            (400, r#"{"error": "invalid_client"}"#, "t.example answered 400: invalid_client", false),
            (
                401,
                r#"{"error": "invalid_scope", "error_description": "no such scope"}"#,
                "t.example answered 401: invalid_scope (no such scope)",
                false,
            ),
            (503, "<html>", "t.example answered 503", true),
            (429, "", "t.example answered 429", true),
            (302, "", "t.example answered 302", false),
            (200, "{}", "t.example answered 200, but not with a JSON object that has an access_token", false),
            (200, r#"{"access_token": "a\nb"}"#, "t.example gives a token that no header can carry", false),
            (
                200,
                r#"{"access_token": "t", "token_type": "mac"}"#,
                "t.example gives tokens of a type that is not Bearer",
                false,
            ),
        ] {
            let failure = read(status, body.as_bytes(), "t.example", Instant::now()).unwrap_err();
            assert_eq!((failure.detail.as_str(), failure.retryable), (detail, retryable));
            assert_eq!(failure.code, Code::Credentials);
        }
    }
}
