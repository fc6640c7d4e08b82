//! Values with runtime expressions in them, as documents hold them: `with: {endpoint: "${ .url }", method: get}`.
//!
//! A string that is exactly `${ … }` is an expression and becomes whatever it yields; every other string stays as it
//! is. Where all expressions are of the native subset the value is built in place; otherwise [`Template::program`]
//! is one jq program that builds the whole of it, so that the guest is asked once per task and not once per field.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde_json::{Map, Value};

pub(crate) use super::expression::{Evaluation, Scope};
use super::expression::{Expression, scan};

/// A value in which some leaves are expressions.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    root: Part,
    variables: BTreeSet<String>,
    program: OnceLock<String>,
}

/// An expression that only the guest can evaluate.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Foreign {
    /// Where it stands in the value: a JSON pointer.
    pub pointer: String,
    /// The program, without `${ }`.
    pub program: String,
    /// The names it may use, without `$`.
    pub variables: Vec<String>,
}

#[derive(Clone, Debug)]
enum Part {
    /// No expression in it.
    Literal(Value),
    Expression(Expression),
    Array(Vec<Part>),
    Object(Vec<(String, Part)>),
}

/// Why a value was not built.
enum Stop {
    Guest,
    /// `tokens`: the JSON pointer of the place, the last token first.
    Failed {
        tokens: Vec<String>,
        reason: String,
    },
}

impl Stop {
    /// The same, seen from one level up.
    fn below(mut self, token: impl FnOnce() -> String) -> Stop {
        if let Stop::Failed { tokens, .. } = &mut self {
            tokens.push(token());
        }
        self
    }
}

/// Where a flow would read expressions in a value: JSON pointers.
pub(crate) fn expressions_in(value: &Value) -> Vec<String> {
    Template::compile(value).expression_pointers()
}

impl Template {
    /// Reads a value of a document.
    pub fn compile(value: &Value) -> Template {
        Template::new(Part::compile(value))
    }

    /// Reads a place that always holds an expression (`if`, `when`, `from`, `as`), with or without `${ }` around it.
    pub fn expression(source: &str) -> Template {
        let program = scan::program(source).unwrap_or(source);
        Template::new(Part::Expression(Expression::new(program)))
    }

    /// A value that is taken as it is.
    pub fn literal(value: Value) -> Template {
        Template::new(Part::Literal(value))
    }

    /// Whether there is no expression in it.
    pub fn is_literal(&self) -> bool {
        matches!(self.root, Part::Literal(_))
    }

    /// Builds the value, if that needs no guest.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Evaluation {
        match self.root.build(scope) {
            Ok(value) => Evaluation::Value(value),
            Err(Stop::Guest) => Evaluation::Guest,
            Err(Stop::Failed { tokens, reason }) if tokens.is_empty() => Evaluation::Failed(reason),
            Err(Stop::Failed { tokens, reason }) => {
                let mut pointer = String::new();
                tokens.iter().rev().for_each(|token| push_token(&mut pointer, token));
                Evaluation::Failed(format!("at {pointer}: {reason}"))
            }
        }
    }

    /// One jq program that builds the whole value.
    pub fn program(&self) -> String {
        let program = self.program.get_or_init(|| {
            let mut program = String::new();
            self.root.write_program(&mut program);
            program
        });
        program.clone()
    }

    /// The variables its expressions use, without `$`; perhaps a few more.
    pub fn variables(&self) -> &BTreeSet<String> {
        &self.variables
    }

    /// Where the expressions stand: JSON pointers, `""` for the whole value.
    pub fn expression_pointers(&self) -> Vec<String> {
        let mut pointers = Vec::new();
        self.root.visit(&mut String::new(), &mut |pointer, _| {
            pointers.push(pointer.to_owned());
        });
        pointers
    }

    /// The text of every expression, without `${ }`.
    pub fn programs(&self) -> Vec<String> {
        let mut programs = Vec::new();
        self.root
            .visit(&mut String::new(), &mut |_, expression| programs.push(expression.source().to_owned()));
        programs
    }

    /// The value with null where expressions stand.
    pub fn skeleton(&self) -> Value {
        self.root.skeleton()
    }

    /// The expressions that the native evaluator cannot do.
    pub fn foreign(&self) -> Vec<Foreign> {
        let mut foreign = Vec::new();
        self.root.visit(&mut String::new(), &mut |pointer, expression| {
            if !expression.is_native() {
                foreign.push(Foreign {
                    pointer: pointer.to_owned(),
                    program: expression.source().to_owned(),
                    variables: expression.variables().iter().cloned().collect(),
                });
            }
        });
        foreign
    }

    /// Where `${` stands inside of longer text, which stays literal: JSON pointers.
    pub fn embedded(value: &Value) -> Vec<String> {
        let mut pointers = Vec::new();
        visit_texts(value, &mut String::new(), &mut |pointer, text| {
            if text.contains("${") && scan::program(text).is_none() {
                pointers.push(pointer.to_owned());
            }
        });
        pointers
    }

    fn new(root: Part) -> Template {
        let mut variables = BTreeSet::new();
        root.visit(&mut String::new(), &mut |_, expression| {
            variables.extend(expression.variables().iter().cloned());
        });
        Template { root, variables, program: OnceLock::new() }
    }
}

