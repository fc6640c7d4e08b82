//! The cookies of one request: its answers set them, and the hops that follow send them. They end with the request.

use cookie_store::CookieStore;
use hyper::header::{HeaderMap, HeaderValue, SET_COOKIE};
use url::Url;

use super::headers;

/// The most cookies that one answer may set.
const PER_ANSWER: usize = 50;

/// A jar that lives as long as one request.
#[derive(Debug, Default)]
pub(super) struct Cookies(CookieStore);

impl Cookies {
    /// Takes what an answer from there sets; what it may not set for others is left out.
    pub(super) fn take(&mut self, from: &Url, answer: &HeaderMap) {
        for value in answer.get_all(SET_COOKIE).iter().take(PER_ANSWER) {
            let _ = self.0.parse(&headers::text(value), from);
        }
    }

    /// The cookies that go there. None where there are none.
    pub(super) fn header(&self, to: &Url) -> Option<HeaderValue> {
        let pairs: Vec<String> =
            self.0.get_request_values(to).map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| HeaderValue::from_str(&pairs.join("; ")).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_goes_where_it_belongs() {
        let url = |text: &str| Url::parse(text).unwrap();
        let mut answer = HeaderMap::new();
        for cookie in [
            "a=1",
            "b=2; Path=/only",
            "c=3; Secure",
            "d=4; Domain=example.com",
            "e=5; Domain=other.example",
            "f=6; Max-Age=0",
        ] {
            answer.append(SET_COOKIE, cookie.parse().unwrap());
        }
        let mut cookies = Cookies::default();
        cookies.take(&url("https://a.example.com/x"), &answer);
        let sent = |text: &str| {
            let header = cookies
                .header(&url(text))
                .map(|value| value.to_str().unwrap().to_owned())
                .unwrap_or_default();
            let mut pairs: Vec<_> = header.split("; ").map(str::to_owned).collect();
            pairs.sort();
            pairs.join("; ")
        };
        assert_eq!(sent("https://a.example.com/"), "a=1; c=3; d=4");
        assert_eq!(sent("https://a.example.com/only/y"), "a=1; b=2; c=3; d=4");
        assert_eq!(sent("http://a.example.com/"), "a=1; d=4");
        assert_eq!(sent("https://b.example.com/"), "d=4");
        assert_eq!(sent("https://other.example/"), "");
    }
}
