//! What of a step's input and output the history does not show: `metadata.mask` of a task.
//!
//! The journal keeps the values, for the run goes on with them. What is shown of the run has `***` in their places, and
//! wherever else their texts come up: in later steps, in errors, in log lines.

use std::sync::Arc;

use serde_json::Value;

use crate::problem::Problem;

use super::event::StepRecord;

/// What stands in the place of a masked value.
const SHOWN: &str = "***";
/// A text shorter than this would be found by chance.
const SHORTEST: usize = 6;

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
            let mut tokens = place.split('.').map(str::to_owned);
            let list = match tokens.next().as_deref() {
                Some("input") => &mut mask.input,
                Some("output") => &mut mask.output,
                _ => {
                    return Err(format!(
                        "`{place}` is no place: it begins with `input` or `output`, as in input.headers.authorization"
                    ));
                }
            };
            let tokens: Vec<String> = tokens.collect();
            if tokens.iter().any(String::is_empty) {
                return Err(format!(
                    "`{place}` has an empty name in it: write it as input.headers.authorization"
                ));
            }
            list.push(tokens);
        }
        Ok(mask)
    }

    /// Adds the texts of a step's masked values.
    fn collect(&self, record: &StepRecord, texts: &mut Vec<String>) {
        for (places, value) in [(&self.input, &record.input), (&self.output, &record.output)] {
            places.iter().for_each(|place| at(value, place, &mut |value| leaves(value, texts)));
        }
    }

    fn hide(&self, record: &mut StepRecord) {
        for (places, value) in [(&self.input, &mut record.input), (&self.output, &mut record.output)] {
            for place in places {
                hide_at(Arc::make_mut(value), place);
            }
        }
    }
}

fn at<'v>(value: &'v Value, place: &[String], seen: &mut dyn FnMut(&'v Value)) {
    let Some((token, rest)) = place.split_first() else { return seen(value) };
    match value {
        Value::Object(fields) if token == "*" => fields.values().for_each(|value| at(value, rest, seen)),
        Value::Array(items) if token == "*" => items.iter().for_each(|value| at(value, rest, seen)),
        Value::Object(fields) => fields.get(token).into_iter().for_each(|value| at(value, rest, seen)),
        Value::Array(items) => {
            let item = token.parse::<usize>().ok().and_then(|index| items.get(index));
            item.into_iter().for_each(|value| at(value, rest, seen));
        }
        _ => {}
    }
}

fn hide_at(value: &mut Value, place: &[String]) {
    let Some((token, rest)) = place.split_first() else {
        if !value.is_null() {
            *value = Value::from(SHOWN);
        }
        return;
    };
    match value {
        Value::Object(fields) if token == "*" => fields.values_mut().for_each(|value| hide_at(value, rest)),
        Value::Array(items) if token == "*" => items.iter_mut().for_each(|value| hide_at(value, rest)),
        Value::Object(fields) => fields.get_mut(token).into_iter().for_each(|value| hide_at(value, rest)),
        Value::Array(items) => {
            let item = token.parse::<usize>().ok().and_then(|index| items.get_mut(index));
            item.into_iter().for_each(|value| hide_at(value, rest));
        }
        _ => {}
    }
}

fn leaves(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Number(number) => texts.push(number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, texts)),
        Value::Object(fields) => fields.values().for_each(|field| leaves(field, texts)),
        Value::Null | Value::Bool(_) => {}
    }
}

/// The texts that are not shown of one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hidden {
    texts: Vec<String>,
}

impl Hidden {
    /// Of steps, each with the mask of its task.
    pub fn of<'s>(steps: impl Iterator<Item = (&'s StepRecord, &'s Mask)>) -> Self {
        let mut texts = vec![];
        steps.for_each(|(record, mask)| mask.collect(record, &mut texts));
        texts.retain(|text| text.len() >= SHORTEST);
        // A longer one may hold a shorter one, of which nothing must be left.
        texts.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        texts.dedup();
        Self { texts }
    }

    /// Whether everything is shown.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
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
            Value::String(text) => self.text(text),
            Value::Number(number) => {
                let text = number.to_string();
                if self.texts.contains(&text) {
                    *value = Value::from(SHOWN);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.value(field)),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// A text as it is shown.
    pub fn text(&self, text: &mut String) {
        for hidden in &self.texts {
            if text.contains(hidden.as_str()) {
                *text = text.replace(hidden.as_str(), SHOWN);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hidden_of(value: Value, place: &str) -> (Value, Vec<String>) {
        let mask = Mask::read(&[place]).unwrap();
        let (mut shown, mut texts) = (value.clone(), vec![]);
        hide_at(&mut shown, &mask.input[0]);
        at(&value, &mask.input[0], &mut |value| leaves(value, &mut texts));
        (shown, texts)
    }

    #[test]
    fn a_place_is_a_path_with_stars() {
        let value = json!({ "a": { "b": "one", "c": "two" }, "d": [{ "e": "three" }, { "e": 4 }] });
        let cases = [
            ("input", json!("***"), &["one", "two", "three", "4"][..]),
            (
                "input.a.b",
                json!({ "a": { "b": "***", "c": "two" }, "d": [{ "e": "three" }, { "e": 4 }] }),
                &["one"],
            ),
            (
                "input.a.*",
                json!({ "a": { "b": "***", "c": "***" }, "d": [{ "e": "three" }, { "e": 4 }] }),
                &["one", "two"],
            ),
            (
                "input.d.*.e",
                json!({ "a": { "b": "one", "c": "two" }, "d": [{ "e": "***" }, { "e": "***" }] }),
                &["three", "4"],
            ),
            ("input.d.1", json!({ "a": { "b": "one", "c": "two" }, "d": [{ "e": "three" }, "***"] }), &["4"]),
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
    fn a_place_begins_with_input_or_output() {
        for (place, reason) in
            [("headers", "begins with `input`"), ("input..a", "empty name"), ("", "no place")]
        {
            assert!(Mask::read(&[place]).unwrap_err().contains(reason), "{place}");
        }
    }

    #[test]
    fn a_text_is_hidden_wherever_it_comes_up_and_short_ones_are_not() {
        let hidden = Hidden { texts: vec!["s3cr3t-and-more".into(), "s3cr3t".into()] };
        let mut value = json!({ "a": "the s3cr3t-and-more, the s3cr3t", "b": ["s3cr3t"], "c": "s3cr" });
        hidden.value(&mut value);
        assert_eq!(value, json!({ "a": "the ***, the ***", "b": ["***"], "c": "s3cr" }));
    }
}
