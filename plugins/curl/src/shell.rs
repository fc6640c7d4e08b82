//! What a shell makes of a command line beyond plain quotes: `$'…'` is written in plain quotes, and what would take its text
//! from elsewhere is refused.

/// What has a meaning to a shell behind a dollar sign, beside letters and digits.
const SPECIAL: [char; 10] = ['_', '{', '(', '?', '$', '@', '*', '#', '!', '-'];

/// The same command line in plain quotes. The error is a sentence.
pub(super) fn plain(text: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    let mut is_quoted = false;
    while let Some(c) = rest.next() {
        match c {
            '\'' if !is_quoted => {
                plain.push(c);
                // Up to its end nothing has a meaning.
                for c in rest.by_ref() {
                    plain.push(c);
                    if c == '\'' {
                        break;
                    }
                }
            }
            '"' => {
                is_quoted = !is_quoted;
                plain.push(c);
            }
            // At the end of a line it joins it with the next one.
            '\\' if rest.next_if_eq(&'\n').is_some() => {}
            '\\' if rest.next_if_eq(&'\r').is_some() => {
                rest.next_if_eq(&'\n');
            }
            '\\' => {
                plain.push(c);
                plain.extend(rest.next());
            }
            '$' if !is_quoted && rest.peek() == Some(&'\'') => {
                rest.next();
                let quoted = ansi_c(&mut rest)?;
                plain.extend(["'", &quoted.replace('\'', "'\\''"), "'"]);
            }
            '$' if rest.peek().is_some_and(|c| c.is_ascii_alphanumeric() || SPECIAL.contains(c)) => {
                let first = rest.next().into_iter();
                let name: String =
                    first.chain(rest.take_while(|c| c.is_ascii_alphanumeric() || *c == '_')).collect();
                return Err(format!(
                    "a shell would put a value in for `${name}`: write the value, or the text in single quotes"
                ));
            }
            '`' => {
                return Err("a shell would run what stands in backticks: write what comes of it".to_owned());
            }
            c => plain.push(c),
        }
    }
    Ok(plain)
}

/// What stands up to the closing quote of `$'…'` (POSIX.1-2024, Shell Command Language, 2.2.4).
fn ansi_c(rest: &mut impl Iterator<Item = char>) -> Result<String, String> {
    let mut bytes = vec![];
    let mut rest = rest.peekable();
    loop {
        let c = match rest.next().ok_or("a quote has no end in the command line")? {
            '\'' => break,
            '\\' => rest.next().ok_or("a quote has no end in the command line")?,
            c => {
                push(&mut bytes, c);
                continue;
            }
        };
        let mut digits = |radix: u32, most: usize, first: Option<char>| {
            let mut digits: String = first.into_iter().collect();
            while digits.len() < most
                && let Some(digit) = rest.next_if(|c| c.is_digit(radix))
            {
                digits.push(digit);
            }
            u32::from_str_radix(&digits, radix)
                .map_err(|_| format!("`\\{c}` has no number behind it in the command line"))
        };
        match c {
            'n' => bytes.push(b'\n'),
            't' => bytes.push(b'\t'),
            'r' => bytes.push(b'\r'),
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            'v' => bytes.push(11),
            'f' => bytes.push(12),
            'e' | 'E' => bytes.push(27),
            'x' => bytes.push(digits(16, 2, None)? as u8),
            '0'..='7' => bytes.push(digits(8, 3, Some(c))? as u8),
            'u' | 'U' => {
                let code = digits(16, if c == 'u' { 4 } else { 8 }, None)?;
                let c = char::from_u32(code)
                    .ok_or_else(|| format!("{code:x} is no character, in the command line"))?;
                push(&mut bytes, c);
            }
            '\'' | '"' | '\\' | '?' => push(&mut bytes, c),
            other => {
                bytes.push(b'\\');
                push(&mut bytes, other);
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| "the command line has bytes in it that are no UTF-8".to_owned())
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_with_escapes_is_a_plain_one() {
        for (text, expected) in [
            (r"a $'it\'s\n\u00e9\x41\101\q' b", "a 'it'\\''s\n\u{e9}AA\\q' b"),
            (r#"'$x' "\$y" \$z "5$""#, r#"'$x' "\$y" \$z "5$""#),
            (r#""it's $'" 'a"b'"#, r#""it's $'" 'a"b'"#),
        ] {
            assert_eq!(plain(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_comes_from_elsewhere_is_refused() {
        for (text, says) in [
            ("a $B", "`$B`"),
            ("a \"${B}\"", "`${B`"),
            ("a $1", "`$1`"),
            ("a \"$?\"", "`$?`"),
            ("a $(b)", "`$(b`"),
            ("a `b`", "backticks"),
            ("a $'b", "no end"),
            (r"a $'\x'", "no number"),
            (r"a $'\ud800'", "no character"),
            (r"a $'\xff'", "no UTF-8"),
        ] {
            let error = plain(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
