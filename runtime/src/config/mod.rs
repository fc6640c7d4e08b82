//! The host's configuration: what `flowcell.toml` says, and what holds without one.
//!
//! A text becomes a [`Config`] once, at the start; what is wrong in it is a [`ConfigError`] with its place, and the host
//! does not start. The parts: `allow` the egress rules, `limits` quotas and limits, `unit` sizes and durations,
//! `document` TOML with places. Nothing here decides about a request: that is `capability::http_request::policy`.

mod allow;
mod document;
mod hosts;
mod limits;
mod unit;
mod vault;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use hyper::Uri;
use ipnet::IpNet;
use url::Url;

pub use allow::{AllowRule, HostPattern, HostRule, METHODS, PathPattern, Ports};
pub use document::ConfigError;
pub(crate) use unit::show_size;

use document::{Field, Section, Source};
pub use hosts::Hosts;
pub use limits::{Limits, Quota, Retention};
pub use vault::{ConnectionSource, SecretSource};

use crate::id::TenantId;

/// Where the host listens when nothing says otherwise.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// Bytes of bodies that are held for all tenants at the same time, when nothing says otherwise.
const DEFAULT_MEMORY: u64 = 512 << 20;
/// Bytes of memory of guests, likewise.
const DEFAULT_GUEST_MEMORY: u64 = 2 << 30;

/// A whole configuration, every value checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// What webhook and callback URLs start with, without a `/` at the end.
    pub public_url: Option<String>,
    /// Where the journal is; none is SQLite in the data folder.
    pub journal: Option<JournalUrl>,
    /// Certificate and key of the listener; none serves plain HTTP.
    pub tls: Option<TlsConfig>,
    /// What outgoing requests go through; none: they go directly.
    pub proxy: Option<ProxyConfig>,
    /// The file with the key that secrets are sealed with; none is `vault.key` in the data folder. The environment's
    /// FLOWCELL_VAULT_KEY goes first.
    pub vault_key: Option<PathBuf>,
    /// Most bytes of bodies, and of what they become, that are held for all tenants at the same time.
    pub memory: u64,
    /// Most bytes of memory of all steps and triggers at work together, beside two MiB of each.
    pub guest_memory: u64,
    /// The tenants, at least one.
    pub tenants: Vec<TenantConfig>,
    /// What holds for every outgoing request.
    pub limits: Limits,
}

/// A place for the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalUrl {
    /// `sqlite:PATH`.
    Sqlite(PathBuf),
}

/// A forward proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyConfig {
    /// `http://`, perhaps a user and a password, host and port.
    pub url: String,
    /// Hosts, `.domains`, addresses and networks that are reached directly.
    pub no_proxy: Vec<String>,
    /// Whether it is asked for a tunnel to the address that was judged (`resolve = "host"`), and not by name.
    pub by_address: bool,
}

/// The URL may have a password in it.
impl std::fmt::Debug for ProxyConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProxyConfig").field("no_proxy", &self.no_proxy).finish_non_exhaustive()
    }
}

/// The listener's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM file of the certificate chain.
    pub cert: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
}

/// What one tenant may do.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantConfig {
    /// Its name.
    pub name: TenantId,
    /// What its steps may reach: the union of these, nothing else.
    pub allow: Vec<AllowRule>,
    /// How much of the host it may use.
    pub quota: Quota,
    /// How long the history of its runs is kept.
    pub retention: Retention,
    /// PEM file of certificates that its steps trust beside the machine's.
    pub ca: Option<PathBuf>,
    /// Secrets that are kept outside of the host.
    pub secrets: Vec<SecretSource>,
    /// Connections that are kept outside of the host.
    pub connections: Vec<ConnectionSource>,
}

impl TenantConfig {
    /// A tenant that may reach nothing.
    pub fn new(name: TenantId) -> Self {
        Self {
            name,
            allow: Vec::new(),
            quota: Quota::default(),
            retention: Retention::default(),
            ca: None,
            secrets: Vec::new(),
            connections: Vec::new(),
        }
    }
}

impl Default for Config {
    /// One tenant `default` that may reach nothing.
    fn default() -> Self {
        Self {
            listen: DEFAULT_LISTEN,
            public_url: None,
            journal: None,
            tls: None,
            proxy: None,
            vault_key: None,
            memory: DEFAULT_MEMORY,
            guest_memory: DEFAULT_GUEST_MEMORY,
            tenants: vec![TenantConfig {
                quota: Quota::of_one(),
                ..TenantConfig::new(TenantId::default_tenant())
            }],
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// What [`Config::local`] allows, for the terminal.
    pub const LOCAL_EGRESS: &str = "egress: public addresses and loopback allowed, private and link-local \
                                     ones denied (--config decides otherwise)";

    /// For one's own flows on one's own machine: public addresses and loopback, nothing private or link-local.
    pub fn local() -> Self {
        let mut config = Self::default();
        config.tenants[0].allow = vec![
            AllowRule::Host(HostRule {
                host: HostPattern::Any,
                ports: Ports::Any,
                methods: None,
                paths: None,
            }),
            AllowRule::Network("127.0.0.0/8".parse().expect("a network")),
            AllowRule::Network("::1/128".parse().expect("a network")),
        ];
        config
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When the file cannot be read, or what [`Config::parse`] finds.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, &file),
            Err(error) => Err(ConfigError::Unreadable { file, error }),
        }
    }

