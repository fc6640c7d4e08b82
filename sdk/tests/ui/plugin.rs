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

mod import_without_function {
    flowcell_sdk::plugin! { imports: [curl] }
}

mod import_by_an_action {
    use flowcell_sdk::prelude::*;

    #[flowcell_sdk::action]
    fn asks(input: Value, _ctx: &mut Context) -> Result<Value, Problem> {
        Ok(input)
    }

    flowcell_sdk::plugin! { actions: [asks], imports: [curl = asks] }
}

mod sample_that_is_not_listed {
    use flowcell_sdk::Sample;
    use flowcell_sdk::prelude::*;

    #[flowcell_sdk::trigger(sample = variables)]
    fn hook(config: Value, request: Inbound, ctx: &mut Context) -> Result<Verdict, Problem> {
        let _ = (request, ctx);
        Ok(Verdict::start(config))
    }

    fn variables(_sample: Sample, _ctx: &mut Context) -> Result<Vec<Value>, String> {
        Ok(vec![])
    }

    flowcell_sdk::plugin! { triggers: [hook] }
}

#[flowcell_sdk::action]
fn no_result(input: Value, _ctx: &mut Context) -> Value {
    input
}

fn main() {}
