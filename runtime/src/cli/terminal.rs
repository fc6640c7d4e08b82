//! Text for people and pipes: lines on stdout and stderr, tables, colours where they are wanted.
//!
//! Nothing fails here: when the reader is gone (`flowcell … | head`), the rest is not written.

use std::io::{self, IsTerminal as _, Write as _};

use serde_json::Value;

/// Prints a result: a line on stdout, flushed for a reader that follows.
pub(super) fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Prints a line about the work on stderr.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Until what is returned is dropped, the terminal at standard input does not show what is typed.
#[cfg(unix)]
pub(super) fn hide_typing() -> impl Drop {
    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

    struct Hidden(Option<Termios>);
    impl Drop for Hidden {
        fn drop(&mut self) {
            if let Some(shown) = &self.0 {
                let _ = tcsetattr(io::stdin(), OptionalActions::Now, shown);
            }
        }
    }
    let shown = tcgetattr(io::stdin()).ok();
    if let Some(shown) = &shown {
        let mut hidden = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &hidden);
    }
    Hidden(shown)
}

/// A value as YAML, for a document.
pub(super) fn yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).unwrap_or_else(|_| value.to_string())
}

/// Prints a JSON value as a result: indented on a terminal, one line for a pipe.
pub(super) fn say_json(value: &Value) {
    if io::stdout().is_terminal() {
        say(&format!("{value:#}"));
    } else {
        say(&value.to_string());
    }
}

/// Columns under their headings; nothing but the headings where there is no row.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = headings.map(|heading| heading.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |cells: [&str; N]| {
        let padded: Vec<_> =
            cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(headings)];
    lines.extend(rows.iter().map(|row| line(row.each_ref().map(String::as_str))));
    lines.join("\n")
}

/// A number with its noun.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Colours, or none.
#[derive(Clone, Copy)]
pub(super) struct Style(bool);

impl Style {
    /// Colours on a terminal that can show them, unless its user has turned them off.
    pub(super) fn of_stderr() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self(io::stderr().is_terminal() && !set("NO_COLOR") && !dumb)
    }

    #[cfg(test)]
    pub(super) fn plain() -> Self {
        Self(false)
    }

    pub(super) fn is_colourful(self) -> bool {
        self.0
    }

    pub(super) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub(super) fn busy(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub(super) fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(super) fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Text from a plugin, a flow or another server, without what would move the cursor or change the terminal.
pub(super) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || turns_text(c) { ' ' } else { c }).collect()
}

/// Characters that change the direction of what follows: a name could look like another one.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "bcd"], ["efg", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(table(["X", "Y"], &rows), "X    Y\na    bcd\nefg");
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(harmless("a\x1b[2Jb\r\nc"), "a [2Jb  c");
        assert_eq!(harmless("a\u{202e}b\u{2066}c"), "a b c");
    }
}
