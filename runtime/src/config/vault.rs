//! Where secrets come from that are not put in by the API: files and the environment, and the key of the vault itself.
//! Named here, read when a host starts.

use std::path::{Path, PathBuf};

use super::document::{ConfigError, Field, Section};
use super::hosts::Hosts;
use super::required_text;
use crate::id::{VAULT_NAME_RULE, is_vault_name};

/// One `[[tenant.secret]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSource {
    /// What flows call it.
    pub name: String,
    /// Where its value is.
    pub from: ValueSource,
    /// The hosts that it may be sent to.
    pub hosts: Hosts,
}

/// One `[[tenant.connection]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionSource {
    /// What steps call it.
    pub name: String,
    /// Where its document is, JSON as `flowcell connections set` takes it.
    pub from: ValueSource,
}

/// A place outside of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueSource {
    /// A file; a line break at its end does not count.
    File(PathBuf),
    /// A variable of the environment.
    Env(String),
}

impl ValueSource {
    /// What is there.
    ///
    /// # Errors
    /// A sentence on why it is not.
    pub fn read(&self) -> Result<String, String> {
        match self {
            Self::File(path) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(text.strip_suffix('\n').unwrap_or(&text).trim_end_matches('\r').to_owned()),
                Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
            },
            Self::Env(name) => std::env::var(name)
                .map_err(|_| format!("the environment has no text `{name}`: set it for the process")),
        }
    }
}

pub(super) fn secrets(field: &Field<'_>, folder: &Path) -> Result<Vec<SecretSource>, ConfigError> {
    let mut sources: Vec<SecretSource> = vec![];
    for item in field.list()? {
        let section = item.section("tenant.secret", &["name", "file", "env", "hosts"])?;
        let name = name(&section, |name| sources.iter().any(|source| source.name == name))?;
        let hosts = match section.get("hosts") {
            Some(field) => hosts(&field)?,
            None => Hosts::default(),
        };
        sources.push(SecretSource { name, from: source(&section, folder)?, hosts });
    }
    Ok(sources)
}

pub(super) fn connections(field: &Field<'_>, folder: &Path) -> Result<Vec<ConnectionSource>, ConfigError> {
    let mut sources: Vec<ConnectionSource> = vec![];
    for item in field.list()? {
        let section = item.section("tenant.connection", &["name", "file", "env"])?;
        let name = name(&section, |name| sources.iter().any(|source| source.name == name))?;
        sources.push(ConnectionSource { name, from: source(&section, folder)? });
    }
    Ok(sources)
}

fn hosts(field: &Field<'_>) -> Result<Hosts, ConfigError> {
    let names =
        field.list()?.iter().map(|host| Ok(host.text()?.to_owned())).collect::<Result<Vec<_>, _>>()?;
    Hosts::parse(&names).map_err(|sentence| field.error(sentence))
}

fn name(section: &Section<'_>, taken: impl Fn(&str) -> bool) -> Result<String, ConfigError> {
    let name = required_text(section, "name")?;
    let field = section.get("name").expect("it is there");
    if !is_vault_name(&name) {
        return Err(field.error(format!("`{name}` cannot be a name here: {VAULT_NAME_RULE}")));
    }
    match taken(&name) {
        true => Err(field.error(format!("`{name}` is there twice: give each a name of its own"))),
        false => Ok(name),
    }
}

fn source(section: &Section<'_>, folder: &Path) -> Result<ValueSource, ConfigError> {
    match (section.get("file"), section.get("env")) {
        (Some(_), None) => Ok(ValueSource::File(folder.join(required_text(section, "file")?))),
        (None, Some(_)) => Ok(ValueSource::Env(required_text(section, "env")?)),
        (Some(_), Some(env)) => Err(env.error("a value comes from `file` or from `env`: leave one out")),
        (None, None) => {
            Err(section.error("its value is read from `file` or `env`: name one; it does not stand here"))
        }
    }
}
