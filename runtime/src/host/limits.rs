//! What one guest call may use, and the meter that counts it.
//!
//! CPU time is counted as fuel, so that a call costs the same on a busy machine; the epoch makes a spinning guest give
//! way and is the net below the fuel; wall-clock time is bounded around the whole call, host calls included. The
//! quotas themselves are the caller's: nothing here knows a tenant.

use std::time::Duration;

use wasmtime::{OperatorCost, ResourceLimiterAsync, UpdateDeadline};
use wasmtime_wasi::async_trait;

use super::turns::Record;
use crate::memory::{Full, Held};

/// What a caller grants to one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallLimits {
    /// All linear memories together.
    pub memory_bytes: u64,
    /// Time in the guest's own code.
    pub cpu: Duration,
    /// The same of all calls of the tenant in a minute; [`Duration::MAX`] where there is no limit.
    pub cpu_per_minute: Duration,
    /// Time from the call to its outcome, waiting included.
    pub wall: Duration,
    /// Bytes that the guest may hand to the host in one call, and in its outcome. The guest decides what the host allocates
    /// here: a list can name the same bytes a million times.
    pub hand_over: usize,
}

/// What a guest hands over beside a body: names, headers, lines.
const BESIDE_A_BODY: usize = 2 * 1024 * 1024;

/// [`CallLimits::hand_over`] for a tenant whose bodies may have so many bytes: one of them, escaped as JSON, has to fit.
pub(crate) fn hand_over(body: u64) -> usize {
    usize::try_from(body).unwrap_or(usize::MAX).saturating_mul(3).saturating_add(BESIDE_A_BODY)
}

/// Fuel for a nominal microsecond.
///
/// Measured on an x86-64 core of a shared machine, at the costs below: loops that hash, count and touch memory burn
/// 6,000 to 10,000 units in a microsecond, empty loops, calls and roots about half of that. The upper end is taken:
/// nobody's 250 ms end early, and few last longer than twice as long.
pub(super) const FUEL_PER_US: u64 = 8_000;
/// What a call into the host costs at least: its time is not the guest's own, but the guest asked for it.
pub(super) const HOST_CALL_FUEL: u64 = 2_000;
/// What sending a request costs, beside its bytes: the policy is asked, a name looked up, a line written where it is denied.
pub(super) const SEND_FUEL: usize = 100_000;
/// Time between two increments of the epoch while a guest is running: the longest turn of a spinning guest.
pub(super) const TURN: Duration = Duration::from_millis(2);
/// How often the nominal CPU time a guest may spend in turns before it is stopped without regard to its fuel.
/// Instructions differ in what they cost, and a busy machine takes turns away; by eight, something is wrong.
const TURNS_OVER_CPU: u32 = 8;

/// Core instances in one component: the guest's own and the small ones that a component's linking needs. Components of Python
/// have some forty.
pub(super) const MAX_INSTANCES: u32 = 64;
/// Tables in one component.
pub(super) const MAX_TABLES: u32 = 16;
/// As much memory as an ordinary call needs. It does not count; that of a call which has more counts as a whole.
const UNCOUNTED: usize = 2 * 1024 * 1024;
/// A call that holds more than this is a long one. To have memory from the kernel for the first time takes half a millisecond a
/// megabyte, and no turn ends in the middle of an instruction that fills it.
const LARGE: usize = 4 * 1024 * 1024;
/// Bytes of one element of a table.
const TABLE_ELEMENT: usize = 8;
/// Elements of one table.
pub(super) const MAX_TABLE_ELEMENTS: usize = 65_536;
/// Linear memories in one component.
pub(super) const MAX_MEMORIES: u32 = 4;

/// The fuel for this much CPU time.
pub(super) fn fuel(cpu: Duration) -> u64 {
    u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX).saturating_mul(FUEL_PER_US)
}

/// The CPU time that this much fuel is for.
pub(super) fn cpu_time(fuel: u64) -> Duration {
    Duration::from_micros(fuel / FUEL_PER_US)
}

/// One unit for most instructions, more for those that take many times as long: a turn of a loop and a call have the
/// checks of fuel and epoch in them, divisions and roots are slow.
pub(super) fn fuel_costs() -> OperatorCost {
    let mut costs = OperatorCost::new();
    for cost in [&mut costs.Br, &mut costs.BrIf, &mut costs.BrTable] {
        *cost = 5;
    }
    for cost in [&mut costs.Call, &mut costs.CallIndirect] {
        *cost = 15;
    }
    for cost in [&mut costs.I32DivS, &mut costs.I32DivU, &mut costs.I32RemS, &mut costs.I32RemU] {
        *cost = 15;
    }
    for cost in [&mut costs.I64DivS, &mut costs.I64DivU, &mut costs.I64RemS, &mut costs.I64RemU] {
        *cost = 25;
    }
    for cost in [&mut costs.F32Div, &mut costs.F64Div, &mut costs.F32Sqrt, &mut costs.F64Sqrt] {
        *cost = 30;
    }
    // The kernel clears 64 KiB.
    costs.variable.memory_grow_per_page = 255;
    costs
}

