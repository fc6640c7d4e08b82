//! HTTP requests as steps of a flow: the action `http-request`, and `http`, which the language's `call: http` uses.
//!
//! Both read what the flow wrote, make a request of it, and make a value of the answer, with what `plugins/http` has for
//! that. Policy, redirects, time and decompression are the host's.

mod dsl;

use flowcell_plugin_http::answer::Output;
use flowcell_plugin_http::checks;
use flowcell_plugin_http::input::Input;
use flowcell_plugin_http::pages::{Turn, Turning};
use flowcell_plugin_http::poll::Polling;
use flowcell_plugin_http::request;
use flowcell_plugin_http::retry::Failed;
use flowcell_sdk::prelude::*;
use flowcell_sdk::problem::kind::VALIDATION;

/// HTTP request.
///
/// Sends one request and gives its answer: `{status, headers, body, success, url, redirects}`. An answer other than
/// 2xx fails the step and stays readable in the error; with `allowFailure` the flow goes on. What may succeed later is sent
/// again as `retry` says; what is not ready yet (202) is asked for again with `poll`.
#[flowcell_sdk::action(
    name = "http-request",
    resume = asked_again,
    check = check,
    wants(http = "the hosts that the flow names: sends the flow's requests"),
    example = r#"{"url": "https://api.example.com/orders", "method": "POST", "body": {"id": 7}}"#
)]
fn http_request(input: Input<'_>, ctx: &mut Context) -> Result<Next<Output, Polling>, Problem> {
    exchange(input, ctx).map_err(named)
}

fn check(draft: &Draft, _: &mut Context) -> Vec<Finding> {
    checks::of_request(draft, "")
}

fn asked_again(left: Polling, _: Wake, ctx: &mut Context) -> Result<Next<Output, Polling>, Problem> {
    exchange(left.input(), ctx).map_err(named)
}

/// A request that cannot be made has a code as one has that fails.
fn named(problem: Problem) -> Problem {
    match problem.kind() == VALIDATION && problem.code().is_none() {
        true => problem.data(&json!({ "code": "invalid-request", "sent": "no" })),
        false => problem,
    }
}

fn exchange(mut input: Input<'_>, ctx: &Context) -> Result<Next<Output, Polling>, Problem> {
    let mut turning = match input.pages.take() {
        Some(pages) => pages.begin(&mut input, ctx)?,
        None => return one(&input, None, ctx),
    };
    loop {
        let page = match one(&input, Some(&turning), ctx)? {
            Next::Done(page) => page,
            waits => return Ok(waits),
        };
        if turning.is_end(&page) {
            return Ok(Next::Done(
                turning.finish(Output { status: 200, success: true, error: None, ..page }, true)?,
            ));
        }
        if !page.success {
            return Ok(Next::Done(page));
        }
        if let Turn::End(complete) = turning.take(&page, &mut input, ctx)? {
            return Ok(Next::Done(turning.finish(page, complete)?));
        }
    }
}

/// One request and its answer, where it is to be repeated, waited for, or a failure. An answer that is the end of `turning`
/// is none.
fn one(
    input: &Input<'_>,
    turning: Option<&Turning>,
    ctx: &Context,
) -> Result<Next<Output, Polling>, Problem> {
    let (allow_failure, redirects) = (input.allow_failure, input.redirects.unwrap_or(Redirects::Follow));
    let (method, url) = (input.method, &input.url);
    let failed = Failed { policy: input.retry.as_ref(), method, is_asked_for: false };
    match request::send(input, redirects, ctx)? {
        Ok(response) => {
            let output = Output::of(response, redirects, input);
            if turning.is_some_and(|turning| turning.is_end(&output)) {
                return Ok(Next::Done(output));
            }
            if let Some((polling, pause)) = Polling::after(input, &output)? {
                return Ok(Wait::for_time(polling, pause).into());
            }
            match failed.after_answer(&output, ctx) {
                Some(pause) if !output.success => Err(output.into_problem(method, url).retry_after(pause)),
                _ if output.success || allow_failure => Ok(Next::Done(output.or_failed(method, url))),
                _ => Err(output.into_problem(method, url)),
            }
        }
        Err(error) => match failed.after_error(&error, ctx) {
            Some(pause) => Err(Problem::from(error).retry_after(pause)),
            None if allow_failure => Ok(Next::Done(Output::unanswered(url.trim(), error))),
            None => Err(error.into()),
        },
    }
}

use dsl::http;

flowcell_sdk::plugin! {
    actions: [http_request, http],
    title: "HTTP request",
    summary: "Requests to HTTP servers, under the tenant's policy.",
}

#[cfg(test)]
mod tests;
