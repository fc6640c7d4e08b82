//! Calls: what a guest is given, what it may not do, and that the host is whole afterwards.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::guest::Guest;
use super::{expressions, host, limits, plugin};
use crate::capability::http_request::{Egress, Shared};
use crate::capability::log::{Level, LogLine};
use crate::capability::vault::Credentials;
use crate::config::Quota;
use crate::host::fault::Fault;
use crate::host::{
    Arrival, Call, CallLimits, Called, Expressions, Grants, GuestOutcome, Host, Inbound, Plugin, Reach,
    StepContext,
};
use crate::id::{CallbackAddress, CallbackKey, RunId, TenantId};
use crate::problem::{Problem, kind};

const ECHO: &str = "(call $done (local.get $input) (local.get $input_len))";
const SPIN: &str = "(loop $for_ever (br $for_ever)) unreachable";

fn step() -> StepContext {
    StepContext {
        run: RunId::from_bytes([7; 16]),
        step: 3,
        attempt: 2,
        deadline_ms: 1_000,
        callbacks: CallbackAddress {
            base_url: "https://hooks.example.com".into(),
            key: CallbackKey::new([0; 32]),
            tenant: TenantId::default_tenant(),
            run: RunId::from_bytes([7; 16]),
        },
    }
}

/// An egress that denies everything.
fn no_way_out() -> Arc<Egress> {
    Arc::new(Egress::new(
        TenantId::default_tenant(),
        &[],
        &Quota::default(),
        Shared::new(vec![], None),
        [].into(),
    ))
}

async fn start(host: &Host, plugin: &Plugin, input: &str, limits: CallLimits) -> Called<GuestOutcome> {
    start_judged_by(&expressions(host).await, host, plugin, input, limits).await
}

async fn start_judged_by(
    expressions: &Expressions,
    host: &Host,
    plugin: &Plugin,
    input: &str,
    limits: CallLimits,
) -> Called<GuestOutcome> {
    let grants = Grants { egress: no_way_out(), expressions: expressions.clone(), credentials: no_secrets() };
    let call = Call { plugin, name: "act", reach: Reach::Step(step(), grants), limits };
    host.start(call, input).await.unwrap()
}

fn no_secrets() -> Credentials {
    Credentials::of_trigger(Arc::default(), [].into(), [].into())
}

/// The problem of an action that does this, and the fault.
async fn failure(start_body: &'static str, items: &str, limits: CallLimits) -> (Problem, Option<Fault>) {
    let host = host();
    let bad = Guest { items: items.to_owned(), ..Guest::action(start_body) };
    let bad = plugin(&host, &bad.wasm()).await;
    let ended = start(&host, &bad, "{}", limits).await;
    let good = plugin(&host, &Guest::action(ECHO).wasm()).await;
    assert_done(start(&host, &good, "{}", super::limits()).await, "{}");
    (ended.result.unwrap_err(), ended.usage.fault)
}

fn assert_done(ended: Called<GuestOutcome>, expected: &str) {
    assert!(matches!(&ended.result, Ok(GuestOutcome::Done(output)) if output == expected), "{ended:?}");
}

