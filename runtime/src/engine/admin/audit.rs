//! The audit log of a tenant: who changed what with the API, or was not let do it; what a start deployed; and what its steps
//! may reach since when. An entry is in the journal before anything is done, and says afterwards what that came to.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::Caller;
use crate::config::TenantConfig;
use crate::engine::journals::storage_problem;
use crate::engine::runs::List;
use crate::engine::{Rooms, Runtime};
use crate::id::{TenantId, mint_id};
use crate::journal::{AuditQuery, AuditRow, Batch, GRANTS, Role};
use crate::problem::Problem;

/// How long entries are kept.
const KEPT: Duration = Duration::from_secs(400 * 24 * 3600);
/// The most bytes that an entry says of what became of it; of grants it says more.
const DETAIL_BYTES: usize = 2_000;
const GRANTS_BYTES: usize = 16_000;
/// The most bytes that it names what it was done to with.
const TARGET_BYTES: usize = 300;
/// How many entries a page has, unless it is asked for fewer.
const PAGE: u32 = 100;
/// Who a host is that reads its configuration.
const CONFIGURATION: &str = "configuration";

/// What somebody is about to do, or was not let do.
#[derive(Clone, Debug)]
pub struct Deed {
    /// The name of their token, or what stands for it.
    pub actor: String,
    /// What they may do.
    pub role: Option<Role>,
    /// The address that they called from.
    pub from: Option<String>,
    /// What they asked for, as the API names its operations.
    pub action: String,
    /// Of what.
    pub target: String,
}

impl Deed {
    /// What a caller asks for.
    pub fn of(caller: &Caller, action: &str, target: &str) -> Self {
        Self {
            actor: caller.name.clone(),
            role: Some(caller.role),
            from: None,
            action: action.to_owned(),
            target: target.to_owned(),
        }
    }
}

/// An entry whose deed is under way.
#[derive(Debug)]
pub struct AuditEntry {
    tenant: TenantId,
    id: String,
    /// Of what; the deed itself may know better.
    pub target: String,
}

/// An entry of an audit log.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditView {
    /// Its id; those made later sort later.
    pub id: String,
    /// When it was asked for.
    pub at: Timestamp,
    /// By whom: the name of a token; `operator`; `local` for a caller on the machine of a host without tokens; `command line`
    /// or `configuration` for what a start reads.
    pub actor: String,
    /// What they may do.
    pub role: Option<Role>,
    /// The address that they called from.
    pub from: Option<String>,
    /// What they asked for: an `operationId` of the OpenAPI document, or `Grants`.
    pub action: String,
    /// Of what.
    pub target: String,
    /// What it came to: an HTTP status, 401 and 403 for what was denied. Null: the host stopped before that was known.
    pub status: Option<u16>,
    /// More about that.
    pub detail: Option<String>,
}

/// Which entries are asked for; newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Of this actor.
    pub actor: Option<String>,
    /// Of this kind.
    pub action: Option<String>,
    /// At or after.
    pub since: Option<Timestamp>,
    /// Only what was denied.
    pub denied: bool,
    /// What the page before gave.
    pub cursor: Option<String>,
    /// At most so many.
    pub limit: Option<u32>,
}

impl Runtime {
    /// Journals what somebody is about to do. The error says why it must not be done then.
    pub async fn audit(&self, tenant: &TenantId, deed: Deed) -> Result<AuditEntry, Problem> {
        let entry = AuditEntry {
            tenant: self.tenant(tenant)?.id.clone(),
            id: mint_id(),
            target: deed.target.clone(),
        };
        put(&self.rooms, &entry, deed, None).await?;
        Ok(entry)
    }

    /// Journals what that came to.
    pub async fn audit_end(
        &self,
        entry: AuditEntry,
        status: u16,
        detail: Option<&str>,
    ) -> Result<(), Problem> {
        let AuditEntry { tenant, id, target } = entry;
        let (target, detail) = (cut(&target, TARGET_BYTES), detail.map(short));
        let end = AuditRow::ended((tenant, id), target, status, detail);
        self.rooms
            .journals
            .durable
            .journal
            .commit(Batch::of(vec![end]))
            .await
            .map_err(|error| storage_problem(&error))
    }

    /// Counts that somebody unknown was not let in.
    pub fn count_denied(&self) {
        self.rooms.observers.metrics.denied();
    }

