//! The rows of the journal and the writes that change them. Plain data: a store adds nothing of its own.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{FlowId, RunId, TenantId};

/// Names one run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RunKey {
    pub tenant: TenantId,
    pub run: RunId,
}

impl RunKey {
    /// Why a run cannot be created.
    pub(super) fn exists(&self) -> String {
        format!("run {} exists", self.run)
    }

    /// Why an entry cannot be appended.
    pub(super) fn not_next(&self, seq: u64) -> String {
        format!("entry {seq} is not the next one of run {}", self.run)
    }

    /// Why a run's status cannot be set.
    pub(super) fn not_open(&self) -> String {
        format!("run {} is over or unknown", self.run)
    }
}

/// One life of one host in a store: the fencing token. Whoever comes later has a greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Lease(pub u64);

/// What happened to a run, as journalled. `seq` is dense from 0.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub seq: u64,
    pub at: Timestamp,
    /// JSON text.
    pub body: String,
}

/// The head of a run: what lists show and queries ask for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RunRow {
    pub key: RunKey,
    pub flow: FlowId,
    /// `namespace/name` of the trigger that started it.
    pub trigger: Option<String>,
    /// Spelt as the REST API spells it.
    pub status: String,
    pub phase: Phase,
    /// Who is at work on it. Kept by the store: what is written here is not looked at.
    pub owner: Option<Lease>,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// What a run needs from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A host is at work on it, the one whose lease is its owner; another one continues it when that lease has ended.
    Active,
    /// It waits for a timer or a callback; or it has ended, and waits to undo what its steps left in the world.
    Parked,
    /// It has ended and nothing is left to do; it has no timers and never changes again.
    Ended,
}

/// A due time of a run. `timer` is the run's own ordinal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TimerRow {
    pub key: RunKey,
    pub timer: u32,
    pub due: Timestamp,
}

/// One text of one flow. The newest `installed_at` of a name is what a trigger without a version gets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FlowRow {
    pub tenant: TenantId,
    pub id: FlowId,
    /// The document as JSON text.
    pub source: String,
    pub installed_at: Timestamp,
    /// A removed flow starts no runs; its text stays for the runs that began on it.
    pub removed: bool,
}

/// One trigger. The token is minted when the row is first made and survives every edit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TriggerRow {
    pub tenant: TenantId,
    pub namespace: String,
    pub name: String,
    /// The document as JSON text.
    pub source: String,
    pub token: String,
    pub enabled: bool,
}

/// What switching a trigger on left in the world, or may have left there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SubscriptionRow {
    pub tenant: TenantId,
    /// 32 hexadecimal digits; the trigger may have several, of which one is not being ended.
    pub id: String,
    /// Of the trigger.
    pub namespace: String,
    /// Of the trigger.
    pub name: String,
    /// The plugin that was switched on, `name.trigger:version`.
    pub uses: String,
    /// With this configuration: JSON text.
    pub config: String,
    /// And this address of the trigger.
    pub url: String,
    pub phase: SubscriptionPhase,
    /// What the plugin left; none until it has subscribed.
    pub state: Option<Bytes>,
    /// Nobody knows whether it has: a call was cut off, by the end of a host for instance.
    pub doubtful: bool,
    /// Calls of the plugin in this phase.
    pub attempts: u32,
    /// When it is called again; none: it rests.
    pub due: Option<Timestamp>,
    /// Why the last call failed, JSON text.
    pub problem: Option<String>,
    /// Of this row, from 0: a change names the next one.
    pub revision: u32,
}

/// Where a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubscriptionPhase {
    /// The plugin is asked to subscribe.
    Subscribing,
    /// It has.
    Subscribed,
    /// It is asked to unsubscribe; when it has, there is no row.
    Unsubscribing,
}

/// When a flow starts by itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ScheduleRow {
    pub tenant: TenantId,
    /// Of the flow.
    pub namespace: String,
    /// Of the flow.
    pub name: String,
    /// What the flow says of it: JSON text.
    pub schedule: String,
    /// The next time; none: when the run is over.
    pub due: Option<Timestamp>,
    /// The run after which the next one comes.
    pub run: Option<RunId>,
    /// Of this row, from 0: a change names the next one.
    pub revision: u32,
}

impl SubscriptionRow {
    /// Why it cannot be put.
    pub(super) fn not_next(&self) -> String {
        format!("revision {} of the subscription {} is not the next one", self.revision, self.id)
    }

