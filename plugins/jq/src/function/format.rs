//! `@csv`, `@uri` and the other formats, alone or in front of an interpolated string.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use jaq_core::native::v;

use super::{Native, once};
use crate::value::{Val, ValR, error};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    // Unpadded text is read as well, as jq does.
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The functions of this file.
pub(super) fn list() -> Vec<Native> {
    vec![
        ("@text", v(0), |cv| once(Ok(jaq_core::ValT::into_string(cv.1)))),
        ("@json", v(0), |cv| once(Ok(Val::from(cv.1.to_string())))),
        ("@csv", v(0), |cv| {
            once(row(&cv.1, "@csv", ",", |text| format!("\"{}\"", text.replace('"', "\"\""))))
        }),
        ("@tsv", v(0), |cv| once(row(&cv.1, "@tsv", "\t", tab_escaped))),
        ("@html", v(0), |cv| once(escaped(cv.1, html))),
        ("@uri", v(0), |cv| once(escaped(cv.1, percent_encoded))),
        ("@urid", v(0), |cv| once(percent_decoded(cv.1))),
        ("@sh", v(0), |cv| once(shell(&cv.1))),
        ("@base64", v(0), |cv| once(escaped(cv.1, |text| BASE64.encode(text)))),
        ("@base64d", v(0), |cv| once(base64_decoded(cv.1))),
        ("@base32", v(0), |cv| once(escaped(cv.1, |text| base32(text.as_bytes())))),
        ("@base32d", v(0), |cv| once(base32_decoded(cv.1))),
    ]
}

fn escaped(value: Val, escape: impl FnOnce(&str) -> String) -> ValR {
    match &value {
        Val::Str(text) => Ok(Val::from(escape(text))),
        other => Ok(Val::from(escape(&other.to_string()))),
    }
}

fn row(value: &Val, name: &str, separator: &str, quote: impl Fn(&str) -> String) -> ValR {
    let mut cells = Vec::new();
    for item in value.items(name)?.iter() {
        cells.push(match item {
            Val::Null => String::new(),
            Val::Bool(_) | Val::Num(_) => item.to_string(),
            Val::Str(text) => quote(text),
            other => {
                return Err(error(format!("{} is not valid in a {} row", other.described(), &name[1..])));
            }
        });
    }
    Ok(Val::from(cells.join(separator)))
}

fn tab_escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '\'' => escaped.push_str("&#39;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn percent_encoded(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    encoded
}

fn percent_decoded(value: Val) -> ValR {
    let text = value.to_string_value();
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first != b'%' {
            decoded.push(*first);
            rest = tail;
            continue;
        }
        let byte = tail
            .get(..2)
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let Some(byte) = byte.and_then(|hex| u8::from_str_radix(hex, 16).ok()) else {
            return Err(error(format!("{} is not a valid uri encoding", value.described())));
        };
        decoded.push(byte);
        rest = &tail[2..];
    }
    Ok(Val::from(String::from_utf8_lossy(&decoded).into_owned()))
}

fn shell(value: &Val) -> ValR {
    let items = match value {
        Val::Arr(items) => items.as_slice(),
        other => std::slice::from_ref(other),
    };
    let mut words = Vec::with_capacity(items.len());
    for item in items {
        words.push(match item {
            Val::Str(text) => format!("'{}'", text.replace('\'', "'\\''")),
            Val::Arr(_) | Val::Obj(_) => {
                return Err(error(format!("{} can not be escaped for shell", item.described())));
            }
            scalar => scalar.to_string(),
        });
    }
    Ok(Val::from(words.join(" ")))
}

fn base64_decoded(value: Val) -> ValR {
    let text = value.to_string_value();
    match BASE64.decode(text.as_bytes()) {
        Ok(bytes) => Ok(Val::from(String::from_utf8_lossy(&bytes).into_owned())),
        Err(_) => Err(error(format!("{} is not valid base64 data", value.described()))),
    }
}

fn base32(bytes: &[u8]) -> String {
    let mut encoded = String::new();
    for chunk in bytes.chunks(5) {
        let mut group = [0_u8; 8];
        group[3..3 + chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(group);
        // 1, 2, 3, 4, 5 bytes are 2, 4, 5, 7, 8 characters.
        let used = (chunk.len() * 8).div_ceil(5);
        for at in 0..8 {
            let index = (bits >> (35 - 5 * at)) & 31;
            encoded.push(if at < used { char::from(BASE32[index as usize]) } else { '=' });
        }
    }
    encoded
}

fn base32_decoded(value: Val) -> ValR {
    let text = value.to_string_value();
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for character in text.trim_end_matches('=').bytes() {
        let Some(index) = BASE32.iter().position(|known| *known == character) else {
            return Err(error(format!("{} is not valid base32 data", value.described())));
        };
        bits = (bits << 5) | index as u32;
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Ok(Val::from(String::from_utf8_lossy(&bytes).into_owned()))
}

impl Val {
    fn to_string_value(&self) -> String {
        match self {
            Val::Str(text) => text.to_string(),
            other => other.to_string(),
        }
    }
}
