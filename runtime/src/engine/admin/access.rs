//! Who may use the API of a host: tokens, each with a role, kept as digests. What a role may do is the server's table; who
//! did what is in [`audit`](super::audit).

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::engine::Runtime;
use crate::engine::journals::storage_problem;
use crate::id::{TenantId, VAULT_NAME_RULE, is_vault_name, mint_token};
use crate::journal::{Batch, Role, StorageError, TokenRow, Write};
use crate::problem::{Problem, kind};

/// What every token begins with, so that a token is recognised in a text.
const PREFIX: &str = "flowcell_";
/// Names that stand for somebody else in the audit log.
const RESERVED: [&str; 4] = ["operator", "local", "nobody", "configuration"];
/// The longest life of a token that has an end: a century keeps within every clock.
const LONGEST_LIFE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Somebody whom the API lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The name of the token, or what stands for it.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Whose things they may do it to; none: everybody's.
    pub tenant: Option<TenantId>,
    /// Of the token that was minted for them, and when that ends.
    minted: Option<([u8; 32], Option<Timestamp>)>,
}

/// What a token is to this host.
#[derive(Debug)]
pub enum Shown {
    /// It lets this one in.
    Valid(Caller),
    /// Its time is over. It let this one in.
    Expired(Caller),
    /// It lets no one in, or not any more.
    Unknown,
}

impl Caller {
    /// Who has the operator's own token, or calls from the host's machine where that is enough.
    pub(crate) fn operator(name: &str) -> Self {
        Self { name: name.to_owned(), role: Role::Operator, tenant: None, minted: None }
    }

    /// Who asks for what is open to everybody.
    pub(crate) fn nobody() -> Self {
        let tenant = Some(TenantId::default_tenant());
        Self { name: "nobody".to_owned(), role: Role::Viewer, tenant, minted: None }
    }
}

/// A token of the API, without the token.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenView {
    /// What people call it.
    pub name: String,
    /// What it opens.
    pub role: Role,
    /// Whose things it opens; null: those of every tenant.
    pub tenant: Option<TenantId>,
    /// When it was minted.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it opens nothing any more; null: never.
    pub expires_at: Option<Timestamp>,
}

/// What a token is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// What people will call it.
    pub name: String,
    /// What it is to open.
    pub role: Role,
    /// How long it lives: at most as long as the token that mints it. Without a time it lives as long as that, or until it is
    /// revoked.
    pub expires_in: Option<Duration>,
}

impl Runtime {
    /// Whom a token lets in, asked of the journal each time: one that was revoked opens nothing from then on.
    pub async fn caller(&self, token: &str) -> Result<Shown, Problem> {
        if !token.starts_with(PREFIX) {
            return Ok(Shown::Unknown);
        }
        let Some(row) = self.token(digest(token)).await? else { return Ok(Shown::Unknown) };
        // A token of a tenant that the configuration names no more.
        if row.tenant.as_ref().is_some_and(|tenant| !self.rooms.tenants.has(tenant)) {
            return Ok(Shown::Unknown);
        }
        let is_over = row.is_over(self.rooms.lifecycle.clock.now());
        let minted = Some((row.digest, row.expires_at));
        let caller = Caller { name: row.name, role: row.role, tenant: row.tenant, minted };
        Ok(if is_over { Shown::Expired(caller) } else { Shown::Valid(caller) })
    }

    /// Whether somebody who was let in a while ago would be let in now.
    pub async fn still_admits(&self, caller: &Caller) -> Result<bool, Problem> {
        let Some((digest, _)) = caller.minted else { return Ok(true) };
        let row = self.token(digest).await?;
        Ok(row.is_some_and(|row| !row.is_over(self.rooms.lifecycle.clock.now())))
    }

    async fn token(&self, digest: [u8; 32]) -> Result<Option<TokenRow>, Problem> {
        let row = self
            .rooms
            .journals
            .durable
            .journal
            .ask(move |storage| storage.first(TokenRow::with_digest(digest)))
            .await;
        row.map_err(|error| storage_problem(&error))
    }

