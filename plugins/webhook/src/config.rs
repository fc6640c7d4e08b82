//! What a trigger document writes under `with`.
//!
//! Read in two steps: as written ([`Written`]), whose schema editors see, and as meant ([`Config`]), in which only
//! legal answers and methods exist.

use flowcell_sdk::prelude::*;
use flowcell_sdk::{JsonSchemaDocument, TimeSpan};

use crate::auth::Auth;
use crate::cors::Cors;
use crate::dedupe::Dedupe;
use crate::path;
use crate::variables::{self, Variable};

const DEFAULT_WITHIN: Duration = Duration::from_secs(30);

/// A configuration whose rules hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "Written")]
pub struct Config {
    /// Upper case, at least one.
    pub methods: Vec<String>,
    /// Who may call.
    pub auth: Auth,
    /// What the caller gets.
    #[schemars(with = "Option<WrittenRespond>")]
    pub respond: Respond,
    /// Of which kinds the body may be, at least one.
    pub accepts: Vec<Accept>,
    /// What becomes the event; without a list the whole request.
    pub variables: Option<Vec<Variable>>,
    /// Whether an event starts a run.
    pub only_if: Option<Expression>,
    /// What a body must be.
    pub schema: Option<JsonSchemaDocument>,
    /// When an event is one that came before.
    pub dedupe: Option<Dedupe>,
    /// Whose pages may call.
    pub cors: Option<Cors>,
}

/// A kind of body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Accept {
    /// `application/json` and `…+json`: decoded.
    Json,
    /// `application/x-www-form-urlencoded`: names and values, a list where a name repeats.
    Form,
    /// `application/xml`, `text/xml` and `…+xml`: its text.
    Xml,
    /// `text/plain` and other text: as it is.
    Text,
}

