//! The property that makes the native evaluator safe: wherever it answers, the expression guest gives the same answer.
//!
//! Expressions are grown as trees, so that most of them have a value, and glued together from pieces, so that the two
//! grammars meet on texts that nobody would write.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::{Value, json};

use super::super::template::Template;
use super::{Budget, Evaluation, Expression, Scope};

/// Fails where both answer and the answers differ. Says whether the native evaluator answered at all.
fn agree(source: &str, input: &Value, x: &Value) -> Result<bool, TestCaseError> {
    let variables = [("x", x), ("y", input)];
    let native = match Expression::new(source).evaluate(&Scope {
        input,
        variables: &variables,
        budget: &Budget::new(1 << 20),
    }) {
        Evaluation::Guest => return Ok(false),
        Evaluation::Value(value) => Ok(value),
        Evaluation::Failed(reason) => Err(reason),
    };
    let guest =
        flowcell_plugin_jq::evaluate(source, &input.to_string(), &json!({"x": x, "y": input}).to_string());
    let guest = guest.map(|text| serde_json::from_str::<Value>(&text).unwrap());
    prop_assert_eq!(native, guest, "{} of {} with $x = {}", source, input, x);
    Ok(true)
}

/// Few in a plain run, which is everybody's; `PROPTEST_CASES` raises it.
fn few() -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { 600 };
    ProptestConfig { cases, failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn native_and_guest_agree_on_grown_expressions(source in expression(), input in value(), x in value()) {
        agree(&source, &input, &x)?;
    }

    #[test]
    fn native_and_guest_agree_on_chains_without_brackets(
        atoms in prop::collection::vec(leaf(), 2..6),
        operators in prop::collection::vec(operator(), 5),
        input in value(),
    ) {
        let chain: String = atoms.iter().zip(&operators).map(|(atom, operator)| format!("{atom} {operator} ")).collect();
        agree(&format!("{chain} 1"), &input, &json!(2))?;
    }

    #[test]
    fn native_and_guest_agree_on_pieces(pieces in prop::collection::vec(piece(), 1..7), input in value()) {
        agree(&pieces.concat(), &input, &json!({"a": 1}))?;
    }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn the_program_of_a_template_builds_what_the_template_builds(
        source in expression(), fixed in value(), input in value(), x in value(),
    ) {
        let template = Template::compile(&json!({
            "fixed": fixed, "list": [fixed, format!("${{ {source} }}")], "a/~ \"\\(b)": "${ .a? // $x }"
        }));
        let variables = [("x", &x), ("y", &input)];
        if let Evaluation::Value(built) = template.evaluate(&Scope { input: &input, variables: &variables, budget: &Budget::new(1 << 20) }) {
            let variables = json!({"x": x, "y": input}).to_string();
            let guest = flowcell_plugin_jq::evaluate(&template.program(), &input.to_string(), &variables);
            prop_assert_eq!(Ok(built), guest.map(|text| serde_json::from_str::<Value>(&text).unwrap()));
        }
    }
}

#[test]
fn native_answers_most_grown_expressions() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let grown = (expression(), value(), value());
    let answered = (0..400).filter(|_| {
        let (source, input, x) = grown.new_tree(&mut runner).unwrap().current();
        agree(&source, &input, &x).unwrap()
    });
    // Most of the rest are type errors, which are the guest's to word.
    let answered = answered.count();
    assert!(answered > 120, "only {answered} of 400 were answered");
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-5_i64..20).prop_map(Value::from),
        prop::sample::select(vec![
            json!(i64::MAX),
            json!(i64::MIN),
            json!(u64::MAX),
            json!(9_007_199_254_740_993_i64),
            json!(1.0),
            json!(0.1),
            json!(-0.0),
            json!(2.5),
            json!(1e17),
            json!(1e-7),
            json!(1e300),
            json!(5e-324),
            json!(9.3e18),
        ]),
        any::<f64>().prop_filter("JSON has no others", |double| double.is_finite()).prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "a",
            "b",
            "0",
            "42",
            "-7",
            "007",
            " 1",
            "1e3",
            "é",
            "Ab\"\\\n",
            "\u{1f600}"
        ])
        .prop_map(Value::from),
    ];
    scalar.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key(), inner, 0..4).prop_map(|fields| Value::Object(
                fields.into_iter().map(|(key, value)| (key.into(), value)).collect()
            )),
        ]
    })
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "if", "x y", "é"])
}

