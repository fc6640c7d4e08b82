//! Command lines of curl as steps of a flow, which call the action `http-request`. What one means is curl's manual; what has
//! no meaning for a step is said as a warning, and what would change the request is refused.
//!
//! A plugin of its own: no request needs it, and each sandbox of `http-request` would carry it.

mod shell;

use flowcell_sdk::prelude::*;
use flowcell_sdk::{Import, urlencoded};
use serde_json::Map;

/// What the steps call. The test of the product that runs an imported step finds a version that is no longer there.
const CALL: &str = "http-request:1.0.0@default";
/// The longest command line.
const BYTES: usize = 1 << 20;

/// What a command line says.
#[derive(Default)]
struct Command {
    urls: Vec<String>,
    method: Option<String>,
    headers: Vec<(String, String)>,
    data: Vec<String>,
    form: Vec<Value>,
    /// `--json`: the data is JSON, and so is what is wanted.
    json: bool,
    in_query: bool,
    head: bool,
    basic: Option<(String, String)>,
    follow: bool,
    timeout: Option<String>,
    retries: Option<u32>,
    cookies: bool,
    /// What the header says.
    host: Option<String>,
    warnings: Vec<String>,
}

/// A step that sends what the command line sends. It is read as a shell reads it, with line breaks behind a backslash, and
/// with quotes of the kind `$'…'`, which browsers copy. What a shell would put a value in for is refused. The error is a
/// sentence.
///
/// What follows is a step's own way: an answer other than 2xx fails it, what may succeed later is sent again, and JSON is
/// written anew.
fn step(text: &str, _: &mut Context) -> Result<Import, String> {
    read(text)?.step()
}

flowcell_sdk::plugin! {
    imports: [curl = step],
    title: "Command lines of curl",
    summary: "A command line of curl becomes a step that calls `http-request`: `flowcell import curl '…'`.",
}

fn read(text: &str) -> Result<Command, String> {
    if text.len() > BYTES {
        return Err(format!("the command line has {} bytes; at most {BYTES} are read", text.len()));
    }
    let text = shell::plain(text.trim())?;
    let words = shlex::split(&text).ok_or("a quote or a backslash has no end in the command line")?;
    let mut words = words.into_iter();
    match words.next().as_deref() {
        Some("curl") => {}
        Some(other) => return Err(format!("this is a command line of `{other}`: it begins with `curl`")),
        None => return Err("the command line is empty: it begins with `curl`".to_owned()),
    }
    let mut command = Command::default();
    let mut only_urls = false;
    while let Some(word) = words.next() {
        if only_urls || !word.starts_with('-') || word == "-" {
            command.urls.push(word);
        } else if word == "--" {
            only_urls = true;
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, given) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            command.option(&format!("--{name}"), given, &mut words)?;
        } else {
            command.short(&word[1..], &mut words)?;
        }
    }
    Ok(command)
}

/// Short names of long options.
const SHORT: &[(char, &str)] = &[
    ('X', "--request"),
    ('H', "--header"),
    ('d', "--data"),
    ('F', "--form"),
    ('u', "--user"),
    ('G', "--get"),
    ('I', "--head"),
    ('A', "--user-agent"),
    ('e', "--referer"),
    ('b', "--cookie"),
    ('c', "--cookie-jar"),
    ('L', "--location"),
    ('k', "--insecure"),
    ('m', "--max-time"),
    ('s', "--silent"),
    ('S', "--show-error"),
    ('v', "--verbose"),
    ('i', "--include"),
    ('f', "--fail"),
    ('o', "--output"),
    ('O', "--remote-name"),
    ('x', "--proxy"),
    ('T', "--upload-file"),
    ('w', "--write-out"),
    ('N', "--no-buffer"),
    ('g', "--globoff"),
    ('#', "--progress-bar"),
    ('4', "--ipv4"),
    ('6', "--ipv6"),
    ('E', "--cert"),
    ('0', "--http1.0"),
];
/// Options that a step need not be told; those with a value.
const SILENT: &[&str] = &[
    "--silent",
    "--show-error",
    "--verbose",
    "--include",
    "--fail",
    "--fail-with-body",
    "--compressed",
    "--no-buffer",
    "--globoff",
    "--progress-bar",
    "--remote-name",
    "--http1.1",
    "--http2",
    "--no-progress-meter",
    "--tlsv1.2",
    "--tlsv1.3",
    "--ssl-reqd",
    "--basic",
];
const SILENT_WITH: &[&str] =
    &["--output", "--write-out", "--connect-timeout", "--limit-rate", "--retry-delay"];
