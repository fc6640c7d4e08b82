//! The parts of a step's input and output that the history does not show: `metadata.mask` of a task.
//!
//! The journal keeps the values, for the run goes on with them. The history has `***` in their places, and everywhere else
//! where their texts come up: in other steps, in errors, in log lines. How a text is found is the business of
//! [`redact`](crate::redact).

use std::sync::Arc;

use serde_json::Value;

use crate::problem::Problem;
use crate::redact::{MARK, Redactor, SHORTEST};

use super::event::StepRecord;

/// How many texts of one run are looked for, and how long they are together.
const TEXTS: usize = 1000;
const BYTES: usize = 64 * 1024;

/// The places of one task.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Mask {
    input: Vec<Vec<String>>,
    output: Vec<Vec<String>>,
}

impl Mask {
    /// Reads `input`, `output.body.token`, `input.items.*.key` and the like. The error is a sentence.
    pub fn read(places: &[&str]) -> Result<Self, String> {
        let mut mask = Self::default();
        for place in places {
            let root = place.split(['.', '[']).next().unwrap_or_default();
            let list = match root {
                "input" => &mut mask.input,
                "output" => &mut mask.output,
                _ => {
                    return Err(format!(
                        "`{place}` is no place: it begins with `input` or `output`, as in input.headers.authorization"
                    ));
                }
            };
            list.push(steps(&place[root.len()..]).map_err(|why| format!("`{place}` {why}"))?);
        }
        Ok(mask)
    }

    /// Learns the masked parts of an input.
    pub fn of_input(&self, input: &Value, texts: &mut MaskedTexts) {
        self.input.iter().for_each(|place| at(input, place, &mut |value| texts.learn(value)));
    }

    /// Learns the masked parts of an output, or of what came instead of one: the data of a problem.
    pub fn of_output(&self, output: &Value, texts: &mut MaskedTexts) {
        self.output.iter().for_each(|place| at(output, place, &mut |value| texts.learn(value)));
    }

    fn hide_problem(&self, problem: &mut Problem) {
        let data = problem.data.iter_mut();
        data.for_each(|data| self.output.iter().for_each(|place| hide_at(data, place)));
    }

    fn hide(&self, record: &mut StepRecord) {
        for (places, value) in [(&self.input, &mut record.input), (&self.output, &mut record.output)] {
            for place in places {
                hide_at(Arc::make_mut(value), place);
            }
        }
        record.problem.iter_mut().for_each(|problem| self.hide_problem(problem));
        let attempts = record.attempts.iter_mut().filter_map(|attempt| attempt.problem.as_mut());
        attempts.for_each(|problem| self.hide_problem(problem));
    }
}

/// The steps of a place behind its root: `.name`, `["name"]`, `[0]`, and `.*` or `[]` for all of them.
fn steps(mut rest: &str) -> Result<Vec<String>, &'static str> {
    let mut steps = vec![];
    while !rest.is_empty() {
        let (step, behind) = if rest.starts_with("[\"") {
            let mut names = serde_json::Deserializer::from_str(&rest[1..]).into_iter::<String>();
            let name = names.next().and_then(Result::ok).ok_or("has a quotation mark that nothing closes")?;
            let behind = rest[1..].get(names.byte_offset()..).and_then(|behind| behind.strip_prefix(']'));
            (name, behind.ok_or("has a bracket that nothing closes")?)
        } else if let Some(index) = rest.strip_prefix('[') {
            let (index, behind) = index.split_once(']').ok_or("has a bracket that nothing closes")?;
            match index {
                "" | "*" => ("*".to_owned(), behind),
                index if index.bytes().all(|byte| byte.is_ascii_digit()) => (index.to_owned(), behind),
                _ => {
                    return Err(
                        "has a bracket around what is no number: a name stands there in quotation marks",
                    );
                }
            }
        } else {
            let name = rest.strip_prefix('.').ok_or("needs a point before each name")?;
            let end = name.find(['.', '[']).unwrap_or(name.len());
            if end == 0 && !name.starts_with('[') {
                return Err("has an empty name in it: write it as input.headers.authorization");
            }
            if end == 0 {
                rest = name;
                continue;
            }
            (name[..end].to_owned(), &name[end..])
        };
        steps.push(step);
        rest = behind;
    }
    Ok(steps)
}

