//! The whole way of a request, against a server that behaves as badly as the test wants.

mod answers;
mod credentials;
mod policy;
mod proxied;
mod quotas;
mod redirects;
mod requests;
mod server;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::client::Egress;
use super::error::{Code, HttpError};
use super::message::{Redirects, Request, Response, SendOptions};
use super::pool::Shared;
use crate::config::{AllowRule, Config, Quota};
use crate::id::TenantId;
use crate::problem::Sent;
use server::{Act, Server, answer, ok};

/// Long enough for any of these tests, short enough to see that one hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Rules as they stand in a file, each beginning with `- `.
fn rules(lines: &str) -> Vec<AllowRule> {
    let text = format!("[[tenant]]\nname = \"default\"\n{}", lines.replace("- ", "[[tenant.allow]]\n"));
    Config::parse(&text, "flowcell.toml").unwrap().tenants.remove(0).allow
}

/// A tenant with these rules, on a host with nothing special about it.
fn egress(lines: &str) -> Egress {
    egress_on(lines, Shared::default())
}

fn egress_on(lines: &str, shared: Shared) -> Egress {
    Egress::new(TenantId::default_tenant(), &rules(lines), &Quota::default(), Arc::new(shared), [].into())
}

/// A tenant that may reach the test's servers.
fn local() -> Egress {
    egress("- network = \"127.0.0.1/32\"")
}

fn listening_on(address: SocketAddr) -> Shared {
    Shared { listeners: vec![address], ..Shared::default() }
}

fn get(url: impl Into<String>) -> Request {
    request("GET", url, &[], None)
}

fn post(url: impl Into<String>, body: &'static str) -> Request {
    request("POST", url, &[("content-type", "text/plain")], Some(body))
}

fn request(
    method: &str,
    url: impl Into<String>,
    headers: &[(&str, &str)],
    body: Option<&'static str>,
) -> Request {
    Request {
        method: method.into(),
        url: url.into(),
        headers: headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        body: body.map(Bytes::from),
    }
}

async fn send(egress: &Egress, request: Request) -> Result<Response, HttpError> {
    send_with(egress, request, SendOptions::default()).await
}

async fn send_with(egress: &Egress, request: Request, options: SendOptions) -> Result<Response, HttpError> {
    egress.send(request, options, None, Instant::now() + PATIENCE).await
}

/// Code and `sent` of a failure, the two that retries depend on.
fn fault(result: Result<Response, HttpError>) -> (Code, Sent) {
    let error = result.expect_err("it fails");
    (error.code, error.sent)
}
