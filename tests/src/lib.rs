//! The harness of the product's tests: starts the real binary as its users do, gives it servers to talk to, and reads what
//! it prints and answers.
//!
//! Nothing here knows the inside of Flowcell; what is asserted stands in `product/`, one file per subject. A way through:
//! [`Product`] runs a command to its end or sets up a [`Server`], [`Stub`] is the other side of every HTTP request that
//! a flow makes, [`Call`] is the client, and [`until`] waits for a condition. No test sleeps for a time that it guessed.

mod call;
mod compiled;
mod fault;
mod folder;
mod guest;
mod process;
mod product;
mod server;
mod stub;
mod wait;

pub use call::{Answer, Broken, Call, Stream};
pub use fault::{ANSWER, Came, Cut, Fault};
pub use folder::Folder;
pub use guest::{bare_probe, component_importing, core_module, laborious_component, probe};
pub use process::{Output, Process};
pub use product::{Command, Product};
pub use server::{Server, Setup};
pub use stub::{Gate, Given, Seen, Stub};
pub use wait::{PATIENCE, until, within};