/// Headers that say how a message is sent, which a browser copies along.
const FRAMING: &[&str] =
    &["content-length", "transfer-encoding", "connection", "keep-alive", "te", "upgrade", "accept-encoding"];
/// Options that a step has another way for, with what that is.
const ELSEWHERE: &[(&str, bool, &str)] = &[
    ("--insecure", false, "certificates are always checked: give the tenant a `ca` in flowcell.toml"),
    ("--proxy", true, "a proxy is the operator's: write it under [proxy] in flowcell.toml"),
    ("--cert", true, "a client certificate is a connection: `flowcell connections set NAME FILE`"),
    ("--key", true, "a client certificate is a connection: `flowcell connections set NAME FILE`"),
    ("--cacert", true, "a private authority is the tenant's `ca` in flowcell.toml"),
    ("--cookie-jar", true, "cookies are kept as long as the request: `cookies: true`"),
    ("--digest", false, "digest authentication is a connection: `flowcell connections set NAME FILE`"),
    ("--ipv4", false, "addresses are chosen by the host"),
    ("--ipv6", false, "addresses are chosen by the host"),
    ("--http1.0", false, "HTTP/1.1 and HTTP/2 are spoken"),
];

impl Command {
    /// Letters behind one dash: all but the last are options without a value.
    fn short(&mut self, letters: &str, words: &mut impl Iterator<Item = String>) -> Result<(), String> {
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            let Some((_, long)) = SHORT.iter().find(|(short, _)| *short == letter) else {
                return Err(format!("the option `-{letter}` has no meaning for a step: leave it out"));
            };
            if takes_value(long) {
                let given = Some(rest.as_str().to_owned()).filter(|given| !given.is_empty());
                return self.option(long, given, words);
            }
            self.option(long, None, words)?;
        }
        Ok(())
    }

    fn option(
        &mut self,
        name: &str,
        given: Option<String>,
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), String> {
        let value = match (takes_value(name), given) {
            (true, Some(value)) => value,
            (true, None) => words.next().ok_or_else(|| format!("`{name}` needs a value behind it"))?,
            (false, _) => String::new(),
        };
        match name {
            "--request" => self.method = Some(value.to_ascii_uppercase()),
            "--url" => self.urls.push(value),
            "--header" => self.header(&value)?,
            "--data" | "--data-ascii" | "--data-binary" => {
                if value.starts_with('@') {
                    return Err(reads_file(name, &value));
                }
                self.data.push(value);
            }
            "--data-raw" => self.data.push(value),
            "--json" if value.starts_with('@') => {
                return Err(reads_file("--json", &value));
            }
            // Several of them are one body, without anything between.
            "--json" if self.json => self.data.last_mut().expect("there is one before").push_str(&value),
            "--json" => {
                self.json = true;
                self.data.push(value);
            }
            "--data-urlencode" => self.data.push(urlencoded(&value)?),
            "--form" | "--form-string" => self.form.push(part(&value, name == "--form")?),
            "--user" => {
                let (user, password) = value.split_once(':').unwrap_or((&value, ""));
                self.basic = Some((user.to_owned(), password.to_owned()));
            }
            "--get" => self.in_query = true,
            "--head" => self.head = true,
            "--user-agent" => self.headers.push(("user-agent".to_owned(), value)),
            "--referer" => self.headers.push(("referer".to_owned(), value)),
            "--cookie" if value.contains('=') => self.headers.push(("cookie".to_owned(), value)),
            "--cookie" => self.cookies = true,
            "--location" | "--location-trusted" => self.follow = true,
            "--max-time" => self.timeout = Some(seconds(&value)?),
            "--retry" => {
                let count = value.parse().map_err(|_| format!("`--retry {value}`: that is no number"))?;
                self.retries = Some(count);
            }
            "--oauth2-bearer" => self.headers.push(("authorization".to_owned(), format!("Bearer {value}"))),
            silent if SILENT.contains(&silent) || SILENT_WITH.contains(&silent) => {}
            other => match ELSEWHERE.iter().find(|(name, ..)| *name == other) {
                Some((name, _, why)) => self.warnings.push(format!("`{name}` is left out: {why}")),
                None => return Err(format!("the option `{other}` has no meaning for a step: leave it out")),
            },
        }
        Ok(())
    }

    fn header(&mut self, text: &str) -> Result<(), String> {
        if let Some((name, value)) = text.split_once(':') {
            let name = name.trim().to_ascii_lowercase();
            if name == "host" {
                self.host = Some(value.trim().to_owned());
                return Ok(());
            }
            if FRAMING.contains(&name.as_str()) {
                self.warnings.push(format!("the header `{name}` is left out: the host writes it"));
                return Ok(());
            }
            // Without a value it takes one of curl's own headers away, which a step does not send.
            if !value.trim().is_empty() {
                self.headers.push((name, value.trim().to_owned()));
            }
            return Ok(());
        }
        match text.strip_suffix(';') {
            Some(name) => self.headers.push((name.trim().to_ascii_lowercase(), String::new())),
            None => return Err(format!("`{}` is no header: write it as `Name: value`", text.escape_debug())),
        }
        Ok(())
    }

    fn step(mut self) -> Result<Import, String> {
        let [url] = self.urls.as_slice() else {
            return Err(match self.urls.len() {
                0 => "there is no URL in the command line".to_owned(),
                count => format!("there are {count} URLs in the command line: a step sends one request"),
            });
        };
        let mut url = if url.contains("://") { url.clone() } else { format!("http://{url}") };
        if let Some((bare, user, password)) = without_credentials(&url) {
            self.basic.get_or_insert((urlencoded::part(user), urlencoded::part(password)));
            url = bare;
        }
        if let (Some(said), Some(named)) = (&self.host, host_and_port(&url))
            && !said.eq_ignore_ascii_case(named)
        {
            return Err(format!(
                "the header `Host` names `{}`, and the URL `{named}`: a step asks the host of its URL",
                said.escape_debug()
            ));
        }
        let data = self.data.join("&");
        if self.in_query && !self.data.is_empty() {
            // Before a fragment, which is not sent.
            url.truncate(url.find('#').unwrap_or(url.len()));
            let with = if url.contains('?') { '&' } else { '?' };
            url = format!("{url}{with}{data}");
            self.data.clear();
        }
        let usual = match () {
            () if self.head => "HEAD",
            () if !self.data.is_empty() || !self.form.is_empty() => "POST",
            () => "GET",
        };
        let method = self.method.take().unwrap_or_else(|| usual.to_owned());
        let mut with = Map::new();
        with.insert("url".to_owned(), json!(url));
        if method != "GET" {
            with.insert("method".to_owned(), json!(method));
        }
        self.body(&mut with, &data)?;
        if !self.headers.is_empty() {
            with.insert("headers".to_owned(), rows(&self.headers));
        }
        if let Some((username, password)) = &self.basic {
            with.insert("basic".to_owned(), json!({ "username": username, "password": password }));
        }
        if let Some(timeout) = &self.timeout {
            with.insert("timeout".to_owned(), json!(timeout));
        }
        if let Some(count) = self.retries {
            with.insert("retry".to_owned(), json!({ "limit": { "attempt": { "count": count } } }));
        }
        if self.cookies {
            with.insert("cookies".to_owned(), json!(true));
        }
        if !self.follow {
            with.insert("redirects".to_owned(), json!("manual"));
        }
        if self.basic.is_some() || self.headers.iter().any(|(name, _)| name == "authorization") {
            self.warnings.push(
                "the credentials stand in the flow: keep them in a connection (`flowcell connections set NAME FILE`) or a secret"
                    .to_owned(),
            );
        }
        let step = json!({ "request": { "call": CALL, "with": with } });
        Ok(Import { step, warnings: self.warnings })
    }

    fn body(&mut self, with: &mut Map<String, Value>, data: &str) -> Result<(), String> {
        if !self.form.is_empty() {
            if !self.data.is_empty() {
                return Err("`--data` and `--form` exclude each other, as in curl".to_owned());
            }
            with.insert("contentType".to_owned(), json!("multipart"));
            with.insert("body".to_owned(), json!(self.form));
            return Ok(());
        }
        if self.data.is_empty() {
            return Ok(());
        }
        let named = self.headers.iter().position(|(name, _)| name == "content-type");
        let said = named.map(|at| self.headers.remove(at).1);
        let essence = said.as_deref().and_then(|said| said.split(';').next()).unwrap_or_default().trim();
        let is_json = self.json || essence.eq_ignore_ascii_case("application/json");
        if self.json && !self.headers.iter().any(|(name, _)| name == "accept") {
            self.headers.push(("accept".to_owned(), "application/json".to_owned()));
        }
        let (content_type, body) = match serde_json::from_str::<Value>(data) {
            Ok(value) if is_json && keeps_numbers(&value, data) => ("json".to_owned(), value),
            _ if is_json => (said.unwrap_or_else(|| "application/json".to_owned()), json!(data)),
            _ if said.is_none() || essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") => {
                let pairs: Vec<(String, String)> = urlencoded::pairs(data).collect();
                let mut written = String::new();
                pairs.iter().for_each(|(name, value)| urlencoded::push_form(&mut written, name, value));
                // Data that is no form goes as it is, under the name that curl gives it.
                match written == data.replace("%20", "+") && data.contains('=') {
                    true => ("form".to_owned(), pairs.into_iter().map(row).collect()),
                    false => ("application/x-www-form-urlencoded".to_owned(), json!(data)),
                }
            }
            _ => (said.unwrap_or_default(), json!(data)),
        };
        with.insert("contentType".to_owned(), json!(content_type));
        with.insert("body".to_owned(), body);
        Ok(())
    }
}

