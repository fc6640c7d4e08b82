//! Every spelling of a text, and what is left of it; the callers' tests run their own ways of hiding over the same list.

use super::*;

/// A text with all the characters that something must write otherwise.
pub(crate) const HARD: &str = " a/b?c=d&e+f%2Fg%\"h'i\\j<k>l\u{e4}\u{1f600}\n~m:*n ";

/// The text in every spelling, each with its name.
pub(crate) fn spellings(text: &str) -> Vec<(&'static str, String)> {
    let percent = |keep: &str, lower: bool| -> String {
        let spell = |byte: u8| match char::from(byte) {
            char if char.is_ascii_alphanumeric() || "-._~".contains(char) || keep.contains(char) => {
                char.to_string()
            }
            _ if lower => format!("%{byte:02x}"),
            _ => format!("%{byte:02X}"),
        };
        text.bytes().map(spell).collect()
    };
    let form = percent("*", false).replace("%20", "+").replace('~', "%7E");
    let json = serde_json::to_string(text).unwrap();
    let json = &json[1..json.len() - 1];
    let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
    let twice = serde_json::to_string(json).unwrap();
    let entities = |quotation_mark: &str, apostrophe: &str| {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        text.replace('"', quotation_mark).replace('\'', apostrophe)
    };
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    vec![
        ("as it is", text.to_owned()),
        ("percent", percent("", false)),
        ("percent in lower case", percent("", true)),
        ("percent but for slashes", percent("/", false)),
        ("percent with plus", percent("", false).replace("%20", "+")),
        ("form", form.clone()),
        ("form in lower case", percents_lowered(&form)),
        ("JSON", json.to_owned()),
        ("JSON with slashes escaped", json.replace('/', "\\/")),
        ("JSON for HTML", json.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")),
        ("JSON in ASCII", json.replace('\u{e4}', "\\u00e4").replace('\u{1f600}', "\\ud83d\\ude00")),
        ("JSON, every character escaped", units),
        ("JSON within JSON", twice[1..twice.len() - 1].to_owned()),
        ("only slashes escaped", text.replace('/', "\\/")),
        ("XML", entities("&quot;", "&apos;")),
        ("HTML", entities("&#34;", "&#39;")),
        ("HTML with a hexadecimal number", entities("&#34;", "&#x27;")),
        ("XML within JSON for HTML", entities("&quot;", "&apos;").replace('&', "\\u0026")),
        ("base64", base64),
    ]
}

fn percents_lowered(text: &str) -> String {
    let mut codes = text.split('%');
    let first = codes.next().unwrap_or_default().to_owned();
    codes.fold(first, |done, code| format!("{done}%{}{}", code[..2].to_lowercase(), &code[2..]))
}

fn redactor(texts: &[&str]) -> Redactor {
    let mut redactor = Redactor::default();
    texts.iter().for_each(|text| redactor.hide(text));
    redactor
}

#[test]
fn a_text_is_hidden_in_every_spelling() {
    let (as_it_is, parts_too) = (redactor(&[HARD]), Redactor { parts_too: true, ..redactor(&[HARD]) });
    for (spelling, written) in spellings(HARD) {
        for redactor in [&as_it_is, &parts_too] {
            let mut text = format!("x={written}!");
            redactor.text(&mut text);
            assert_eq!(text, "x=***!", "{spelling}: {written}");
        }
    }
}

#[test]
fn what_overlaps_or_touches_is_one_mark() {
    let redactor = redactor(&["secret", "secret-and-more", "more-of-it", "t-and-m", "short"]);
    for (text, shown) in [
        ("a secret-and-more, a secret, in short", "a ***, a ***, in short"),
        ("secret-and-more-of-it.", "***."),
        ("secretsecret secret", "*** ***"),
        ("secre", "secre"),
        ("", ""),
    ] {
        let mut hidden = text.to_owned();
        redactor.text(&mut hidden);
        assert_eq!(hidden, shown, "{text}");
    }
}

#[test]
fn json_stays_json() {
    let secret = "ab+cd/ef'gh\"\\p\u{e4}ssw\u{f6}rt\nline-two";
    let redactor = redactor(&[secret]);
    let once = serde_json::to_string(secret).unwrap();
    for echoed in [
        once.replace('+', "\\u002B").replace('\'', "\\u0027"),
        once.replace('\u{e4}', "\\u00e4").replace('\u{f6}', "\\u00F6"),
        serde_json::to_string(&once).unwrap(),
    ] {
        let body = format!("{{\"say\":{echoed},\"n\":1}}");
        let shown = String::from_utf8(redactor.without(body.as_bytes()).unwrap()).unwrap();
        let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert!(["***", "\"***\""].contains(&read["say"].as_str().unwrap()), "{echoed}: {shown}");
    }
}

#[test]
fn the_short_spellings_of_a_short_text_stay() {
    let redactor = redactor(&["pass", ""]);
    for (text, shown) in [("a pass", "a pass"), ("cGFzcw== pass", "*** pass")] {
        let mut hidden = text.to_owned();
        redactor.text(&mut hidden);
        assert_eq!(hidden, shown);
    }
    assert!(Redactor::default().is_empty() && Redactor::default().without(b"anything").is_none());
}

#[test]
fn bytes_that_are_no_text_stay_around_what_is_hidden() {
    let shown = redactor(&["s3cr3t"]).without(b"\xff\\s3cr3t\xfe\\u00e4").unwrap();
    assert_eq!(shown, b"\xff\\***\xfe\\u00e4");
}

#[test]
fn a_part_of_a_long_text_is_hidden_where_parts_are() {
    let token = "eyJhbGciOiJFZERTQSJ9.".repeat(10);
    let cut = format!("{}…", &token[..48]);
    for (parts_too, shown) in [(true, "***…"), (false, &*cut)] {
        let redactor = Redactor { parts_too, ..redactor(&[&token]) };
        let mut text = cut.clone();
        redactor.text(&mut text);
        assert_eq!(text, shown);
    }
}

#[test]
fn a_text_with_too_many_finds_is_hidden_whole() {
    let texts: Vec<String> = (SHORTEST..300).map(|length| "a".repeat(length)).collect();
    let redactor = redactor(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let mut text = "b".to_owned() + &"a".repeat(5000);
    redactor.text(&mut text);
    assert_eq!(text, "***");
}

#[test]
fn what_is_hidden_is_not_shown_by_debug_either() {
    assert_eq!(format!("{:?}", redactor(&["s3cr3t"])), "Redactor(1 texts)");
}
