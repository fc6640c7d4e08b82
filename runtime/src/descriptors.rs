//! File descriptors: how many the process may have, and who may have how many of them.
//!
//! Each connection is one. A process that has none left cannot open its journal's files either, so connections in take half of
//! them at most and connections out a quarter.

use std::sync::OnceLock;

/// Connections in at the same time, however many descriptors there are.
const CONNECTIONS: u32 = 10_000;
/// What the process asks for, where it may have more than it has.
const WANTED: u64 = 65_536;
/// What is taken for granted where the system does not tell.
const USUAL: u64 = 1_024;

/// Connections of clients that may be open at the same time.
pub(crate) fn connections_in() -> u32 {
    share_in(limit())
}

/// Connections of steps that may be open at the same time.
pub(crate) fn connections_out() -> u32 {
    share_out(limit())
}

fn share_in(limit: u64) -> u32 {
    u32::try_from(limit / 2).unwrap_or(u32::MAX).min(CONNECTIONS)
}

fn share_out(limit: u64) -> u32 {
    u32::try_from(limit / 4).unwrap_or(u32::MAX)
}

/// How many descriptors the process may have. The first call raises that as far as it may.
fn limit() -> u64 {
    static LIMIT: OnceLock<u64> = OnceLock::new();
    *LIMIT.get_or_init(raised)
}

#[cfg(unix)]
fn raised() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // None: as many as one likes.
    let (Some(now), most) = (current, maximum.unwrap_or(u64::MAX)) else { return WANTED };
    let wanted = WANTED.min(most);
    if now >= wanted {
        return now;
    }
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    if raised.is_ok() { wanted } else { now.max(USUAL.min(most)) }
}

#[cfg(not(unix))]
fn raised() -> u64 {
    USUAL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_files() {
        for limit in [64, USUAL, 4_096, WANTED, u64::MAX] {
            let (taken_in, taken_out) = (share_in(limit), share_out(limit));
            assert!(u64::from(taken_in) + u64::from(taken_out) <= limit / 4 * 3, "{limit}");
            assert!(taken_in > 0 && taken_out > 0, "{limit}");
        }
        assert_eq!((share_in(WANTED), share_out(WANTED)), (10_000, 16_384));
        assert!(connections_in() > 0 && connections_out() > 0);
    }
}
