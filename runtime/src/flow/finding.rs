//! What is wrong with a document, and where: the one thing that reading, `check` and a refused deployment report.

use std::fmt;

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The document cannot be used.
    Error,
    /// It can be used; it probably does not do what its author meant.
    Warning,
}

/// One sentence about one place of one file.
///
/// ```
/// use flowcell::{Finding, Severity};
/// let finding = Finding {
///     file: "order.yaml".into(),
///     line: 3,
///     column: 5,
///     message: "unknown key `endpont`: did you mean `endpoint`?".into(),
///     severity: Severity::Error,
/// };
/// assert_eq!(finding.to_string(), "order.yaml:3:5: unknown key `endpont`: did you mean `endpoint`?");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file as the caller named it.
    pub file: String,
    /// From 1.
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
    /// What is wrong and what to do.
    pub message: String,
    /// How bad it is.
    pub severity: Severity,
}

impl Finding {
    /// Whether the document cannot be used because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message, severity } = self;
        match severity {
            Severity::Error => write!(f, "{file}:{line}:{column}: {message}"),
            Severity::Warning => write!(f, "{file}:{line}:{column}: warning: {message}"),
        }
    }
}
