//! Bytes as text, by the charset that the content type names. Nothing is guessed.

/// The text; none where the charset is not known here or the bytes are not in it.
pub fn decode(bytes: Vec<u8>, charset: Option<&str>) -> Result<String, Vec<u8>> {
    let charset = charset.unwrap_or("utf-8").to_ascii_lowercase();
    match charset.as_str() {
        "utf-8" | "utf8" => String::from_utf8(bytes).map(without_mark).map_err(|error| error.into_bytes()),
        "us-ascii" | "ascii" if bytes.is_ascii() => {
            String::from_utf8(bytes).map_err(|error| error.into_bytes())
        }
        // The web reads Latin-1 as its superset by Windows, and so do servers that name it.
        "iso-8859-1" | "latin1" | "windows-1252" | "cp1252" => {
            Ok(bytes.iter().map(|byte| windows_1252(*byte)).collect())
        }
        "utf-16" | "utf-16le" | "utf-16be" => utf_16(&bytes, &charset).ok_or(bytes),
        _ => Err(bytes),
    }
}

/// By its byte order mark, else as the name says; little-endian where neither does, as the web reads it.
fn utf_16(bytes: &[u8], charset: &str) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    let is_big = match units.first() {
        Some([0xfe, 0xff]) => true,
        Some([0xff, 0xfe]) => false,
        _ => charset == "utf-16be",
    };
    let units =
        units.iter().map(|unit| if is_big { u16::from_be_bytes(*unit) } else { u16::from_le_bytes(*unit) });
    let text: String = char::decode_utf16(units).collect::<Result<_, _>>().ok()?;
    rest.is_empty().then(|| without_mark(text))
}

/// The charset parameter of a content type.
pub fn parameter(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    })
}

fn without_mark(text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    }
}

fn windows_1252(byte: u8) -> char {
    const UPPER: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
        '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => UPPER[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_charset_parameter_is_found_in_any_dress() {
        for (text, found) in [
            ("text/html; charset=UTF-8", Some("UTF-8")),
            ("text/html;boundary=x; Charset=\"iso-8859-1\"", Some("iso-8859-1")),
            ("text/html", None),
        ] {
            assert_eq!(parameter(text), found);
        }
    }

    #[test]
    fn bytes_are_read_by_their_charset_and_never_guessed() {
        assert_eq!(decode(b"\xe9\x80".to_vec(), Some("ISO-8859-1")).unwrap(), "é€");
        assert_eq!(decode("\u{feff}é".as_bytes().to_vec(), None).unwrap(), "é");
        assert!(decode(b"\xe9".to_vec(), None).is_err());
        assert!(decode(b"\xe9".to_vec(), Some("us-ascii")).is_err());
        for (bytes, charset) in
            [(&b"\xff\xfe\xe9\0"[..], "utf-16"), (b"\xe9\0", "UTF-16LE"), (b"\0\xe9", "utf-16be")]
        {
            assert_eq!(decode(bytes.to_vec(), Some(charset)).unwrap(), "é");
        }
        assert!(decode(b"\0\xd8".to_vec(), Some("utf-16")).is_err());
        assert!(decode(b"\0".to_vec(), Some("utf-16")).is_err());
        assert!(decode(b"a".to_vec(), Some("shift_jis")).is_err());
    }
}
