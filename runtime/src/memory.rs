//! Memory has owners: what is held on behalf of each tenant, and of all of them.
//!
//! Everything whose size a tenant or a stranger decides is held in the [`Account`] of a tenant: bodies, JSON, the memory of
//! sandboxes. A tenant may hold as much as is free for everyone. One that takes all it can get has half of the host's memory,
//! two have a third each. That is the dynamic threshold of shared-memory switches (Choudhury and Hahne, 1998); places are
//! shared in the same way (`shares`).
//!
//! What holds memory is told before it takes it: a body before it is read, a guest before its memory grows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::id::TenantId;
use crate::problem::{Problem, kind};

/// How soon somebody who was refused may try again.
const AGAIN_MS: u64 = 1000;

/// The memory of a host that tenants may fill.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: u64,
    held: AtomicU64,
}

/// What is held on behalf of one tenant.
#[derive(Debug)]
pub(crate) struct Account {
    tenant: TenantId,
    host: Arc<Memory>,
    held: AtomicU64,
}

/// Bytes of an account, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    account: Arc<Account>,
    bytes: u64,
}

/// Room for the body of a request, on a tenant's account.
#[derive(Debug)]
pub struct Room(Held);

impl Room {
    /// Makes it larger by so many bytes.
    ///
    /// # Errors
    /// 429 where the tenant holds its share of the host's memory, 503 where the host has none left for anybody.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        Ok(self.0.grow(bytes as u64)?)
    }

    /// What was read into it. The room is given back with the last copy of these bytes.
    pub fn hold(self, body: Vec<u8>) -> Bytes {
        Bytes::from_owner(Filled { body, _room: self })
    }

    /// What has been made already, room or not: it counts until its last copy is gone.
    pub(crate) fn keep(mut self, body: Bytes) -> Bytes {
        self.0.add(body.len() as u64);
        Bytes::from_owner(Filled { body, _room: self })
    }
}

struct Filled<B> {
    body: B,
    _room: Room,
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Filled<B> {
    fn as_ref(&self) -> &[u8] {
        self.body.as_ref()
    }
}

/// There is no room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    /// For this tenant.
    #[error("the tenant `{0}` holds {1} MiB of the host's memory, which is its share now: try again later")]
    Tenant(TenantId, u64),
    /// For anybody.
    #[error("the host's memory is full: try again later")]
    Host,
}

impl Memory {
    /// `limit`: bytes.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, held: AtomicU64::new(0) })
    }
}

impl Account {
    /// One that holds nothing yet.
    pub fn new(tenant: TenantId, host: Arc<Memory>) -> Arc<Self> {
        Arc::new(Self { tenant, host, held: AtomicU64::new(0) })
    }

