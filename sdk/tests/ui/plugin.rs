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

mod import_that_is_not_listed {
    use flowcell_sdk::Import;
    use flowcell_sdk::prelude::*;

    #[flowcell_sdk::action(imports(curl = from_curl))]
    fn asks(input: Value, _ctx: &mut Context) -> Result<Value, Problem> {
        Ok(input)
    }

    fn from_curl(_text: &str, _ctx: &mut Context) -> Result<Import, String> {
        Err("it is no command line".to_owned())
    }

    flowcell_sdk::plugin!(asks);
}

mod import_that_is_not_there {
    use flowcell_sdk::prelude::*;

    #[flowcell_sdk::action]
    fn asks(input: Value, _ctx: &mut Context) -> Result<Value, Problem> {
        Ok(input)
    }

    flowcell_sdk::plugin! { actions: [asks], importing: [asks] }
}

#[flowcell_sdk::action]
fn no_result(input: Value, _ctx: &mut Context) -> Value {
    input
}

fn main() {}
