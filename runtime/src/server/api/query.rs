//! Query parameters. A handler that reads them refuses every parameter that its row does not name.

use std::str::FromStr;

use hyper::http::request::Parts;

use super::super::response::bad_request;
use super::route::Parameter;
use crate::Problem;

/// The parameters of one request.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Refuses a name that is not among `parameters`: a misspelt filter must not be a list of everything.
    pub(super) fn read(head: &Parts, parameters: &[Parameter]) -> Result<Self, Problem> {
        let text = head.uri.query().unwrap_or_default();
        let pairs: Vec<_> = url::form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        let names: Vec<_> = parameters.iter().map(|parameter| parameter.name).collect();
        match pairs.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            None => Ok(Self(pairs)),
            Some((name, _)) if names.is_empty() => {
                Err(bad_request(format!("unknown parameter `{name}`: this address takes none")))
            }
            Some((name, _)) => {
                Err(bad_request(format!("unknown parameter `{name}`: there are {}", names.join(", "))))
            }
        }
    }

    /// The value of a parameter. An empty one counts as none.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The parameter in its type; `form` says in words what is expected.
    pub(super) fn parsed<T: FromStr>(&self, name: &str, form: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(bad_request(format!("parameter `{name}`: `{text}` is not {form}"))),
        }
    }
}