fn reads_file(option: &str, value: &str) -> String {
    format!("`{option} {value}` reads a file, which a step cannot: put its content there")
}

/// Whether writing the value again gives the numbers as they were: large ones and long fractions are rounded.
fn keeps_numbers(value: &Value, text: &str) -> bool {
    match value {
        Value::Number(number) => text.contains(&number.to_string()),
        Value::Array(items) => items.iter().all(|item| keeps_numbers(item, text)),
        Value::Object(fields) => fields.values().all(|field| keeps_numbers(field, text)),
        _ => true,
    }
}

/// A URL without the credentials in it, and those.
fn without_credentials(url: &str) -> Option<(String, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (credentials, host) = rest[..end].rsplit_once('@')?;
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    Some((format!("{scheme}://{host}{}", &rest[end..]), user, password))
}

/// The host of a URL, and its port where that is not the usual one.
fn host_and_port(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let usual = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    Some(authority.strip_suffix(usual).unwrap_or(authority))
}

fn takes_value(name: &str) -> bool {
    let own = [
        "--request",
        "--url",
        "--header",
        "--data",
        "--data-ascii",
        "--data-binary",
        "--data-raw",
        "--json",
        "--data-urlencode",
        "--form",
        "--form-string",
        "--user",
        "--user-agent",
        "--referer",
        "--cookie",
        "--max-time",
        "--retry",
        "--oauth2-bearer",
        "--upload-file",
    ];
    own.contains(&name)
        || SILENT_WITH.contains(&name)
        || ELSEWHERE.iter().any(|(other, takes, _)| *other == name && *takes)
}