/// Counts memory and turns of one store, and refuses what is over the limit.
#[derive(Debug)]
pub(super) struct Meter {
    memory_limit: usize,
    hand_over: usize,
    memory: usize,
    pub(super) peak_memory: usize,
    /// What the guest wanted to have when it was refused.
    pub(super) refused_memory: Option<usize>,
    /// What is held of the share that its tenant has of the memory for guests.
    held: Option<Held>,
    /// The share had no room.
    refused_by_share: Option<Full>,
    last_growth: usize,
    turns: u32,
    turn_limit: u32,
    /// Calls of WASI, which its own functions cannot be made to pay for.
    wasi_calls: u64,
    wasi_call_limit: u64,
    record: Record,
}

/// The guest has had its turns, whatever its fuel says.
#[derive(Debug, thiserror::Error)]
#[error("the guest ran far longer than its CPU time")]
pub(super) struct OutOfTurns;

impl Meter {
    pub(super) fn new(limits: &CallLimits) -> Self {
        let mut meter = Self {
            memory_limit: 0,
            hand_over: 0,
            memory: 0,
            peak_memory: 0,
            refused_memory: None,
            held: None,
            refused_by_share: None,
            last_growth: 0,
            turns: 0,
            turn_limit: 0,
            wasi_calls: 0,
            wasi_call_limit: 0,
            record: Record::default(),
        };
        meter.allow(limits);
        meter
    }

    /// Begins the account of another call in the same store, whose turns are recorded there.
    pub(super) fn restart(&mut self, limits: &CallLimits, record: Record) {
        self.record = record;
        self.allow(limits);
    }

    /// Begins an account with these limits.
    fn allow(&mut self, limits: &CallLimits) {
        self.memory_limit = usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX);
        self.hand_over = limits.hand_over;
        self.peak_memory = self.memory;
        (self.refused_memory, self.refused_by_share) = (None, None);
        (self.turns, self.wasi_calls) = (0, 0);
        self.wasi_call_limit = fuel(limits.cpu) / HOST_CALL_FUEL;
        let turns = limits.cpu.as_micros() / TURN.as_micros();
        self.turn_limit =
            u32::try_from(turns).unwrap_or(u32::MAX).saturating_add(2).saturating_mul(TURNS_OVER_CPU);
    }

    /// What the store holds from now on is on this account.
    pub(super) fn hold(&mut self, held: Held) {
        self.held = Some(held);
    }

    /// Why the share of the tenant had no room, if that was it.
    pub(super) fn refused_by_share(&self) -> Option<&Full> {
        self.refused_by_share.as_ref()
    }

    /// What the store may hold.
    pub(super) fn memory_limit(&self) -> usize {
        self.memory_limit
    }

    /// What may be handed over at once.
    pub(super) fn hand_over(&self) -> usize {
        self.hand_over
    }

    /// That of the call's turns.
    pub(super) fn record(&self) -> Record {
        self.record.clone()
    }

    /// Whether it holds so much that it counts on its tenant's account.
    pub(super) fn is_counted(&self) -> bool {
        counted(self.memory) > 0
    }

    /// What the store holds now.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// The guest calls WASI once more. Whether that was too often, the end of its turn says.
    pub(super) fn count_wasi_call(&mut self) {
        self.wasi_calls += 1;
    }

    /// The epoch moved on while the guest was running: everyone else has a turn first.
    pub(super) fn end_turn(&mut self) -> wasmtime::Result<UpdateDeadline> {
        self.turns += 1;
        if self.turns > self.turn_limit || self.wasi_calls > self.wasi_call_limit {
            return Err(OutOfTurns.into());
        }
        // Tokio's own yield looks at sockets and timers before the guest runs again; waking oneself does not.
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    }
}

impl Meter {
    /// [`Meter::take`], after which a call that has become large goes on in a long turn.
    async fn grow(&mut self, growth: usize, fits: bool) -> bool {
        let is_taken = self.take(growth, fits);
        if self.memory > LARGE && self.record.stand_back() {
            tokio::task::yield_now().await;
        }
        is_taken
    }

    /// Takes so many bytes more for a memory or a table, where they fit into it and into the limit.
    fn take(&mut self, growth: usize, fits: bool) -> bool {
        let total = self.memory.saturating_add(growth);
        if total > self.memory_limit {
            self.refused_memory = Some(total);
            return false;
        }
        if fits {
            let more = counted(total) - counted(self.memory);
            if let Some(held) = self.held.as_mut().filter(|_| more > 0)
                && let Err(full) = held.grow(more)
            {
                (self.refused_memory, self.refused_by_share) = (Some(total), Some(full));
                return false;
            }
            self.memory = total;
            self.last_growth = growth;
            self.peak_memory = self.peak_memory.max(total);
        }
        fits
    }
}

