//! Guests that send what they are told, without the manners of `http-request`.

use flowcell_sdk::prelude::*;

/// What to send.
#[derive(Deserialize, JsonSchema)]
pub struct Fetch {
    url: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    timeout_ms: Option<u64>,
    #[serde(default)]
    max_response_bytes: Option<u64>,
}

/// Sends one request; `{status, body}`, or `{code, sent, detail}` where there is no answer.
#[flowcell_sdk::action]
pub fn fetch(input: Fetch, ctx: &mut Context) -> Result<Value, Problem> {
    Ok(told(send(&input, ctx)))
}

/// Sends a request that no rule checks first: any method, headers that frame, an illegal URL.
#[flowcell_sdk::action]
pub fn fetch_wild(input: Fetch, ctx: &mut Context) -> Result<Vec<Value>, Problem> {
    let framing = [("host", "elsewhere.example"), ("content-length", "1"), ("transfer-encoding", "chunked")];
    let attempts = framing.map(|(name, value)| {
        let method = input.method.as_deref().unwrap_or("GET");
        told(ctx.http().request(method, &input.url).header(name, value).send())
    });
    Ok(attempts.into())
}

/// What to send, and how often.
#[derive(Deserialize, JsonSchema)]
pub struct Fetches {
    urls: Vec<String>,
    #[serde(default)]
    times: Option<usize>,
}

/// Sends many requests one after another; what came of each.
#[flowcell_sdk::action]
pub fn fetches(input: Fetches, ctx: &mut Context) -> Result<Vec<Value>, Problem> {
    let times = input.times.unwrap_or(1);
    let all = input.urls.iter().flat_map(|url| std::iter::repeat_n(url, times));
    Ok(all.map(|url| told(ctx.http().get(url).send())).collect())
}

fn send(input: &Fetch, ctx: &Context) -> Result<Response, HttpError> {
    let mut request = ctx.http().request(input.method.as_deref().unwrap_or("GET"), &input.url);
    for (name, value) in &input.headers {
        request = request.header(name, value);
    }
    if let Some(body) = &input.body {
        request = request.body(body.as_bytes());
    }
    if let Some(millis) = input.timeout_ms {
        request = request.timeout(Duration::from_millis(millis));
    }
    if let Some(maximum) = input.max_response_bytes {
        request = request.max_response_bytes(maximum);
    }
    request.send()
}

/// What came of a request.
pub fn told(result: Result<Response, HttpError>) -> Value {
    match result {
        Ok(response) => {
            json!({ "status": response.status(), "body": response.text(), "url": response.url() })
        }
        Err(error) => json!({ "code": error.code, "sent": error.sent, "detail": error.detail }),
    }
}
