//! Counters for Prometheus. Names follow its conventions: a unit or `_total` at the end, the tenant as a label.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::core::Core;
use crate::flow::Outcome;
use crate::host::Usage;
use crate::id::TenantId;

/// The codes of failed attempts that are counted by name; every other one is `failed`.
const CODES: [&str; 12] = [
    "timeout",
    "dns",
    "connect",
    "tls",
    "reset",
    "blocked",
    "too-large",
    "too-many-redirects",
    "invalid-request",
    "http-status",
    "rate-limited",
    "quota",
];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfTenant {
    tenant: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RunLabels {
    tenant: String,
    status: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StepLabels {
    tenant: String,
    plugin: String,
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PluginLabels {
    plugin: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct GuestTimeLabels {
    tenant: String,
    place: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FaultLabels {
    tenant: String,
    plugin: String,
    fault: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct HookLabels {
    tenant: String,
    status: u32,
}

pub(super) struct Metrics {
    registry: Registry,
    runs_started: Family<OfTenant, Counter>,
    runs_ended: Family<RunLabels, Counter>,
    steps: Family<StepLabels, Counter>,
    step_seconds: Family<PluginLabels, Histogram, fn() -> Histogram>,
    hooks: Family<HookLabels, Counter>,
    guest_fuel: Family<OfTenant, Counter>,
    guest_seconds: Family<GuestTimeLabels, Counter<f64, AtomicU64>>,
    guest_peak_memory: Family<PluginLabels, Histogram, fn() -> Histogram>,
    sandbox_faults: Family<FaultLabels, Counter>,
    journal_failures: Counter,
    denials: Counter,
    journal_commits: Counter,
    journal_transactions: Counter,
    open_runs: Family<OfTenant, Gauge>,
    active_runs: Gauge,
    egress_requests: Family<OfTenant, Gauge>,
    egress_blocked: Family<OfTenant, Gauge>,
    egress_bytes: Family<OfTenant, Gauge>,
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("flowcell");
        let step_seconds: fn() -> Histogram = || Histogram::new(exponential_buckets(0.000_1, 4.0, 10));
        let memory: fn() -> Histogram = || Histogram::new(exponential_buckets(256.0 * 1024.0, 2.0, 10));
        let metrics = Self {
            registry: Registry::default(),
            runs_started: Family::default(),
            runs_ended: Family::default(),
            steps: Family::default(),
            step_seconds: Family::new_with_constructor(step_seconds),
            hooks: Family::default(),
            guest_fuel: Family::default(),
            guest_seconds: Family::default(),
            guest_peak_memory: Family::new_with_constructor(memory),
            sandbox_faults: Family::default(),
            journal_failures: Counter::default(),
            denials: Counter::default(),
            journal_commits: Counter::default(),
            journal_transactions: Counter::default(),
            open_runs: Family::default(),
            active_runs: Gauge::default(),
            egress_requests: Family::default(),
            egress_blocked: Family::default(),
            egress_bytes: Family::default(),
        };
        registry.register("runs_started", "Runs accepted and journalled", metrics.runs_started.clone());
        registry.register(
            "api_denials",
            "Requests of the API that its token does not open",
            metrics.denials.clone(),
        );
        registry.register("runs_ended", "Runs that are over, by how they ended", metrics.runs_ended.clone());
        registry.register("steps", "Attempts of steps, by outcome", metrics.steps.clone());
        registry.register("step_seconds", "How long an attempt of a step took", metrics.step_seconds.clone());
        registry.register("hook_requests", "Inbound requests, by the status answered", metrics.hooks.clone());
        registry.register(
            "guest_fuel",
            "CPU account of guests, in units of fuel",
            metrics.guest_fuel.clone(),
        );
        registry.register(
            "guest_seconds",
            "Time in guest calls: in the guest's own code, or waiting for the host",
            metrics.guest_seconds.clone(),
        );
        registry.register(
            "guest_peak_memory_bytes",
            "The most linear memory that one call held",
            metrics.guest_peak_memory.clone(),
        );
        registry.register(
            "sandbox_faults",
            "Calls ended by a trap or a limit",
            metrics.sandbox_faults.clone(),
        );
        registry.register(
            "journal_commit_failures",
            "Commits that the store refused; the runs concerned wait and try again",
            metrics.journal_failures.clone(),
        );
        registry.register(
            "journal_commits",
            "Commits given to the durable journal",
            metrics.journal_commits.clone(),
        );
        registry.register(
            "journal_transactions",
            "Transactions that the commits of the durable journal came to: one wait for the disk each",
            metrics.journal_transactions.clone(),
        );
        registry.register("runs_open", "Runs that are not over, waiting ones too", metrics.open_runs.clone());
        registry.register("runs_active", "Runs in memory", metrics.active_runs.clone());
        registry.register("egress_requests", "Outbound requests sent", metrics.egress_requests.clone());
        registry.register(
            "egress_blocked",
            "Outbound requests that the policy denied",
            metrics.egress_blocked.clone(),
        );
        registry.register("egress_bytes", "Bytes sent and received outbound", metrics.egress_bytes.clone());
        Self { registry, ..metrics }
    }

    pub fn run_started(&self, tenant: &TenantId) {
        self.runs_started.get_or_create(&OfTenant { tenant: tenant.to_string() }).inc();
    }

    pub fn run_ended(&self, tenant: &TenantId, status: &str) {
        let labels = RunLabels { tenant: tenant.to_string(), status: status.to_owned() };
        self.runs_ended.get_or_create(&labels).inc();
    }

    pub fn step_ended(&self, tenant: &TenantId, plugin: &str, outcome: &Outcome, took: Duration) {
        let outcome = match outcome {
            Outcome::Done(_) => "done".to_owned(),
            Outcome::Suspended(_) => "suspended".to_owned(),
            // A plugin chooses its codes; only the known ones may become label values.
            Outcome::Failed(problem) | Outcome::CutOff(problem) => {
                problem.code().filter(|code| CODES.contains(code)).unwrap_or("failed").to_owned()
            }
        };
        let labels = StepLabels { tenant: tenant.to_string(), plugin: plugin.to_owned(), outcome };
        self.steps.get_or_create(&labels).inc();
        let labels = PluginLabels { plugin: plugin.to_owned() };
        self.step_seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// What one guest call used, and the limit or trap that ended it.
    pub fn guest_ended(&self, tenant: &TenantId, plugin: &str, usage: &Usage) {
        let tenant = tenant.to_string();
        self.guest_fuel.get_or_create(&OfTenant { tenant: tenant.clone() }).inc_by(usage.fuel);
        let waited = GuestTimeLabels { tenant: tenant.clone(), place: "host" };
        self.guest_seconds.get_or_create(&waited).inc_by(usage.in_host.as_secs_f64());
        let ran = GuestTimeLabels { tenant: tenant.clone(), place: "guest" };
        let own = usage.wall.saturating_sub(usage.in_host);
        self.guest_seconds.get_or_create(&ran).inc_by(own.as_secs_f64());
        let of_plugin = PluginLabels { plugin: plugin.to_owned() };
        self.guest_peak_memory.get_or_create(&of_plugin).observe(usage.peak_memory as f64);
        if let Some(fault) = usage.fault {
            let labels = FaultLabels { tenant, plugin: plugin.to_owned(), fault: fault.code() };
            self.sandbox_faults.get_or_create(&labels).inc();
        }
    }

    pub fn hook_answered(&self, tenant: &TenantId, status: u16) {
        let labels = HookLabels { tenant: tenant.to_string(), status: status.into() };
        self.hooks.get_or_create(&labels).inc();
    }

    pub fn denied(&self) {
        self.denials.inc();
    }

    pub fn journal_failed(&self) {
        self.journal_failures.inc();
    }

    /// The text that Prometheus reads.
    pub fn text(&self, core: &Core) -> String {
        self.active_runs.set(core.active_runs() as i64);
        let written = core.durable.written();
        let counts =
            [(&self.journal_commits, &written.commits), (&self.journal_transactions, &written.transactions)];
        for (counter, count) in counts {
            counter.inner().store(count.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        for tenant in core.tenants.values() {
            let labels = OfTenant { tenant: tenant.id.to_string() };
            let seen = tenant.egress.counters();
            self.open_runs.get_or_create(&labels).set(tenant.open_runs() as i64);
            self.egress_requests.get_or_create(&labels).set(seen.requests as i64);
            self.egress_blocked.get_or_create(&labels).set(seen.blocked as i64);
            self.egress_bytes.get_or_create(&labels).set(seen.bytes as i64);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }
}