    /// Journals that somebody was not let do something. More of the same kind than a few a minute are counted, and the next
    /// entry says how many they were, so that nobody fills the log.
    pub async fn audit_denied(&self, tenant: &TenantId, deed: Deed, problem: &Problem) {
        self.count_denied();
        let (Ok(tenant), detail) = (self.tenant(tenant), problem.detail.as_deref().unwrap_or(&problem.title))
        else {
            return;
        };
        let Deed { actor, action, .. } = &deed;
        tracing::warn!(tenant = %tenant.id, actor, action, target = deed.target, detail, "denied");
        let Some(left_out) = tenant.admits_denial(actor, action) else { return };
        let detail = match left_out {
            0 => short(detail),
            more => {
                short(&format!("{detail} (and {more} more of {actor}'s {action} since the entry before)"))
            }
        };
        let entry = AuditEntry { tenant: tenant.id.clone(), id: mint_id(), target: deed.target.clone() };
        if let Err(problem) = put(&self.rooms, &entry, deed, Some((problem.status, detail))).await {
            tracing::error!(%problem, "a denial is not in the audit log");
        }
    }

    /// A part of a tenant's audit log, newest first.
    pub async fn audit_log(
        &self,
        tenant: &TenantId,
        filter: AuditFilter,
    ) -> Result<List<AuditView>, Problem> {
        let AuditFilter { actor, action, since, denied, cursor, limit } = filter;
        let limit = limit.unwrap_or(PAGE).clamp(1, 1_000);
        let query = AuditQuery { actor, action, since, denied, cursor, limit };
        let tenant = self.tenant(tenant)?.id.clone();
        let page = self.rooms.journals.durable.journal.ask(move |storage| storage.audit(tenant, query)).await;
        let page = page.map_err(|error| storage_problem(&error))?;
        Ok(List { items: page.items.into_iter().map(view).collect(), cursor: page.cursor })
    }
}

/// Says what a tenant's steps may reach and send, where that is not what it was when the host started last.
pub(in crate::engine) async fn grants(rooms: &Rooms, configured: &TenantConfig) -> Result<(), Problem> {
    let tenant = &configured.name;
    let lines = granted(configured);
    let text = lines.join("; ");
    let digest = &blake3::hash(text.as_bytes()).to_hex()[..16];
    let detail = cut(&format!("{} rules ({digest}): {text}", lines.len()), GRANTS_BYTES);
    let query = AuditQuery { action: Some(GRANTS.to_owned()), limit: 1, ..AuditQuery::default() };
    let owner = tenant.clone();
    let last = rooms.journals.durable.journal.ask(move |storage| storage.audit(owner, query)).await;
    let last = last.map_err(|error| storage_problem(&error))?.items.pop();
    if last.map_or(lines.is_empty(), |last| last.detail.as_deref() == Some(&detail)) {
        return Ok(());
    }
    let deed = Deed {
        actor: CONFIGURATION.to_owned(),
        role: None,
        from: None,
        action: GRANTS.to_owned(),
        target: tenant.to_string(),
    };
    let entry = AuditEntry { tenant: tenant.clone(), id: mint_id(), target: deed.target.clone() };
    put(rooms, &entry, deed, Some((200, detail))).await
}

/// What the configuration lets a tenant's steps reach, and what it lets them send.
fn granted(configured: &TenantConfig) -> Vec<String> {
    let rules = configured.allow.iter().map(ToString::to_string);
    let secrets = configured
        .secrets
        .iter()
        .map(|secret| format!("secret {} for {:?}", secret.name, secret.hosts.names()));
    let connections =
        configured.connections.iter().map(|connection| format!("connection {}", connection.name));
    let ca = configured.ca.iter().map(|ca| format!("ca {}", ca.display()));
    rules.chain(secrets).chain(connections).chain(ca).collect()
}

async fn put(
    rooms: &Rooms,
    entry: &AuditEntry,
    deed: Deed,
    end: Option<(u16, String)>,
) -> Result<(), Problem> {
    let Deed { actor, role, from, action, target } = deed;
    let at = rooms.lifecycle.clock.now();
    let (status, detail) = end.unzip();
    let (tenant, id, target) = (entry.tenant.clone(), entry.id.clone(), cut(&target, TARGET_BYTES));
    let row = AuditRow { tenant, id, at, actor, role, origin: from, action, target, status, detail };
    let forget_before = at.checked_sub(KEPT).unwrap_or(Timestamp::MIN);
    rooms
        .journals
        .durable
        .journal
        .commit(Batch::of(row.entered(forget_before)))
        .await
        .map_err(|error| storage_problem(&error))
}

fn short(text: &str) -> String {
    cut(text, DETAIL_BYTES)
}

fn cut(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}

fn view(row: AuditRow) -> AuditView {
    let AuditRow { id, at, actor, role, origin: from, action, target, status, detail, .. } = row;
    AuditView { id, at, actor, role, from, action, target, status, detail }
}
