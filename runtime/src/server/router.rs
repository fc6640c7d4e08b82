//! Which request means what. The addresses of hooks and callbacks are found before the rows of the API, because they take
//! every method and most of the traffic.
//!
//! Nothing is decoded: names, versions and tokens consist of characters that need no percent-encoding.

use super::api::{self, Route};

/// Where a request leads.
pub(super) enum Destination<'a> {
    /// `/hooks/{first}` or `/hooks/{first}/{below}`.
    Hook { first: &'a str, below: &'a str },
    /// `/callbacks/{token}`.
    Callback { token: &'a str },
    /// A row of the API, with what stands in the places of its path.
    Api(&'static Route, [&'a str; 2]),
    /// The path exists, but not for this method: the methods that it takes.
    OtherMethod(String),
    /// There is no such path.
    Nothing,
}

/// Finds where `method` on `path` leads. `HEAD` goes where `GET` goes.
pub(super) fn find<'a>(method: &str, path: &'a str) -> Destination<'a> {
    if let Some(rest) = path.strip_prefix("/hooks/") {
        return match rest.split_once('/').unwrap_or((rest, "")) {
            ("", _) => Destination::Nothing,
            (first, below) => Destination::Hook { first, below },
        };
    }
    if let Some(token) = path.strip_prefix("/callbacks/") {
        let one_segment = !token.is_empty() && !token.contains('/');
        return if one_segment { Destination::Callback { token } } else { Destination::Nothing };
    }
    let method = if method == "HEAD" { "GET" } else { method };
    let mut others = vec![];
    for route in api::routes() {
        let Some(places) = places(route.path, path) else {
            continue;
        };
        if route.method == method {
            return Destination::Api(route, places);
        }
        others.push(route.method);
    }
    if others.is_empty() { Destination::Nothing } else { Destination::OtherMethod(allow(&others)) }
}

/// What stands in the places of `template`, when `path` has its form.
fn places<'a>(template: &str, path: &'a str) -> Option<[&'a str; 2]> {
    let mut places = [""; 2];
    let mut filled = 0;
    let mut segments = path.split('/');
    for expected in template.split('/') {
        let segment = segments.next()?;
        if !expected.starts_with('{') {
            if segment != expected {
                return None;
            }
        } else if segment.is_empty() {
            return None;
        } else {
            places[filled] = segment;
            filled += 1;
        }
    }
    segments.next().is_none().then_some(places)
}

/// The value of the header `Allow`.
fn allow(methods: &[&str]) -> String {
    let mut allow = methods.to_vec();
    if allow.contains(&"GET") {
        allow.push("HEAD");
    }
    allow.push("OPTIONS");
    allow.join(", ")
}

/// The name of the operation that a request leads to.
#[cfg(test)]
pub(crate) fn operation(method: &str, path: &str) -> Option<&'static str> {
    match find(method, path) {
        Destination::Api(route, _) => Some(route.operation),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A destination in words.
    fn led(method: &str, path: &str) -> String {
        match find(method, path) {
            Destination::Hook { first, below } => format!("hook {first} {below}"),
            Destination::Callback { token } => format!("callback {token}"),
            Destination::Api(route, places) => format!("{} {}", route.operation, places.join(" ")),
            Destination::OtherMethod(allow) => format!("takes {allow}"),
            Destination::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn requests_find_where_they_lead() {
        for (method, path, expected) in [
            ("POST", "/hooks/t0ken", "hook t0ken"),
            ("PATCH", "/hooks/t0ken/", "hook t0ken"),
            ("GET", "/hooks/shop/orders/in", "hook shop orders/in"),
            ("POST", "/hooks/", "nothing"),
            ("POST", "/hooks", "nothing"),
            ("POST", "/hooks//x", "nothing"),
            ("POST", "/callbacks/t0ken", "callback t0ken"),
            ("GET", "/callbacks/t0ken", "callback t0ken"),
            ("POST", "/callbacks/t0ken/x", "nothing"),
            ("POST", "/callbacks/", "nothing"),
            ("GET", "/healthz", "Healthz"),
            ("HEAD", "/readyz", "Readyz"),
            ("PUT", "/api/v1/flows/shop/in", "PutFlow shop in"),
            ("POST", "/api/v1/flows/shop/in/runs", "StartRun shop in"),
            ("GET", "/api/v1/runs/7", "ShowRun 7"),
            ("POST", "/api/v1/runs/7/cancel", "CancelRun 7"),
            ("GET", "/api/v1/flows/", "nothing"),
            ("GET", "/api/v1/flows/shop", "nothing"),
            ("GET", "/api/v1/flows/shop/in/", "nothing"),
            ("GET", "/api/v1/flows//in", "nothing"),
            ("GET", "/api/v2/flows", "nothing"),
            ("GET", "//healthz", "nothing"),
            ("GET", "/", "nothing"),
            ("GET", "*", "nothing"),
            ("POST", "/healthz", "takes GET, HEAD, OPTIONS"),
            ("PATCH", "/api/v1/flows/a/b", "takes GET, PUT, DELETE, HEAD, OPTIONS"),
            ("GET", "/api/v1/runs/7/cancel", "takes POST, OPTIONS"),
            ("OPTIONS", "/api/v1/plugins", "takes GET, POST, HEAD, OPTIONS"),
        ] {
            assert_eq!(led(method, path).trim_end(), expected, "{method} {path}");
        }
    }

    #[test]
    fn every_row_is_reached() {
        for route in api::routes() {
            let path = route.path.replace(['{', '}'], "");
            assert_eq!(operation(route.method, &path), Some(route.operation), "{} {path}", route.method);
        }
    }
}