    /// Why it cannot be removed.
    pub(super) fn not_there(id: &str, revision: u32) -> String {
        format!("the subscription {id} is not at revision {revision}")
    }
}

impl ScheduleRow {
    /// Why it cannot be put.
    pub(super) fn not_next(&self) -> String {
        let Self { namespace, name, revision, .. } = self;
        format!("revision {revision} of the schedule of {namespace}/{name} is not the next one")
    }
}

/// A component that a tenant installed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PluginRow {
    pub tenant: TenantId,
    pub name: String,
    pub version: String,
    pub wasm: Bytes,
}

/// The run that an event began, while another one with the same key begins nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OriginalRow {
    pub tenant: TenantId,
    /// `namespace/name` of the trigger.
    pub trigger: String,
    /// The digest of the event's key.
    pub key: [u8; 32],
    pub run: RunId,
    /// When it begins one again.
    pub until: Timestamp,
}

impl OriginalRow {
    /// Why it cannot be put.
    pub(super) fn is_there(&self) -> String {
        format!("an event of {} with the same key has begun a run", self.trigger)
    }
}

/// A secret or a connection, sealed before it comes here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VaultRow {
    pub tenant: TenantId,
    pub kind: VaultKind,
    pub name: String,
    pub sealed: Bytes,
    pub updated_at: Timestamp,
}

/// What a vault holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VaultKind {
    /// One text.
    Secret,
    /// Credentials for some hosts.
    Connection,
}

impl VaultKind {
    pub(crate) const ALL: [Self; 2] = [Self::Secret, Self::Connection];

    /// As it is stored, sealed and spoken of.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Connection => "connection",
        }
    }
}

/// What a token of the API opens; each role may do what those before it may.
///
/// ```
/// assert!(flowcell::Role::Admin > flowcell::Role::Viewer);
/// assert_eq!(flowcell::Role::Editor.as_str(), "editor");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees what a tenant has, its runs and its history; changes nothing.
    Viewer,
    /// Deploys flows and triggers, starts, cancels and restarts runs.
    Editor,
    /// Sets secrets and connections, installs plugins, mints the tenant's tokens and reads its audit log.
    Admin,
    /// Everything, of every tenant.
    Operator,
}

impl Role {
    pub(crate) const ALL: [Self; 4] = [Self::Viewer, Self::Editor, Self::Admin, Self::Operator];

    /// As it is stored and spoken of.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Admin => "admin",
            Self::Operator => "operator",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// A token of the API. The token itself is nowhere.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TokenRow {
    /// Whose things it opens; none: those of every tenant.
    pub tenant: Option<TenantId>,
    /// What people call it.
    pub name: String,
    /// Of the token.
    pub digest: [u8; 32],
    pub role: Role,
    pub created_at: Timestamp,
    /// Whoever minted it.
    pub created_by: String,
    pub expires_at: Option<Timestamp>,
}

impl TokenRow {
    /// Why it cannot be put.
    pub(super) fn is_there(&self) -> String {
        format!("there is a token `{}`", self.name)
    }
}

/// What somebody did, was not let do, or was about to do when the host died.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AuditRow {
    pub tenant: TenantId,
    /// 32 hexadecimal digits; those made later sort later. Grants are never forgotten: they hold until the next ones.
    pub id: String,
    pub at: Timestamp,
    /// The name of the token, or what stands for it.
    pub actor: String,
    pub role: Option<Role>,
    /// The address that it came from.
    pub from: Option<String>,
    /// What was asked for, as the API names its operations.
    pub action: String,
    /// Of what.
    pub target: String,
    /// What it came to: an HTTP status. None until that is known.
    pub status: Option<u16>,
    pub detail: Option<String>,
}

/// Which entries of an audit log are asked for; newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AuditQuery {
    pub actor: Option<String>,
    pub action: Option<String>,
    /// At or after.
    pub since: Option<Timestamp>,
    /// Only those that were not let do it.
    pub denied: bool,
    /// The id of the last one of the page before.
    pub cursor: Option<String>,
    pub limit: u32,
}

impl AuditQuery {
    pub(super) fn wants(&self, row: &AuditRow) -> bool {
        let same = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|text| text == found);
        same(&self.actor, &row.actor)
            && same(&self.action, &row.action)
            && self.since.is_none_or(|since| since <= row.at)
            && (!self.denied || row.status.is_some_and(|status| DENIALS.contains(&status)))
            && self.cursor.as_deref().is_none_or(|last| row.id.as_str() < last)
    }
}

