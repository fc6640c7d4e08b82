//! The one misbehaving guest of the tests: each action breaks one rule of the sandbox, or shows that one holds.
//!
//! Nothing here is for flows. A host must end every action within its budget, stay alive, and answer the next call.

mod entangled;
mod fetch;
mod flood;
mod greed;
mod pry;
mod wait;

use flowcell_sdk::prelude::*;

/// Gives its input back.
#[flowcell_sdk::action(idempotent)]
fn echo(input: Value, _ctx: &mut Context) -> Result<Value, Problem> {
    Ok(input)
}

/// What a step knows about itself.
#[derive(Serialize, JsonSchema)]
struct About {
    run: String,
    step: String,
    attempt: u32,
    idempotency_key: String,
    deadline_ms: u64,
    trace_parent: String,
    environment: Vec<String>,
    arguments: Vec<String>,
    root: String,
}

/// Says what it can see of its surroundings.
#[flowcell_sdk::action(idempotent)]
fn about(_input: Value, ctx: &mut Context) -> Result<About, Problem> {
    let deadline = ctx.deadline().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(About {
        run: ctx.run(),
        step: ctx.step(),
        attempt: ctx.attempt(),
        idempotency_key: ctx.idempotency_key(),
        deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
        trace_parent: ctx.trace_parent(),
        environment: std::env::vars().map(|(name, _)| name).collect(),
        arguments: std::env::args().collect(),
        root: std::fs::read_dir("/").map_or_else(|error| error.to_string(), |_| "readable".into()),
    })
}

/// Fails with a problem of its own until the attempt that is named.
#[derive(Deserialize, JsonSchema)]
struct Fail {
    /// The attempt that succeeds; none does without it.
    #[serde(default)]
    until_attempt: Option<u32>,
    /// What is asked to be waited.
    #[serde(default)]
    retry_after_ms: Option<u64>,
}

/// Fails, and asks to be tried again where `retry_after_ms` is given.
#[flowcell_sdk::action]
fn fail(input: Fail, ctx: &mut Context) -> Result<u32, Problem> {
    let attempt = ctx.attempt();
    if input.until_attempt.is_some_and(|until| attempt >= until) {
        return Ok(attempt);
    }
    let problem = Problem::new("https://example.com/errors/probe", "The probe failed", 418)
        .detail(format!("attempt {attempt} failed, as it was told"))
        .data(&json!({ "code": "told-to", "attempt": attempt }));
    Err(match input.retry_after_ms {
        Some(wait) => problem.retry_after(Duration::from_millis(wait)),
        None => problem,
    })
}

flowcell_sdk::plugin! {
    actions: [
        echo, about, fail, entangled::entangled,
        greed::grow, greed::recurse, greed::sleep_until, greed::spin, greed::trap,
        flood::error_flood, flood::headers_flood, flood::huge_output, flood::huge_problem, flood::log_flood, flood::stdout_flood,
        fetch::fetch, fetch::fetch_wild, fetch::fetches,
        pry::borrow, pry::pry,
        wait::wait,
    ],
    title: "Probe",
    summary: "Breaks one rule at a time.",
}

#[cfg(test)]
mod tests {
    use flowcell_sdk::Exports;
    use flowcell_sdk::testing::MockHost;

    use super::*;

    #[test]
    fn echo_gives_back_what_it_got() {
        let output = MockHost::new().run::<Plugin>("echo", json!({ "a": [1, null] }));
        assert_eq!(output, Ok(json!({ "a": [1, null] })));
    }

    #[test]
    fn fail_stops_failing_when_told() {
        let input = json!({ "until_attempt": 2, "retry_after_ms": 5 });
        let first = MockHost::new().run::<Plugin>("fail", input.clone()).unwrap_err();
        assert_eq!(first.retry_after_time(), Some(Duration::from_millis(5)));
        assert_eq!(MockHost::new().with_attempt(2).run::<Plugin>("fail", input), Ok(json!(2)));
    }

    #[test]
    fn the_descriptor_names_every_action_once() {
        let mut names: Vec<_> = Plugin::descriptor().actions.iter().map(|action| action.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!((names.len(), count), (21, 21));
    }
}
