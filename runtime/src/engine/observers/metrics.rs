//! Counters for Prometheus. Names follow its conventions: a unit or `_total` at the end, the tenant as a label.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

use crate::engine::journals::Journals;
use crate::engine::tenant::Tenants;
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
struct QuotaLabels {
    tenant: String,
    quota: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct HookLabels {
    tenant: String,
    status: u32,
}

pub(in crate::engine) struct Metrics {
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
    memory_held: Family<OfTenant, Gauge>,
    guest_memory: Family<OfTenant, Gauge>,
    quota_refusals: Family<QuotaLabels, Counter>,
    active_runs: Gauge,
    egress_requests: Family<OfTenant, Gauge>,
    egress_blocked: Family<OfTenant, Gauge>,
    egress_bytes: Family<OfTenant, Gauge>,
}

impl Metrics {
    pub fn new() -> Self {
        let step_seconds: fn() -> Histogram = || Histogram::new(exponential_buckets(0.000_1, 4.0, 10));
        let memory: fn() -> Histogram = || Histogram::new(exponential_buckets(256.0 * 1024.0, 2.0, 10));
        let mut registered = Registered(Registry::with_prefix("flowcell"));
        Self {
            runs_started: registered.add("runs_started", "Runs accepted and journalled"),
            denials: registered.add("api_denials", "Requests of the API that its token does not open"),
            runs_ended: registered.add("runs_ended", "Runs that are over, by how they ended"),
            steps: registered.add("steps", "Attempts of steps, by outcome"),
            step_seconds: registered.add_made(
                "step_seconds",
                "How long an attempt of a step took",
                Family::new_with_constructor(step_seconds),
            ),
            hooks: registered.add("hook_requests", "Inbound requests, by the status answered"),
            guest_fuel: registered.add("guest_fuel", "CPU account of guests, in units of fuel"),
            guest_seconds: registered.add(
                "guest_seconds",
                "Time in guest calls: in the guest's own code, or waiting for the host",
            ),
            guest_peak_memory: registered.add_made(
                "guest_peak_memory_bytes",
                "The most linear memory that one call held",
                Family::new_with_constructor(memory),
            ),
            sandbox_faults: registered.add("sandbox_faults", "Calls ended by a trap or a limit"),
            journal_failures: registered.add(
                "journal_commit_failures",
                "Commits that the store refused; the runs concerned wait and try again",
            ),
            journal_commits: registered.add("journal_commits", "Commits given to the durable journal"),
            journal_transactions: registered.add(
                "journal_transactions",
                "Transactions that the commits of the durable journal came to: one wait for the disk each",
            ),
            open_runs: registered.add("runs_open", "Runs that are not over, waiting ones too"),
            guest_memory: registered.add(
                "guest_memory_held_bytes",
                "Bytes of memory that the guests of the tenant hold, beside two MiB of each",
            ),
            quota_refusals: registered
                .add("quota_refusals", "What a quota of the tenant has refused, by the quota's key"),
            memory_held: registered.add(
                "memory_held_bytes",
                "Bytes of bodies, and of what they became, that the host holds for the tenant",
            ),
            active_runs: registered.add("runs_active", "Runs in memory"),
            egress_requests: registered.add("egress_requests", "Outbound requests sent"),
            egress_blocked: registered.add("egress_blocked", "Outbound requests that the policy denied"),
            egress_bytes: registered.add("egress_bytes", "Bytes sent and received outbound"),
            registry: registered.0,
        }
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
    pub fn text(
        &self,
        active_runs: usize,
        journals: &Journals,
        tenants: &Tenants,
        guest_memory: impl Fn(&TenantId) -> u64,
    ) -> String {
        self.active_runs.set(active_runs as i64);
        let written = journals.durable.journal.written();
        let counts =
            [(&self.journal_commits, &written.commits), (&self.journal_transactions, &written.transactions)];
        for (counter, count) in counts {
            counter.inner().store(count.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        for tenant in tenants.all() {
            let labels = OfTenant { tenant: tenant.id.to_string() };
            let seen = tenant.egress.counters();
            self.open_runs.get_or_create(&labels).set(tenant.open_runs() as i64);
            for (quota, refused) in tenant.refused() {
                let labels = QuotaLabels { tenant: tenant.id.to_string(), quota };
                self.quota_refusals.get_or_create(&labels).inner().store(refused, Ordering::Relaxed);
            }
            self.guest_memory.get_or_create(&labels).set(guest_memory(&tenant.id) as i64);
            self.memory_held.get_or_create(&labels).set(tenant.memory.bytes() as i64);
            self.egress_requests.get_or_create(&labels).set(seen.requests as i64);
            self.egress_blocked.get_or_create(&labels).set(seen.blocked as i64);
            self.egress_bytes.get_or_create(&labels).set(seen.bytes as i64);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }
}

/// What is registered is shown; each metric is named where it is made.
struct Registered(Registry);

impl Registered {
    fn add<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        self.add_made(name, help, M::default())
    }

    fn add_made<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }
}
