//! `/callbacks/{token}`: the address at which the world answers a waiting step. A `GET` resumes nothing, because mail
//! programs and chats open addresses by themselves.

use std::net::SocketAddr;

use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::State;
use super::body::Payload;
use super::response::{self, HandlerResult};
use super::webhook::inbound;

const WHAT_IT_IS: &str =
    "This is where a waiting step of a flow is answered, by POST. Opening it does nothing.\n";

pub(super) async fn receive(
    state: &State,
    remote: SocketAddr,
    head: &Parts,
    payload: &mut Payload<Incoming>,
    token: &str,
) -> HandlerResult {
    match head.method {
        Method::POST => {
            let callback = state.runtime.callback(token).ok_or_else(response::not_found)?;
            let room = callback.admit().await?;
            let body = payload.read(head, callback.body_limit(), room).await?;
            response::answer(callback.receive(inbound(remote, head, "/".to_owned(), body)).await)
        }
        Method::OPTIONS => Ok(response::options("POST")),
        _ => {
            let text =
                response::bytes(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", WHAT_IT_IS);
            Ok(response::with_allow(text, "POST"))
        }
    }
}
