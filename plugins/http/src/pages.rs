//! A list that comes in pages: where the next one is, when there is none, and what all of them come to.

use std::borrow::Cow;

use flowcell_sdk::prelude::*;
use flowcell_sdk::problem::kind;
use flowcell_sdk::urlencoded;
use serde_json::value::to_raw_value;

use crate::answer::{Body, Output};
use crate::input::{Input, Method};
use crate::location::{is_credential, joined, origin};
use crate::rows::Rows;
use crate::rules;

/// How many pages are asked for, where nothing says otherwise, and at most.
const PAGES: u32 = 100;
const MOST: u32 = 1000;

/// How to get from page to page. Expressions see `{status, headers, body}` of a page, and stand without `${ }`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pages {
    /// The URL of the next page, absolute or as it is linked; null, false or empty at the end. Either this or `parameter`.
    #[serde(default)]
    next: Option<Expression>,
    /// A parameter of the query that counts on.
    #[serde(default)]
    parameter: Option<Parameter>,
    /// The items of a page, a list: `.body` unless said otherwise.
    #[serde(default)]
    items: Option<Expression>,
    /// Whether this page is the last one. With `parameter`, a page without items is; a page that is not there (404) always is.
    #[serde(default)]
    until: Option<Expression>,
    /// How many pages at most, 1 to 1000; 100 unless said otherwise.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    max: Option<u32>,
}

/// A parameter that counts on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Parameter {
    /// Its name, such as `page` or `skip`.
    name: String,
    /// Of the first page; 0 unless said otherwise.
    #[serde(default)]
    start: i64,
    /// By how much it grows from page to page; by the number of items that came unless said otherwise.
    #[serde(default)]
    step: Option<u32>,
}

/// The pages so far.
pub struct Turning {
    pages: Pages,
    items: Vec<Value>,
    count: u32,
    /// Of the parameter.
    at: i64,
}

/// What follows from a page.
pub enum Turn {
    /// The next one is to be asked for.
    Next,
    /// That was the last one; whether it is the end of the list.
    End(bool),
}

impl Pages {
    /// Begins with the first page. The problem is the author's.
    pub fn begin(self, input: &mut Input<'_>, ctx: &Context) -> Result<Turning, Problem> {
        let refused = |why: &str| Err(Problem::validation(format!("`pages`: {why}")));
        if input.method != Method::Get {
            return refused("pages are read with GET; leave `method` out");
        }
        if input.poll.is_on() {
            return refused("a page is not waited for; leave `poll` out");
        }
        let names = query_names(&input.url);
        if let Some(Parameter { name, .. }) =
            self.parameter.as_ref().filter(|parameter| names.contains(&parameter.name))
        {
            return refused(&format!("`url` has the parameter `{name}` already; leave it out there"));
        }
        rules::next_page(self.next.is_some(), self.parameter.is_some())?;
        self.parameter.as_ref().map_or(Ok(()), |parameter| rules::page_parameter(&parameter.name))?;
        if !(1..=MOST).contains(&self.max.unwrap_or(PAGES)) {
            return refused("`max` is from 1 to 1000");
        }
        let expressions = [("next", &self.next), ("items", &self.items), ("until", &self.until)];
        for (name, expression) in expressions.into_iter().filter_map(|(name, it)| Some((name, it.as_ref()?)))
        {
            let named =
                |problem: Problem| Problem::validation(format!("`pages.{name}`: {}", problem.detail_text()));
            expression.check(ctx).map_err(named)?;
        }
        let at = self.parameter.as_ref().map_or(0, |parameter| parameter.start);
        let turning = Turning { pages: self, items: vec![], count: 0, at };
        turning.set_parameter(input);
        Ok(turning)
    }
}

impl Turning {
    /// Takes a page that is a success, and turns `input` to the next one.
    pub fn take(&mut self, page: &Output, input: &mut Input<'_>, ctx: &Context) -> Result<Turn, Problem> {
        self.count += 1;
        let seen = json!({ "status": page.status, "headers": &page.headers, "body": &page.body });
        let items = match &self.pages.items {
            Some(expression) => expression.value(&seen, ctx)?,
            None => seen["body"].clone(),
        };
        let items = match items {
            Value::Array(items) => items,
            Value::Null => vec![],
            other => return Err(self.unreadable("items", &other, "a list")),
        };
        let count = items.len();
        self.items.extend(items);
        let is_last = match &self.pages.until {
            Some(until) => until.is_true(&seen, ctx)?,
            None => false,
        };
        if is_last || (count == 0 && self.pages.parameter.is_some()) {
            return Ok(Turn::End(true));
        }
        match &self.pages.next {
            Some(next) => match next.value(&seen, ctx)? {
                Value::Null | Value::Bool(false) => return Ok(Turn::End(true)),
                Value::String(link) if link.trim().is_empty() => return Ok(Turn::End(true)),
                Value::String(link) => follow(input, page, &link)?,
                other => return Err(self.unreadable("next", &other, "a URL")),
            },
            None => {
                let step = self.pages.parameter.as_ref().and_then(|parameter| parameter.step);
                self.at += step.map_or(count as i64, i64::from);
                self.set_parameter(input);
            }
        }
        match self.count >= self.pages.max.unwrap_or(PAGES) {
            true => Ok(Turn::End(false)),
            false => Ok(Turn::Next),
        }
    }

    /// Whether an answer that is no success is the end of the list.
    pub fn is_end(&self, page: &Output) -> bool {
        self.count > 0 && page.status == 404
    }

    /// The last page with the items of all.
    pub fn finish(self, mut last: Output, complete: bool) -> Result<Output, Problem> {
        let items = to_raw_value(&self.items).map_err(|error| Problem::runtime(error.to_string()))?;
        last.body = Body::Json(items);
        (last.encoding, last.pages, last.complete) = (None, Some(self.count), Some(complete));
        Ok(last)
    }

    fn unreadable(&self, field: &str, given: &Value, wanted: &str) -> Problem {
        let what =
            format!("page {}: `pages.{field}` gives {}, and should be {wanted}", self.count, kind_of(given));
        Problem::new(kind::EXPRESSION, "A page cannot be read", 400).detail(what)
    }

    fn set_parameter(&self, input: &mut Input<'_>) {
        if let Some(Parameter { name, .. }) = &self.pages.parameter {
            input.query.0.retain(|(other, _)| other != name);
            input.query.0.push((name.clone(), self.at.to_string()));
        }
    }
}

/// Turns the input to a link, which says all of the query. What shows who asks is for the one who was asked first.
fn follow(input: &mut Input<'_>, page: &Output, link: &str) -> Result<(), Problem> {
    let from = page.url.as_str();
    let next = joined(from, link)
        .ok_or_else(|| Problem::communication(format!("the next page is at {link:?}, which is no URL")))?;
    if next == from {
        return Err(Problem::communication("the next page is the same one again".to_owned()));
    }
    let asked = page.asked(input);
    // A redirect may have led elsewhere already.
    if origin(&next) != asked || origin(from) != asked {
        input.headers.0.retain(|(name, value)| !is_credential(name, value));
        (input.basic, input.connection) = (None, None);
    }
    (input.url, input.query) = (Cow::Owned(next), Rows::default());
    Ok(())
}

fn query_names(url: &str) -> Vec<String> {
    let query = url.split('#').next().and_then(|url| url.split_once('?')).map_or("", |(_, query)| query);
    urlencoded::pairs(query).map(|(name, _)| name).collect()
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
