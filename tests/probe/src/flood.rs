//! Guests that hand the host too much: lines, bytes, headers, errors.

use flowcell_sdk::prelude::*;

/// How much.
#[derive(Deserialize, JsonSchema)]
pub struct Amount {
    /// How many.
    #[serde(default)]
    count: Option<usize>,
    /// How large each is.
    #[serde(default)]
    bytes: Option<usize>,
}

/// Writes log lines.
#[flowcell_sdk::action]
pub fn log_flood(input: Amount, ctx: &mut Context) -> Result<usize, Problem> {
    let line = "l".repeat(input.bytes.unwrap_or(1000));
    let count = input.count.unwrap_or(100_000);
    for _ in 0..count {
        ctx.info(&line);
    }
    Ok(count)
}

/// Writes to standard output, empty writes among them.
#[flowcell_sdk::action]
#[expect(clippy::print_stdout, reason = "the host's cap on it is what is tested")]
pub fn stdout_flood(input: Amount, _ctx: &mut Context) -> Result<usize, Problem> {
    let line = "o".repeat(input.bytes.unwrap_or(1000));
    let count = input.count.unwrap_or(100_000);
    for _ in 0..count {
        print!("");
        println!("{line}");
    }
    Ok(count)
}

/// Gives a very large output.
#[flowcell_sdk::action]
pub fn huge_output(input: Amount, _ctx: &mut Context) -> Result<String, Problem> {
    Ok("h".repeat(input.bytes.unwrap_or(48 << 20)))
}

/// Fails with a very large error.
#[flowcell_sdk::action]
pub fn huge_problem(input: Amount, _ctx: &mut Context) -> Result<(), Problem> {
    Err(Problem::runtime("p".repeat(input.bytes.unwrap_or(48 << 20))))
}

/// Makes requests that are refused, one after another.
#[flowcell_sdk::action]
pub fn error_flood(input: Amount, ctx: &mut Context) -> Result<usize, Problem> {
    let count = input.count.unwrap_or(10_000);
    Ok((0..count).filter(|_| ctx.http().get("not a url").send().is_err()).count())
}

/// Where to.
#[derive(Deserialize, JsonSchema)]
pub struct Headers {
    url: String,
    /// How many headers; 100 000 unless said otherwise.
    #[serde(default)]
    count: Option<usize>,
}

/// Sends a request with very many headers; the error's code, or the status.
#[flowcell_sdk::action]
pub fn headers_flood(input: Headers, ctx: &mut Context) -> Result<Value, Problem> {
    let mut request = ctx.http().get(input.url);
    for number in 0..input.count.unwrap_or(100_000) {
        request = request.header(format!("x-{number}"), "v");
    }
    Ok(crate::fetch::told(request.send()))
}
