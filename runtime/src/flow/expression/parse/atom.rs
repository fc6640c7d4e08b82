//! Atoms: what stands at the beginning of an operand.

use serde_json::{Number, Value};

use super::super::syntax::{Function, Node, Step, Target};
use super::Parser;
use super::token::is_name_start;

impl Parser<'_> {
    pub(super) fn atom(&mut self) -> Option<Node> {
        match self.rest.chars().next()? {
            '0'..='9' => self.number(),
            '"' => self.text(),
            '$' => self.variable().map(Node::Variable),
            '(' => {
                self.rest = &self.rest[1..];
                let inner = self.pipe()?;
                self.expect(')')?;
                Some(inner)
            }
            '[' => self.array(),
            '{' => self.object(),
            first if is_name_start(first) => self.named(),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Node> {
        let mut length = digits(self.rest);
        let mut is_integer = true;
        if self.rest[length..].starts_with('.') {
            is_integer = false;
            length += 1 + some_digits(&self.rest[length + 1..])?;
        }
        if self.rest[length..].starts_with(['e', 'E']) {
            is_integer = false;
            length += 1;
            length += usize::from(self.rest[length..].starts_with(['+', '-']));
            length += some_digits(&self.rest[length..])?;
        }
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        let integer = is_integer.then(|| text.parse::<u64>().ok()).flatten();
        let number = match integer {
            Some(integer) => Number::from(integer),
            None => Number::from_f64(text.parse().ok()?)?,
        };
        Some(Node::Literal(Value::Number(number)))
    }

    fn variable(&mut self) -> Option<String> {
        self.rest = self.rest.strip_prefix('$')?;
        let name = self.word().to_owned();
        self.rest = &self.rest[name.len()..];
        // The names that jq itself gives a meaning.
        (!name.is_empty() && name != "ENV" && !name.starts_with("__")).then_some(name)
    }

    fn array(&mut self) -> Option<Node> {
        self.rest = self.rest.strip_prefix('[')?;
        if self.take(']') {
            return Some(Node::Literal(Value::Array(Vec::new())));
        }
        let mut items = vec![self.pipe()?];
        while self.take(',') {
            items.push(self.deeper(|parser| parser.binary(1))?);
        }
        // `[a, b | c]` pipes both and `[a | b, c]` ends here as well: only single values are in the subset.
        self.expect(']')?;
        let only_first_piped = items.len() > 1 && matches!(items.first(), Some(Node::Pipe(..)));
        (!only_first_piped).then_some(Node::Array(items))
    }

    fn object(&mut self) -> Option<Node> {
        self.rest = self.rest.strip_prefix('{')?;
        if self.take('}') {
            return Some(Node::Literal(Value::Object(serde_json::Map::new())));
        }
        let mut fields = vec![self.field()?];
        while self.take(',') {
            fields.push(self.field()?);
        }
        self.expect('}')?;
        Some(Node::Object(fields))
    }

    fn field(&mut self) -> Option<(Node, Node)> {
        self.count()?;
        self.space();
        if self.take('(') {
            let key = self.pipe()?;
            self.expect(')')?;
            self.expect(':')?;
            return Some((key, self.pipe()?));
        }
        if self.rest.starts_with('$') {
            let name = self.variable()?;
            return (!self.take(':')).then(|| (literal(&name), Node::Variable(name)));
        }
        let key = self.field_name()?;
        if self.take(':') {
            return Some((key, self.pipe()?));
        }
        let Node::Literal(Value::String(name)) = &key else {
            return None;
        };
        let step = Step { to: Target::Key(name.clone()), optional: false };
        Some((key, Node::Path(Box::new(Node::Input), vec![step])))
    }

    fn field_name(&mut self) -> Option<Node> {
        if self.rest.starts_with('"') {
            return self.text();
        }
        let name = self.word().to_owned();
        self.rest = &self.rest[name.len()..];
        (!name.is_empty() && !self.rest.starts_with("::")).then(|| literal(&name))
    }

    /// Keywords, constants and functions.
    fn named(&mut self) -> Option<Node> {
        let name = self.word().to_owned();
        self.rest = &self.rest[name.len()..];
        if self.rest.starts_with("::") {
            return None;
        }
        match name.as_str() {
            "if" => self.conditional(),
            "null" => Some(Node::Literal(Value::Null)),
            "true" => Some(Node::Literal(Value::Bool(true))),
            "false" => Some(Node::Literal(Value::Bool(false))),
            name => self.call(name),
        }
    }

    /// The rest of `if a then b elif c then d else e end`.
    fn conditional(&mut self) -> Option<Node> {
        self.deeper(|parser| {
            let condition = parser.pipe()?;
            parser.expect_word("then")?;
            let then = parser.pipe()?;
            parser.count()?;
            let otherwise = if parser.take_word("elif") {
                parser.conditional()?
            } else if parser.take_word("else") {
                let otherwise = parser.pipe()?;
                parser.expect_word("end")?;
                otherwise
            } else {
                parser.expect_word("end")?;
                Node::Input
            };
            Some(Node::If(Box::new(condition), Box::new(then), Box::new(otherwise)))
        })
    }

    fn call(&mut self, name: &str) -> Option<Node> {
        let mut arguments = Vec::new();
        if self.take('(') {
            arguments.push(self.pipe()?);
            while self.take(';') {
                arguments.push(self.pipe()?);
            }
            self.expect(')')?;
        }
        let function = match (name, arguments.len()) {
            ("not", 0) => Function::Not,
            ("length", 0) => Function::Length,
            ("keys", 0) => Function::Keys,
            ("type", 0) => Function::Type,
            ("first", 0) => Function::First,
            ("last", 0) => Function::Last,
            ("tostring", 0) => Function::ToText,
            ("tonumber", 0) => Function::ToNumber,
            ("ascii_downcase", 0) => Function::LowerCase,
            ("ascii_upcase", 0) => Function::UpperCase,
            ("startswith", 1) => Function::StartsWith,
            ("endswith", 1) => Function::EndsWith,
            ("has", 1) => Function::Has,
            _ => return None,
        };
        Some(Node::Call(function, arguments))
    }
}

fn literal(text: &str) -> Node {
    Node::Literal(Value::String(text.to_owned()))
}

fn digits(text: &str) -> usize {
    text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len())
}

fn some_digits(text: &str) -> Option<usize> {
    Some(digits(text)).filter(|length| *length > 0)
}