/// Whether an element of a list is the row of that name, as headers and parameters may be written.
fn is_row_of(item: &Value, name: &str) -> bool {
    item["name"].as_str().is_some_and(|row| row.eq_ignore_ascii_case(name))
}

fn at<'v>(value: &'v Value, place: &[String], seen: &mut dyn FnMut(&'v Value)) {
    let Some((token, rest)) = place.split_first() else { return seen(value) };
    match value {
        Value::Object(fields) if token == "*" => fields.values().for_each(|value| at(value, rest, seen)),
        Value::Array(items) if token == "*" => items.iter().for_each(|value| at(value, rest, seen)),
        // Names of headers are written in any case.
        Value::Object(fields) => {
            let named = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(token));
            named.for_each(|(_, value)| at(value, rest, seen));
        }
        Value::Array(items) => match token.parse::<usize>() {
            Ok(index) => items.get(index).into_iter().for_each(|value| at(value, rest, seen)),
            Err(_) => {
                let rows = items.iter().filter(|item| is_row_of(item, token));
                rows.filter_map(|row| row.get("value")).for_each(|value| at(value, rest, seen));
            }
        },
        _ => {}
    }
}

fn hide_at(value: &mut Value, place: &[String]) {
    let Some((token, rest)) = place.split_first() else {
        if !value.is_null() {
            *value = Value::from(MARK);
        }
        return;
    };
    match value {
        Value::Object(fields) if token == "*" => fields.values_mut().for_each(|value| hide_at(value, rest)),
        Value::Array(items) if token == "*" => items.iter_mut().for_each(|value| hide_at(value, rest)),
        Value::Object(fields) => {
            let named = fields.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case(token));
            named.for_each(|(_, value)| hide_at(value, rest));
        }
        Value::Array(items) => match token.parse::<usize>() {
            Ok(index) => items.get_mut(index).into_iter().for_each(|value| hide_at(value, rest)),
            Err(_) => {
                let rows = items.iter_mut().filter(|item| is_row_of(item, token));
                rows.filter_map(|row| row.get_mut("value")).for_each(|value| hide_at(value, rest));
            }
        },
        _ => {}
    }
}

/// The texts that are not shown of one run. A run with more of them than are looked for shows no value at all.
#[derive(Clone, Debug)]
pub(crate) struct MaskedTexts {
    texts: Redactor,
    bytes: usize,
    is_full: bool,
}

impl Default for MaskedTexts {
    fn default() -> Self {
        Self { texts: Redactor::of_parts_too(), bytes: 0, is_full: false }
    }
}