    /// Reads a configuration's text. The name of the file stands in the errors, and its folder is where relative paths
    /// of certificates begin.
    ///
    /// ```
    /// let error = flowcell::Config::parse("lisen = \"127.0.0.1:80\"", "flowcell.toml").unwrap_err();
    /// assert_eq!(error.to_string(), "flowcell.toml:1:1: unknown key `lisen`: did you mean `listen`?");
    /// ```
    ///
    /// # Errors
    /// The first thing that is wrong, with file, line and column.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, ConfigError> {
        let source = Source::new(text, file_name);
        let table = source.parse()?;
        let root = source.root(
            &table,
            &[
                "listen",
                "public_url",
                "journal",
                "tls",
                "proxy",
                "vault_key",
                "memory",
                "guest_memory",
                "tenant",
            ],
        )?;
        // A file named in a file is looked for beside it, wherever the host was started.
        let folder = Path::new(file_name).parent().unwrap_or(Path::new(""));
        Ok(Self {
            listen: root.get("listen").map_or(Ok(DEFAULT_LISTEN), |field| listen(&field))?,
            public_url: root.get("public_url").map(|field| public_url(&field)).transpose()?,
            journal: root.get("journal").map(|field| journal(&field)).transpose()?,
            tls: root.get("tls").map(|field| tls(&field, folder)).transpose()?,
            proxy: root.get("proxy").map(|field| proxy(&field)).transpose()?,
            vault_key: match root.get("vault_key") {
                Some(_) => Some(folder.join(required_text(&root, "vault_key")?)),
                None => None,
            },
            memory: limits::memory(&root, "memory", DEFAULT_MEMORY)?,
            guest_memory: limits::memory(&root, "guest_memory", DEFAULT_GUEST_MEMORY)?,
            tenants: match root.get("tenant") {
                Some(field) => tenants(&field, folder)?,
                None => Self::default().tenants,
            },
            limits: Limits::default(),
        })
    }

    /// The tenant of that name.
    pub fn tenant(&self, name: &TenantId) -> Option<&TenantConfig> {
        self.tenants.iter().find(|tenant| tenant.name == *name)
    }
}

fn listen(field: &Field<'_>) -> Result<SocketAddr, ConfigError> {
    let text = field.text()?;
    text.parse().map_err(|_| {
        field.error(format!(
            "`{text}` is not an address to listen on: write an IP address and a port, such as \"127.0.0.1:8080\""
        ))
    })
}

