//! Limits: what an operator sets per tenant ([`Quota`]), and what holds for every outgoing request ([`Limits`]).
//!
//! The limits of a sandbox are the host's (`host::limits`), those of the listener the server's (`server::limits`).

use std::time::Duration;

use super::document::{ConfigError, Field, Section};
use super::unit;

/// How much of the host one tenant may use: `[tenant.quota]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Most bytes of memory of one step.
    pub memory: u64,
    /// Most CPU time of one call into a step.
    pub cpu: Duration,
    /// Most CPU time of all calls of a minute: beyond it steps wait until it is made up for. The only tenant of a host has no
    /// such limit unless its configuration says so.
    pub cpu_per_minute: Duration,
    /// Most wall time of one call into a step, waiting for the world included.
    pub step_time: Duration,
    /// Most runs in motion at once, and steps of a `fork` beside the first at work of its run; more wait.
    pub concurrent_runs: u64,
    /// Most runs that wait or are suspended.
    pub waiting_runs: u64,
    /// Most requests a second, in and out each: webhooks, callbacks and the API together, and what steps send. Outgoing ones
    /// are slowed down to it. The only tenant of a host has none unless its configuration says so.
    pub requests_per_second: u32,
    /// Most bytes of outgoing requests and their answers a minute.
    pub egress_bytes_per_minute: u64,
    /// Most bytes of one body, in or out.
    pub body: u64,
    /// Most bytes that runs write to the journal in a minute: beyond it steps wait until it is made up for, and no runs are
    /// begun. The only tenant of a host has no such limit unless its configuration says so.
    pub journal_bytes_per_minute: u64,
    /// Most bytes of native code of its components.
    pub components: u64,
    /// Most versions of flows, and most triggers.
    pub flows: u64,
    /// Most secrets, most connections, and most tokens of the API.
    pub credentials: u64,
    /// Most streams of events that are open at once.
    pub event_readers: u64,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            cpu: Duration::from_millis(250),
            cpu_per_minute: Duration::from_secs(60),
            step_time: Duration::from_secs(30),
            concurrent_runs: 1_000,
            waiting_runs: 1_000_000,
            requests_per_second: 500,
            egress_bytes_per_minute: 1 << 30,
            body: 10 << 20,
            journal_bytes_per_minute: 1 << 30,
            components: 512 << 20,
            flows: 2_000,
            credentials: 1_000,
            event_readers: 100,
        }
    }
}

impl Quota {
    /// What the only tenant of a host has: its owner is not slowed down on their own machine.
    ///
    /// ```
    /// assert_eq!(flowcell::Quota::of_one().requests_per_second, u32::MAX);
    /// ```
    pub fn of_one() -> Self {
        Self {
            requests_per_second: u32::MAX,
            cpu_per_minute: Duration::MAX,
            journal_bytes_per_minute: u64::MAX,
            ..Self::default()
        }
    }
}

/// What holds for every outgoing request, whoever sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a URL, in and out.
    pub url: usize,
    /// Headers of one outgoing request.
    pub header_count: usize,
    /// Bytes of all headers of one message.
    pub header_bytes: usize,
    /// Redirects that one request follows.
    pub redirects: u32,
    /// The whole exchange, when a request says nothing.
    pub request_timeout: Duration,
    /// Connecting to one address, and the TLS handshake with it.
    pub connect_timeout: Duration,
    /// Compressions on top of each other in one answer.
    pub encodings: usize,
    /// How long an unused connection is kept. Shorter than the five seconds after which many servers close theirs: a
    /// POST that meets a closing connection fails without anybody knowing whether it arrived.
    pub idle_connection: Duration,
    /// Unused connections kept per tenant and authority.
    pub idle_connections: usize,
    /// Name look-ups of one tenant at the same time.
    pub lookups: usize,
    /// Addresses of one name that are tried.
    pub addresses: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            url: 8 << 10,
            header_count: 256,
            header_bytes: 64 << 10,
            redirects: 20,
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            encodings: 3,
            idle_connection: Duration::from_secs(4),
            idle_connections: 256,
            lookups: 32,
            addresses: 16,
        }
    }
}

/// How long the history of runs that are over is kept; none is for ever. Runs that are not over are always kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Runs that ended well.
    pub completed: Option<Duration>,
    /// Runs that ended with an error.
    pub faulted: Option<Duration>,
    /// Runs that were ended on request.
    pub cancelled: Option<Duration>,
}

