#![allow(unused_imports)]

use flowcell_sdk::prelude::*;

#[flowcell_sdk::action]
struct NotAFunction;

#[flowcell_sdk::action]
fn without_context(input: Value) -> Result<Value, Problem> {
    Ok(input)
}

#[flowcell_sdk::action]
fn shared_context(input: Value, ctx: &Context) -> Result<Value, Problem> {
    Ok(input)
}

#[flowcell_sdk::action]
fn too_much(input: Value, more: Value, ctx: &mut Context) -> Result<Value, Problem> {
    Ok(input)
}

#[flowcell_sdk::action]
async fn in_the_background(input: Value, ctx: &mut Context) -> Result<Value, Problem> {
    Ok(input)
}

#[flowcell_sdk::action]
fn of_any_type<T: Serialize>(input: T, ctx: &mut Context) -> Result<Value, Problem> {
    Ok(json!(input))
}

#[flowcell_sdk::action]
fn without_answer(input: Value, ctx: &mut Context) {}

#[flowcell_sdk::trigger]
fn without_request(config: Value, ctx: &mut Context) -> Result<Verdict, Problem> {
    Ok(Verdict::start(config))
}

fn main() {}