impl Part {
    fn compile(value: &Value) -> Part {
        match value {
            Value::String(text) => match scan::program(text) {
                Some(program) => Part::Expression(Expression::new(program)),
                None => Part::Literal(value.clone()),
            },
            Value::Array(items) => {
                let parts: Vec<Part> = items.iter().map(Part::compile).collect();
                if parts.iter().all(Part::is_literal) {
                    Part::Literal(value.clone())
                } else {
                    Part::Array(parts)
                }
            }
            Value::Object(fields) => {
                let parts: Vec<_> =
                    fields.iter().map(|(key, field)| (key.clone(), Part::compile(field))).collect();
                let is_literal = parts.iter().all(|(_, part)| part.is_literal());
                if is_literal { Part::Literal(value.clone()) } else { Part::Object(parts) }
            }
            other => Part::Literal(other.clone()),
        }
    }

    fn is_literal(&self) -> bool {
        matches!(self, Part::Literal(_))
    }

    fn build(&self, scope: &Scope<'_>) -> Result<Value, Stop> {
        match self {
            Part::Literal(value) => {
                if scope.budget.copy(value) {
                    Ok(value.clone())
                } else {
                    Err(Stop::Guest)
                }
            }
            Part::Expression(expression) => match expression.evaluate(scope) {
                Evaluation::Value(value) => Ok(value),
                Evaluation::Failed(reason) => Err(Stop::Failed { tokens: Vec::new(), reason }),
                Evaluation::Guest => Err(Stop::Guest),
            },
            Part::Array(parts) => {
                let items = parts.iter().enumerate();
                items
                    .map(|(index, part)| part.build(scope).map_err(|stop| stop.below(|| index.to_string())))
                    .collect()
            }
            Part::Object(parts) => {
                let fields = parts.iter().map(|(key, part)| {
                    let field = part.build(scope).map_err(|stop| stop.below(|| key.clone()))?;
                    Ok((key.clone(), field))
                });
                fields.collect::<Result<Map<_, _>, _>>().map(Value::Object)
            }
        }
    }

    fn write_program(&self, program: &mut String) {
        match self {
            // JSON is jq.
            Part::Literal(value) => program.push_str(&value.to_string()),
            Part::Expression(expression) => {
                program.push('(');
                program.push_str(expression.source());
                // On a line of its own: a comment may end the expression.
                program.push_str("\n)");
            }
            Part::Array(parts) => {
                program.push('[');
                for (index, part) in parts.iter().enumerate() {
                    program.push_str(if index == 0 { "" } else { "," });
                    part.write_program(program);
                }
                program.push(']');
            }
            Part::Object(parts) => {
                program.push('{');
                for (index, (key, part)) in parts.iter().enumerate() {
                    program.push_str(if index == 0 { "" } else { "," });
                    program.push_str(&Value::from(key.as_str()).to_string());
                    program.push(':');
                    part.write_program(program);
                }
                program.push('}');
            }
        }
    }

    fn visit(&self, pointer: &mut String, seen: &mut dyn FnMut(&str, &Expression)) {
        match self {
            Part::Literal(_) => {}
            Part::Expression(expression) => seen(pointer, expression),
            Part::Array(parts) => {
                for (index, part) in parts.iter().enumerate() {
                    within(pointer, &index.to_string(), |pointer| {
                        part.visit(pointer, &mut *seen);
                    });
                }
            }
            Part::Object(parts) => {
                for (key, part) in parts {
                    within(pointer, key, |pointer| part.visit(pointer, &mut *seen));
                }
            }
        }
    }

