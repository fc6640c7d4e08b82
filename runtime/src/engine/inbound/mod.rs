//! What comes in from the world: requests to hooks, which begin runs, and requests to callback addresses, which wake
//! steps. Nothing is acknowledged before the journal has it.
//!
//! - `receive`: a hook's request, judged by its trigger's plugin; `verdict`: what the plugin says
//! - `duplicate`: an event that came before
//! - `callback`: a request to the callback address of a step
//!
//! How a run moves on from there is the runs' own. HTTP itself is the server's.

mod answer;
mod callback;
mod duplicate;
mod receive;
mod verdict;

pub use self::answer::Answer;
pub use self::callback::Callback;
pub use self::receive::Hook;
pub use crate::host::Inbound;
