//! Who may use the API of a host: tokens, each with a role, kept as digests. What a role may do is the server's table; who
//! did what is in [`audit`](super::audit).

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::Runtime;
use super::runs::storage_problem;
use crate::id::{TenantId, VAULT_NAME_RULE, is_vault_name, mint_token};
use crate::journal::{Batch, Role, StorageError, TokenRow, Write};
use crate::problem::{Problem, kind};

/// What every token begins with: whoever finds one in a text knows what it is.
const PREFIX: &str = "flowcell_";
/// Whoever shows the token that a host mints at its first start.
const OPERATOR: &str = "operator";
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
}

impl Caller {
    /// Who has the operator's own token, or calls from the host's machine where that is enough.
    pub(crate) fn operator(name: &str) -> Self {
        Self { name: name.to_owned(), role: Role::Operator, tenant: None }
    }

    /// Who asks for what is open to everybody.
    pub(crate) fn nobody() -> Self {
        Self { name: "nobody".to_owned(), role: Role::Viewer, tenant: Some(TenantId::default_tenant()) }
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
    /// How long; none: until it is revoked.
    pub expires_in: Option<Duration>,
}

impl Runtime {
    /// Whom a token lets in, asked of the journal each time: one that was revoked opens nothing from then on. None: it is no
    /// token of this host. The error is that its time is over.
    pub async fn caller(&self, token: &str) -> Result<Option<Caller>, Problem> {
        if !token.starts_with(PREFIX) {
            return Ok(None);
        }
        let digest = digest(token);
        let row = self.core.durable.ask(move |storage| storage.token(&digest)).await;
        let Some(row) = row.map_err(|error| storage_problem(&error))? else { return Ok(None) };
        if row.expires_at.is_some_and(|end| end <= self.core.clock.now()) {
            let detail =
                format!("the time of the token `{}` is over: ask whoever minted it for another", row.name);
            return Err(Problem::new(kind::AUTHENTICATION, "Unauthorized", 401).detail(detail));
        }
        // A token of a tenant that the configuration names no more.
        if row.tenant.as_ref().is_some_and(|tenant| !self.core.tenants.contains_key(tenant)) {
            return Ok(None);
        }
        Ok(Some(Caller { name: row.name, role: row.role, tenant: row.tenant }))
    }

    /// Mints a token of this tenant, or one of all tenants where it is an operator's. It is told here and never again.
    pub async fn mint_token(
        &self,
        tenant: &TenantId,
        by: &Caller,
        wanted: NewToken,
    ) -> Result<(TokenView, String), Problem> {
        let tenant = self.tenant(tenant)?.id.clone();
        let NewToken { name, role, expires_in } = wanted;
        if !is_vault_name(&name) || name == OPERATOR {
            let detail = match name == OPERATOR {
                true => {
                    format!("`{OPERATOR}` stands for the token that the host mints itself: take another name")
                }
                false => format!("`{name}` cannot be the name of a token: {VAULT_NAME_RULE}"),
            };
            return Err(Problem::new(kind::VALIDATION, "a token cannot be called so", 400).detail(detail));
        }
        if role > by.role {
            let detail = format!("`{}` is {}: it mints tokens up to its own role", by.name, a(by.role));
            return Err(Problem::new(kind::AUTHORIZATION, "Forbidden", 403).detail(detail));
        }
        let token = format!("{PREFIX}{}", mint_token());
        let now = self.core.clock.now();
        let row = TokenRow {
            tenant: (role != Role::Operator).then_some(tenant),
            name,
            digest: digest(&token),
            role,
            created_at: now,
            created_by: by.name.clone(),
            expires_at: expires_in.map(|life| crate::clock::after(now, life.min(LONGEST_LIFE))),
        };
        match self.core.durable.commit(Batch::of(vec![Write::PutToken(row.clone())])).await {
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
        let rows = self.core.durable.ask(move |storage| storage.tokens(tenant.as_ref())).await;
        Ok(rows.map_err(|error| storage_problem(&error))?.into_iter().map(view).collect())
    }

    /// Revokes a token of a tenant, or one of all tenants. False: there is none of that name.
    pub async fn revoke_token(&self, tenant: Option<&TenantId>, name: &str) -> Result<bool, Problem> {
        if !self.tokens(tenant).await?.iter().any(|token| token.name == name) {
            return Ok(false);
        }
        let gone = Write::RemoveToken { tenant: tenant.cloned(), name: name.to_owned() };
        let revoked = self.core.durable.commit(Batch::of(vec![gone])).await;
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