/// A map where each name comes once, else rows.
fn rows(headers: &[(String, String)]) -> Value {
    let repeats = headers
        .iter()
        .enumerate()
        .any(|(at, (name, _))| headers[..at].iter().any(|(other, _)| other == name));
    match repeats {
        true => headers.iter().cloned().map(row).collect(),
        false => headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect(),
    }
}

fn row((name, value): (String, String)) -> Value {
    json!({ "name": name, "value": value })
}

/// `content`, `=content`, `name=content`.
fn urlencoded(text: &str) -> Result<String, String> {
    let encoded = |text: &str| {
        let mut form = String::new();
        urlencoded::push_form(&mut form, "", text);
        form.split_off(1)
    };
    if text.starts_with('@') || text.split_once('=').is_none() && text.contains('@') {
        return Err(reads_file("--data-urlencode", text));
    }
    Ok(match text.split_once('=') {
        Some(("", content)) => encoded(content),
        Some((name, content)) => format!("{name}={}", encoded(content)),
        None => encoded(text),
    })
}

/// `name=value`, with `;type=` and `;filename=` behind it.
fn part(text: &str, has_parameters: bool) -> Result<Value, String> {
    let (name, rest) =
        text.split_once('=').ok_or_else(|| format!("`--form {text}` is no part: write it as name=value"))?;
    if has_parameters && rest.starts_with(['@', '<']) {
        return Err(reads_file("--form", text));
    }
    let mut part = json!({ "name": name });
    let mut pieces = rest.split(';');
    part["value"] = json!(if has_parameters { pieces.next().unwrap_or_default() } else { rest });
    if has_parameters {
        for (key, value) in pieces.filter_map(|piece| piece.trim().split_once('=')) {
            match key {
                "type" => part["contentType"] = json!(value),
                "filename" => part["filename"] = json!(value.trim_matches('"')),
                _ => {}
            }
        }
    }
    Ok(part)
}

