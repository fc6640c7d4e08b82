//! The capability `http-request`: one exchange for a guest, under its tenant's egress policy.
//!
//! The way of a request: [`message`] what the guest says → [`target`] and [`headers`] what is meant, refused here before
//! any socket → [`policy`] may it → [`authorize`] what its credentials add, after [`oauth2`] where a token must be fetched →
//! [`account`] is there enough of the tenant's quota → [`pool`] an old connection, or [`connect`] a new one, perhaps through a [`proxy`], whose address
//! [`policy`] judges → [`redirect`] the next hop, or [`mod@answer`] with its [`body`], [`decode`]d. [`client`] goes that way,
//! [`hop`] a part of it, [`error`] says why there is no answer, [`explain`] what would happen.
//! Not here: retries, and what an answer means; those are the plugin's.

mod account;
mod address;
mod answer;
mod authorize;
mod body;
mod client;
mod connect;
mod cookies;
mod decode;
mod error;
mod explain;
mod headers;
mod hop;
mod message;
mod oauth2;
mod policy;
mod pool;
mod proxy;
mod redirect;
mod target;
#[cfg(test)]
mod tests;
mod tls;

pub(crate) use client::Egress;
pub(crate) use error::HttpError;
pub(crate) use headers::is_ours as is_header_of_the_host;
pub(crate) use message::{Request, SendOptions};
pub(crate) use pool::Shared;
pub(crate) use tls::Trusted;