#[tokio::test]
async fn an_action_returns_what_it_makes_of_its_input() {
    let host = host();
    let echo = plugin(&host, &Guest::action(ECHO).wasm()).await;
    let ended = start(&host, &echo, r#"{"a":1}"#, limits()).await;
    assert!(ended.usage.fuel > 0 && ended.usage.peak_memory == 65536 && ended.usage.fault.is_none());
    assert_done(ended, r#"{"a":1}"#);
}

#[tokio::test]
async fn a_problem_of_the_plugin_is_a_value() {
    let (problem, fault) = failure("(call $problem (i32.const 1026) (i32.const 4))", "", limits()).await;
    assert_eq!((problem.kind.as_str(), problem.status, problem.retry_after_ms), ("name", 418, Some(1500)));
    assert_eq!(fault, None);
}

#[tokio::test]
async fn nothing_of_one_call_is_there_for_the_next() {
    let host = host();
    let counter = Guest::action(
        "(i32.store8 (i32.const 128) (i32.add (i32.const 1) (i32.load8_u (i32.const 128))))
         (i32.store8 (i32.const 129) (i32.add (i32.const 48) (i32.load8_u (i32.const 128))))
         (call $done (i32.const 129) (i32.const 1))",
    );
    let counter = plugin(&host, &counter.wasm()).await;
    for _ in 0..3 {
        assert_done(start(&host, &counter, "{}", limits()).await, "1");
    }
}

#[tokio::test]
async fn an_endless_loop_ends_at_the_cpu_limit() {
    let (problem, fault) = failure(SPIN, "", limits()).await;
    assert_eq!((fault, problem.kind.as_str()), (Some(Fault::Cpu), kind::RUNTIME));
    assert!(problem.detail.unwrap().contains("20 ms that it may: raise `tenant.quota.cpu`"));
    assert_eq!(problem.data.unwrap()["trace"][0], "start");
}

#[tokio::test]
async fn a_loop_of_cheap_instructions_with_much_work_ends_too() {
    let fill = "(loop $for_ever (memory.fill (i32.const 8192) (i32.const 1) (i32.const 50000)) (br $for_ever)) unreachable";
    assert_eq!(failure(fill, "", limits()).await.1, Some(Fault::Cpu));
}

#[tokio::test]
async fn memory_ends_at_its_limit_and_says_which_quota_raises_it() {
    let grow = "(loop $more (br_if $more (i32.ne (i32.const -1) (memory.grow (i32.const 16))))) unreachable";
    let (problem, fault) = failure(grow, "", limits()).await;
    assert_eq!(fault, Some(Fault::Memory));
    assert!(problem.detail.unwrap().contains("may have 4.0 MiB: raise `tenant.quota.memory`"));
}

#[tokio::test]
async fn a_guest_may_live_with_a_refused_growth() {
    let host = host();
    let modest = Guest::action(
        "(drop (memory.grow (i32.const 10000))) (call $done (local.get $input) (local.get $input_len))",
    );
    let modest = plugin(&host, &modest.wasm()).await;
    assert_done(start(&host, &modest, "{}", limits()).await, "{}");
}

#[tokio::test]
async fn endless_recursion_is_a_stack_overflow() {
    let items = "(func $deep (param i32) (result i32) (i32.add (i32.const 1) (call $deep (local.get 0))))";
    let (problem, fault) = failure("(drop (call $deep (i32.const 0))) unreachable", items, limits()).await;
    assert_eq!(fault, Some(Fault::Stack));
    assert_eq!(problem.code(), Some("stack-overflow"));
    assert_eq!(problem.data.unwrap()["trace"][0], "deep");
}

#[tokio::test]
async fn a_stack_in_linear_memory_that_grew_below_its_beginning_is_a_stack_overflow() {
    let (problem, fault) =
        failure("(i32.store offset=16 (i32.const -16) (i32.const 0)) unreachable", "", limits()).await;
    assert_eq!(fault, Some(Fault::Stack));
    assert!(problem.detail.unwrap().contains("a recursion that does not end"));
}

#[tokio::test]
async fn a_trap_names_the_guests_own_functions() {
    let items = "(func $read_city (unreachable))";
    let (problem, fault) = failure("(call $read_city) unreachable", items, limits()).await;
    assert_eq!(fault, Some(Fault::Crash));
    assert!(problem.detail.unwrap().contains("in `read_city`, called by `start`"));
    let (problem, fault) =
        failure("(drop (i32.load (i32.const 0x7fffffff))) unreachable", "", limits()).await;
    assert_eq!((fault, problem.code()), (Some(Fault::Trap), Some("trap")));
    assert!(problem.detail.unwrap().contains("out of bounds memory access (in `start`"));
}

#[tokio::test]
async fn a_start_function_is_bounded_like_everything_else() {
    let host = host();
    let items = "(func $init (loop $for_ever (br $for_ever))) (start $init)".to_owned();
    let error = super::install(&host, &Guest { items, ..Guest::action(ECHO) }.wasm()).await.unwrap_err();
    assert!(error.to_string().contains("`describe` failed: the plugin reached its CPU limit"), "{error}");
}

#[tokio::test]
async fn a_lying_pointer_is_the_plugins_fault() {
    let (problem, fault) =
        failure("(call $done (i32.const 1024) (i32.const 0x7fffffff))", "", limits()).await;
    assert_eq!((fault, problem.status), (Some(Fault::Trap), 500));
}

#[tokio::test]
async fn what_is_handed_over_is_bounded() {
    // One list of headers that names the same 60 KiB a thousand times.
    let mut bomb = Guest::action(
        "(local $i i32)
         (loop $next
           (i32.store (i32.add (i32.const 65536) (i32.mul (local.get $i) (i32.const 16))) (i32.const 4096))
           (i32.store (i32.add (i32.const 65540) (i32.mul (local.get $i) (i32.const 16))) (i32.const 60000))
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $next (i32.lt_u (local.get $i) (i32.const 1000))))
         (call $send (i32.const 128) (i32.const 0) (i32.const 128) (i32.const 0) (i32.const 65536) (i32.const 1000)
           (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 128) (i32.const 0) (i32.const 256))
         unreachable",
    );
    bomb.imports = SEND;
    bomb.items = "(func $more_memory (drop (memory.grow (i32.const 1)))) (start $more_memory)".to_owned();
    let host = host();
    let bomb = plugin(&host, &bomb.wasm()).await;
    let ended = start(&host, &bomb, "{}", limits()).await;
    assert_eq!(ended.usage.fault, Some(Fault::HandOver), "{ended:?}");
}

const SEND: &str = r#"(import "flowcell:plugin/http-request@0.1.0" "send"
    (func $send (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))"#;

#[tokio::test]
async fn the_step_learns_its_context() {
    let host = host();
    let mut curious = Guest::action(
        "(call $key (i32.const 128)) (call $done (i32.load (i32.const 128)) (i32.load (i32.const 132)))",
    );
    curious.imports = r#"(import "flowcell:plugin/context@0.1.0" "idempotency-key" (func $key (param i32)))"#;
    let curious = plugin(&host, &curious.wasm()).await;
    assert_done(start(&host, &curious, "{}", limits()).await, "07070707070707070707070707070707-3");
}

#[tokio::test]
async fn lines_are_kept_and_a_flood_of_them_costs_the_guest() {
    const LOG: &str =
        r#"(import "flowcell:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32 i32)))"#;
    let host = host();
    let mut talker = Guest::action(
        "(call $log (i32.const 2048) (i32.const 4) (local.get $input) (local.get $input_len) (i32.const 0) (i32.const 0))
         (call $done (local.get $input) (local.get $input_len))",
    );
    talker.imports = LOG;
    talker.items = r#"(data (i32.const 2048) "warn")"#.to_owned();
    let talker = plugin(&host, &talker.wasm()).await;
    let ended = start(&host, &talker, "{}", limits()).await;
    let line = LogLine { level: Level::Warn, message: "{}".into(), fields: json!(null) };
    assert_eq!(ended.logs, [line]);

    let mut flood = Guest::action(
        "(loop $again (call $log (i32.const 0) (i32.const 0) (i32.const 1024) (i32.const 60000) (i32.const 0) (i32.const 0))
           (br $again)) unreachable",
    );
    flood.imports = LOG;
    let flood = plugin(&host, &flood.wasm()).await;
    let ended = start(&host, &flood, "{}", limits()).await;
    assert_eq!(ended.usage.fault, Some(Fault::Cpu));
    assert!(ended.logs.len() < 10 && ended.logs.last().unwrap().message.contains("dropped"));
}