/// What an entry is called that says what a tenant may reach.
pub(crate) const GRANTS: &str = "Grants";
/// The statuses of whom was not let do something.
pub(super) const DENIALS: [u16; 2] = [401, 403];

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Write {
    /// A new run. Fails with `Conflict` where the key exists. One that is at work is owned by the batch's lease.
    CreateRun(RunRow),
    /// Entries to the end of a run's log. Fails with `Conflict` unless the first `seq` is the next one: a second
    /// writer of the same run is found here.
    Append { key: RunKey, entries: Vec<Entry> },
    /// A run's new status. Fails with `Conflict` where the run is unknown or has ended. A run that is at work keeps its
    /// owner, or is owned by the batch's lease from now on; any other has no owner.
    SetStatus { key: RunKey, status: String, phase: Phase, ended_at: Option<Timestamp> },
    /// Sets or moves a timer.
    SetTimer(TimerRow),
    /// Removes a timer; nothing where there is none.
    ClearTimer { key: RunKey, timer: u32 },
    /// Removes every timer of a run.
    ClearTimers { key: RunKey },
    /// Inserts or replaces, by tenant and whole `FlowId`.
    PutFlow(FlowRow),
    /// Marks every text of the name as removed.
    RemoveFlow { tenant: TenantId, namespace: String, name: String },
    /// Inserts or replaces, by tenant, namespace and name. On replacement the stored token stays.
    PutTrigger(TriggerRow),
    /// Deletes the row.
    RemoveTrigger { tenant: TenantId, namespace: String, name: String },
    /// Inserts or replaces, by tenant, name and version.
    PutPlugin(PluginRow),
    /// Inserts, by tenant, trigger and key, or replaces one whose time was over `at` this moment. Fails with `Conflict` where
    /// there is another. Forgets some of those whose time was over.
    Remember { row: OriginalRow, at: Timestamp },
    /// Inserts or replaces, by tenant, kind and name.
    PutVault(VaultRow),
    /// Deletes the row.
    RemoveVault { tenant: TenantId, kind: VaultKind, name: String },
    /// Inserts, by tenant and name. Fails with `Conflict` where there is one of that name.
    PutToken(TokenRow),
    /// Deletes the row.
    RemoveToken { tenant: Option<TenantId>, name: String },
    /// Inserts. Forgets some of the tenant's entries of before that time.
    PutAudit { row: AuditRow, forget_before: Timestamp },
    /// What became of it. Nothing where there is no such entry.
    EndAudit { tenant: TenantId, id: String, target: String, status: u16, detail: Option<String> },
    /// Inserts revision 0, or replaces the revision before, by tenant and id. Fails with `Conflict` where that is not what
    /// is stored: somebody else was quicker.
    PutSubscription(SubscriptionRow),
    /// Deletes the row when this is its revision. Fails with `Conflict` where it is not.
    RemoveSubscription { tenant: TenantId, id: String, revision: u32 },
    /// Inserts revision 0, or replaces the revision before, by tenant, namespace and name. Fails with `Conflict` where
    /// that is not what is stored.
    PutSchedule(ScheduleRow),
    /// The run is over after which the next one comes: that is due then. Nothing where the schedule waits for another
    /// run, or for none.
    ScheduleNext { tenant: TenantId, namespace: String, name: String, run: RunId, due: Timestamp },
    /// Deletes the row.
    RemoveSchedule { tenant: TenantId, namespace: String, name: String },
}

/// Changes that are applied together or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Batch {
    /// Refused with `Fenced` when this one has ended. None for what no other host could be at work on.
    pub lease: Option<Lease>,
    pub writes: Vec<Write>,
}

impl Batch {
    /// Changes that need no lease.
    pub fn of(writes: Vec<Write>) -> Self {
        Self { lease: None, writes }
    }
}

/// Which runs a list is asked for; newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RunQuery {
    /// `namespace/name`, or a bare name in namespace `default`.
    pub flow: Option<String>,
    pub status: Option<String>,
    /// Started at or after.
    pub since: Option<Timestamp>,
    /// Opaque: what the page before gave.
    pub cursor: Option<String>,
    pub limit: u32,
}

/// A part of a list and where the next part begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Page<T> {
    pub items: Vec<T>,
    pub cursor: Option<String>,
}