impl MaskedTexts {
    /// Hides the texts of a value from now on.
    fn learn(&mut self, value: &Value) {
        match value {
            _ if self.is_full => {}
            Value::String(text) => self.learn_text(text),
            Value::Number(number) => self.learn_text(&number.to_string()),
            Value::Array(items) => items.iter().for_each(|item| self.learn(item)),
            Value::Object(fields) => fields.values().for_each(|field| self.learn(field)),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// A short text is hidden in its place alone: a run has many of them that are the same by chance.
    fn learn_text(&mut self, text: &str) {
        if text.len() < SHORTEST || self.texts.hides(text) {
            return;
        }
        self.bytes += text.len();
        if self.texts.len() >= TEXTS || self.bytes > BYTES {
            (self.is_full, self.texts) = (true, Redactor::default());
        } else {
            self.texts.hide(text);
        }
    }

    /// Whether everything is shown.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty() && !self.is_full
    }

    /// A step as it is shown.
    pub fn step(&self, mut record: StepRecord, mask: Option<&Mask>) -> StepRecord {
        if let Some(mask) = mask {
            mask.hide(&mut record);
        }
        if !self.is_empty() {
            self.value(Arc::make_mut(&mut record.input));
            self.value(Arc::make_mut(&mut record.output));
            record.problem.iter_mut().for_each(|problem| self.problem(problem));
            let attempts = record.attempts.iter_mut().filter_map(|attempt| attempt.problem.as_mut());
            attempts.for_each(|problem| self.problem(problem));
            let cleanup = record.cleanup.iter_mut().filter_map(|cleanup| cleanup.problem.as_mut());
            cleanup.for_each(|problem| self.problem(problem));
        }
        record
    }

    /// A problem as it is shown.
    pub fn problem(&self, problem: &mut Problem) {
        self.text(&mut problem.title);
        problem.detail.iter_mut().for_each(|detail| self.text(detail));
        problem.data.iter_mut().for_each(|data| self.value(data));
    }

    /// A value as it is shown.
    pub fn value(&self, value: &mut Value) {
        match value {
            Value::Null | Value::Bool(_) => {}
            _ if self.is_full || self.texts.hides_everything() => *value = Value::from(MARK),
            Value::String(text) => self.text(text),
            Value::Number(number) if self.texts.hides(&number.to_string()) => *value = Value::from(MARK),
            Value::Number(_) => {}
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(fields) => {
                fields.values_mut().for_each(|field| self.value(field));
                if fields.keys().any(|name| self.texts.without(name.as_bytes()).is_some()) {
                    let named = std::mem::take(fields).into_iter().map(|(mut name, field)| {
                        self.text(&mut name);
                        (name, field)
                    });
                    *fields = named.collect();
                }
            }
        }
    }

    /// A text as it is shown.
    pub fn text(&self, text: &mut String) {
        match self.is_full {
            true => MARK.clone_into(text),
            false => self.texts.text(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact;
    use serde_json::json;

    fn hidden_of(value: Value, place: &str) -> (Value, Vec<String>) {
        let mask = Mask::read(&[place]).unwrap();
        let (mut shown, mut texts) = (value.clone(), vec![]);
        hide_at(&mut shown, &mask.input[0]);
        at(&value, &mask.input[0], &mut |value| texts.push(value.to_string()));
        (shown, texts)
    }

    #[test]
    fn a_place_is_a_path_with_stars() {
        let value = json!({ "a": { "b": "one", "c": "two" }, "d": [{ "e": "three" }, { "e": 4 }] });
        let whole = value.to_string();
        let cases = [
            ("input", json!("***"), &[&*whole][..]),
            (
                "input.a.b",
                json!({ "a": { "b": "***", "c": "two" }, "d": [{ "e": "three" }, { "e": 4 }] }),
                &["\"one\""],
            ),
            (
                "input.a.*",
                json!({ "a": { "b": "***", "c": "***" }, "d": [{ "e": "three" }, { "e": 4 }] }),
                &["\"one\"", "\"two\""],
            ),
            (
                "input.d.*.e",
                json!({ "a": { "b": "one", "c": "two" }, "d": [{ "e": "***" }, { "e": "***" }] }),
                &["\"three\"", "4"],
            ),
            (
                "input.d.1",
                json!({ "a": { "b": "one", "c": "two" }, "d": [{ "e": "three" }, "***"] }),
                &["{\"e\":4}"],
            ),
            ("input.x.y", value.clone(), &[]),
        ];
        for (place, shown, texts) in cases {
            let (actual, mut found) = hidden_of(value.clone(), place);
            found.sort();
            let mut expected = texts.to_vec();
            expected.sort_unstable();
            assert_eq!(
                (actual, found),
                (shown, expected.iter().map(|text| (*text).to_owned()).collect()),
                "{place}"
            );
        }
    }

    #[test]
    fn a_place_is_written_as_expressions_write_it_and_names_in_any_case() {
        let value = json!({
            "headers": { "X-Key": "one" }, "rows": [{ "name": "X-Key", "value": "two" }, { "name": "b", "value": "c" }],
            "list": [["p1", "three"], ["p2", "four"]], "a b.c": "five",
        });
        for (place, texts) in [
            ("input.headers[\"x-key\"]", &["\"one\""][..]),
            ("input.headers.x-key", &["\"one\""]),
            ("input.rows.x-key", &["\"two\""]),
            ("input.list[1][1]", &["\"four\""]),
            ("input.list.1.[1]", &["\"four\""]),
            ("input.list[][1]", &["\"three\"", "\"four\""]),
            ("input.list[*][0]", &["\"p1\"", "\"p2\""]),
            ("input[\"a b.c\"]", &["\"five\""]),
        ] {
            let (shown, found) = hidden_of(value.clone(), place);
            assert_eq!(found, texts, "{place}");
            assert!(texts.iter().all(|text| !shown.to_string().contains(text)), "{place}: {shown}");
        }
    }

    #[test]
    fn a_place_begins_with_input_or_output() {
        for (place, reason) in [
            ("headers", "begins with `input`"),
            ("input..a", "empty name"),
            ("input.a.", "empty name"),
            ("", "no place"),
            ("input[x]", "no number"),
            ("input[0", "nothing closes"),
            ("input[\"x]", "nothing closes"),
            ("input[\"x\"", "nothing closes"),
            ("input[0]a", "a point before"),
        ] {
            assert!(Mask::read(&[place]).unwrap_err().contains(reason), "{place}");
        }
    }

    #[test]
    fn a_text_is_hidden_wherever_it_comes_up_and_short_ones_are_not() {
        let mut hidden = MaskedTexts::default();
        hidden.learn(&json!({ "a": ["s3cr3t-and-more", "s3cr3t"], "b": 1_234_567, "c": "shrt" }));
        let mut value = json!({
            "a": "the s3cr3t-and-more, the s3cr3t", "b": ["s3cr3t"], "c": "s3cr", "d": "shrt", "e": 1_234_567,
            "at s3cr3t": true,
        });
        hidden.value(&mut value);
        assert_eq!(
            value,
            json!({ "a": "the ***, the ***", "b": ["***"], "c": "s3cr", "d": "shrt", "e": "***", "at ***": true })
        );
    }

    #[test]
    fn a_text_is_hidden_in_other_spellings_in_parts_and_where_it_overlaps_another() {
        let mut hidden = MaskedTexts::default();
        let token = "eyJhbGciOiJFZERTQSJ9.".repeat(10);
        hidden.learn(&json!([
            "ab+c/d \"==",
            "https://a.example/",
            "/hooks/s3cr3t",
            token,
            "a-b_c.d~e f",
            "line\nline"
        ]));
        for (mut text, shown) in [
            ("?key=ab%2Bc%2Fd%20%22%3D%3D&x".to_owned(), "?key=***&x"),
            ("key=ab%2Bc%2Fd+%22%3D%3D".to_owned(), "key=***"),
            ("a-b_c.d~e%20f a-b_c.d%7Ee+f".to_owned(), "*** ***"),
            (r#"{"a":"ab+c/d \"=="}"#.to_owned(), r#"{"a":"***"}"#),
            ("at https://a.example/hooks/s3cr3t!".to_owned(), "at ***!"),
            (r"line\nline".to_owned(), "***"),
            (format!("{}…", &token[..48]), "***…"),
        ] {
            hidden.text(&mut text);
            assert_eq!(text, shown);
        }
    }

    #[test]
    fn a_masked_text_is_hidden_in_every_spelling() {
        let mut hidden = MaskedTexts::default();
        hidden.learn(&json!([redact::tests::HARD]));
        for (spelling, written) in redact::tests::spellings(redact::tests::HARD) {
            let mut value = json!({ "said": format!("<{written}>"), written.as_str(): 1 });
            hidden.value(&mut value);
            assert_eq!(value, json!({ "said": "<***>", "***": 1 }), "{spelling}: {written}");
        }
    }

    #[test]
    fn a_run_with_too_much_to_hide_shows_nothing() {
        for texts in
            [(0..=TEXTS).map(|at| json!(format!("text-{at}"))).collect(), vec![json!("x".repeat(BYTES + 1))]]
        {
            let mut hidden = MaskedTexts::default();
            hidden.learn(&json!(texts[1..]));
            assert!(!hidden.is_full);
            hidden.learn(&texts[0]);
            let mut value = json!({ "a": "other", "b": [7, true] });
            hidden.value(&mut value);
            assert_eq!(value, "***");
        }
    }

    #[test]
    fn what_came_instead_of_an_output_is_masked_like_one() {
        let mask = Mask::read(&["output.body.pin"]).unwrap();
        let mut problem = Problem::new("urn:x", "x", 500).data(json!({ "body": { "pin": "1234", "x": 1 } }));
        mask.hide_problem(&mut problem);
        assert_eq!(problem.data, Some(json!({ "body": { "pin": "***", "x": 1 } })));
    }
}
