//! Administration of a running host over its REST API: one file for each resource, whose `What` is the commands and their
//! help. `plugins` is in [`super::plugin`], with what an author needs of plugins.

pub(super) mod audit;
pub(super) mod connections;
pub(super) mod flows;
pub(super) mod policy;
pub(super) mod runs;
pub(super) mod secrets;
pub(super) mod tenants;
pub(super) mod tokens;
pub(super) mod triggers;

use std::path::Path;
use std::str::FromStr;

use clap::Subcommand;
use hyper::Method;
use serde_json::Value;

use super::client::{Client, Server, encoded};
use super::deployment::DocumentName;
use super::{Stop, terminal};

// No doc comment: the help of a command is that of its `What`.
#[derive(clap::Args)]
pub(super) struct Args<What: Subcommand> {
    #[command(flatten)]
    pub server: Server,
    #[command(subcommand)]
    pub what: What,
}

/// Takes a whole list where nothing limits it.
pub(super) const ALL: usize = usize::MAX;

/// `NAMESPACE/NAME`, or a name in the namespace `default`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Name {
    namespace: String,
    name: String,
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, name) = text.split_once('/').unwrap_or(("default", text));
        if namespace.is_empty() || name.is_empty() || name.contains('/') {
            return Err("write it as NAMESPACE/NAME, or NAME in the namespace `default`".into());
        }
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

impl Name {
    /// The address of the thing among `flows` or `triggers`.
    fn path(&self, kind: &str) -> String {
        format!("/{kind}/{}/{}", encoded(&self.namespace), encoded(&self.name))
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Sends one document to the address of its name, and says so.
async fn deploy(server: &Server, file: &Path) -> Result<(), Stop> {
    let client = server.connect()?;
    let name = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Stop::wrong(format!("{name}: cannot be read: {error}")))?;
    let documents = crate::read(&text, &name.to_string())
        .map_err(|findings| Stop::wrong(super::sources::lines(&findings)))?;
    let [document] = documents.as_slice() else {
        return Err(Stop::wrong(format!(
            "{name}: there are {} documents in it; deploy each from a file of its own",
            documents.len()
        )));
    };
    let path = match DocumentName::of(document) {
        DocumentName::Flow(namespace, name) => Name { namespace, name }.path("flows"),
        DocumentName::Trigger(namespace, name) => Name { namespace, name }.path("triggers"),
    };
    let deployed = client.send(Method::PUT, &path, "application/yaml", text).await?;
    print(server.json, &deployed, &format!("deployed {}", file.display()));
    Ok(())
}

/// Puts a document under a name, and says so.
async fn put(
    server: &Server,
    client: &Client,
    (path, name): (&str, &str),
    document: String,
) -> Result<(), Stop> {
    let put = client.send(Method::PUT, path, "application/json", document).await?;
    print(server.json, &put, &format!("set {name}"));
    Ok(())
}

/// Removes what is at a path, and says so.
async fn remove(client: &Client, path: &str, name: &dyn std::fmt::Display) -> Result<(), Stop> {
    client.delete(path).await?;
    terminal::note(&format!("removed {name}"));
    Ok(())
}

/// Reads what is secret from a file or standard input. At a terminal a person types it, and it is not shown.
fn read_secret(file: Option<&Path>, what: &str) -> Result<String, Stop> {
    use std::io::IsTerminal as _;
    if file.is_none() && std::io::stdin().is_terminal() {
        // Before the prompt is seen: a value that is pasted at once would be shown otherwise.
        #[cfg(unix)]
        let _hidden = terminal::hide_typing();
        return rpassword::prompt_password(format!("{what} (it is not shown): "))
            .map_err(|error| Stop::wrong(format!("the terminal cannot be read: {error}")));
    }
    read_value(file, what)
}

/// Reads a file or standard input. At a terminal a person is told what is waited for.
fn read_value(file: Option<&Path>, what: &str) -> Result<String, Stop> {
    use std::io::IsTerminal as _;
    let Some(file) = file else {
        if std::io::stdin().is_terminal() {
            terminal::note(&format!("{what}, then Ctrl-D:"));
        }
        return std::io::read_to_string(std::io::stdin())
            .map_err(|error| Stop::wrong(format!("standard input cannot be read: {error}")));
    };
    std::fs::read_to_string(file)
        .map_err(|error| Stop::wrong(format!("{}: cannot be read: {error}", file.display())))
}

/// A path with the parameters that have a value.
fn with_query<const N: usize>(mut path: String, parameters: [(&str, &Option<String>); N]) -> String {
    for (name, value) in parameters {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", encoded(value)));
        }
    }
    path
}

/// Prints an answer as JSON, or a line about it.
pub(super) fn print(json: bool, answer: &Value, line: &str) {
    match json {
        true => terminal::say_json(answer),
        false => terminal::say(line),
    }
}

/// Prints items as a JSON array, or their fields as columns.
pub(super) fn print_list<const N: usize>(json: bool, items: &[Value], columns: [(&str, &str); N]) {
    if json {
        return terminal::say_json(&Value::from(items));
    }
    // `problem.detail` is a field of a field.
    let find = |item: &'_ Value, field: &str| cell(field.split('.').fold(item, |value, key| &value[key]));
    let rows: Vec<_> = items.iter().map(|item| columns.map(|(_, field)| find(item, field))).collect();
    terminal::say(&terminal::table(columns.map(|(heading, _)| heading), &rows));
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => terminal::harmless(text),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_namespace_or_get_the_usual_one() {
        let name = "in".parse::<Name>().unwrap();
        assert_eq!(
            (name.to_string().as_str(), name.path("flows").as_str()),
            ("default/in", "/flows/default/in")
        );
        assert_eq!("a b/c".parse::<Name>().unwrap().path("triggers"), "/triggers/a%20b/c");
        for wrong in ["", "/", "a/", "/a", "a/b/c"] {
            assert!(wrong.parse::<Name>().is_err(), "{wrong}");
        }
    }
}
