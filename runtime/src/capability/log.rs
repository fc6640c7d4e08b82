//! What a step's plugin tells the people who read its run: lines of `log`, and what it prints on stdout and stderr.
//!
//! What is kept has a cap for each call. Beyond it lines are counted and dropped. Showing the lines is the engine's business.

use std::fmt;

use serde_json::Value;

/// Text that one call may leave, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// Lines that one call may leave.
const MAX_LINES: usize = 500;
/// How much of stderr is kept for the message of a panic, beside the lines.
const STDERR_TAIL: usize = 2 * 1024;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the plugin's author.
    Debug,
    /// Worth reading.
    Info,
    /// Something to look at.
    Warn,
    /// Something went wrong.
    Error,
}

impl Level {
    /// What a guest calls it; another word is taken for `info`, so that no line is lost for it.
    pub fn from_guest(word: &str) -> Self {
        match word {
            "debug" | "trace" => Self::Debug,
            "warn" | "warning" => Self::Warn,
            "error" => Self::Error,
            _ => Self::Info,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        })
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// The text.
    pub message: String,
    /// An object, or null.
    pub fields: Value,
}

/// Where printed text comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdio {
    /// Becomes `info`.
    Out,
    /// Becomes `warn`.
    Err,
}

/// The lines of one call.
#[derive(Debug, Default)]
pub struct StepLog {
    lines: Vec<LogLine>,
    bytes: usize,
    dropped: u64,
    /// Printed text that has no newline yet: stdout's and stderr's.
    open: [Vec<u8>; 2],
    stderr: Vec<u8>,
}

impl StepLog {
    /// A line of the `log` interface. `fields` is a JSON object or empty; text that is neither is kept as text.
    pub fn write(&mut self, level: Level, message: &str, fields: &str) {
        let fields = match fields {
            "" => Value::Null,
            // What does not fit is not parsed: a guest must not buy host memory with it.
            fields if fields.len() > MAX_BYTES.saturating_sub(self.bytes) => return self.dropped += 1,
            fields => serde_json::from_str(fields).unwrap_or_else(|_| Value::String(fields.to_owned())),
        };
        self.push(level, message, fields);
    }

    /// Printed text; a line is complete with its newline, or with the end of the call.
    pub fn print(&mut self, stdio: Stdio, text: &[u8]) {
        if stdio == Stdio::Err {
            keep_tail(&mut self.stderr, text);
        }
        let mut parts = text.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            let open = &mut self.open[stdio as usize];
            let room = MAX_BYTES.saturating_sub(open.len());
            open.extend_from_slice(&part[..part.len().min(room)]);
            if parts.peek().is_some() {
                self.close(stdio);
            }
        }
    }

    /// The end of what was printed on stderr: the message of a panic.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim().to_owned()
    }

    /// The message of the last line, where it is an error.
    pub fn last_error(&self) -> Option<&str> {
        self.lines.last().filter(|line| line.level == Level::Error).map(|line| line.message.as_str())
    }

    /// The lines, and one more that says how many were dropped.
    pub fn finish(mut self) -> Vec<LogLine> {
        for stdio in [Stdio::Out, Stdio::Err] {
            if !self.open[stdio as usize].is_empty() {
                self.close(stdio);
            }
        }
        if self.dropped > 0 {
            self.lines.push(LogLine {
                level: Level::Warn,
                message: format!(
                    "{} more lines were dropped: a step may log {MAX_LINES} lines and {} KiB",
                    self.dropped,
                    MAX_BYTES / 1024
                ),
                fields: Value::Null,
            });
        }
        self.lines
    }

    fn close(&mut self, stdio: Stdio) {
        let line = std::mem::take(&mut self.open[stdio as usize]);
        let level = if stdio == Stdio::Out { Level::Info } else { Level::Warn };
        self.push(level, &String::from_utf8_lossy(&line), Value::Null);
    }

    fn push(&mut self, level: Level, message: &str, fields: Value) {
        let room = MAX_BYTES.saturating_sub(self.bytes);
        if self.lines.len() >= MAX_LINES || room == 0 {
            self.dropped += 1;
            return;
        }
        let message = &message[..message.floor_char_boundary(room)];
        self.bytes += message.len() + if fields.is_null() { 0 } else { fields.to_string().len() };
        self.lines.push(LogLine { level, message: message.to_owned(), fields });
    }
}

fn keep_tail(tail: &mut Vec<u8>, text: &[u8]) {
    tail.extend_from_slice(&text[text.len().saturating_sub(STDERR_TAIL)..]);
    let over = tail.len().saturating_sub(STDERR_TAIL);
    tail.drain(..over);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn printed_text_becomes_lines() {
        let mut log = StepLog::default();
        log.print(Stdio::Out, b"one\ntw");
        log.print(Stdio::Err, b"oops");
        log.print(Stdio::Out, b"o\n");
        let lines: Vec<_> = log.finish().into_iter().map(|line| (line.level, line.message)).collect();
        assert_eq!(
            lines,
            [(Level::Info, "one".into()), (Level::Info, "two".into()), (Level::Warn, "oops".into())]
        );
    }

    #[test]
    fn fields_are_json_or_text() {
        let mut log = StepLog::default();
        log.write(Level::Info, "a", r#"{"n":1}"#);
        log.write(Level::Info, "b", "not json");
        log.write(Level::Info, "c", "");
        let fields: Vec<_> = log.finish().into_iter().map(|line| line.fields).collect();
        assert_eq!(fields, [json!({"n": 1}), json!("not json"), Value::Null]);
    }

    #[test]
    fn a_flood_is_counted_and_dropped() {
        let mut log = StepLog::default();
        for _ in 0..100_000 {
            log.write(Level::Info, "again", "");
            log.print(Stdio::Out, &[b'x'; 4096]);
        }
        assert!(log.bytes <= MAX_BYTES && log.lines.len() <= MAX_LINES);
        assert!(log.finish().last().unwrap().message.contains("more lines were dropped"));
    }

    #[test]
    fn one_huge_line_is_cut_on_a_character() {
        let mut log = StepLog::default();
        log.write(Level::Info, &"ä".repeat(MAX_BYTES), "");
        assert!(log.finish()[0].message.len() <= MAX_BYTES);
    }
}
