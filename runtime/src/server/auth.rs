//! Who calls the API under `/api/v1`: a caller with the operator's token or one that was minted; or, on a developer's own
//! machine, a program on it that is no web page of another site. The row of an operation says which role it takes.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{AUTHORIZATION, HOST, ORIGIN};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use subtle::ConstantTimeEq as _;

use super::response::{forbidden, unauthorized};
use crate::{Caller, Problem, Runtime, Shown};

/// What a caller of the API must show.
pub(crate) enum Access {
    /// The operator's token, or another one of this host. The digest of the operator's is kept, so that comparing takes the
    /// same time for every wrong token.
    Token(blake3::Hash),
    /// Nothing, but the caller must be on this machine, and no browser that shows another site.
    Loopback,
}

/// Why a caller is not let in.
pub(super) struct Rejection {
    pub problem: Problem,
    /// The caller, where its token was one of this host.
    pub caller: Option<Caller>,
}

impl From<Problem> for Rejection {
    fn from(problem: Problem) -> Self {
        Self { problem, caller: None }
    }
}

impl Access {
    /// For callers with the operator's token, or one that was minted.
    pub(crate) fn token(token: &str) -> Self {
        Self::Token(blake3::hash(token.as_bytes()))
    }

    /// The caller that sent these headers.
    pub(super) async fn admit(
        &self,
        runtime: &Runtime,
        remote: SocketAddr,
        head: &Parts,
    ) -> Result<Caller, Rejection> {
        let operator = match self {
            Self::Token(operator) => operator,
            Self::Loopback => {
                local(remote, head)?;
                return Ok(Caller::operator("local"));
            }
        };
        let token = bearer(head)?;
        if bool::from(blake3::hash(token.as_bytes()).as_bytes().ct_eq(operator.as_bytes())) {
            return Ok(Caller::operator("operator"));
        }
        match runtime.caller(token).await? {
            Shown::Valid(caller) => Ok(caller),
            Shown::Unknown => Err(unauthorized("this is not a token of this host").into()),
            Shown::Expired(caller) => {
                let name = &caller.name;
                let problem =
                    unauthorized(format!("the time of the token `{name}` is over: ask an admin for another"));
                Err(Rejection { problem, caller: Some(caller) })
            }
        }
    }
}

fn bearer(head: &Parts) -> Result<&str, Problem> {
    let Some(value) = head.headers.get(AUTHORIZATION) else {
        return Err(unauthorized(
            "send `Authorization: Bearer TOKEN`: the token from operator.token in the host's data folder, or one that \
             `flowcell tokens create` gave",
        ));
    };
    let parts = value.to_str().ok().and_then(|text| text.split_once(' '));
    let bearer = parts.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    bearer.map(|(_, token)| token.trim()).ok_or_else(|| unauthorized("this is not a token of this host"))
}

/// A page of another site can make a browser on this machine send requests here. It cannot forge `Host` and `Origin`:
/// a name that was rebound to 127.0.0.1 shows in the first, the page's own site in the second.
fn local(remote: SocketAddr, head: &Parts) -> Result<(), Problem> {
    if !remote.ip().to_canonical().is_loopback() {
        return Err(forbidden("without a token the API answers on this machine only; use `flowcell serve`"));
    }
    if ["forwarded", "x-forwarded-for"].iter().any(|name| head.headers.contains_key(*name)) {
        return Err(forbidden("without a token the API answers no proxy; use `flowcell serve`"));
    }
    let Some(host) = authority(head).filter(is_loopback) else {
        return Err(forbidden("without a token the API answers to localhost, 127.0.0.1 and [::1] only"));
    };
    let same_origin = head.headers.get_all(ORIGIN).iter().all(|origin| {
        let site = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        site.is_some_and(|(_, site)| site.eq_ignore_ascii_case(host.as_str()))
    });
    let fetched_from = head.headers.get("sec-fetch-site").map(|value| value.as_bytes());
    if !same_origin || !matches!(fetched_from, None | Some(b"same-origin" | b"none")) {
        return Err(forbidden("without a token the API answers no page of another site"));
    }
    Ok(())
}

