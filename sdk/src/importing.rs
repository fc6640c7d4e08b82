//! What people have already, as parts of a flow: a text as a step (`imports: [format = function]` of `plugin!`), a sample of
//! a request as variables (`sample = function` of `#[trigger]`). The interfaces are wit/importing.wit and wit/sampling.wit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::context::Context;
use crate::trigger::Trigger;

/// A trigger that reads samples, as `sample = function` makes it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` reads no samples",
    label = "its attribute names no function for them: `#[flowcell_sdk::trigger(sample = variables)]`"
)]
pub trait Sampling: Trigger {
    /// Variables, JSON text. The error is a sentence for whoever has the sample.
    fn sample(given: &str, ctx: &mut Context) -> Result<String, String>;
}

/// A step that was made of a text.
///
/// ```
/// use flowcell_sdk::prelude::*;
/// use flowcell_sdk::testing::MockHost;
/// use flowcell_sdk::Import;
///
/// fn from_postcard(text: &str, _ctx: &mut Context) -> Result<Import, String> {
///     let city = text.strip_prefix("Greetings from ").ok_or("it does not say where it is from")?;
///     let step = json!({ "read": { "call": "weather.temperature:1.0.0@default", "with": { "city": city } } });
///     Ok(Import { step, warnings: vec![] })
/// }
///
/// flowcell_sdk::plugin! { imports: [postcard = from_postcard] }
///
/// # fn main() {
/// let import = |text: &str| MockHost::new().import::<Plugin>("postcard", text);
/// assert_eq!(import("Greetings from Delft").unwrap()["step"]["read"]["with"]["city"], "Delft");
/// assert_eq!(import("Dear all"), Err("it does not say where it is from".to_owned()));
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Import {
    /// The element of a task list.
    pub step: Value,
    /// What the step does otherwise than the text says.
    pub warnings: Vec<String>,
}

/// What somebody has of a request: any of these.
///
/// ```
/// use flowcell_sdk::prelude::*;
/// use flowcell_sdk::testing::MockHost;
/// use flowcell_sdk::Sample;
///
/// /// Orders.
/// #[flowcell_sdk::trigger(sample = variables)]
/// fn orders(_config: Value, _request: Inbound, _ctx: &mut Context) -> Result<Verdict, Problem> {
///     Ok(Verdict::start(Value::Null))
/// }
///
/// fn variables(sample: Sample, _ctx: &mut Context) -> Result<Vec<Value>, String> {
///     let variable = |name: &String| json!({ "from": "headers", "path": name, "as": name, "value": 1 });
///     Ok(sample.headers.keys().map(variable).collect())
/// }
///
/// flowcell_sdk::plugin! { triggers: [orders], sampling: [orders] }
///
/// # fn main() {
/// let variables = MockHost::new().sample::<Plugin>("orders", json!({ "headers": { "x-id": "7" } }));
/// assert_eq!(variables.unwrap()[0]["path"], "x-id");
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sample {
    /// An address with its query.
    pub url: Option<String>,
    /// Headers by name.
    pub headers: BTreeMap<String, String>,
    /// A body.
    pub body: Option<Value>,
}

/// What makes a step of a text.
type Importer = fn(&str, &mut Context) -> Result<Import, String>;

/// Has the text read by the function of its format.
#[doc(hidden)]
#[cold]
pub fn import(
    format: &str,
    (text, ctx): (&str, &mut Context),
    importers: &[(&str, Importer)],
) -> Result<String, String> {
    if let Some((_, importer)) = importers.iter().find(|(known, _)| *known == format) {
        return to_text(importer(text, ctx));
    }
    let known = match importers {
        [] => "none".to_owned(),
        importers => importers.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", "),
    };
    Err(format!("`{format}` is no format that can be imported; known here: {known}"))
}

/// What an author's function gave, as it crosses the border.
#[doc(hidden)]
pub fn to_text(result: Result<impl Serialize, String>) -> Result<String, String> {
    serde_json::to_string(&result?).map_err(|error| format!("the result cannot be written as JSON: {error}"))
}

/// The sample of an export's parameter.
#[doc(hidden)]
pub fn sample<'g, T: Deserialize<'g>>(given: &'g str) -> Result<T, String> {
    serde_json::from_str(given).map_err(|error| {
        format!("a sample is {{\"url\", \"headers\", \"body\"}}, each where there is one: {error}")
    })
}
