//! Runtime expressions: jq programs, evaluated here where that is certain to give what the expression guest gives.
//!
//! An [`Expression`] is parsed once, when the flow is loaded. If it lies in the subset of [`syntax`] it is evaluated
//! in place, without a sandbox: paths, literals, comparisons, logic, `//`, constructions, interpolation, arithmetic
//! and a few functions. Everything else is answered with [`Evaluation::Guest`], and so is everything in doubt at run
//! time: an error whose wording is the guest's, a number that the two might treat differently, no value or several, a
//! program that wants more than its [`Budget`]. The engine then asks the `jq` guest.
//!
//! Whole values with expressions in them are [`Template`](super::template::Template)s.
//!
//! # Why the subset has a parser of its own
//!
//! The guest reads programs with the parser of jaq-core, which could be linked here as well. It was measured
//! (jaq-core 3.1.2 with the guest's adaptations, release build) and left to the guest:
//!
//! - **Depth.** That parser is recursive without a limit, and so is the drop of its tree. On a thread with 2 MiB of stack it
//!   ends the process on 10 KB of `-`, of `.|` or of `1+`, and on 2 KB of `(`. The guest may do so in its sandbox. Here it
//!   is a tenant's text, and each of these shapes would need a scanner of its own in front. [`parse`] stops after 48 nested
//!   levels and 2,000 nodes, in one pass.
//! - **Time.** An everyday expression takes 0.38 µs with [`parse`] and 0.95 µs with the other one and the translation of its
//!   tree; a program that is the guest's anyway takes 0.09 µs and 1.10 µs.
//! - **Size.** 57 KB of code against 210 KB.
//! - **Agreement.** Of 600,000 texts, half of them grown and half glued together of pieces, [`parse`] read 196,309. The guest
//!   read each of them as the same tree but for two, which it refused by a fault of its own that is mended since.
//!
//! One grammar would therefore replace [`parse`] by a scanner and a translation of about the same length, and take the bound
//! away. The property test in `agreement` holds the two together instead.

#[cfg(test)]
mod agreement;
mod budget;
mod evaluate;
mod function;
mod number;
mod order;
mod parse;
pub(crate) mod scan;
mod syntax;

use std::collections::BTreeSet;

use serde_json::Value;

pub(crate) use budget::Budget;
pub(crate) use function::type_name;

/// How deep a result may nest: the guest's limit, and below what every JSON reader accepts.
const DEEPEST_RESULT: usize = 100;

/// What an expression sees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    /// The value of `.`.
    pub input: &'a Value,
    /// Names without `$`, and their values.
    pub variables: &'a [(&'a str, &'a Value)],
    /// What native evaluation may still do.
    pub budget: &'a Budget,
}

/// What came of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Evaluation {
    /// The one value.
    Value(Value),
    /// It raised an error; a sentence for the author of the expression.
    Failed(String),
    /// Only the expression guest can tell.
    Guest,
}

/// One jq program.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    source: String,
    native: Option<syntax::Node>,
    variables: BTreeSet<String>,
}

impl Expression {
    /// Reads a program. One that cannot be read is left to the guest, which words the error.
    pub fn new(source: &str) -> Expression {
        let source = source.trim();
        let native = parse::parse(source);
        let variables = match &native {
            Some(node) => node.variables(),
            None => scan::variables(source),
        };
        Expression { source: source.to_owned(), native, variables }
    }

    /// The program as text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it may be evaluated without the guest.
    pub fn is_native(&self) -> bool {
        self.native.is_some()
    }

    /// The names it uses, without `$`; for a program left to the guest perhaps a few more.
    pub fn variables(&self) -> &BTreeSet<String> {
        &self.variables
    }

