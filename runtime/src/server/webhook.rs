//! `/hooks/…`: an inbound request for a trigger. It is read within the tenant's limit and handed to the runtime, which
//! judges, journals and answers it.

use std::net::SocketAddr;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::http::request::Parts;

use super::State;
use super::body::Payload;
use super::response::{self, HandlerResult};
use super::taken;
use crate::{Hook, Inbound, Runtime};

/// `first` is a token; or it is a tenant, and `below` is the path of a trigger that has its own.
pub(super) async fn receive(
    state: &State,
    remote: SocketAddr,
    head: &Parts,
    payload: &mut Payload<Incoming>,
    first: &str,
    below: &str,
) -> HandlerResult {
    let (hook, path) = find(&state.runtime, first, below).ok_or_else(response::not_found)?;
    let body = match hook.admit() {
        Ok(room) => payload.read(head, hook.body_limit(), room).await?,
        Err(problem) => return response::answer(hook.refuse(&problem)),
    };
    let room = hook.room();
    let answer = response::answer(hook.receive(inbound(remote, head, path, body)).await)?;
    Ok(taken::on_account(answer, room))
}

/// A request as the runtime takes it; `path` is the part below its address.
pub(super) fn inbound(remote: SocketAddr, head: &Parts, path: String, body: Bytes) -> Inbound {
    Inbound {
        method: head.method.as_str().to_owned(),
        path,
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: headers(head),
        body,
        remote,
    }
}

fn find(runtime: &Runtime, first: &str, below: &str) -> Option<(Hook, String)> {
    if below.is_empty() {
        return Some((runtime.hook(first)?, "/".to_owned()));
    }
    match runtime.hook_at(first, below) {
        Some(hook) => Some((hook, "/".to_owned())),
        None => Some((runtime.hook(first)?, format!("/{below}"))),
    }
}

fn headers(head: &Parts) -> Vec<(String, String)> {
    let mut headers = Vec::with_capacity(head.headers.len() + 1);
    if let Some(authority) = head.uri.authority()
        && !head.headers.contains_key(HOST)
    {
        // HTTP/2 has `:authority` in its place.
        headers.push(("host".to_owned(), authority.as_str().to_owned()));
    }
    for (name, value) in &head.headers {
        headers.push((name.as_str().to_owned(), text(value)));
    }
    headers
}

/// A header's value; bytes that are not UTF-8 are read as Latin-1.
fn text(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().iter().map(|byte| char::from(*byte)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    #[test]
    fn headers_keep_their_order_and_read_old_bytes_as_latin_1() {
        let request = Request::post("/hooks/x")
            .header("x-b", HeaderValue::from_bytes(b"caf\xe9").unwrap())
            .header("x-a", "grün")
            .body(())
            .unwrap();
        let expected = [("x-b", "café"), ("x-a", "grün")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(headers(&request.into_parts().0), expected);
    }

    #[test]
    fn fuzz_every_head_that_can_be_parsed_becomes_a_request() {
        let seeds = [
            "POST /hooks/abc/below?a=1&a=%C3%A9&b HTTP/1.1\r\nhost: x\r\nx-a: 1\r\nx-a: 2\r\n",
            "GET http://u@h:1/hooks/t/p//q?# HTTP/1.1\r\ncookie: a=b; c\r\n",
        ];
        flowcell_fuzz::texts(file!(), &seeds, |text| {
            let mut lines = text.split("\r\n");
            let mut first = lines.next().unwrap_or_default().split(' ');
            let mut request = Request::builder()
                .method(first.next().unwrap_or_default())
                .uri(first.next().unwrap_or_default());
            for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
                request = request.header(name, value.as_bytes());
            }
            let Ok(request) = request.body(()) else { return };
            let head = request.into_parts().0;
            let remote = SocketAddr::from(([127, 0, 0, 1], 1));
            let inbound = inbound(remote, &head, "/".to_owned(), Bytes::new());
            assert!(inbound.headers.len() >= head.headers.len());
            assert!(!inbound.query.contains('#'), "{}", inbound.query);
        });
    }

    #[test]
    fn the_authority_of_http_2_is_shown_as_host() {
        let head = Request::post("https://hooks.example.com/hooks/x").body(()).unwrap().into_parts().0;
        assert_eq!(headers(&head), [("host".to_owned(), "hooks.example.com".to_owned())]);
    }
}
