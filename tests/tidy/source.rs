//! Reads Rust far enough to know which paths a file names, and on which lines: comments, strings and characters are
//! passed over, `use` trees are spread, and inline modules are known, because `super` means something else in them.

/// A path as it is written.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    /// From 1.
    pub line: usize,
    /// `["crate", "flow", "Flow"]`. The last one of a glob is `*`.
    pub path: Vec<String>,
    /// The inline modules around it, outermost first.
    pub inside: Vec<String>,
    /// Whether it is compiled for tests only.
    pub test: bool,
}

/// Every path of a file, in order. A single name that leads nowhere is none.
pub fn paths(text: &str) -> Vec<Named> {
    let mut reader =
        Reader { tokens: tokens(text), at: 0, open: vec![], depth: 0, found: vec![], test: false };
    reader.read();
    reader.found
}

/// A field that is taken of something of this name, `owner.field`, each with its line.
pub fn fields_of(text: &str, owner: &str) -> Vec<(usize, String)> {
    let tokens = tokens(text);
    let taken = tokens.windows(3).filter_map(|window| match window {
        [(_, Token::Word(first)), (_, Token::Sign('.')), (line, Token::Word(field))] if first == owner => {
            Some((*line, field.clone()))
        }
        _ => None,
    });
    taken.collect()
}

/// The structs of a file, each with its line and the number of fields that it shows to others.
pub fn shown_fields(text: &str) -> Vec<(usize, String, usize)> {
    let tokens = tokens(text);
    let mut found = vec![];
    for (at, window) in tokens.windows(2).enumerate() {
        if let [(line, Token::Word(word)), (_, Token::Word(name))] = window
            && word == "struct"
        {
            found.push((*line, name.clone(), shown(&tokens[at + 2..])));
        }
    }
    found
}

/// How many `pub` stand in the braces that begin here, before a `;` ends the item.
fn shown(tokens: &[(usize, Token)]) -> usize {
    let (mut depth, mut count) = (0_usize, 0);
    for (_, token) in tokens {
        match token {
            Token::Sign('{') => depth += 1,
            Token::Sign('}') if depth <= 1 => break,
            Token::Sign('}') => depth -= 1,
            Token::Sign(';') if depth == 0 => break,
            Token::Word(word) if word == "pub" && depth == 1 => count += 1,
            _ => {}
        }
    }
    count
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `::`
    Joint,
    Sign(char),
}

struct Reader {
    tokens: Vec<(usize, Token)>,
    at: usize,
    /// Inline modules that are open: name, the depth of their brace, whether they are for tests only.
    open: Vec<(String, usize, bool)>,
    depth: usize,
    found: Vec<Named>,
    /// The attribute before the next item says that it is for tests only.
    test: bool,
}

impl Reader {
    fn read(&mut self) {
        while let Some((_, token)) = self.tokens.get(self.at) {
            match token {
                Token::Sign('#') => self.attribute(),
                Token::Sign('{') => {
                    self.depth += 1;
                    self.at += 1;
                }
                Token::Sign('}') => self.close(),
                Token::Sign(';') => {
                    self.test = false;
                    self.at += 1;
                }
                Token::Word(word) if word == "use" && self.starts_item() => self.import(),
                Token::Word(word) if word == "mod" => self.module(),
                Token::Word(_) => self.path(),
                Token::Joint | Token::Sign(_) => self.at += 1,
            }
        }
    }

    fn word(&self, at: usize) -> Option<&str> {
        match self.tokens.get(at) {
            Some((_, Token::Word(word))) => Some(word),
            _ => None,
        }
    }

    fn is(&self, at: usize, token: &Token) -> bool {
        self.tokens.get(at).is_some_and(|(_, there)| there == token)
    }

    /// `use` is an item, unless it stands in `+ use<'a>`.
    fn starts_item(&self) -> bool {
        !self.is(self.at + 1, &Token::Sign('<'))
    }