/// Seconds, perhaps with a fraction, as a duration.
fn seconds(text: &str) -> Result<String, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds < 1e9 => Ok(format!("PT{seconds}S")),
        _ => Err(format!("`--max-time {text}`: that is no number of seconds")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curl(text: &str) -> Result<Import, String> {
        read(text)?.step()
    }

    fn with(text: &str) -> Value {
        curl(text).unwrap_or_else(|error| panic!("{text}: {error}")).step["request"]["with"].clone()
    }

    #[test]
    fn command_lines_become_requests() {
        let cases = [
            ("curl https://a.example/x", json!({ "url": "https://a.example/x", "redirects": "manual" })),
            ("curl -sSL a.example", json!({ "url": "http://a.example" })),
            (
                "curl -X put -H 'X-A: 1' -H 'x-b:2' --location https://a.example/",
                json!({ "url": "https://a.example/", "method": "PUT", "headers": { "x-a": "1", "x-b": "2" } }),
            ),
            (
                "curl -L https://a.example/ \\\n  -H 'Content-Type: application/json' \\\n  --data-raw '{\"a\": \"it'\\''s\"}'",
                json!({ "url": "https://a.example/", "method": "POST", "contentType": "json", "body": { "a": "it's" } }),
            ),
            (
                "curl -L -d a=t1 -d 'a=%26%3D1' https://a.example/",
                json!({
                    "url": "https://a.example/", "method": "POST", "contentType": "form",
                    "body": [{ "name": "a", "value": "t1" }, { "name": "a", "value": "&=1" }],
                }),
            ),
            (
                "curl -L --data-urlencode 'q=a b&c' -G https://a.example/?x=1",
                json!({ "url": "https://a.example/?x=1&q=a+b%26c" }),
            ),
            (
                "curl -L --json '{\"n\":1}' https://a.example/",
                json!({
                    "url": "https://a.example/", "method": "POST", "contentType": "json", "body": { "n": 1 },
                    "headers": { "accept": "application/json" },
                }),
            ),
            (
                "curl -L -F 'a=1' -F 'f=hello;type=text/csv;filename=\"h.csv\"' https://a.example/",
                json!({
                    "url": "https://a.example/", "method": "POST", "contentType": "multipart",
                    "body": [
                        { "name": "a", "value": "1" },
                        { "name": "f", "value": "hello", "contentType": "text/csv", "filename": "h.csv" },
                    ],
                }),
            ),
            (
                "curl -L -u me:pa:ss -m 2.5 --retry 3 https://a.example/",
                json!({
                    "url": "https://a.example/", "basic": { "username": "me", "password": "pa:ss" }, "timeout": "PT2.5S",
                    "retry": { "limit": { "attempt": { "count": 3 } } },
                }),
            ),
            (
                "curl -LI https://u:p%40@a.example/",
                json!({ "url": "https://a.example/", "method": "HEAD", "basic": { "username": "u", "password": "p@" } }),
            ),
            (
                "curl -L https://u:a+b@a.example:8443?x=@1",
                json!({ "url": "https://a.example:8443?x=@1", "basic": { "username": "u", "password": "a+b" } }),
            ),
            (
                "curl -L -H 'Host: A.example' https://a.example:443/x",
                json!({ "url": "https://a.example:443/x" }),
            ),
            (
                "curl -L -H 'A: 1' -H 'a: 2' -XDELETE https://a.example/",
                json!({
                    "url": "https://a.example/", "method": "DELETE",
                    "headers": [{ "name": "a", "value": "1" }, { "name": "a", "value": "2" }],
                }),
            ),
            (
                "curl -L -d '<a/>' -H 'content-type: text/xml' https://a.example/",
                json!({ "url": "https://a.example/", "method": "POST", "contentType": "text/xml", "body": "<a/>" }),
            ),
            (
                "curl -L -d 'just text' https://a.example/",
                json!({
                    "url": "https://a.example/", "method": "POST", "contentType": "application/x-www-form-urlencoded",
                    "body": "just text",
                }),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(with(text), expected, "{text}");
        }
    }

    #[test]
    fn a_command_of_a_browser_is_sent_as_it_is() {
        let imported = curl(
            "curl 'https://a.example/' --compressed -L -X POST -H 'Connection: keep-alive' -H 'TE: trailers' \\\n  \
             -H 'Content-Length: 20' -H 'Content-Type: text/plain' --data-raw $'it\\'s\\nme \\u0021'",
        )
        .unwrap();
        assert_eq!(
            imported.step["request"]["with"],
            json!({ "url": "https://a.example/", "method": "POST", "contentType": "text/plain", "body": "it's\nme !" })
        );
        let left_out: Vec<_> =
            imported.warnings.iter().filter(|warning| warning.contains("the host writes it")).collect();
        assert_eq!(left_out.len(), 3, "{:?}", imported.warnings);
    }

    #[test]
    fn nothing_is_taken_out_of_a_body() {
        assert_eq!(
            with("curl -L -H 'content-type: text/xml' -d '<a>\n</a>' https://a.example/")["body"],
            "<a>\n</a>"
        );
        let body = &with("curl -L --json '{\"a\":' --json '1}' https://a.example/")["body"];
        assert_eq!(body, &json!({ "a": 1 }));
        for text in ["12345678901234567890123", "[1e3]"] {
            let with = with(&format!("curl -L --json '{text}' https://a.example/"));
            assert_eq!((&with["contentType"], &with["body"]), (&json!("application/json"), &json!(text)));
        }
        let body = &with("curl -L -d 'a ${x} b' -H 'content-type: text/plain' https://a.example/")["body"];
        assert_eq!(body, "a ${x} b");
        let body =
            &with("curl -L --data-raw 'a\\\nb' -H 'content-type: text/plain' https://a.exa\\\nmple/")["body"];
        assert_eq!(body, "a\\\nb");
    }

    #[test]
    fn what_a_step_does_otherwise_is_a_warning() {
        let imported =
            curl("curl -kL -x http://p:1 -H 'Authorization: Bearer t' https://a.example/").unwrap();
        let warnings = imported.warnings.join("\n");
        for word in ["`--insecure` is left out", "`--proxy` is left out", "keep them in a connection"] {
            assert!(warnings.contains(word), "{warnings}");
        }
    }

    #[test]
    fn what_would_be_another_request_is_refused() {
        for (text, says) in [
            ("", "is empty"),
            ("wget https://a.example/", "command line of `wget`"),
            ("curl 'https://a.example/", "a quote or a backslash has no end"),
            ("curl -L", "there is no URL"),
            ("curl a.example b.example", "there are 2 URLs"),
            ("curl -d @file a.example", "reads a file"),
            ("curl -F f=@file a.example", "reads a file"),
            ("curl -T file a.example", "`--upload-file` has no meaning"),
            ("curl --ftp-pasv a.example", "`--ftp-pasv` has no meaning"),
            ("curl --json @file a.example", "reads a file"),
            ("curl -H 'Host: b.example' a.example", "names `b.example`, and the URL `a.example`"),
            ("curl \"a.example/$TOKEN\"", "`$TOKEN`"),
            ("curl -Z a.example", "`-Z` has no meaning"),
            ("curl a.example -H", "`--header` needs a value"),
            ("curl -m soon a.example", "no number of seconds"),
            ("curl -d a -F b=c a.example", "exclude each other"),
        ] {
            let error = curl(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn fuzz_every_command_line_is_a_step_or_refused() {
        let seeds = [
            "curl -X POST https://api.example.com/v1?a=1 -H 'Content-Type: application/json' -d '{\"a\": 1}' --max-time 5 -L",
            "curl $'https://x.example/\\u00e9' --data-urlencode 'a=b c' -G -u user:word --compressed -k",
            "curl -F 'file=@a.txt;type=text/plain' -F b=1 --json '{\"n\": 1e5}' -b 'c=d' --retry 3 \\\n  x.example",
        ];
        flowcell_fuzz::texts(file!(), &seeds, |text| match curl(text) {
            Ok(import) => assert!(import.step.is_object(), "{text}"),
            Err(why) => assert!(!why.is_empty(), "{text}"),
        });
    }
}
