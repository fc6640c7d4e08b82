//! What operators and their tools do beside running flows: tokens, the audit log, the vault, health, metrics.
//!
//! - `access`: tokens with roles; which role an operation needs is the server's table
//! - `audit`: who changed what, or was not let do it
//! - `vault`: secrets and connections, sealed by `sealer`
//! - `health`: readiness, metrics, draining

mod access;
pub(super) mod audit;
mod health;
mod sealer;
pub(super) mod vault;

pub use self::access::{Caller, NewToken, Shown, TokenView};
pub use self::audit::{AuditEntry, AuditFilter, AuditView, Deed};
pub(super) use self::sealer::Sealer;
pub use self::vault::VaultView;
