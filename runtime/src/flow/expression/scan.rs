//! What can be told about a program without understanding it: where it ends and which variables it may use.

use std::collections::BTreeSet;

/// The program in `${ … }`, if the whole text is one expression.
///
/// `${ .a } and ${ .b }` is none, though it begins and ends like one.
pub(crate) fn program(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("${")?.strip_suffix('}')?;
    (!closes_early(inner)).then_some(inner.trim())
}

/// Whether a `}` stands in `inner` that nothing in it opened, outside of strings.
fn closes_early(inner: &str) -> bool {
    // What encloses the current place: a brace, an interpolation's parenthesis, or a string's quote.
    let mut enclosing = Vec::new();
    let mut bytes = inner.bytes();
    while let Some(byte) = bytes.next() {
        let in_string = enclosing.last() == Some(&b'"');
        match byte {
            b'\\' if in_string => enclosing.extend(bytes.next().filter(|escaped| *escaped == b'(')),
            b'"' if in_string => {
                enclosing.pop();
            }
            _ if in_string => {}
            b'"' | b'(' | b'{' => enclosing.push(byte),
            b')' if enclosing.last() == Some(&b'(') => {
                enclosing.pop();
            }
            b'}' if enclosing.last() == Some(&b'{') => {
                enclosing.pop();
            }
            b'}' if enclosing.is_empty() => return true,
            _ => {}
        }
    }
    false
}

/// Every name after a `$`, be it used, bound or only mentioned in a string.
pub(super) fn variables(program: &str) -> BTreeSet<String> {
    let names = program.split('$').skip(1).map(|after| {
        let end = after.find(|next: char| !(next.is_ascii_alphanumeric() || next == '_'));
        &after[..end.unwrap_or(after.len())]
    });
    let is_name = |name: &&str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && !name.starts_with("__")
            && *name != "ENV"
    };
    names.filter(is_name).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_text_that_is_one_expression_is_a_program() {
        for (text, expected) in [
            ("${ .a }", Some(".a")),
            ("  ${.a}\n", Some(".a")),
            ("${ {a: {b: 1}} }", Some("{a: {b: 1}}")),
            ("${ \"}\" }", Some("\"}\"")),
            ("${ \"\\(\"}\" + .a)}\" }", Some("\"\\(\"}\" + .a)}\"")),
            ("${ .a } and ${ .b }", None),
            ("x ${ .a }", None),
            ("${ .a } x", None),
            ("$ { .a }", None),
            ("${}", Some("")),
            ("${", None),
        ] {
            assert_eq!(program(text), expected, "{text}");
        }
    }
}
