//! The rules of a request that no schema says, each in one place. A step follows them with the values that it has
//! ([`crate::request`]); a check follows them with what is written ([`crate::checks`]).

use std::borrow::Cow;

use flowcell_sdk::prelude::*;

use crate::body::essence;
use crate::input::ContentType;

/// Headers that say where a message ends, or whom it is for: the host writes them.
const FRAMING: [&str; 4] = ["host", "content-length", "transfer-encoding", "connection"];

/// A rule that a request breaks.
#[derive(Debug)]
pub struct Breach {
    /// The parameter that it is about: a JSON pointer into the request.
    pub at: &'static str,
    /// A sentence for whoever writes it, which follows the parameter's name.
    pub says: Cow<'static, str>,
    /// What a step says that was given it.
    detail: Cow<'static, str>,
}

impl Breach {
    /// One whose sentence follows the parameter's name in a check and in a step.
    pub fn new(at: &'static str, says: impl Into<Cow<'static, str>>) -> Self {
        let says = says.into();
        let detail = format!("`{}`: {says}", at.trim_start_matches('/').replace('/', ".")).into();
        Self { at, says, detail }
    }

    /// What a step says about it, which knows the values.
    #[must_use]
    pub fn in_a_step(self, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: detail.into(), ..self }
    }
}

impl From<Breach> for Problem {
    fn from(breach: Breach) -> Self {
        Problem::validation(breach.detail)
    }
}

/// A URL is one of HTTP.
pub fn scheme(url: &str) -> Result<(), Breach> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    match scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") {
        true => Ok(()),
        false => Err(Breach::new("/url", "it begins with https:// or http:// and names a host")
            .in_a_step("`url` must begin with https:// or http://")),
    }
}

/// A `content-type` header must say what `contentType` says. `binary` says how the body is written here; which bytes
/// they are, the header may say.
pub fn content_type(said: &ContentType, header: &str) -> Result<(), Breach> {
    if *said == ContentType::Binary || essence(said.header()) == essence(header) {
        return Ok(());
    }
    let says = "the header `content-type` says something else: leave one of them out";
    Err(Breach::new("/contentType", says).in_a_step(format!(
        "`contentType` says {}, but the header `content-type` says {header}; leave one of them out",
        said.header()
    )))
}

/// Some headers are not the author's to write. The name is in lower case.
pub fn framing(name: &str) -> Result<(), Breach> {
    if !FRAMING.contains(&name) {
        return Ok(());
    }
    let says = "`host` and the headers that frame a request are written by the host: leave them out";
    Err(Breach::new("/headers", says).in_a_step(format!(
        "`headers`: `{name}` is written by the host, which frames the request; leave it out"
    )))
}

/// What authenticates a request writes the header `authorization` itself. Names are in lower case.
pub fn authorization<'n>(
    authenticates: bool,
    mut headers: impl Iterator<Item = &'n str>,
) -> Result<(), Breach> {
    if !authenticates || !headers.any(|name| name == "authorization") {
        return Ok(());
    }
    let says = "the header `authorization` stands beside `basic` or `connection`: leave one of them out";
    Err(Breach::new("/headers", says)
        .in_a_step("`basic` and the header `authorization` exclude each other; leave one out"))
}

/// Nothing ends in no time. `example`: one that does.
pub fn timeout(time: TimeSpan, example: &str) -> Result<(), Breach> {
    match time.as_duration().is_zero() {
        false => Ok(()),
        true => Err(Breach::new("/timeout", format!("it is zero: give a time such as {example}"))
            .in_a_step(format!("`timeout` is zero; give a time such as {example}"))),
    }
}

/// There is one way from page to page.
pub fn next_page(has_next: bool, has_parameter: bool) -> Result<(), Breach> {
    match has_next == has_parameter {
        false => Ok(()),
        true => Err(Breach::new("/pages", "it has one of `next` and `parameter`: where the next page is")
            .in_a_step("`pages`: say how to get to the next page: `next` or `parameter`, one of them")),
    }
}

/// A parameter that counts on has a name.
pub fn page_parameter(name: &str) -> Result<(), Breach> {
    match name.trim().is_empty() {
        false => Ok(()),
        true => {
            Err(Breach::new("/pages/parameter/name", "it is empty: it names the parameter that counts on"))
        }
    }
}
