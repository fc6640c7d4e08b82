//! What the HTTP plugins share: a request as flows write it ([`input`]), how it is sent ([`request`]), and an answer as
//! flows read it ([`answer`]).
//!
//! No plugin of its own: a component exports the actions of one crate, so this one has none.

pub mod answer;
pub mod base;
pub mod body;
pub mod charset;
pub mod checks;
pub mod input;
pub mod location;
mod multipart;
pub mod pages;
pub mod poll;
pub mod request;
pub mod retry;
pub mod rows;
pub mod rules;
pub mod success;
