//! Strings, with what is interpolated in them.

use serde_json::Value;

use super::super::syntax::{Node, Piece};
use super::Parser;

impl Parser<'_> {
    pub(super) fn text(&mut self) -> Option<Node> {
        let mut pieces = self.pieces()?;
        match pieces.as_mut_slice() {
            [] => Some(Node::Literal(Value::String(String::new()))),
            [Piece::Plain(text)] => Some(Node::Literal(Value::String(std::mem::take(text)))),
            _ => Some(Node::Text(pieces)),
        }
    }

    pub(super) fn plain_text(&mut self) -> Option<String> {
        match self.text()? {
            Node::Literal(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    fn pieces(&mut self) -> Option<Vec<Piece>> {
        self.rest = self.rest.strip_prefix('"')?;
        let (mut pieces, mut plain) = (Vec::new(), String::new());
        loop {
            let until = self.rest.find(['"', '\\'])?;
            plain.push_str(&self.rest[..until]);
            self.rest = &self.rest[until..];
            if let Some(rest) = self.rest.strip_prefix('"') {
                self.rest = rest;
                break;
            }
            if let Some(rest) = self.rest.strip_prefix("\\(") {
                self.rest = rest;
                if !plain.is_empty() {
                    pieces.push(Piece::Plain(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Inner(self.pipe()?));
                self.expect(')')?;
            } else {
                plain.push(self.escape()?);
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Plain(plain));
        }
        Some(pieces)
    }

    fn escape(&mut self) -> Option<char> {
        let mut characters = self.rest.strip_prefix('\\')?.chars();
        let escaped = match characters.next()? {
            same @ ('"' | '\\' | '/') => same,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let digits: String = characters.by_ref().take(4).collect();
                let is_code = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                // Halves of surrogate pairs are left to the guest.
                char::from_u32(is_code.then(|| u32::from_str_radix(&digits, 16).ok()).flatten()?)?
            }
            _ => return None,
        };
        self.rest = characters.as_str();
        Some(escaped)
    }
}