#[tokio::test]
async fn a_trigger_reads_the_request_and_nothing_else() {
    let host = host();
    let mut judge = Guest::action(ECHO);
    judge.world = "action-trigger-plugin";
    judge.imports = r#"(import "flowcell:plugin/inbound@0.1.0" "body" (func $body (param i32)))
                       (import "flowcell:plugin/context@0.1.0" "run" (func $run (param i32)))"#;
    judge.receive = Some(
        "(if (local.get $config_len) (then (call $run (i32.const 128))))
         (call $body (i32.const 128)) (call $verdict (i32.load (i32.const 128)) (i32.load (i32.const 132)))",
    );
    let judge = plugin(&host, &judge.wasm()).await;
    let expressions = expressions(&host).await;
    let judge = async |config: &str| {
        let call = Call { plugin: &judge, name: "hook", reach: judging(&expressions), limits: limits() };
        host.receive(call, config).await.unwrap().result
    };
    assert_eq!(judge("").await.unwrap(), "[1]");
    assert!(judge("{}").await.unwrap_err().detail.unwrap().contains("`context` is about a step"));
}

fn judging(expressions: &Expressions) -> Reach {
    let request = Inbound {
        method: "POST".into(),
        path: "/".into(),
        query: String::new(),
        headers: vec![],
        body: Bytes::from_static(b"[1]"),
        remote: ([192, 0, 2, 1], 80).into(),
    };
    let arrival = Arrival { request, received_ms: 7, trigger: "shop/orders".into() };
    Reach::Judge { arrival, expressions: expressions.clone(), credentials: no_secrets() }
}

#[tokio::test]
async fn an_action_has_no_inbound_request() {
    let mut guest = Guest::action("(call $body (i32.const 128)) unreachable");
    guest.world = "action-trigger-plugin";
    guest.imports = r#"(import "flowcell:plugin/inbound@0.1.0" "body" (func $body (param i32)))"#;
    guest.receive = Some("unreachable");
    let host = host();
    let guest = plugin(&host, &guest.wasm()).await;
    let ended = start(&host, &guest, "{}", limits()).await;
    let problem = ended.result.unwrap_err();
    assert!(problem.to_string().contains("`inbound` is there in a trigger's"), "{problem}");
}

