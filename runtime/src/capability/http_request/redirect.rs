//! What follows from a redirect: method, body and headers of the next hop. A decision only; [`super::client`] goes there.

use hyper::header::{HeaderMap, LOCATION};
use hyper::{Method, StatusCode};

use super::headers::{self, DroppedHeaders};
use super::target::Target;

/// The next hop.
#[derive(Debug)]
pub(super) struct Next {
    pub target: Target,
    pub method: Method,
    /// Whether the body goes along.
    pub body: bool,
    pub dropped: DroppedHeaders,
}

/// Where an answer leads. None when nothing follows it. A redirect to something that is not followed, such as `mailto:` or
/// a broken URL, is the answer too: the caller can read it there.
pub(super) fn next(
    from: &Target,
    method: &Method,
    dropped: DroppedHeaders,
    status: StatusCode,
    answer: &HeaderMap,
    url_limit: usize,
) -> Option<Next> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let target = from.join(&headers::text(answer.get(LOCATION)?), url_limit)?;
    let to_get = match status.as_u16() {
        301 | 302 => *method == Method::POST,
        303 => *method != Method::GET && *method != Method::HEAD,
        _ => false,
    };
    Some(Next {
        // What was dropped once stays dropped, even when the way leads back.
        dropped: DroppedHeaders {
            credentials: dropped.credentials || !from.same_origin(&target),
            content: dropped.content || to_get,
        },
        target,
        method: if to_get { Method::GET } else { method.clone() },
        body: !to_get,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(method: Method, status: u16, location: Option<&str>) -> Option<Next> {
        let from = Target::parse("https://a.example/x", 8192).unwrap();
        let mut answer = HeaderMap::new();
        if let Some(location) = location {
            answer.insert(LOCATION, location.parse().unwrap());
        }
        next(&from, &method, DroppedHeaders::default(), StatusCode::from_u16(status).unwrap(), &answer, 8192)
    }

    #[test]
    fn method_and_body_follow_the_status() {
        let cases = [
            (301, Method::POST, Method::GET, false),
            (302, Method::POST, Method::GET, false),
            (302, Method::PUT, Method::PUT, true),
            (301, Method::DELETE, Method::DELETE, true),
            (303, Method::PUT, Method::GET, false),
            (303, Method::HEAD, Method::HEAD, true),
            (303, Method::GET, Method::GET, true),
            (307, Method::POST, Method::POST, true),
            (308, Method::PATCH, Method::PATCH, true),
        ];
        for (status, method, expected, body) in cases {
            let next = follow(method.clone(), status, Some("/y")).unwrap();
            assert_eq!((next.method, next.body), (expected, body), "{status} {method}");
            assert_eq!(next.dropped, DroppedHeaders { credentials: false, content: !body });
        }
    }

    #[test]
    fn another_origin_gets_no_credentials() {
        for (location, dropped) in [
            ("/y", false),
            ("https://a.example:443/y", false),
            ("http://a.example/x", true),
            ("https://a.example:8443/", true),
            ("https://b.example/", true),
        ] {
            assert_eq!(
                follow(Method::GET, 302, Some(location)).unwrap().dropped.credentials,
                dropped,
                "{location}"
            );
        }
    }

    #[test]
    fn what_leads_nowhere_is_the_answer() {
        for (status, location) in
            [(200, Some("/y")), (300, Some("/y")), (304, Some("/y")), (302, None), (302, Some("mailto:a@b"))]
        {
            assert!(follow(Method::GET, status, location).is_none(), "{status} {location:?}");
        }
    }
}
