//! What people have already, as parts of a flow: a command line of curl as a step, a sample of a request as variables.
//!
//! Text in, values out; nothing is sent and nothing is kept.

mod curl;
mod paths;
mod sample;
mod shell;

pub use curl::{Imported, curl};
pub use paths::{Place, paths};
pub use sample::{Sample, SampleVariable, sample};