impl Accept {
    /// As an answer names it.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
            Self::Xml => "application/xml",
            Self::Text => "text/plain",
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Written {
    /// Which methods start a run; POST unless said otherwise. Any other is answered with 405.
    #[serde(default)]
    methods: Option<Vec<String>>,
    /// `none`, `{ basic: { username, password } }`, `{ bearer: { token } }`, `{ header: { name, value } }`, each with `secret` in
    /// the place of what is secret, or `{ signature: { scheme, secret } }`.
    #[serde(default)]
    auth: Auth,
    /// What the caller gets: 200 `ok` at once unless said otherwise.
    #[serde(default)]
    respond: Option<WrittenRespond>,
    /// Of which kinds the body may be: `json` unless said otherwise. Any other is answered with 415.
    #[serde(default)]
    accepts: Option<Vec<Accept>>,
    /// What becomes the event, instead of the whole request: `{ from: headers, query, body or path, path, as }`.
    #[serde(default)]
    variables: Option<Vec<Variable>>,
    /// Whether an event starts a run: an expression over it, without `${ }`. Where it is false the caller gets 200, and
    /// nothing is started.
    #[serde(default)]
    only_if: Option<Expression>,
    /// A JSON Schema that the body must satisfy, decoded as `accepts` says. One that does not is answered with 400 and the
    /// reasons.
    #[serde(default)]
    schema: Option<JsonSchemaDocument>,
    /// When an event is one that came before: it starts nothing, and its caller gets what the first one got. With a signature
    /// of `standard-webhooks` the `webhook-id` is known for a day unless said otherwise.
    #[serde(default)]
    dedupe: Option<Dedupe>,
    /// Whose pages may call from a browser: `{ origins: […] }`. OPTIONS is then answered for them.
    #[serde(default)]
    cors: Option<Cors>,
    /// A path of one's own, served as /hooks/TENANT/PATH; needs `auth`, for it can be guessed.
    #[serde(default)]
    #[schemars(extend("format" = "hook-path"))]
    path: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WrittenRespond {
    /// At once, when the event is safe; or from the flow.
    from: From,
    /// At once: 200 to 599, 200 unless said otherwise.
    #[serde(default)]
    #[schemars(range(min = 200, max = 599))]
    status: Option<u16>,
    /// At once: names and values.
    #[serde(default)]
    headers: Option<std::collections::BTreeMap<String, String>>,
    /// At once: text as it is, another value as JSON; `ok` unless said otherwise.
    #[serde(default, deserialize_with = "some")]
    body: Option<Value>,
    /// From the flow: how long the caller waits; PT30S unless said otherwise.
    #[serde(default)]
    within: Option<TimeSpan>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum From {
    AtOnce,
    Flow,
}

/// What the caller gets for a request that starts a run.
#[derive(Debug)]
pub enum Respond {
    /// This, as soon as the event is safe.
    AtOnce {
        /// 200 to 599.
        status: u16,
        /// Legal names and values.
        headers: Vec<(String, String)>,
        /// Text, or a value that is sent as JSON.
        body: Value,
    },
    /// The flow's answer, if it comes in time.
    Flow {
        /// In time.
        within: Duration,
    },
}

impl Respond {
    /// Puts the answer to a verdict that starts a run.
    pub fn to(self, verdict: Verdict) -> Verdict {
        match self {
            Self::AtOnce { status, headers, body } => verdict.respond_at_once(status, headers, body),
            Self::Flow { within } => verdict.respond_from_flow(within),
        }
    }
}

impl TryFrom<Written> for Config {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        if let Some(path) = &written.path {
            path::check(path, !matches!(written.auth, Auth::None))?;
        }
        let respond = written.respond.map_or_else(
            || Ok(Respond::AtOnce { status: 200, headers: Vec::new(), body: "ok".into() }),
            WrittenRespond::meant,
        )?;
        let accepts = written.accepts.unwrap_or_else(|| vec![Accept::Json]);
        if accepts.is_empty() {
            return Err("`accepts` is empty, so no body could be read; list a kind, such as json".into());
        }
        variables::check(written.variables.as_deref().unwrap_or_default())?;
        written.dedupe.as_ref().map_or(Ok(()), Dedupe::check)?;
        written.cors.as_ref().map_or(Ok(()), Cors::check)?;
        Ok(Self {
            methods: methods(written.methods)?,
            auth: written.auth.checked()?,
            respond,
            accepts,
            variables: written.variables,
            only_if: written.only_if,
            schema: written.schema,
            dedupe: written.dedupe,
            cors: written.cors,
        })
    }
}

impl WrittenRespond {
    fn meant(self) -> Result<Respond, String> {
        match self.from {
            From::Flow => self.flow(),
            From::AtOnce => self.at_once(),
        }
    }

    fn flow(self) -> Result<Respond, String> {
        if self.status.is_some() || self.headers.is_some() || self.body.is_some() {
            return Err("`respond`: status, headers and body come from the flow; leave them out, or say `from: at-once`".into());
        }
        let within = self.within.map_or(DEFAULT_WITHIN, TimeSpan::as_duration);
        match within.is_zero() {
            true => Err("`respond.within` is zero; give a time such as PT30S".into()),
            false => Ok(Respond::Flow { within }),
        }
    }

    fn at_once(self) -> Result<Respond, String> {
        if self.within.is_some() {
            return Err(
                "`respond.within` belongs to `from: flow`; an answer at once waits for nothing".into()
            );
        }
        let status = self.status.unwrap_or(200);
        if !(200..600).contains(&status) {
            return Err(format!("`respond.status` is {status}; it must be from 200 to 599"));
        }
        let headers = self.headers.unwrap_or_default().into_iter().map(legal).collect::<Result<_, _>>()?;
        // Where headers say what the body is, or the status says that there is none, `ok` would be wrong.
        let body = self
            .body
            .unwrap_or_else(|| if status == 204 || status == 304 { Value::Null } else { "ok".into() });
        Ok(Respond::AtOnce { status, headers, body })
    }
}

fn legal((name, value): (String, String)) -> Result<(String, String), String> {
    const FRAMING: [&str; 3] = ["content-length", "transfer-encoding", "connection"];
    let name = name.to_ascii_lowercase();
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("`respond.headers`: {name:?} is no name of a header"));
    }
    if FRAMING.contains(&name.as_str()) {
        return Err(format!(
            "`respond.headers`: `{name}` is written by the host, which frames the answer; leave it out"
        ));
    }
    match value.chars().any(|c| c.is_control() && c != '\t') {
        true => Err(format!(
            "`respond.headers`: the value of `{name}` holds a line break or another control character"
        )),
        false => Ok((name, value)),
    }
}

fn methods(written: Option<Vec<String>>) -> Result<Vec<String>, String> {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let methods = written.unwrap_or_else(|| vec!["POST".into()]);
    if methods.is_empty() {
        return Err("`methods` is empty, so nothing could start a run; list one, such as POST".into());
    }
    match methods.iter().find(|method| !KNOWN.contains(&method.as_str())) {
        Some(method) => Err(format!("`methods`: `{method}` is unknown; known are {}", KNOWN.join(", "))),
        None => Ok(methods),
    }
}

/// A value that was written, null included.
fn some<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
