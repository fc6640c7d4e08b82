//! What a guest may reach: one file or folder per capability, the host's half of an interface under `wit/`.
//!
//! Everything that leaves this machine for a guest leaves it through [`http_request`], which holds the only outbound
//! network code and the only decision about it. Nothing here knows of runs, flows or sandboxes.

pub(crate) mod http_request;
pub(crate) mod log;
pub(crate) mod vault;
pub(crate) mod wasi;