/// On one thread, so that the guest has to give way for anyone else to come to work.
#[tokio::test]
async fn a_spinning_guest_gives_way_and_ends_at_its_deadline() {
    let host = host();
    let spinner = plugin(&host, &Guest::action(SPIN).wasm()).await;
    let limits = CallLimits { cpu: Duration::from_secs(3600), wall: Duration::from_millis(100), ..limits() };
    let other = tokio::spawn(async {
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
    });
    let ended = start(&host, &spinner, "{}", limits).await;
    assert!(other.is_finished(), "nobody else had a turn");
    assert_eq!(ended.usage.fault, Some(Fault::Deadline));
    let problem = ended.result.unwrap_err();
    assert_eq!((problem.kind.as_str(), problem.status), (kind::TIMEOUT, 408));
    assert!(problem.detail.unwrap().contains("`tenant.quota.step_time`"));
}

#[tokio::test]
async fn more_calls_than_places_wait_for_one() {
    let host = host();
    let echo = plugin(&host, &Guest::action(ECHO).wasm()).await;
    let expressions = expressions(&host).await;
    let calls = (0..100).map(|_| {
        let (host, echo, expressions) = (host.clone(), echo.clone(), expressions.clone());
        tokio::spawn(async move {
            assert_done(start_judged_by(&expressions, &host, &echo, "{}", limits()).await, "{}");
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
}

/// A guest whose input is the program and its input.
fn asks() -> Guest {
    Guest {
        imports: r#"(import "flowcell:plugin/evaluate@0.1.0" "jq" (func $jq (param i32 i32 i32 i32 i32)))"#,
        ..Guest::action(
            "(call $jq (local.get $input) (local.get $input_len) (local.get $input) (local.get $input_len) (i32.const 96))
             (call $done (i32.load (i32.const 100)) (i32.load (i32.const 104)))",
        )
    }
}

#[tokio::test]
async fn guests_that_fill_the_host_and_ask_for_expressions_do_not_wait_for_each_other() {
    let host = host();
    let expressions = expressions(&host).await;
    let plugin = plugin(&host, &asks().wasm()).await;
    let calls =
        (0..super::CALLS * 2).map(|_| start_judged_by(&expressions, &host, &plugin, r#"{"a":1}"#, limits()));
    for ended in futures_util::future::join_all(calls).await {
        assert_done(ended, r#"{"a":1}"#);
    }
}

#[tokio::test]
async fn an_expression_is_on_the_account_of_the_guest_that_asks() {
    let host = host();
    let expressions = expressions(&host).await;
    let plugin = plugin(&host, &asks().wasm()).await;
    let cheap = start_judged_by(&expressions, &host, &plugin, "{}", limits()).await;
    assert!(cheap.usage.fault.is_none() && cheap.usage.fuel > 0, "{cheap:?}");
    let endless = start_judged_by(&expressions, &host, &plugin, "loop", limits()).await;
    assert!(endless.usage.fuel > 1000 * cheap.usage.fuel, "{endless:?}");
    let Ok(GuestOutcome::Done(said)) = endless.result else {
        panic!("it has the last microsecond for itself")
    };
    assert!(said.contains("used up its CPU time"), "{said}");
    let call = Call {
        plugin: &plugin,
        name: "act",
        reach: Reach::Nothing(TenantId::default_tenant()),
        limits: limits(),
    };
    let problem = host.start(call, "{}").await.unwrap().result.unwrap_err();
    assert!(problem.detail.unwrap().contains("`evaluate` is there in a step"));
}

#[tokio::test]
async fn a_schema_is_on_the_account_of_the_guest_that_asks() {
    let host = host();
    let expressions = expressions(&host).await;
    // The first finding, or the error.
    let validates = Guest {
        imports: r#"(import "flowcell:plugin/evaluate@0.1.0" "validate" (func $validate (param i32 i32 i32 i32 i32)))"#,
        ..Guest::action(
            "(local $said i32)
             (call $validate (local.get $input) (local.get $input_len) (local.get $input) (local.get $input_len)
               (i32.const 96))
             (local.set $said (select (i32.const 100) (i32.load (i32.const 100)) (i32.load (i32.const 96))))
             (if (i32.eqz (i32.load (i32.const 104))) (then (local.set $said (i32.const 100))))
             (call $done (i32.load (local.get $said)) (i32.load (i32.add (local.get $said) (i32.const 4))))",
        )
    };
    let plugin = plugin(&host, &validates.wasm()).await;
    let fits = start_judged_by(&expressions, &host, &plugin, "fits", limits()).await;
    assert_done(fits, "");
    assert_done(start_judged_by(&expressions, &host, &plugin, "wrong", limits()).await, "wrong");
    let endless = start_judged_by(&expressions, &host, &plugin, "loop", limits()).await;
    let Ok(GuestOutcome::Done(said)) = endless.result else {
        panic!("it has the last microsecond for itself")
    };
    assert!(said.contains("the schema used up its CPU time"), "{said}");
}
