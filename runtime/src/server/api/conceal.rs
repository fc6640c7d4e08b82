//! What a viewer does not see: the tokens of hooks and callbacks, in every place of a run or a trigger. With such a token
//! anybody may start a run, or answer for the world. How tokens are found is the business of [`redact`].

use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::Response;

use super::super::response::Body;
use crate::{Runtime, redact};

/// The answer without the tokens of addresses.
pub(super) async fn addresses(runtime: &Runtime, response: Response<Body>) -> Response<Body> {
    let (head, body) = response.into_parts();
    let body = match body {
        Either::Left(whole) => {
            let bytes = whole.collect().await.map(|collected| collected.to_bytes()).unwrap_or_default();
            Either::Left(Full::new(without_tokens(bytes, |text| runtime.is_address(text))))
        }
        Either::Right(events) => Either::Right(events.concealed(runtime.clone())),
    };
    Response::from_parts(head, body)
}

/// The text with a mark for each token. An event of a stream is a text of its own.
pub(super) fn without_tokens(text: Bytes, is_token: impl Fn(&str) -> bool) -> Bytes {
    redact::tokens(&text, is_token).map_or(text, Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_an_address_is_concealed_in_every_spelling_of_it() {
        let token = "AbCdEfGhIjKlMnOpQrStUvWx-_012345";
        let address = format!("https://h.example/hooks/{token}?x={}", redact::tests::HARD);
        for (spelling, written) in redact::tests::spellings(&address) {
            // Within another encoding of the whole a token has no letters of its own.
            if spelling == "base64" {
                continue;
            }
            let shown = without_tokens(written.clone().into(), |text| text == token);
            let shown = String::from_utf8(shown.to_vec()).unwrap();
            assert!(shown.contains("***") && !shown.contains(token), "{spelling}: {written}: {shown}");
        }
    }

    #[test]
    fn tokens_are_concealed_wherever_they_stand_and_nothing_else_is() {
        let token = "AbCdEfGhIjKlMnOpQrStUvWx-_012345";
        let other = "ZbCdEfGhIjKlMnOpQrStUvWx-_012345";
        for (text, shown) in [
            (
                format!("{{\"url\":\"http://h/hooks/{token}\"}}"),
                "{\"url\":\"http://h/hooks/***\"}".to_owned(),
            ),
            (format!("a /callbacks/{token}?x=1 b"), "a /callbacks/***?x=1 b".to_owned()),
            (format!("/hooks/hooks/{token}"), "/hooks/hooks/***".to_owned()),
            (
                format!("?to=http%3A%2F%2Fh%2Fcallbacks%2F{token}&n=1"),
                "?to=http%3A%2F%2Fh%2Fcallbacks%2F***&n=1".to_owned(),
            ),
            (format!("%252Fcallbacks%252F{token}%2526"), "%252Fcallbacks%252F***%2526".to_owned()),
            (format!("\\/callbacks\\/{token}"), "\\/callbacks\\/***".to_owned()),
            (format!("callbacks\\u002f{token}"), "callbacks\\u002f***".to_owned()),
            (format!("callbacks&#x2F;{token}\""), "callbacks&#x2F;***\"".to_owned()),
            (format!("{token} {token} {other}"), format!("*** *** {other}")),
            ("/hooks/shop/orders".to_owned(), "/hooks/shop/orders".to_owned()),
            ("ä".repeat(40), "ä".repeat(40)),
        ] {
            assert_eq!(without_tokens(text.into(), |text| text == token), shown);
        }
    }
}