    fn skeleton(&self) -> Value {
        match self {
            Part::Literal(value) => value.clone(),
            Part::Expression(_) => Value::Null,
            Part::Array(parts) => parts.iter().map(Part::skeleton).collect(),
            Part::Object(parts) => parts.iter().map(|(key, part)| (key.clone(), part.skeleton())).collect(),
        }
    }
}

fn visit_texts(value: &Value, pointer: &mut String, seen: &mut dyn FnMut(&str, &str)) {
    match value {
        Value::String(text) => seen(pointer, text),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                within(pointer, &index.to_string(), |pointer| {
                    visit_texts(item, pointer, &mut *seen);
                });
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                within(pointer, key, |pointer| visit_texts(field, pointer, &mut *seen));
            }
        }
        _ => {}
    }
}

/// Does something one token of a JSON pointer further down.
fn within<T>(pointer: &mut String, token: &str, inner: impl FnOnce(&mut String) -> T) -> T {
    let length = pointer.len();
    push_token(pointer, token);
    let result = inner(pointer);
    pointer.truncate(length);
    result
}

fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::expression::Budget;
    use super::*;

    fn evaluate(template: &Template, input: &Value) -> Evaluation {
        template.evaluate(&Scope { input, variables: &[], budget: &Budget::new(1 << 20) })
    }

    #[test]
    fn expressions_become_what_they_yield_and_the_rest_stays() {
        let template = Template::compile(&json!({
            "url": "${ .base + \"/x\" }", "list": [1, " ${ .n } ", "${ .n } of many"], "fixed": {"a": [null]}
        }));
        assert!(!template.is_literal());
        assert_eq!(
            evaluate(&template, &json!({"base": "http://h", "n": 2})),
            Evaluation::Value(json!({
                "url": "http://h/x", "list": [1, 2, "${ .n } of many"], "fixed": {"a": [null]}
            }))
        );
        assert_eq!(template.expression_pointers(), ["/list/1", "/url"]);
        assert_eq!(
            template.skeleton(),
            json!({"url": null, "list": [1, null, "${ .n } of many"], "fixed": {"a": [null]}})
        );
    }

    #[test]
    fn a_value_without_expressions_is_literal() {
        let value = json!({"a": ["b", {"c": 1}], "d": "${ inside"});
        let template = Template::compile(&value);
        assert!(template.is_literal());
        assert_eq!(evaluate(&template, &Value::Null), Evaluation::Value(value));
        assert!(template.foreign().is_empty());
    }

    #[test]
    fn an_expression_may_stand_with_or_without_its_braces() {
        for source in [".a > 1", "${ .a > 1 }", "${.a > 1}"] {
            assert_eq!(
                evaluate(&Template::expression(source), &json!({"a": 2})),
                Evaluation::Value(json!(true))
            );
        }
    }

    #[test]
    fn one_foreign_expression_sends_the_whole_value_to_the_guest() {
        let template = Template::compile(
            &json!({"a/b": "${ [.[] | .x] # all\n }", "n": "${ $context.n }", "s": "q\"\n"}),
        );
        assert_eq!(evaluate(&template, &json!([])), Evaluation::Guest);
        assert_eq!(
            template.program(),
            "{\"a/b\":([.[] | .x] # all\n),\"n\":($context.n\n),\"s\":\"q\\\"\\n\"}"
        );
        assert_eq!(
            template.foreign(),
            [Foreign { pointer: "/a~1b".into(), program: "[.[] | .x] # all".into(), variables: vec![] }]
        );
        assert_eq!(template.variables().iter().collect::<Vec<_>>(), ["context"]);
    }

    #[test]
    fn a_failure_names_its_place() {
        let template = Template::compile(&json!({"with": {"x": "${ .a.b }"}}));
        assert_eq!(
            evaluate(&template, &json!({"a": "text"})),
            Evaluation::Failed("at /with/x: Cannot index string with string \"b\"".to_owned())
        );
    }

    #[test]
    fn expressions_inside_of_longer_text_are_reported() {
        let value = json!({"a": "Hi ${ .name }", "b": ["${ .x }", "${ .x } ${ .y }"], "c": "$ {}"});
        assert_eq!(Template::embedded(&value), ["/a", "/b/1"]);
    }
}