/// What counts on the account of a call's tenant, of so much memory.
fn counted(bytes: usize) -> u64 {
    if bytes > UNCOUNTED { bytes as u64 } else { 0 }
}

#[async_trait]
impl ResourceLimiterAsync for Meter {
    async fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let fits = maximum.is_none_or(|maximum| desired <= maximum);
        Ok(self.grow(desired.saturating_sub(current), fits).await)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory -= std::mem::take(&mut self.last_growth);
        Ok(())
    }

    async fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let fits = desired <= maximum.unwrap_or(MAX_TABLE_ELEMENTS).min(MAX_TABLE_ELEMENTS);
        Ok(self.grow(desired.saturating_sub(current).saturating_mul(TABLE_ELEMENT), fits).await)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory_grow_failed(error)
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES as usize
    }

    fn tables(&self) -> usize {
        MAX_TABLES as usize
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES as usize
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::memory::{Account, Memory};

    fn meter() -> Meter {
        let (cpu, wall) = (Duration::from_millis(1), Duration::from_secs(1));
        Meter::new(&CallLimits {
            memory_bytes: 100_000,
            cpu,
            cpu_per_minute: Duration::MAX,
            wall,
            hand_over: 0,
        })
    }

    #[test]
    fn a_body_can_be_handed_over_whatever_its_quota_is() {
        assert_eq!(hand_over(10 << 20), 32 << 20);
        assert!(hand_over(100 << 20) > 300 << 20);
        assert_eq!(hand_over(u64::MAX), usize::MAX);
    }

    #[tokio::test]
    async fn tables_count_as_memory() {
        let mut meter = meter();
        assert!(meter.memory_growing(0, 65_536, None).await.unwrap());
        assert!(meter.table_growing(0, 1_000, None).await.unwrap());
        assert_eq!(meter.memory(), 73_536);
        assert!(!meter.table_growing(1_000, 10_000, None).await.unwrap());
        assert_eq!((meter.memory(), meter.refused_memory), (73_536, Some(145_536)));
        assert!(!meter.table_growing(0, 10, Some(9)).await.unwrap());
    }

    #[tokio::test]
    async fn what_is_more_than_ordinary_is_held_on_the_tenants_account() {
        let host = Memory::new(12 << 20);
        let account = Account::new("a".into(), host);
        let (cpu, wall) = (Duration::from_millis(1), Duration::from_secs(1));
        let limits =
            CallLimits { memory_bytes: 64 << 20, cpu, cpu_per_minute: Duration::MAX, wall, hand_over: 0 };
        let mut meter = Meter::new(&limits);
        meter.hold(account.held());
        assert!(meter.memory_growing(0, UNCOUNTED, None).await.unwrap());
        assert_eq!(account.bytes(), 0);
        assert!(meter.memory_growing(UNCOUNTED, UNCOUNTED + (3 << 20), None).await.unwrap());
        assert_eq!(account.bytes(), 5 << 20, "it counts as a whole");
        // Half of what there is, as there is nobody else.
        assert!(!meter.memory_growing(UNCOUNTED + (3 << 20), UNCOUNTED + (5 << 20), None).await.unwrap());
        assert!(meter.refused_by_share().is_some());
        drop(meter);
        assert_eq!(account.bytes(), 0);
    }

    #[test]
    fn a_call_that_has_become_large_ends_its_turn() {
        let (cpu, wall) = (Duration::from_millis(1), Duration::from_secs(1));
        let limits =
            CallLimits { memory_bytes: 64 << 20, cpu, cpu_per_minute: Duration::MAX, wall, hand_over: 0 };
        let mut meter = Meter::new(&limits);
        let mut grows = |from, to| meter.memory_growing(from, to, None).now_or_never().map(Result::unwrap);
        assert_eq!(grows(0, LARGE), Some(true));
        assert_eq!(grows(LARGE, LARGE + 1), None, "its turn goes on");
        assert_eq!(grows(LARGE + 1, 2 * LARGE), Some(true), "it is long by now");
        assert!(!meter.record().stand_back());
    }

    #[test]
    fn a_guest_that_only_calls_wasi_is_ended() {
        let mut meter = meter();
        (0..4_000).for_each(|_| meter.count_wasi_call());
        assert!(meter.end_turn().is_ok());
        meter.count_wasi_call();
        assert!(meter.end_turn().err().is_some_and(|error| error.is::<OutOfTurns>()));
    }
}