/// The host that the client believes to be talking to. A request that names two has none.
fn authority(head: &Parts) -> Option<Authority> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host.to_str().ok()?.parse::<Authority>().ok()?),
        (None, _) => None,
        (Some(_), Some(_)) => return None,
    };
    match (head.uri.authority(), host) {
        (Some(target), Some(host)) if *target != host => None,
        (Some(target), _) => Some(target.clone()),
        (None, host) => host,
    }
}

fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let named = host.eq_ignore_ascii_case("localhost");
    !authority.as_str().contains('@') && (named || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()))
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::super::testing::open;
    use super::*;
    use crate::Role;

    fn head(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::get("/api/v1/flows");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn ask(remote: &str, headers: &[(&str, &str)]) -> u16 {
        local(remote.parse().unwrap(), &head(headers)).map_or_else(|problem| problem.status, |()| 200)
    }

    #[tokio::test]
    async fn the_operators_token_opens_and_nothing_else_does() {
        let (access, (_, runtime)) = (Access::token("s3cret"), open().await);
        let admit = async |headers: &[(&str, &str)]| {
            let admitted = access.admit(&runtime, "192.0.2.1:9".parse().unwrap(), &head(headers)).await;
            admitted.map_or_else(
                |rejection| rejection.problem.status,
                |caller| if caller.role == Role::Operator { 200 } else { 0 },
            )
        };
        for (value, status) in [
            ("Bearer s3cret", 200),
            ("bearer s3cret", 200),
            ("Bearer s3creT", 401),
            ("Bearer ", 401),
            ("Bearer", 401),
            ("Basic s3cret", 401),
            ("s3cret", 401),
            ("", 401),
            ("Bearer flowcell_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 401),
        ] {
            assert_eq!(admit(&[("authorization", value)]).await, status, "{value}");
        }
        assert_eq!(admit(&[]).await, 401);
    }

    #[test]
    fn without_a_token_only_this_machine_is_let_in() {
        let host = [("host", "localhost:8080")];
        assert_eq!(ask("127.0.0.1:9", &host), 200);
        assert_eq!(ask("[::1]:9", &host), 200);
        assert_eq!(ask("[::ffff:127.0.0.1]:9", &host), 200);
        assert_eq!(ask("192.168.1.7:9", &host), 403);
        assert_eq!(ask("127.0.0.1:9", &[host[0], ("x-forwarded-for", "192.0.2.1")]), 403);
    }

    #[test]
    fn a_name_that_was_rebound_to_this_machine_is_refused() {
        for (host, status) in [
            ("127.0.0.1:8080", 200),
            ("127.0.0.1", 200),
            ("[::1]:8080", 200),
            ("LocalHost:8080", 200),
            ("evil.example:8080", 403),
            ("localhost.evil.example", 403),
            ("192.168.1.7:8080", 403),
            ("user@localhost:1", 403),
        ] {
            assert_eq!(ask("127.0.0.1:9", &[("host", host)]), status, "{host}");
        }
        assert_eq!(ask("127.0.0.1:9", &[]), 403);
        let two = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(ask("127.0.0.1:9", &two), 403);
    }

    #[test]
    fn a_page_of_another_site_is_refused() {
        let from = |name: &str, value: &str| ask("127.0.0.1:9", &[("host", "localhost:8080"), (name, value)]);
        assert_eq!(from("origin", "http://localhost:8080"), 200);
        assert_eq!(from("origin", "http://localhost:3000"), 403);
        assert_eq!(from("origin", "https://evil.example"), 403);
        assert_eq!(from("origin", "null"), 403);
        assert_eq!(from("sec-fetch-site", "same-origin"), 200);
        assert_eq!(from("sec-fetch-site", "none"), 200);
        assert_eq!(from("sec-fetch-site", "same-site"), 403);
        assert_eq!(from("sec-fetch-site", "cross-site"), 403);
    }
}
