//! What is wrong or odd about a request as it is written, before it runs. What an expression will say is judged then.

use flowcell_sdk::prelude::*;

use crate::input::ContentType;
use crate::rules::{self, Breach};

/// What is to be said about the request at this place of a draft.
pub fn of_request(draft: &Draft, at: &str) -> Vec<Finding> {
    let Some(Value::Object(_)) = draft.value(at) else { return vec![] };
    let request = Request { draft, at };
    let refused = [
        request.url(),
        request.content_type(),
        request.headers(),
        request.authorization(),
        request.basic(),
        request.timeout(),
        request.pages(),
        request.page_parameter(),
    ];
    let error = |breach: Breach| Finding::error([at, breach.at].concat(), breach.says);
    let refused = refused.into_iter().filter_map(Result::err).map(error);
    refused.chain(request.body()).collect()
}

/// A length of time that stands at a place of a draft.
pub fn time(draft: &Draft, at: &str) -> Option<TimeSpan> {
    // Through its text, for which the reader is there already.
    serde_json::from_str(&draft.value(at)?.to_string()).ok()
}

/// A request in a draft.
struct Request<'d> {
    draft: &'d Draft,
    at: &'d str,
}

impl Request<'_> {
    fn place(&self, parameter: &str) -> String {
        [self.at, parameter].concat()
    }

    fn text(&self, parameter: &str) -> Option<&str> {
        self.draft.text(&self.place(parameter))
    }

    fn has(&self, parameter: &str) -> bool {
        self.draft.has(&self.place(parameter))
    }

    /// Beyond what the plugin asks of a URL: what the host will, which reads it when it is requested.
    fn url(&self) -> Result<(), Breach> {
        // What stands in braces is put in later.
        let Some(url) = self.text("/url").filter(|url| !url.contains("${") && !url.contains("{{")) else {
            return Ok(());
        };
        let url = url.trim();
        rules::scheme(url)?;
        let authority = url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.is_empty() || authority.starts_with(char::is_whitespace) {
            return Err(Breach::new("/url", "it begins with https:// or http:// and names a host"));
        }
        match authority.contains('@') {
            true => {
                Err(Breach::new("/url", "credentials do not stand in a URL: use `basic`, or a `connection`"))
            }
            false => Ok(()),
        }
    }

    fn content_type(&self) -> Result<(), Breach> {
        let Some(said) = self.text("/contentType").and_then(ContentType::read) else { return Ok(()) };
        let headers = self.header_rows();
        let mut written = headers.iter().filter(|(name, _)| name == "content-type");
        written.try_for_each(|(_, value)| value.map_or(Ok(()), |value| rules::content_type(&said, value)))
    }

    fn headers(&self) -> Result<(), Breach> {
        self.header_rows().iter().try_for_each(|(name, _)| rules::framing(name))
    }

    fn authorization(&self) -> Result<(), Breach> {
        let headers = self.header_rows();
        let names = headers.iter().map(|(name, _)| name.as_str());
        rules::authorization(self.has("/basic") || self.has("/connection"), names)
    }

    fn basic(&self) -> Result<(), Breach> {
        match self.has("/basic") && self.has("/connection") {
            true => Err(Breach::new("/basic", "`basic` stands beside `connection`: leave one of them out")),
            false => Ok(()),
        }
    }

    fn timeout(&self) -> Result<(), Breach> {
        time(self.draft, &self.place("/timeout")).map_or(Ok(()), |time| rules::timeout(time, "PT10S"))
    }

    fn pages(&self) -> Result<(), Breach> {
        match self.draft.value(&self.place("/pages")) {
            Some(Value::Object(_)) => rules::next_page(self.has("/pages/next"), self.has("/pages/parameter")),
            _ => Ok(()),
        }
    }

    fn page_parameter(&self) -> Result<(), Breach> {
        self.text("/pages/parameter/name").map_or(Ok(()), rules::page_parameter)
    }

    fn body(&self) -> Option<Finding> {
        let is_known = !self.draft.is_open(&self.place("/method"));
        let method = self.text("/method").unwrap_or("GET");
        let has_none = method.eq_ignore_ascii_case("GET") || method.eq_ignore_ascii_case("HEAD");
        let says =
            "a GET or HEAD with a body is sent as it is, and many servers refuse or ignore it: is it a POST?";
        (is_known && has_none && self.has("/body")).then(|| Finding::warning(self.place("/body"), says))
    }

    /// Names in lower case, and values that are known, whether they are written as an object or as rows.
    fn header_rows(&self) -> Vec<(String, Option<&str>)> {
        match self.draft.value(&self.place("/headers")) {
            Some(Value::Object(fields)) => {
                fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str())).collect()
            }
            Some(Value::Array(rows)) => rows
                .iter()
                .filter_map(|row| Some((row["name"].as_str()?.to_ascii_lowercase(), row["value"].as_str())))
                .collect(),
            _ => vec![],
        }
    }
}

#[cfg(test)]
mod tests {
    use flowcell_sdk::testing::MockHost;

    use super::*;

    /// What is said about a request that stands under `ask`.
    fn found(ask: Value) -> Vec<Finding> {
        MockHost::new().check_action::<Plugin>("asks", json!({ "ask": ask }))
    }

    /// Asks.
    #[flowcell_sdk::action(check = check)]
    fn asks(input: Value, _: &mut Context) -> Result<Value, Problem> {
        Ok(input)
    }

    fn check(draft: &Draft, _: &mut Context) -> Vec<Finding> {
        of_request(draft, "/ask")
    }

    flowcell_sdk::plugin!(asks);

    #[test]
    fn what_is_written_is_judged_and_what_an_expression_says_is_not() {
        let url = "https://a.example/";
        let zero = Finding::error("/ask/timeout", "it is zero: give a time such as PT10S");
        assert_eq!(found(json!({ "url": url, "timeout": { "seconds": 0 } })), [zero]);
        let open = "${ .a }";
        let ask =
            json!({ "url": open, "method": open, "timeout": open, "body": 1, "headers": { "x": open } });
        assert_eq!(found(ask), []);
        let header = json!({ "name": "Authorization", "value": open });
        let both = found(json!({ "url": url, "basic": open, "headers": [header] }));
        assert!(both.len() == 1 && both[0].is_error(), "{both:?}");
        assert_eq!(found(json!(open)), []);
    }
}
