//! What the SDK asks of its surroundings: one trait, and its implementation over the imports of a component.
//!
//! The other implementation is [`testing`](crate::testing)'s mock. Which one is meant is known when the crate is
//! compiled ([`Here`]), so that calls are direct and a component imports only the functions that it calls.

use crate::http::{HttpError, RawRequest, RawResponse};

/// The request line, headers and origin of the request that a trigger judges.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub remote: String,
}

/// The host's functions, as in wit/.
pub(crate) trait Host {
    fn run_id(&self) -> String;
    fn step_id(&self) -> String;
    fn attempt(&self) -> u32;
    fn idempotency_key(&self) -> String;
    fn deadline_ms(&self) -> u64;
    fn trace_parent(&self) -> String;
    fn callback_url(&self) -> String;
    fn send(&self, request: RawRequest) -> Result<RawResponse, HttpError>;
    fn evaluate(&self, program: &str, input: &str) -> Result<String, String>;
    fn check_expression(&self, program: &str) -> Result<(), String>;
    fn validate(&self, schema: &str, input: &str) -> Result<Vec<String>, String>;
    fn verify(&self, secret: &str, options: &str, message: &[u8], signature: &[u8]) -> Result<bool, String>;
    fn hmac(&self, secret: &str, options: &str, message: &[u8]) -> Result<Vec<u8>, String>;
    fn log(&self, level: &str, message: &str, fields: &str);
    fn head(&self) -> Head;
    fn body(&self) -> Vec<u8>;
    fn trigger_name(&self) -> String;
    fn received_ms(&self) -> u64;
}

/// Inside a component: the imports.
#[cfg(target_arch = "wasm32")]
pub(crate) type Here = imported::Imported;
/// Everywhere else: the mock.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) type Here = crate::testing::MockHost;

#[cfg(target_arch = "wasm32")]
mod imported {
    use super::{Head, Host};
    use crate::bindings::action::flowcell::plugin::{context, evaluate, http_request, log, secrets};
    use crate::bindings::trigger::flowcell::plugin::inbound;
    use crate::http::{HttpError, RawRequest, RawResponse};

    /// The host behind the component's imports.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Imported;

    impl Host for Imported {
        fn run_id(&self) -> String {
            context::run()
        }
        fn step_id(&self) -> String {
            context::step()
        }
        fn attempt(&self) -> u32 {
            context::attempt()
        }
        fn idempotency_key(&self) -> String {
            context::idempotency_key()
        }
        fn deadline_ms(&self) -> u64 {
            context::deadline_ms()
        }
        fn trace_parent(&self) -> String {
            context::trace_parent()
        }
        fn callback_url(&self) -> String {
            context::callback_url()
        }
        fn send(&self, request: RawRequest) -> Result<RawResponse, HttpError> {
            let RawRequest { method, url, headers, body, options } = request;
            match http_request::send(&http_request::Request { method, url, headers, body, options }) {
                Ok(http_request::Response { status, headers, body, info }) => {
                    Ok(RawResponse { status, headers, body, info })
                }
                Err(http_request::HttpError { code, detail, retryable, sent, answer }) => {
                    let answer = serde_json::from_str(&answer).ok();
                    Err(HttpError { code, detail, retryable, sent, answer })
                }
            }
        }
        fn evaluate(&self, program: &str, input: &str) -> Result<String, String> {
            evaluate::jq(program, input)
        }
        fn check_expression(&self, program: &str) -> Result<(), String> {
            evaluate::check(program)
        }
        fn validate(&self, schema: &str, input: &str) -> Result<Vec<String>, String> {
            evaluate::validate(schema, input)
        }
        fn verify(
            &self,
            secret: &str,
            options: &str,
            message: &[u8],
            signature: &[u8],
        ) -> Result<bool, String> {
            secrets::verify(secret, options, message, signature)
        }
        fn hmac(&self, secret: &str, options: &str, message: &[u8]) -> Result<Vec<u8>, String> {
            secrets::hmac(secret, options, message)
        }
        fn log(&self, level: &str, message: &str, fields: &str) {
            log::write(level, message, fields);
        }
        fn head(&self) -> Head {
            let inbound::Head { method, path, query, headers, remote } = inbound::get_head();
            Head { method, path, query, headers, remote }
        }
        fn body(&self) -> Vec<u8> {
            inbound::body()
        }
        fn trigger_name(&self) -> String {
            inbound::trigger_name()
        }
        fn received_ms(&self) -> u64 {
            inbound::received_ms()
        }
    }
}
