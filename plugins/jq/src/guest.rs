//! The component's exports.

#![allow(unsafe_code, reason = "the generated bindings pass strings through linear memory")]

wit_bindgen::generate!({
    path: "../../wit",
    world: "expression-plugin",
});

struct Guest;

impl exports::flowcell::plugin::expression::Guest for Guest {
    fn evaluate(program: String, input: String, variables: String) -> Result<String, String> {
        crate::evaluate(&program, &input, &variables)
    }

    fn check(program: String, variables: Vec<String>) -> Result<(), String> {
        let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
        crate::check(&program, &variables)
    }
}

export!(Guest);
