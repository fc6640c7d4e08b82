//! Waiting: a step that waits as it is told, and tells a server what it lives through.

use flowcell_sdk::prelude::*;

/// How to wait.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Told {
    /// For a callback.
    #[serde(default)]
    callback: bool,
    /// Until this time is over.
    #[serde(default)]
    timer_ms: Option<u64>,
    /// At most this long.
    #[serde(default)]
    deadline_ms: Option<u64>,
    /// `cancel` is called however the step ends.
    #[serde(default)]
    cleanup: bool,
    /// Where to tell of it; nowhere without.
    #[serde(default)]
    tell: Option<String>,
    /// How often to wait; once unless said otherwise.
    #[serde(default)]
    times: Option<u32>,
    /// For whoever reads the step's input; the step does not.
    #[serde(default, rename = "note")]
    _note: Option<String>,
}

/// What is left while it waits.
#[derive(Deserialize, Serialize)]
pub struct Left {
    told: Told,
    seen: Vec<Value>,
}

impl Serialize for Told {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({
            "callback": self.callback, "timerMs": self.timer_ms, "deadlineMs": self.deadline_ms,
            "cleanup": self.cleanup, "tell": self.tell, "times": self.times,
        })
        .serialize(serializer)
    }
}

/// Waits as it is told, and gives what woke it.
#[flowcell_sdk::action(resume = woken, cancel = cancelled)]
pub fn wait(told: Told, ctx: &mut Context) -> Result<Next<Value, Left>, Problem> {
    tell(&told, json!({ "event": "start", "callback": ctx.callback_url() }), ctx)?;
    Ok(next(Left { told, seen: vec![] }))
}

fn next(left: Left) -> Next<Value, Left> {
    let (timer, deadline, cleanup) = (left.told.timer_ms, left.told.deadline_ms, left.told.cleanup);
    let mut wait = match (left.told.callback, timer) {
        (false, Some(timer)) => Wait::for_time(left, Duration::from_millis(timer)),
        (_, None) => Wait::for_callback(left),
        (true, Some(timer)) => Wait::for_callback(left).or_after(Duration::from_millis(timer)),
    };
    if let Some(deadline) = deadline {
        wait = wait.at_most(Duration::from_millis(deadline));
    }
    if cleanup { wait.with_cleanup().into() } else { wait.into() }
}

fn woken(mut left: Left, wake: Wake, ctx: &mut Context) -> Result<Next<Value, Left>, Problem> {
    tell(&left.told, json!({ "event": "resume", "kind": wake.kind() }), ctx)?;
    left.seen.push(json!({ "kind": wake.kind(), "body": wake.get("body"), "query": wake.get("query") }));
    if left.seen.len() < left.told.times.unwrap_or(1) as usize {
        return Ok(next(left));
    }
    Ok(Next::Done(Value::Array(left.seen)))
}

fn cancelled(left: Left, reason: &str, ctx: &mut Context) -> Result<(), Problem> {
    tell(&left.told, json!({ "event": "cancel", "reason": reason }), ctx)
}

fn tell(told: &Told, what: Value, ctx: &Context) -> Result<(), Problem> {
    let Some(url) = &told.tell else { return Ok(()) };
    let answer = ctx.http().post(url).json(&what).send()?;
    match answer.is_success() {
        true => Ok(()),
        false => Err(Problem::runtime(format!("told {what}, and was answered with {}", answer.status()))),
    }
}

#[cfg(test)]
mod tests {
    use flowcell_sdk::testing::{MockHost, answer, request};

    use super::*;
    use crate::Plugin;

    #[test]
    fn it_waits_and_tells() {
        let said = || answer(200);
        let url = "https://example.com/told";
        let host = MockHost::new()
            .with_callback_url("https://hooks.example.com/callbacks/t")
            .expect(request("POST", url), said())
            .expect(request("POST", url), said())
            .expect(request("POST", url), said());
        let told = json!({ "callback": true, "deadlineMs": 9, "cleanup": true, "tell": url });
        let waiting = host.start::<Plugin>("wait", told).unwrap();
        let flowcell_sdk::Outcome::Suspend { wake, .. } = &waiting else { panic!("{waiting:?}") };
        assert_eq!(*wake, json!({ "callback": true, "cleanup": true, "deadlineMs": 9 }).to_string());
        host.cancel::<Plugin>("wait", waiting.clone(), "enough").unwrap();
        let done = host.resume::<Plugin>("wait", waiting, json!({ "kind": "callback", "body": 7 })).unwrap();
        let expected = r#"[{"body":7,"kind":"callback","query":null}]"#;
        assert_eq!(done, flowcell_sdk::Outcome::Done(expected.into()));
    }
}