    /// Reads `#[cfg(test)]` and the like; paths in attributes are read as any others.
    fn attribute(&mut self) {
        let test =
            [Token::Sign('['), Token::Word("cfg".into()), Token::Sign('('), Token::Word("test".into())];
        if test.iter().enumerate().all(|(offset, token)| self.is(self.at + 1 + offset, token)) {
            self.test = true;
        }
        self.at += 1;
    }

    fn close(&mut self) {
        self.at += 1;
        self.depth = self.depth.saturating_sub(1);
        if self.open.last().is_some_and(|(_, depth, _)| *depth == self.depth) {
            self.open.pop();
        }
        self.test = false;
    }

    /// `mod name {` opens a module, `mod name;` does not.
    fn module(&mut self) {
        self.at += 1;
        let Some(name) = self.word(self.at).map(str::to_owned) else {
            return;
        };
        self.at += 1;
        if self.is(self.at, &Token::Sign('{')) {
            self.open.push((name, self.depth, self.test));
            self.depth += 1;
            self.at += 1;
            self.test = false;
        }
    }

    /// `use TREE;`
    fn import(&mut self) {
        self.at += 1;
        self.tree(&mut vec![]);
    }

    /// One branch of a `use` tree, below a prefix.
    fn tree(&mut self, prefix: &mut Vec<String>) {
        let below = prefix.len();
        while let Some((line, token)) = self.tokens.get(self.at).cloned() {
            match token {
                Token::Word(word) if word == "as" => self.at += 2,
                Token::Word(word) => {
                    prefix.push(word);
                    self.at += 1;
                    if !self.is(self.at, &Token::Joint) {
                        self.add(line, prefix.clone());
                    }
                }
                Token::Sign('*') => {
                    prefix.push("*".into());
                    self.at += 1;
                    self.add(line, prefix.clone());
                }
                Token::Joint => self.at += 1,
                Token::Sign('{') => {
                    self.at += 1;
                    while !self.is(self.at, &Token::Sign('}')) && self.at < self.tokens.len() {
                        self.tree(prefix);
                        if self.is(self.at, &Token::Sign(',')) {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                }
                Token::Sign(_) => break,
            }
        }
        prefix.truncate(below);
    }

    /// `a::b::c` in an expression, a type, an attribute.
    fn path(&mut self) {
        let after_dot = self.at > 0 && self.is(self.at - 1, &Token::Sign('.'));
        let (line, mut path) = (self.tokens[self.at].0, vec![]);
        while let Some(word) = self.word(self.at).map(str::to_owned) {
            path.push(word);
            self.at += 1;
            if !self.is(self.at, &Token::Joint) || self.word(self.at + 1).is_none() {
                break;
            }
            self.at += 1;
        }
        if path.len() > 1 && !after_dot {
            self.add(line, path);
        }
    }

    fn add(&mut self, line: usize, path: Vec<String>) {
        let inside = self.open.iter().map(|(name, _, _)| name.clone()).collect();
        let test = self.test || self.open.iter().any(|(_, _, test)| *test);
        self.found.push(Named { line, path, inside, test });
    }
}

/// Words and signs with their lines; nothing of comments, strings, characters and lifetimes.
fn tokens(text: &str) -> Vec<(usize, Token)> {
    let (mut tokens, mut line) = (vec![], 1);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => string(rest),
            '\'' => character_or_lifetime(rest),
            _ if raw_string(rest).is_some() => raw_string(rest).unwrap_or(1),
            _ if first.is_alphanumeric() || first == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                if !first.is_numeric() {
                    tokens.push((line, Token::Word(rest[..end].to_owned())));
                }
                end
            }
            ':' if rest.starts_with("::") => {
                tokens.push((line, Token::Joint));
                2
            }
            _ => {
                if !first.is_whitespace() {
                    tokens.push((line, Token::Sign(first)));
                }
                first.len_utf8()
            }
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `r"…"`, `r#"…"#`, `br"…"`, `b"…"`, `c"…"`.
fn raw_string(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r"].into_iter().find(|prefix| text.starts_with(prefix))?;
    let hashes = text[prefix.len()..].bytes().take_while(|byte| *byte == b'#').count();
    let opening = prefix.len() + hashes;
    if !text[opening..].starts_with('"') {
        return None;
    }
    let closing = format!("\"{}", "#".repeat(hashes));
    let end = text[opening + 1..].find(&closing).map_or(text.len(), |at| opening + 1 + at + closing.len());
    Some(end)
}

fn character_or_lifetime(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some((after, escaped))) => {
            let from = after + escaped.len_utf8();
            text[from..].find('\'').map_or(text.len(), |at| from + at + 1)
        }
        (Some(_), Some((quote, '\''))) => quote + 1,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Vec<String> {
        paths(text).into_iter().map(|named| format!("{} {}", named.line, named.path.join("::"))).collect()
    }

    #[test]
    fn use_trees_are_spread() {
        let text = "use crate::{flow::{self, Flow as F}, id::*};\nuse tokio;";
        assert_eq!(named(text), ["1 crate::flow::self", "1 crate::flow::Flow", "1 crate::id::*", "2 tokio"]);
    }

    #[test]
    fn paths_in_code_are_found() {
        let text =
            "fn a(b: crate::flow::Flow<super::C>) -> d::E {\n    tokio::spawn(x.await); y.z::<W>();\n}";
        assert_eq!(named(text), ["1 crate::flow::Flow", "1 super::C", "1 d::E", "2 tokio::spawn"]);
    }

    #[test]
    fn comments_strings_and_characters_are_passed_over() {
        let text = "//! crate::a::B\n/* crate::a /* b::c */ d::e */ let s = \"f::g \\\" h::i\"; let r = r#\"j::k\"l::m\"#;\n\
                    let c = '\\''; let q = '\"'; fn n<'a>(o: &'a p::Q) {} let u = '\\u{1F600}'; r::s()";
        assert_eq!(named(text), ["3 p::Q", "3 r::s"]);
    }

    #[test]
    fn inline_modules_and_tests_are_known() {
        let text = "use a::B;\nmod c;\nmod d { use super::e::F; }\n#[cfg(test)]\nmod tests { fn g() { super::super::h::i() } }\nuse j::K;";
        let found = paths(text);
        let shown: Vec<_> =
            found.iter().map(|named| (named.path.join("::"), named.inside.join("::"), named.test)).collect();
        let expected = [
            ("a::B", "", false),
            ("super::e::F", "d", false),
            ("super::super::h::i", "tests", true),
            ("j::K", "", false),
        ];
        assert_eq!(shown, expected.map(|(path, inside, test)| (path.to_owned(), inside.to_owned(), test)));
    }

    #[test]
    fn fields_that_are_taken_and_fields_that_are_shown_are_found() {
        let text = "fn a() {\n    self.rooms\n        .runs.b(); rooms.c; // rooms.d\n}";
        let fields = fields_of(text, "rooms");
        assert_eq!(fields, [(3, "runs".to_owned()), (3, "c".to_owned())]);
        let text = "struct A;\npub struct B<T> {\n    pub a: T,\n    b: u8,\n    pub(super) c: u8,\n}\nstruct C(pub u8);";
        let shown = shown_fields(text);
        let expected = [(1, "A", 0), (2, "B", 2), (7, "C", 0)];
        assert_eq!(shown, expected.map(|(line, name, count)| (line, name.to_owned(), count)));
    }

    #[test]
    fn an_item_for_tests_is_for_tests_and_the_next_one_is_not() {
        let found = paths("#[cfg(test)]\nuse a::B;\nuse c::D;");
        assert_eq!(found.iter().map(|named| named.test).collect::<Vec<_>>(), [true, false]);
    }
}