fn public_url(field: &Field<'_>) -> Result<String, ConfigError> {
    let text = field.text()?;
    let wrong = |why: &str| {
        field.error(format!("`public_url` `{text}` {why}: write it as \"https://hooks.example.com\""))
    };
    let url = Url::parse(text).map_err(|error| wrong(&format!("is not a URL ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("has a user name or password in it"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has a query or a fragment, which hook URLs cannot follow"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn journal(field: &Field<'_>) -> Result<JournalUrl, ConfigError> {
    let text = field.text()?;
    match text.strip_prefix("sqlite:") {
        Some(path) if !path.is_empty() => Ok(JournalUrl::Sqlite(path.into())),
        _ if text.starts_with("postgres") => {
            Err(field.error("this version keeps its journal in SQLite only: write \"sqlite:PATH\""))
        }
        _ => Err(field.error(format!("`{text}` is not a journal: write \"sqlite:PATH\""))),
    }
}

fn tls(field: &Field<'_>, folder: &Path) -> Result<TlsConfig, ConfigError> {
    let section = field.section("tls", &["cert", "key"])?;
    let path = |key| Ok::<_, ConfigError>(folder.join(required_text(&section, key)?));
    Ok(TlsConfig { cert: path("cert")?, key: path("key")? })
}

fn proxy(field: &Field<'_>) -> Result<ProxyConfig, ConfigError> {
    let section = field.section("proxy", &["url", "no_proxy", "resolve"])?;
    let url = required_text(&section, "url")?;
    let field = section.get("url").expect("it is there");
    // What goes through the proxy reads its address as a `Uri`, more strictly.
    let is_proxy = |url: &Url| {
        url.scheme() == "http"
            && url.host().is_some()
            && url.path() == "/"
            && url.as_str().parse::<Uri>().is_ok()
    };
    let url = match Url::parse(&url).ok().filter(is_proxy) {
        Some(mut url) => {
            url.set_query(None);
            url.set_fragment(None);
            String::from(url)
        }
        None => {
            // Not quoted: it may have a password in it.
            return Err(field.error(
                "`url` is not the address of a proxy: write it as \"http://proxy.example.com:3128\"",
            ));
        }
    };
    let no_proxy = match section.get("no_proxy") {
        Some(field) => field.list()?.iter().map(exception).collect::<Result<Vec<_>, _>>()?.concat(),
        None => Vec::new(),
    };
    let by_address = match section
        .get("resolve")
        .map(|field| Ok((field.text()?.to_owned(), field)))
        .transpose()?
    {
        None => false,
        Some((text, field)) => match text.as_str() {
            "proxy" => false,
            "host" => true,
            other => {
                return Err(field.error(format!(
                    "`resolve` is `{other}`: write \"proxy\" (it is asked by name) or \"host\" (it tunnels to the address that was judged here)"
                )));
            }
        },
    };
    Ok(ProxyConfig { url, no_proxy, by_address })
}

/// What does not go through the proxy: an address, a network, a domain with all below it, or `*`.
fn exception(field: &Field<'_>) -> Result<Vec<String>, ConfigError> {
    let text = field.text()?;
    let name = text.strip_prefix('.').unwrap_or(text);
    let is_name = name.split('.').all(|label| !label.is_empty())
        && name.chars().all(|c| c.is_alphanumeric() || ['-', '_', '.'].contains(&c));
    let entries = match url::Host::parse(name) {
        _ if text == "*" => ["*", "0.0.0.0/0", "::/0"].map(str::to_owned).to_vec(),
        _ if text.parse::<IpAddr>().is_ok() || text.parse::<IpNet>().is_ok() => vec![text.to_owned()],
        // As a request names it, in ASCII.
        Ok(url::Host::Domain(name)) if is_name => vec![name],
        _ => vec![],
    };
    if entries.is_empty() {
        return Err(field.error(format!(
            "`no_proxy` has `{text}`: write an address, a network such as 10.0.0.0/8, a domain (it stands for all below it), or `*`"
        )));
    }
    Ok(entries)
}

fn tenants(field: &Field<'_>, folder: &Path) -> Result<Vec<TenantConfig>, ConfigError> {
    let mut tenants: Vec<TenantConfig> = Vec::new();
    let items = field.list()?;
    let usual = if items.len() > 1 { Quota::default() } else { Quota::of_one() };
    for item in items {
        let section =
            item.section("tenant", &["name", "allow", "quota", "retention", "ca", "secret", "connection"])?;
        let tenant = tenant(&section, folder, &usual)?;
        if tenants.iter().any(|other| other.name == tenant.name) {
            return Err(section.error(format!(
                "two tenants are called `{}`: put all its rules under one [[tenant]]",
                tenant.name
            )));
        }
        tenants.push(tenant);
    }
    if tenants.is_empty() {
        return Err(field.error("`tenant` is empty: leave it out, or write a [[tenant]] with a name"));
    }
    Ok(tenants)
}

/// `usual`: what holds where it says nothing of a quota.
fn tenant(section: &Section<'_>, folder: &Path, usual: &Quota) -> Result<TenantConfig, ConfigError> {
    let Some(field) = section.get("name") else {
        return Err(section.missing("name"));
    };
    let name = field.text()?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 63 || !name.chars().all(fits) || name.starts_with('.') {
        return Err(field.error(format!(
            "`{name}` is not a tenant's name: use up to 63 letters, digits, `-`, `_` and `.`, since it stands in URLs"
        )));
    }
    let mut tenant = TenantConfig { quota: usual.clone(), ..TenantConfig::new(TenantId::from(name)) };
    if let Some(field) = section.get("allow") {
        tenant.allow = allow::rules(&field)?;
    }
    if let Some(field) = section.get("quota") {
        tenant.quota = limits::quota(&field, usual)?;
    }
    if let Some(field) = section.get("retention") {
        tenant.retention = limits::retention(&field)?;
    }
    if section.get("ca").is_some() {
        tenant.ca = Some(folder.join(required_text(section, "ca")?));
    }
    if let Some(field) = section.get("secret") {
        tenant.secrets = vault::secrets(&field, folder)?;
    }
    if let Some(field) = section.get("connection") {
        tenant.connections = vault::connections(&field, folder)?;
    }
    Ok(tenant)
}

fn required_text(section: &Section<'_>, key: &'static str) -> Result<String, ConfigError> {
    match section.get(key) {
        None => Err(section.missing(key)),
        Some(field) => match field.text()? {
            "" => Err(field.error(format!("`{key}` is empty"))),
            text => Ok(text.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests;