    /// Bytes that are held on behalf of this tenant.
    pub fn bytes(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// A part of it that begins with nothing.
    pub fn held(self: &Arc<Self>) -> Held {
        Held { account: self.clone(), bytes: 0 }
    }

    /// Room for a body, none at first.
    pub fn room(self: &Arc<Self>) -> Room {
        Room(self.held())
    }

    /// Whether there is room for more.
    pub fn admit(&self) -> Result<(), Full> {
        self.take(1)?;
        self.give_back(1);
        Ok(())
    }

    /// Returns what is held then, of all and of this one.
    fn add(&self, bytes: u64) -> (u64, u64) {
        let of_all = self.host.held.fetch_add(bytes, Ordering::Relaxed);
        let own = self.held.fetch_add(bytes, Ordering::Relaxed);
        (of_all.saturating_add(bytes), own.saturating_add(bytes))
    }

    fn take(&self, bytes: u64) -> Result<(), Full> {
        let (of_all, own) = self.add(bytes);
        let full = match self.host.limit.checked_sub(of_all) {
            None => Full::Host,
            Some(free) if own > free => Full::Tenant(self.tenant.clone(), (own - bytes) >> 20),
            Some(_) => return Ok(()),
        };
        self.give_back(bytes);
        Err(full)
    }

    fn give_back(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        self.host.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Held {
    /// Takes so many more, if there is room; else it stays as it is.
    pub fn grow(&mut self, bytes: u64) -> Result<(), Full> {
        self.account.take(bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Takes so many more, room or not: what they are for has happened already.
    pub fn add(&mut self, bytes: u64) {
        self.account.add(bytes);
        self.bytes += bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.account.give_back(self.bytes);
    }
}

impl From<Full> for Problem {
    fn from(full: Full) -> Self {
        let status = match full {
            Full::Tenant(..) => 429,
            Full::Host => 503,
        };
        let mut problem =
            Self::new(kind::RUNTIME, "the host has no room for this now", status).detail(full.to_string());
        problem.retry_after_ms = Some(AGAIN_MS);
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str, host: &Arc<Memory>) -> Arc<Account> {
        Account::new(name.into(), host.clone())
    }

    fn hold(account: &Arc<Account>, bytes: u64) -> Result<Held, Full> {
        let mut held = account.held();
        held.grow(bytes)?;
        Ok(held)
    }

    fn of_all(host: &Memory) -> u64 {
        host.held.load(Ordering::Relaxed)
    }

    #[test]
    fn a_tenant_holds_no_more_than_is_free_for_everyone() {
        let host = Memory::new(100);
        let (one, two) = (account("one", &host), account("two", &host));
        let mut half = hold(&one, 50).unwrap();
        assert_eq!(half.grow(1), Err(Full::Tenant("one".into(), 0)));
        assert_eq!(one.admit(), Err(Full::Tenant("one".into(), 0)));
        let quarter = hold(&two, 25).unwrap();
        assert_eq!(hold(&two, 1).unwrap_err(), Full::Tenant("two".into(), 0));
        drop(half);
        let more = hold(&two, 10).unwrap();
        assert_eq!((one.bytes(), two.bytes(), of_all(&host)), (0, 35, 35));
        drop((quarter, more));
        assert_eq!((one.bytes(), two.bytes(), of_all(&host)), (0, 0, 0));
        assert_eq!(two.admit(), Ok(()));
    }

    #[test]
    fn what_has_happened_is_held_and_nothing_more_is_taken() {
        let host = Memory::new(100);
        let one = account("one", &host);
        let mut held = one.held();
        held.add(200);
        assert_eq!((held.grow(1), account("two", &host).admit()), (Err(Full::Host), Err(Full::Host)));
        drop(held);
        assert_eq!((one.admit(), of_all(&host)), (Ok(()), 0));
    }

    #[test]
    fn a_body_holds_its_room_until_its_last_copy_is_gone() {
        let host = Memory::new(100);
        let mut room = account("one", &host).room();
        room.grow(5).unwrap();
        assert_eq!(room.grow(60).unwrap_err().status, 429);
        let body = room.hold(b"12345".to_vec());
        let part = body.slice(1..3);
        drop(body);
        assert_eq!((&*part, of_all(&host)), (b"23".as_slice(), 5));
        drop(part);
        assert_eq!(of_all(&host), 0);
    }

    #[test]
    fn who_is_refused_learns_whose_memory_is_full() {
        let host = Memory::new(64 << 20);
        let one = account("one", &host);
        let _half = hold(&one, 32 << 20).unwrap();
        let problem = Problem::from(one.admit().unwrap_err());
        assert_eq!((problem.status, problem.retry_after_ms), (429, Some(1000)));
        assert_eq!(
            problem.detail.unwrap(),
            "the tenant `one` holds 32 MiB of the host's memory, which is its share now: try again later"
        );
        let problem = Problem::from(hold(&account("two", &host), 33 << 20).unwrap_err());
        assert_eq!(
            (problem.status, problem.detail.as_deref()),
            (503, Some("the host's memory is full: try again later"))
        );
    }
}