fn leaf() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        ".",
        ".a",
        ".b",
        ".a.b",
        ".a[0]",
        ".[0]",
        ".[-1]",
        ".[\"a\"]",
        ".\"x y\"",
        ".a?",
        ".[0]?",
        ".a.b?.c",
        ".[1].a?",
        "$x",
        "$y",
        "$x.a",
        "$x[0]",
        "null",
        "true",
        "false",
        "0",
        "1",
        "2",
        "3.5",
        "1.0",
        "1e3",
        "10",
        "0.1",
        "-1",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "\"\"",
        "\"a\"",
        "\"b\\u00e9\\n\"",
        "\"42\"",
        "[]",
        "{}",
        "length",
        "keys",
        "type",
        "not",
        "first",
        "last",
        "tostring",
        "tonumber",
        "ascii_downcase",
        "ascii_upcase",
        ".if",
        "._a1",
    ])
    .prop_map(str::to_owned)
}

fn operator() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "and", "or", "//", "|",
    ])
}

fn expression() -> impl Strategy<Value = String> {
    leaf().prop_recursive(4, 32, 4, |inner| {
        let pair = (inner.clone(), inner.clone());
        let three = (inner.clone(), inner.clone(), inner.clone());
        prop_oneof![
            3 => (inner.clone(), operator(), inner.clone()).prop_map(|(left, operator, right)| format!("({left} {operator} {right})")),
            1 => (inner.clone(), operator(), inner.clone()).prop_map(|(left, operator, right)| format!("{left}{operator} {right}")),
            1 => inner.clone().prop_map(|inner| format!("-({inner})")),
            1 => inner.clone().prop_map(|inner| format!("({inner})?")),
            1 => inner.clone().prop_map(|inner| format!("({inner}).a")),
            1 => pair.clone().prop_map(|(base, index)| format!("({base})[{index}]")),
            1 => pair.clone().prop_map(|(base, index)| format!("({base})[{index}]?.b")),
            1 => pair.clone().prop_map(|(first, second)| format!("[{first}, {second}]")),
            1 => inner.clone().prop_map(|inner| format!("[{inner}]")),
            1 => three.clone().prop_map(|(key, one, two)| format!("{{({key}): {one}, b: {two}}}")),
            1 => pair.clone().prop_map(|(one, two)| format!("{{a: {one}, \"\\(\"k\")2\": {two}, $x, c, \"x y\"}}")),
            1 => pair.clone().prop_map(|(one, two)| format!("\"<\\({one}) \\({two})>\"")),
            1 => three.prop_map(|(test, then, otherwise)| format!("if {test} then {then} else {otherwise} end")),
            1 => pair.clone().prop_map(|(test, then)| format!("if {test} then {then} elif .a then 1 end")),
            1 => inner.clone().prop_map(|inner| format!("startswith({inner})")),
            1 => inner.clone().prop_map(|inner| format!("endswith({inner})")),
            1 => inner.prop_map(|inner| format!("has({inner})")),
            1 => pair.prop_map(|(one, two)| format!("({one} | {two})")),
        ]
    })
}

fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        ".", ".a", ".b", "[", "]", "(", ")", "{", "}", "\"", "\\(", "a", " ", "|", "//", "?", "if ",
        " then ", " else ", " end", "$x", ":", ",", "-", "1", "2.5", "*", "/", "%", "==", "<", "<=",
        "length", "not", " and ", " or ", "[0]", "[\"a\"]", ".[", "1.", ".5", "e2", "\n", "\\u0041", "has(",
        ";", "#", "..", "::", "=", "|=", "@text",
    ])
}
