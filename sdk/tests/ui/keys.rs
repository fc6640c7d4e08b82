#![allow(unused_imports)]

use flowcell_sdk::prelude::*;

#[flowcell_sdk::action(idempotnet)]
fn unknown_key(input: Value, ctx: &mut Context) -> Result<Value, Problem> {
    Ok(input)
}

#[flowcell_sdk::action(name = "Post Message")]
fn bad_name(input: Value, ctx: &mut Context) -> Result<Value, Problem> {
    Ok(input)
}

#[flowcell_sdk::action(wants(http = "api.example.com"))]
fn without_reason(input: Value, ctx: &mut Context) -> Result<Value, Problem> {
    Ok(input)
}

#[flowcell_sdk::action(wants(files = "/tmp: writes"))]
fn other_capability(input: Value, ctx: &mut Context) -> Result<Value, Problem> {
    Ok(input)
}

#[flowcell_sdk::action(example = "{city: Delft}")]
fn bad_example(input: Value, ctx: &mut Context) -> Result<Value, Problem> {
    Ok(input)
}

#[flowcell_sdk::trigger(idempotent)]
fn key_of_actions(config: Value, request: Inbound, ctx: &mut Context) -> Result<Verdict, Problem> {
    Ok(Verdict::start(config))
}

fn main() {}
