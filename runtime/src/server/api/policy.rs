//! `/api/v1/policy/explain`: what the egress policy says of a request that nobody makes.

use hyper::StatusCode;
use serde::Deserialize;

use super::super::limits;
use super::super::response::{self, Outcome};
use super::Call;
use super::query::Query;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    #[serde(default = "get")]
    method: String,
    url: String,
}

fn get() -> String {
    "GET".to_owned()
}

/// By `?url=` and `&method=`.
pub(super) async fn explain(call: &Call<'_>) -> Outcome {
    let query = Query::read(call.head, &["url", "method"])?;
    let url = query.text("url").ok_or_else(|| {
        response::bad_request("parameter `url` is missing: it is the address that a step would call")
    })?;
    about(call, query.text("method").unwrap_or("GET"), url).await
}

/// By `{"method", "url"}` in the body: for addresses that are long.
pub(super) async fn explain_body(call: &mut Call<'_>) -> Outcome {
    let body = call.json(limits::SMALL_BYTES).await?;
    let question: Question = serde_json::from_value(body).map_err(|error| {
        response::bad_request(format!("the body is not {{\"method\", \"url\"}}: {error}"))
    })?;
    about(call, &question.method, &question.url).await
}

async fn about(call: &Call<'_>, method: &str, url: &str) -> Outcome {
    response::json(StatusCode::OK, &call.state.runtime.explain(&call.tenant, method, url).await?)
}
