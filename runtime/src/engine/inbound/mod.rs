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

use std::net::SocketAddr;

use bytes::Bytes;

pub use self::answer::Answer;
pub use self::callback::Callback;
pub use self::receive::Hook;

/// An inbound request for a hook, its body read and within the limit.
pub struct Inbound {
    /// The method as received.
    pub method: String,
    /// The path below the hook's address; `/` for the address itself.
    pub path: String,
    /// The query as received, without `?`.
    pub query: String,
    /// Names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    /// The body as received.
    pub body: Bytes,
    /// Who called.
    pub remote: SocketAddr,
}
