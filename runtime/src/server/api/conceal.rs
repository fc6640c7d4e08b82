//! What a viewer does not see: the tokens of hooks and callbacks. Whoever has one may start a run, or answer for the world,
//! wherever in a run or a trigger it stands.
//!
//! Each run of letters in a text that could be a token is looked at, whatever stands around it: an address may be written
//! within a query, or its parts apart. What is not found is a token within another encoding of the whole, base64 for
//! instance.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::Response;

use super::super::response::Body;
use crate::Runtime;

/// The shortest run of characters that can be a token: that of a hook has 24 bytes in base64.
const TOKEN_CHARACTERS: usize = 32;
/// What an escape before a token leaves at its beginning: of a slash, an equals sign, a quotation mark.
const LEFT_OF_ESCAPES: [&str; 10] = ["2F", "2f", "252F", "252f", "3D", "3d", "22", "u002f", "u002F", "n"];

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

/// The text with `***` for each token. An event of a stream is a text of its own.
pub(super) fn without_tokens(text: Bytes, is_token: impl Fn(&str) -> bool) -> Bytes {
    let mut shown = vec![];
    let (mut kept, mut at) = (0, 0);
    while at < text.len() {
        let is_of_token = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
        let length = text[at..].iter().take_while(is_of_token).count();
        let run = std::str::from_utf8(&text[at..at + length]).unwrap_or_default();
        if let Some(token) = token_in(run, &is_token) {
            let from = at + length - token.len();
            shown.extend_from_slice(&text[kept..from]);
            shown.extend_from_slice(b"***");
            kept = at + length;
        }
        at += length.max(1);
    }
    if kept == 0 {
        return text;
    }
    shown.extend_from_slice(&text[kept..]);
    shown.into()
}

fn token_in<'t>(run: &'t str, is_token: &impl Fn(&str) -> bool) -> Option<&'t str> {
    if run.len() < TOKEN_CHARACTERS {
        return None;
    }
    let after_escapes = LEFT_OF_ESCAPES.iter().filter_map(|escape| run.strip_prefix(escape));
    std::iter::once(run).chain(after_escapes).find(|text| text.len() >= TOKEN_CHARACTERS && is_token(text))
}

#[cfg(test)]
mod tests {
    use super::*;

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