    /// Evaluates it in `scope`.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Evaluation {
        let Some(node) = &self.native else {
            return Evaluation::Guest;
        };
        // An unknown name is a mistake even where it is never reached.
        let is_known = |name: &String| scope.variables.iter().any(|(known, _)| known == name);
        if !self.variables.iter().all(is_known) {
            return Evaluation::Guest;
        }
        match evaluate::evaluate(node, scope) {
            Ok(value) if nests_within(&value, DEEPEST_RESULT) => {
                evaluate::own(value, scope.budget).map_or(Evaluation::Guest, Evaluation::Value)
            }
            Err(evaluate::Stop::Failed(reason)) => Evaluation::Failed(reason),
            Ok(_) | Err(_) => Evaluation::Guest,
        }
    }
}

fn nests_within(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(|item| nests_within(item, levels - 1)),
        Value::Object(fields) => levels > 0 && fields.values().all(|field| nests_within(field, levels - 1)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn evaluate(source: &str, input: Value) -> Evaluation {
        let who = json!({"name": "Ada"});
        let three = json!(3);
        let variables = [("who", &who), ("n", &three)];
        let budget = Budget::new(1 << 20);
        Expression::new(source).evaluate(&Scope { input: &input, variables: &variables, budget: &budget })
    }

    #[test]
    fn expressions_of_everyday_flows_are_evaluated_in_place() {
        let input = json!({"a": {"b": [1, 2, {"c": "x"}]}, "n": 4, "s": "Hello", "t": true, "none": null});
        for (source, expected) in [
            (".", input.clone()),
            (".a.b[2].c", json!("x")),
            (".a.b[-1]", json!({"c": "x"})),
            (".[\"a\"].b[0]", json!(1)),
            (".a[\"b\"][1]", json!(2)),
            (".\"a\".b | length", json!(3)),
            (".missing.deeper", json!(null)),
            (".a.b[9]", json!(null)),
            (".s?", json!("Hello")),
            (".s.x? // \"fallback\"", json!("fallback")),
            (".none // .t", json!(true)),
            (".n + 1", json!(5)),
            (".n / 2", json!(2)),
            ("7 / 2", json!(3.5)),
            ("0.1 + 0.9", json!(1)),
            (".n % 3", json!(1)),
            ("-.n", json!(-4)),
            ("1 + 2 * 3 - 4", json!(3)),
            (".n > 3 and .t", json!(true)),
            (".n > 3 and (.t | not)", json!(false)),
            (".a == {\"b\": [1, 2.0, {\"c\": \"x\"}]}", json!(true)),
            ("\"Hi \\(.s), \\(.n)\"", json!("Hi Hello, 4")),
            (
                "{n, who: $who.name, \"x y\": [.n, .s], ($who.name): 1}",
                json!({
                    "n": 4, "who": "Ada", "x y": [4, "Hello"], "Ada": 1
                }),
            ),
            ("{$n}", json!({"n": 3})),
            ("if .n > 9 then \"big\" elif .n == 4 then \"four\" else \"small\" end", json!("four")),
            (".s | ascii_downcase | startswith(\"he\")", json!(true)),
            ("[.a.b[0, 1]] ", Value::Null),
            ("$n * 2", json!(6)),
            ("[]", json!([])),
            ("{} | keys", json!([])),
            ("\"a\" + \"b\"", json!("ab")),
            ("{\"a\": 1} + {\"b\": 2}", json!({"a": 1, "b": 2})),
            (".a | has(\"b\")", json!(true)),
            ("\"42\" | tonumber", json!(42)),
            ("42 | tostring", json!("42")),
        ] {
            let evaluation = evaluate(source, input.clone());
            if source.contains("[0, 1]") {
                assert_eq!(evaluation, Evaluation::Guest, "{source}");
            } else {
                assert_eq!(evaluation, Evaluation::Value(expected), "{source}");
            }
        }
    }

    #[test]
    fn what_is_outside_of_the_subset_is_left_to_the_guest() {
        for source in [
            ".[]",
            "..",
            "map(.a)",
            "reduce .[] as $x (0; . + $x)",
            "def f: 1; f",
            ". as $x | $x",
            "@base64",
            "1, 2",
            ".a[1:2]",
            "$unknown",
            "1 == 1 == 1",
            "6 * 5 % 4",
            "",
            "(",
            "{a:}",
            "{a: 1,}",
            ".a.",
            "\"\\x\"",
            "nosuch",
            "$ENV",
            "# comment\n1",
            "1 # comment",
            ".a?",
            "-\"a\"",
            "1 / 0",
            "[.[\"a\"]",
        ] {
            let evaluation = evaluate(source, json!("text"));
            assert_eq!(evaluation, Evaluation::Guest, "{source}");
        }
    }

    #[test]
    fn indexing_the_wrong_type_fails_in_the_words_of_jq() {
        assert_eq!(
            evaluate(".s.x", json!({"s": 1})),
            Evaluation::Failed("Cannot index number with string \"x\"".to_owned())
        );
    }

    #[test]
    fn variables_are_the_names_that_are_used() {
        let names = |source: &str| Expression::new(source).variables().iter().cloned().collect::<Vec<_>>();
        assert_eq!(names("$context.a + $input"), ["context", "input"]);
        assert_eq!(names("{$x, y: \"\\($z)\"}"), ["x", "z"]);
        assert_eq!(names("map($task.name)"), ["task"]);
    }

    #[test]
    fn what_wants_more_than_its_budget_is_left_to_the_guest() {
        let doubled = |times: usize| format!("\"{}\"{} | length", "x".repeat(16), " | . + .".repeat(times));
        assert_eq!(evaluate(&doubled(10), Value::Null), Evaluation::Value(json!(16 << 10)));
        for times in [17, 40, 60] {
            assert_eq!(evaluate(&doubled(times), Value::Null), Evaluation::Guest);
        }
        let wide = |source: &str| evaluate(source, json!("x".repeat(1 << 18)));
        for source in [
            "[., ., ., ., .]",
            "{a: ., b: ., c: ., d: ., e: .}",
            "\"\\(.)\\(.)\\(.)\\(.)\\(.)\"",
            "[ascii_upcase, ascii_downcase, ascii_upcase, ascii_downcase, length]",
            "[[.], [.]] == [[.], [.]]",
            "[. == ., . == ., . == ., . == ., . == .]",
        ] {
            assert_eq!(wide(source), Evaluation::Guest, "{source}");
        }
        assert_eq!(wide("length"), Evaluation::Value(json!(1 << 18)));
    }

    #[test]
    fn endless_nesting_is_no_danger() {
        for source in ["(".repeat(100_000), "[".repeat(100_000), "-".repeat(100_000), "1+".repeat(100_000)] {
            assert_eq!(evaluate(&source, Value::Null), Evaluation::Guest);
        }
        let chain = format!("{}1", "1+".repeat(5_000));
        assert_eq!(evaluate(&chain, Value::Null), Evaluation::Guest);
        let pipes = format!("{}.", ".|".repeat(5_000));
        assert_eq!(evaluate(&pipes, Value::Null), Evaluation::Guest);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(source in ".{0,60}") {
            let _ = evaluate(&source, json!({"a": [1, "x"]}));
        }

        #[test]
        fn no_text_of_jq_pieces_makes_it_panic(pieces in proptest::collection::vec(piece(), 0..20)) {
            let _ = evaluate(&pieces.concat(), json!({"a": [1, "x"]}));
        }
    }

    fn piece() -> impl proptest::strategy::Strategy<Value = &'static str> {
        proptest::sample::select(
            &[
                ".",
                ".a",
                "[",
                "]",
                "(",
                ")",
                "{",
                "}",
                "\"",
                "\\(",
                "\\",
                "|",
                "//",
                "?",
                "if ",
                " then ",
                " else ",
                " end ",
                "$n",
                ":",
                ",",
                "-",
                "1",
                "9223372036854775808",
                "1e400",
                "*",
                "/",
                "%",
                "==",
                "<",
                "length",
                "é",
                " and ",
                " not ",
                "\\u00e9",
                "\\ud800",
                "keys",
                "has(",
                ";",
                "#",
                "\n",
                "@x",
                "::",
            ][..],
        )
    }
}
