//! The wasmtime configuration that every guest runs under, and the pool of sandboxes that is made with it.
//!
//! Only what Rust, C and the common component toolchains need is switched on: most advisories of wasmtime are in what
//! is left out here. What one call may use is in `limits`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy,
    WasmBacktraceDetails,
};

use super::limits::{MAX_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS, MAX_TABLES, TURN, fuel_costs};

/// Stack for the guest's own frames.
const WASM_STACK: usize = 1024 * 1024;
/// Stack of a call: the guest's frames, and below them the host's, which send requests from there.
const CALL_STACK: usize = 3 * 1024 * 1024;
/// What a used slot of the pool keeps in physical memory, so that its next guest faults no pages in.
const KEEP_RESIDENT: usize = 128 * 1024;
/// Time between two increments of the epoch while nothing runs.
const IDLE_TURN: Duration = Duration::from_millis(20);

/// Where guests run.
pub(super) struct Sandbox {
    pub(super) engine: Engine,
    /// One permit for each guest that may run or wait at the same time.
    pub(super) slots: Arc<Semaphore>,
    /// One permit for each evaluation that may run at the same time. Apart from the others: a guest that waits for one
    /// has a place already, and must not wait for those that wait as it does.
    pub(super) evaluations: Arc<Semaphore>,
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
        let slots = Arc::new(Semaphore::new(calls as usize));
        let evaluations = Arc::new(Semaphore::new(kept as usize));
        tick(&engine, [(slots.clone(), calls), (evaluations.clone(), kept)])?;
        Ok(Self { engine, slots, evaluations })
    }
}

fn pooled(slots: u32, memory: usize) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_stacks(slots)
        .total_memories(slots)
        .total_tables(slots.saturating_mul(3))
        .total_core_instances(slots.saturating_mul(4))
        .max_core_instances_per_component(MAX_INSTANCES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .max_tables_per_module(4)
        .table_elements(MAX_TABLE_ELEMENTS)
        .max_memory_size(memory)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        .async_stack_keep_resident(KEEP_RESIDENT)
        // Linux 6.7 and later: only the pages that a guest wrote are cleared.
        .pagemap_scan(Enabled::Auto);
    let mut config = base();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

fn base() -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .consume_fuel(true)
        .operator_cost(fuel_costs())
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(CALL_STACK)
        .wasm_component_model(true)
        .wasm_memory64(false)
        .wasm_multi_memory(true)
        .wasm_tail_call(false)
        .wasm_stack_switching(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .relaxed_simd_deterministic(true)
        // A trap names functions from the name section; whoever wants lines has a native test. Without the maps for
        // lines and native debuggers, cached code is smaller and loads sooner.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .generate_address_map(false)
        .debug_symbols(false);
    config
}

/// Moves the epoch on until the engine is gone.
fn tick(engine: &Engine, slots: [(Arc<Semaphore>, u32); 2]) -> std::io::Result<()> {
    let engine = engine.weak();
    let run = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            let idle = slots.iter().all(|(slots, all)| slots.available_permits() == *all as usize);
            std::thread::sleep(if idle { IDLE_TURN } else { TURN });
        }
    };
    std::thread::Builder::new().name("flowcell-epoch".to_owned()).spawn(run).map(drop)
}
