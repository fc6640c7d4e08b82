//! The wasmtime configuration that every guest runs under, and the pool of sandboxes that is made with it.
//!
//! Only what Rust, C and the common component toolchains need is switched on: most advisories of wasmtime are in what
//! is left out here. What one call may use is in `limits`.

use std::time::Duration;

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy,
    WasmBacktraceDetails, WasmFeatures,
};

use super::given_back;
use super::limits::{MAX_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS, MAX_TABLES, TURN, fuel_costs};
use super::turns::Turns;
use crate::id::TenantId;
use crate::shares::Shares;

/// Stack for the guest's own frames.
const WASM_STACK: usize = 1024 * 1024;
/// Stack of a call: the guest's frames, and below them those of the host's functions that it calls.
const CALL_STACK: usize = 3 * 1024 * 1024;
/// What a used slot of the pool keeps of its memory and its tables in physical memory, so that its next guest faults no pages
/// in.
const KEEP_RESIDENT: usize = 128 * 1024;
/// The same of a stack: what is below is given back to the system. No call of the shipped plugins has been seen below this, as
/// what the host does for them is done elsewhere (`offstack`).
const KEEP_STACK: usize = 16 * 1024;
/// What WebAssembly is switched on, by name: a build with more of wasmtime switches nothing else on. Tail calls are there
/// for interpreters such as QuickJS. The collector, exceptions, threads, 64-bit memories, asynchronous components and
/// further memories are not.
pub(super) const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::CALL_INDIRECT_OVERLONG)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::BULK_MEMORY_OPT)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::RELAXED_SIMD)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::COMPONENT_MODEL);
/// Time between two increments of the epoch while nothing runs.
const IDLE_TURN: Duration = Duration::from_millis(20);

/// Where guests run.
pub(super) struct Sandbox {
    pub(super) engine: Engine,
    /// One place for each guest that may run or wait at the same time.
    pub(super) calls: Shares<TenantId>,
    /// One place for each evaluation that may run at the same time. Apart from the others: a guest that waits for one
    /// has a place already, and must not wait for those that wait as it does.
    pub(super) evaluations: Shares<TenantId>,
    /// Who computes next, of those that have a place.
    pub(super) turns: Turns,
}

impl Sandbox {
    /// A pool of `calls` sandboxes, and room beside them for `kept` ones between and `kept` ones at evaluations, of at
    /// most `memory` bytes each.
    pub(super) fn new(calls: u32, kept: u32, memory: usize) -> wasmtime::Result<Self> {
        let engine = match Engine::new(&pooled(calls + 2 * kept, memory)) {
            Ok(engine) => engine,
            Err(error) => {
                tracing::warn!(
                    %error,
                    "no room in the address space for a pool of sandboxes: each is made on demand, which is slower"
                );
                Engine::new(&base())?
            }
        };
        let (calls, evaluations) = (Shares::new(calls), Shares::new(kept));
        tick(&engine, [calls.clone(), evaluations.clone()])?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let turns = Turns::new(u32::try_from(cores).unwrap_or(u32::MAX));
        Ok(Self { engine, calls, evaluations, turns })
    }
}

pub(super) fn pooled(slots: u32, memory: usize) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    // Each slot has room for the largest component that is taken, or a few of that kind would use up everyone's. Room is
    // address space: what no guest touches costs nothing.
    pool.total_component_instances(slots)
        .total_stacks(slots)
        .total_memories(slots.saturating_mul(MAX_MEMORIES))
        .total_tables(slots.saturating_mul(MAX_TABLES))
        .total_core_instances(slots.saturating_mul(MAX_INSTANCES))
        .max_core_instances_per_component(MAX_INSTANCES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .max_tables_per_module(MAX_TABLES)
        .table_elements(MAX_TABLE_ELEMENTS)
        .max_memory_size(memory)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        .async_stack_keep_resident(KEEP_STACK)
        .decommit_batch_size(given_back::BATCH)
        // Linux 6.7 and later: only the pages that a guest wrote are cleared.
        .pagemap_scan(Enabled::Auto);
    let mut config = base();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

pub(super) fn base() -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .consume_fuel(true)
        .operator_cost(fuel_costs())
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(CALL_STACK)
        // Without this a stack that was deep once stays in memory, and what was on it.
        .async_stack_zeroing(true)
        .wasm_features(WasmFeatures::all(), false)
        .wasm_features(FEATURES, true)
        .relaxed_simd_deterministic(true)
        // A trap names functions from the name section; whoever wants lines has a native test. Without the maps for
        // lines and native debuggers, cached code is smaller and loads sooner.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .generate_address_map(false)
        .debug_symbols(false);
    config
}

/// Moves the epoch on until the engine is gone.
fn tick(engine: &Engine, places: [Shares<TenantId>; 2]) -> std::io::Result<()> {
    let engine = engine.weak();
    let run = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            let idle = places.iter().all(Shares::is_idle);
            std::thread::sleep(if idle { IDLE_TURN } else { TURN });
        }
    };
    std::thread::Builder::new().name("flowcell-epoch".to_owned()).spawn(run).map(drop)
}