    /// Mints a token of this tenant, or one of all tenants where it is an operator's. It is told here and never again.
    pub async fn mint_token(
        &self,
        tenant: &TenantId,
        by: &Caller,
        wanted: NewToken,
    ) -> Result<(TokenView, String), Problem> {
        let tenant = self.tenant(tenant)?;
        let NewToken { name, role, expires_in } = wanted;
        let unfit = |detail: String| {
            Problem::new(kind::VALIDATION, "a token cannot be called so", 400).detail(detail)
        };
        if !is_vault_name(&name) {
            let shown: String = name.chars().take(64).collect();
            return Err(unfit(format!("`{shown}` cannot be the name of a token: {VAULT_NAME_RULE}")));
        }
        if RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
            return Err(unfit(format!(
                "`{name}` stands for somebody else in the audit log: take another name"
            )));
        }
        if role > by.role {
            let detail = format!("`{}` is {}: it mints tokens up to its own role", by.name, a(by.role));
            return Err(Problem::new(kind::AUTHORIZATION, "Forbidden", 403).detail(detail));
        }
        if role != Role::Operator {
            tenant.admit_credential(self.tokens(Some(&tenant.id)).await?.len(), "token")?;
        }
        let token = format!("{PREFIX}{}", mint_token());
        let now = self.rooms.lifecycle.clock.now();
        let end = expires_in.map(|life| crate::clock::after(now, life.min(LONGEST_LIFE)));
        let row = TokenRow {
            tenant: (role != Role::Operator).then(|| tenant.id.clone()),
            name,
            digest: digest(&token),
            role,
            created_at: now,
            created_by: by.name.clone(),
            // No longer than the token that mints it.
            expires_at: [by.minted.and_then(|(_, end)| end), end].into_iter().flatten().min(),
        };
        match self.rooms.journals.durable.journal.commit(Batch::of(vec![Write::put(row.clone())])).await {
            Ok(()) => Ok((view(row), token)),
            Err(StorageError::Conflict(_)) => {
                let detail =
                    format!("there is a token `{}` already: delete it first, or take another name", row.name);
                Err(Problem::new(kind::CONFIGURATION, "the token exists", 409).detail(detail))
            }
            Err(error) => Err(storage_problem(&error)),
        }
    }

    /// The tokens of a tenant, or those of all tenants at once, in order of their names.
    pub async fn tokens(&self, tenant: Option<&TenantId>) -> Result<Vec<TokenView>, Problem> {
        let tenant = tenant.cloned();
        let rows =
            self.rooms.journals.durable.journal.ask(move |storage| storage.rows(TokenRow::of(tenant))).await;
        Ok(rows.map_err(|error| storage_problem(&error))?.into_iter().map(view).collect())
    }

    /// Whether this text is the address of a hook or of a callback of this host: who has such an address may start a run, or
    /// answer for the world.
    pub fn is_address(&self, token: &str) -> bool {
        self.rooms.runs.addresses.open(token).is_some() || self.rooms.runs.deployed.catalog().is_token(token)
    }

    /// Revokes a token of a tenant, or one of all tenants. Returns false when there is none of that name.
    pub async fn revoke_token(&self, tenant: Option<&TenantId>, name: &str) -> Result<bool, Problem> {
        if !self.tokens(tenant).await?.iter().any(|token| token.name == name) {
            return Ok(false);
        }
        let gone = Write::remove::<TokenRow>((tenant.cloned(), name.to_owned()));
        let revoked = self.rooms.journals.durable.journal.commit(Batch::of(vec![gone])).await;
        revoked.map(|()| true).map_err(|error| storage_problem(&error))
    }
}

/// A role with its article.
fn a(role: Role) -> String {
    let article = if matches!(role, Role::Viewer) { "a" } else { "an" };
    format!("{article} {}", role.as_str())
}

fn digest(token: &str) -> [u8; 32] {
    blake3::hash(token.as_bytes()).into()
}

fn view(row: TokenRow) -> TokenView {
    let TokenRow { tenant, name, role, created_at, created_by, expires_at, .. } = row;
    TokenView { name, role, tenant, created_at, created_by, expires_at }
}