impl Retention {
    /// Each status of a run that is over, as the REST API spells it, and how long it is kept.
    pub(crate) fn by_status(&self) -> [(&'static str, Option<Duration>); 3] {
        [("completed", self.completed), ("faulted", self.faulted), ("cancelled", self.cancelled)]
    }
}

/// Reads `[tenant.retention]`.
pub(super) fn retention(field: &Field<'_>) -> Result<Retention, ConfigError> {
    let section = field.section("tenant.retention", &["completed", "faulted", "cancelled"])?;
    // Zero is a time as well: such runs are forgotten at once.
    let kept = |key| {
        let kept =
            section.get(key).map(|field| (unit::duration(field.text()?)).map_err(|why| field.error(why)));
        kept.transpose()
    };
    Ok(Retention { completed: kept("completed")?, faulted: kept("faulted")?, cancelled: kept("cancelled")? })
}

/// Reads `[tenant.quota]`; what it leaves out is as usual.
pub(super) fn quota(field: &Field<'_>, usual: &Quota) -> Result<Quota, ConfigError> {
    let section = field.section(
        "tenant.quota",
        &[
            "memory",
            "cpu",
            "cpu_per_minute",
            "step_time",
            "concurrent_runs",
            "waiting_runs",
            "requests_per_second",
            "egress_bytes_per_minute",
            "body",
            "journal_bytes_per_minute",
            "components",
            "flows",
            "credentials",
            "event_readers",
        ],
    )?;
    let quota = Quota {
        memory: size(&section, "memory", usual.memory)?,
        cpu: duration(&section, "cpu", usual.cpu)?,
        cpu_per_minute: duration(&section, "cpu_per_minute", usual.cpu_per_minute)?,
        step_time: duration(&section, "step_time", usual.step_time)?,
        concurrent_runs: count(&section, "concurrent_runs", usual.concurrent_runs)?,
        waiting_runs: count(&section, "waiting_runs", usual.waiting_runs)?,
        requests_per_second: rate(&section, "requests_per_second", usual.requests_per_second)?,
        egress_bytes_per_minute: size(&section, "egress_bytes_per_minute", usual.egress_bytes_per_minute)?,
        body: size(&section, "body", usual.body)?,
        journal_bytes_per_minute: size(&section, "journal_bytes_per_minute", usual.journal_bytes_per_minute)?,
        components: size(&section, "components", usual.components)?,
        flows: count(&section, "flows", usual.flows)?,
        credentials: count(&section, "credentials", usual.credentials)?,
        event_readers: count(&section, "event_readers", usual.event_readers)?,
    };
    match section.get("memory") {
        Some(field) if quota.memory > 4 << 30 => {
            Err(field.error("`memory` is more than the 4 GiB that a step can address"))
        }
        _ => Ok(quota),
    }
}

/// Reads a size that is of the whole host.
pub(super) fn memory(root: &Section<'_>, key: &'static str, usual: u64) -> Result<u64, ConfigError> {
    size(root, key, usual)
}

fn size(section: &Section<'_>, key: &'static str, usual: u64) -> Result<u64, ConfigError> {
    let Some(field) = section.get(key) else {
        return Ok(usual);
    };
    let bytes = match field.integer() {
        Some(bytes) => bytes?,
        None => unit::size(field.text()?).map_err(|sentence| field.error(sentence))?,
    };
    some(&field, bytes)
}

fn count(section: &Section<'_>, key: &'static str, usual: u64) -> Result<u64, ConfigError> {
    let Some(field) = section.get(key) else {
        return Ok(usual);
    };
    match field.integer() {
        Some(number) => some(&field, number?),
        None => Err(field.wrong_type("a whole number")),
    }
}

fn rate(section: &Section<'_>, key: &'static str, usual: u32) -> Result<u32, ConfigError> {
    let rate = count(section, key, usual.into())?;
    u32::try_from(rate).map_err(|_| section.error(format!("`{key}` is {rate}: write at most {}", u32::MAX)))
}

fn duration(section: &Section<'_>, key: &'static str, usual: Duration) -> Result<Duration, ConfigError> {
    let Some(field) = section.get(key) else {
        return Ok(usual);
    };
    let duration = unit::duration(field.text()?).map_err(|sentence| field.error(sentence))?;
    some(&field, duration)
}

/// A quota of nothing would stop every run in a way that looks like a fault.
fn some<T: Default + PartialEq>(field: &Field<'_>, value: T) -> Result<T, ConfigError> {
    if value == T::default() {
        return Err(field.error(format!(
            "`{}` is zero, so nothing would ever run: write a larger one, or leave it out for the default",
            field.key()
        )));
    }
    Ok(value)
}
