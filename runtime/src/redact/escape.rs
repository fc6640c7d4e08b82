//! A text without the escapes of JSON strings, and where each part of it stands in the text with them. A server tells back
//! what it was told, and its JSON library decides which characters are escaped; the same holds for JSON within JSON.

use std::ops::Range;

use memchr::memchr;

/// Gives the text as it stands, as it reads behind the escapes of JSON, and behind those of JSON within JSON; each with
/// what says where a part of it stands in the text itself.
pub(super) fn each_reading(text: &[u8], mut each: impl FnMut(&[u8], &dyn Fn(Range<usize>) -> Range<usize>)) {
    each(text, &|part| part);
    let Some(once) = Reading::of(text) else { return };
    each(&once.text, &|part| once.range(part));
    let Some(twice) = Reading::of(&once.text) else { return };
    each(&twice.text, &|part| once.range(twice.range(part)));
}

/// The text behind the escapes.
struct Reading {
    text: Vec<u8>,
    /// Where the correspondence of places changes: at each escape, and behind it.
    marks: Vec<Mark>,
}

struct Mark {
    /// From this place on,
    at: usize,
    /// it is this one of the escaped text.
    escaped: usize,
    /// How long an escape that begins here is.
    escape: Option<usize>,
}

impl Reading {
    /// None where there is no escape in it.
    fn of(escaped: &[u8]) -> Option<Self> {
        memchr(b'\\', escaped)?;
        let mut reading = Self { text: Vec::with_capacity(escaped.len()), marks: vec![] };
        let mut from = 0;
        while let Some(at) = memchr(b'\\', &escaped[from..]).map(|at| from + at) {
            reading.text.extend_from_slice(&escaped[from..at]);
            from = at
                + match escape(&escaped[at..]) {
                    Some((letter, length)) => {
                        reading.push(letter, at, length);
                        length
                    }
                    None => {
                        reading.text.push(escaped[at]);
                        1
                    }
                };
        }
        reading.text.extend_from_slice(&escaped[from..]);
        (!reading.marks.is_empty()).then_some(reading)
    }

    fn push(&mut self, letter: char, escaped: usize, length: usize) {
        self.marks.push(Mark { at: self.text.len(), escaped, escape: Some(length) });
        self.text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        self.marks.push(Mark { at: self.text.len(), escaped: escaped + length, escape: None });
    }

    /// Where this part stands in the escaped text, with whole escapes.
    fn range(&self, part: Range<usize>) -> Range<usize> {
        let (mark, from) = self.place(part.start);
        let first = if mark.is_some_and(|mark| mark.escape.is_some()) { from.0 } else { from.0 + from.1 };
        let (mark, last) = self.place(part.end - 1);
        let behind = match mark.and_then(|mark| mark.escape) {
            Some(length) => last.0 + length,
            None => last.0 + last.1 + 1,
        };
        first..behind
    }

    /// The mark before a place; where that is in the escaped text, and how far behind it.
    fn place(&self, at: usize) -> (Option<&Mark>, (usize, usize)) {
        match self.marks[..self.marks.partition_point(|mark| mark.at <= at)].last() {
            Some(mark) => (Some(mark), (mark.escaped, at - mark.at)),
            None => (None, (0, at)),
        }
    }
}

/// The letter of an escape, and how long that is.
fn escape(text: &[u8]) -> Option<(char, usize)> {
    let letter = match text.get(1)? {
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        letter @ (b'"' | b'\\' | b'/' | b'\'') => char::from(*letter),
        b'u' => return unicode(text),
        _ => return None,
    };
    Some((letter, 2))
}

/// `\u00e4`, or a pair of them for what lies beyond.
fn unicode(text: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let first = unit(0)?;
    if let Some(letter) = char::from_u32(first) {
        return Some((letter, 6));
    }
    let second = unit(6).filter(|second| (0xdc00..0xe000).contains(second))?;
    let letter = char::from_u32(0x10000 + ((first.checked_sub(0xd800)? & 0x3ff) << 10) + (second - 0xdc00))?;
    Some((letter, 12))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_and_their_places_found_again() {
        let escaped = "a\\u002bb \\/ \\ud83d\\ude00 \\x \\n\\\\n \\u12";
        let reading = Reading::of(escaped.as_bytes()).unwrap();
        let text = String::from_utf8(reading.text.clone()).unwrap();
        assert_eq!(text, "a+b / 😀 \\x \n\\n \\u12");
        for (part, stands_as) in [
            ("a+b", "a\\u002bb"),
            ("+", "\\u002b"),
            ("b /", "b \\/"),
            ("😀", "\\ud83d\\ude00"),
            ("x \n", "x \\n"),
            ("\\n \\u12", "\\\\n \\u12"),
        ] {
            let at = text.find(part).unwrap();
            assert_eq!(&escaped[reading.range(at..at + part.len())], stands_as);
        }
        assert!(Reading::of(b"plain \\x").is_none());
    }
}
