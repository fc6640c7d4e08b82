//! What a viewer does not see: the addresses of hooks and callbacks. Whoever has one may start a run, or answer for the
//! world; the token in it is a credential, wherever in a run or a trigger it stands.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::Response;

use super::super::response::Body;

/// What the token of an address comes after, as it stands and as it is written within a query.
static BEFORE: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::new([
        "/hooks/",
        "/callbacks/",
        "%2Fhooks%2F",
        "%2Fcallbacks%2F",
        "%2fhooks%2f",
        "%2fcallbacks%2f",
    ])
    .expect("the patterns are few and short")
});
/// The shortest run of characters that can be a token: names of tenants and paths mostly are shorter.
const TOKEN_CHARACTERS: usize = 20;

/// The answer without the tokens of addresses.
pub(super) async fn addresses(response: Response<Body>) -> Response<Body> {
    let (head, body) = response.into_parts();
    let body = match body {
        Either::Left(whole) => {
            let bytes = whole.collect().await.map(|collected| collected.to_bytes()).unwrap_or_default();
            Either::Left(Full::new(without_tokens(bytes)))
        }
        Either::Right(events) => Either::Right(events.concealed()),
    };
    Response::from_parts(head, body)
}

/// The text with `***` for each token. An event of a stream is a text of its own.
pub(super) fn without_tokens(text: Bytes) -> Bytes {
    let (mut shown, mut at) = (vec![], 0);
    for before in BEFORE.find_iter(&text) {
        let is_of_token = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
        let length = text[before.end()..].iter().take_while(is_of_token).count();
        if length >= TOKEN_CHARACTERS {
            shown.extend_from_slice(&text[at..before.end()]);
            shown.extend_from_slice(b"***");
            at = before.end() + length;
        }
    }
    if at == 0 {
        return text;
    }
    shown.extend_from_slice(&text[at..]);
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_addresses_are_concealed_and_nothing_else_is() {
        let token = "AbCdEfGhIjKlMnOpQrStUvWx-_012345";
        for (text, shown) in [
            (format!("{{\"url\":\"http://h/hooks/{token}\"}}"), "{\"url\":\"http://h/hooks/***\"}"),
            (format!("a /callbacks/{token}?x=1 b"), "a /callbacks/***?x=1 b"),
            (
                format!("?to=http%3A%2F%2Fh%2Fcallbacks%2F{token}&n=1"),
                "?to=http%3A%2F%2Fh%2Fcallbacks%2F***&n=1",
            ),
            (format!("/hooks/{token} /hooks/{token}"), "/hooks/*** /hooks/***"),
            ("/hooks/shop/orders".to_owned(), "/hooks/shop/orders"),
            (token.to_owned(), token),
        ] {
            assert_eq!(without_tokens(text.into()), shown);
        }
    }
}
