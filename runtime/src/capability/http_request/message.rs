//! A request as a guest makes it, and the answer as a guest gets it: `wit/http-request.wit`, in types.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A request; nothing about it has been checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Bytes>,
}

/// How to carry it out. What is left out is decided by the limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct SendOptions {
    /// Milliseconds for the whole exchange.
    pub timeout_ms: Option<u64>,
    /// What to do with a redirect.
    pub redirects: Redirects,
    /// How many redirects are followed.
    pub max_redirects: Option<u32>,
    /// Most bytes of the answer's body, decompressed.
    pub max_response_bytes: Option<u64>,
    /// Whether cookies that an answer sets go along with the redirects that follow it.
    pub cookies: bool,
    /// The connection of the tenant that authenticates the request.
    pub connection: Option<String>,
    /// For `Authorization: Basic`; written here and not as a header where one of the two is a placeholder.
    pub basic: Option<BasicOption>,
}

/// A user name and a password.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BasicOption {
    pub username: String,
    pub password: String,
}

/// What to do with a redirect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Redirects {
    /// Go there, each time through the policy.
    #[default]
    Follow,
    /// It is the answer.
    Manual,
    /// It is an error.
    Error,
}

impl SendOptions {
    pub(super) fn timeout(&self, usual: Duration) -> Duration {
        self.timeout_ms.map_or(usual, Duration::from_millis)
    }
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub status: u16,
    /// Names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    /// Decompressed.
    pub body: Bytes,
    pub info: Info,
}

/// How the answer came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Info {
    /// The URL that gave the answer.
    pub url: String,
    /// The redirects on the way to it.
    pub redirects: Vec<Hop>,
    pub timing: Timing,
}

/// One redirect: who sent us on, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Hop {
    pub status: u16,
    pub url: String,
}

/// How long it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Timing {
    pub total_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_known_or_refused_by_name() {
        let options: SendOptions = serde_json::from_str(
            r#"{"timeoutMs":5,"redirects":"manual","maxRedirects":1,"maxResponseBytes":9,
                "cookies":true,"connection":"shop","basic":{"username":"u","password":"p"}}"#,
        )
        .unwrap();
        let expected = SendOptions {
            timeout_ms: Some(5),
            redirects: Redirects::Manual,
            max_redirects: Some(1),
            max_response_bytes: Some(9),
            cookies: true,
            connection: Some("shop".to_owned()),
            basic: Some(BasicOption { username: "u".to_owned(), password: "p".to_owned() }),
        };
        assert_eq!(options, expected);
        assert_eq!(serde_json::from_str::<SendOptions>("{}").unwrap(), SendOptions::default());
        for (text, named) in [
            (r#"{"timeout":5}"#, "unknown field `timeout`"),
            (r#"{"redirects":"always"}"#, "unknown variant `always`"),
            (r#"{"maxRedirects":-1}"#, "-1"),
        ] {
            let error = serde_json::from_str::<SendOptions>(text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn info_has_the_shape_that_the_interface_promises() {
        let info = Info {
            url: "https://b.example/".into(),
            redirects: vec![Hop { status: 302, url: "https://a.example/".into() }],
            timing: Timing { total_ms: 7 },
        };
        assert_eq!(
            serde_json::to_string(&info).unwrap(),
            r#"{"url":"https://b.example/","redirects":[{"status":302,"url":"https://a.example/"}],"timing":{"totalMs":7}}"#
        );
    }
}
