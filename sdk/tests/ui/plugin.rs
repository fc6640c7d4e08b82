use flowcell_sdk::prelude::*;

mod unknown_key {
    flowcell_sdk::plugin! { action: [a] }
}

mod empty {
    flowcell_sdk::plugin!();
}

mod trigger_among_actions {
    use flowcell_sdk::prelude::*;

    #[flowcell_sdk::trigger]
    fn hook(config: Value, request: Inbound, ctx: &mut Context) -> Result<Verdict, Problem> {
        let _ = (request, ctx);
        Ok(Verdict::start(config))
    }

    flowcell_sdk::plugin!(hook);
}

#[flowcell_sdk::action]
fn no_result(input: Value, _ctx: &mut Context) -> Value {
    input
}

fn main() {}
