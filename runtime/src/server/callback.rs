//! `/callbacks/{token}`: the address at which the world answers a waiting step.
//!
//! No step of this release suspends, so no token exists yet and a `POST` finds none. A `GET` never resumes anything:
//! mail programs and chats open addresses by themselves.

use hyper::{Method, StatusCode};

use super::response::{self, Outcome};

const WHAT_IT_IS: &str =
    "This is where a waiting step of a flow is answered, by POST. Opening it does nothing.\n";

pub(super) fn answer(method: &Method) -> Outcome {
    match *method {
        Method::POST => Err(response::not_found()),
        Method::OPTIONS => Ok(response::options("POST")),
        _ => {
            let text =
                response::bytes(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", WHAT_IT_IS);
            Ok(response::with_allow(text, "POST"))
        }
    }
}
