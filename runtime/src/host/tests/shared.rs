//! Several tenants on one host: what one of them takes, and what is left for the others.

use std::time::Duration;

use wasmtime::WasmFeatures;

use super::guest::Guest;
use super::{CALLS, host, limits, plugin};
use crate::host::{Call, CallLimits, Called, GuestOutcome, Host, HostError, Plugin, Reach};
use crate::id::TenantId;

const ECHO: &str = "(call $done (local.get $input) (local.get $input_len))";
const SPIN: &str = "(loop $for_ever (br $for_ever)) unreachable";

/// More time than any test takes.
fn for_ever() -> CallLimits {
    CallLimits { cpu: Duration::from_secs(600), ..limits() }
}

async fn start(
    host: &Host,
    tenant: &str,
    plugin: &Plugin,
    limits: CallLimits,
) -> Result<Called<GuestOutcome>, HostError> {
    let reach = Reach::Nothing(TenantId::from(tenant));
    host.start(Call { plugin, name: "act", reach, limits }, "{}").await
}

/// One that takes all it can get, with guests that never end.
async fn greedy(host: &Host, wasm: &[u8]) -> Vec<tokio::task::JoinHandle<()>> {
    let spins = plugin(host, wasm).await;
    let guests = (0..2 * CALLS).map(|_| {
        let (host, spins) = (host.clone(), spins.clone());
        tokio::spawn(async move { drop(start(&host, "greedy", &spins, for_ever()).await) })
    });
    let guests: Vec<_> = guests.collect();
    // They have their places, and their turns.
    tokio::task::yield_now().await;
    guests
}

/// Calls of another tenant come to their ends meanwhile.
async fn another_is_served(host: &Host) {
    let echo = plugin(host, &Guest::action(ECHO).wasm()).await;
    for _ in 0..10 {
        let ended = start(host, "modest", &echo, limits()).await.unwrap();
        assert!(matches!(ended.result, Ok(GuestOutcome::Done(_))), "{ended:?}");
    }
}

async fn and_the_others_are_still_there(host: &Host, guests: Vec<tokio::task::JoinHandle<()>>) {
    assert!(guests.iter().all(|guest| !guest.is_finished()));
    for guest in guests {
        guest.abort();
        assert!(guest.await.unwrap_err().is_cancelled());
    }
    assert!(host.calls().is_idle(), "a place is not given back");
    another_is_served(host).await;
}

#[tokio::test]
async fn a_tenant_that_spins_takes_neither_the_last_place_nor_the_processor() {
    let host = host();
    let guests = greedy(&host, &Guest::action(SPIN).wasm()).await;
    another_is_served(&host).await;
    and_the_others_are_still_there(&host, guests).await;
}

#[tokio::test]
async fn a_call_that_its_caller_leaves_is_on_the_tenants_account() {
    let host = host();
    let spins = plugin(&host, &Guest::action(SPIN).wasm()).await;
    let limits = CallLimits { cpu_per_minute: Duration::from_millis(1), ..for_ever() };
    let left = tokio::time::timeout(Duration::from_millis(300), start(&host, "greedy", &spins, limits)).await;
    assert!(left.is_err(), "it never ends");
    // What is owed is more than a minute's time by far.
    let refused = start(&host, "greedy", &spins, CallLimits { wall: Duration::from_secs(5), ..limits }).await;
    assert!(matches!(refused, Err(HostError::CpuPerMinute { .. })), "{refused:?}");
}

/// The component with so many more core instances, each of which has one memory where `memory` says so.
fn with_instances(mut wasm: Vec<u8>, count: u8, memory: bool) -> Vec<u8> {
    let module = wat::parse_str(if memory { "(module (memory 1))" } else { "(module)" }).unwrap();
    let index = core_modules(&wasm);
    section(&mut wasm, 1, &module);
    let mut instances = vec![count];
    for _ in 0..count {
        // Instantiate the module of that number with no arguments.
        instances.extend([0, index, 0]);
    }
    section(&mut wasm, 2, &instances);
    wasm
}

fn section(wasm: &mut Vec<u8>, id: u8, body: &[u8]) {
    wasm.push(id);
    let mut left = body.len();
    while left > 0x7f {
        wasm.push(left as u8 | 0x80);
        left >>= 7;
    }
    wasm.push(left as u8);
    wasm.extend(body);
}

/// How many core modules a component has at its top level.
fn core_modules(wasm: &[u8]) -> u8 {
    let (mut at, mut count) = (8, 0);
    while at < wasm.len() {
        count += u8::from(wasm[at] == 1);
        at += 1;
        let (mut bytes, mut shift) = (0, 0);
        loop {
            let byte = wasm[at];
            at += 1;
            bytes |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        at += bytes;
    }
    count
}

#[tokio::test]
async fn components_with_four_memories_do_not_use_up_those_of_everyone() {
    let host = host();
    let large = with_instances(Guest::action(SPIN).wasm(), 3, true);
    let guests = greedy(&host, &large).await;
    another_is_served(&host).await;
    and_the_others_are_still_there(&host, guests).await;
}

#[tokio::test]
async fn components_with_many_instances_do_not_use_up_those_of_everyone() {
    let host = host();
    let large = with_instances(Guest::action(SPIN).wasm(), 60, false);
    let guests = greedy(&host, &large).await;
    another_is_served(&host).await;
    and_the_others_are_still_there(&host, guests).await;
}

#[tokio::test]
async fn a_component_with_a_fifth_memory_is_refused_when_it_is_installed() {
    let large = with_instances(Guest::action(SPIN).wasm(), 4, true);
    let error = super::install(&host(), &large).await.unwrap_err().to_string();
    assert!(error.contains("memories"), "{error}");
}

#[test]
fn nothing_is_switched_on_but_what_is_listed() {
    let engine = host().engine().clone();
    assert_eq!(engine.get_wasm_features(), crate::host::sandbox::FEATURES);
    let off = WasmFeatures::GC
        .union(WasmFeatures::EXCEPTIONS)
        .union(WasmFeatures::THREADS)
        .union(WasmFeatures::MEMORY64)
        .union(WasmFeatures::MULTI_MEMORY)
        .union(WasmFeatures::CM_ASYNC);
    assert!(!crate::host::sandbox::FEATURES.intersects(off));
    assert!(engine.get_async_stack_zeroing() && engine.get_consume_fuel() && engine.get_epoch_interruption());
}
