//! The expression guest: jq programs judged in kept sandboxes.
//!
//! A fresh sandbox would parse jq's prelude every time, so one is kept for each tenant and flow version. It remembers
//! compiled programs, never values. One caller at a time: a second one has another sandbox. A sandbox that trapped,
//! reached a limit or grew large is dropped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::timeout_at;
use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, Instance, InstancePre};

use super::Host;
use super::descriptor::Schema;
use super::exports;
use super::fault::{self, Fault};
use super::install::{self, InstallError};
use super::limits::{CallLimits, fuel};
use super::reach::Reach;
use super::store::{self, CallState};
use crate::id::TenantId;

/// Most memory of one evaluation, whatever the tenant's quota.
const MAX_MEMORY: u64 = 64 * 1024 * 1024;
/// Largest result.
const MAX_RESULT: usize = 8 * 1024 * 1024;
/// A sandbox that holds more than this is not kept.
const KEPT_MEMORY: usize = 8 * 1024 * 1024;

/// How many compiled schemas are kept.
const KEPT_SCHEMAS: usize = 64;
/// The longest schema that a plugin judges by.
const SCHEMA_BYTES: usize = 64 * 1024;

/// Whose sandbox: tenant, and digest of the flow's text.
pub(crate) type Key = (TenantId, String);

/// Judges jq programs.
#[derive(Clone)]
pub(crate) struct Evaluator(Arc<Inner>);

struct Inner {
    host: Host,
    pre: InstancePre<CallState>,
    evaluate: ComponentExportIndex,
    check: ComponentExportIndex,
    kept: Mutex<Kept>,
    /// Compiled schemas, by the digest of their text.
    schemas: Mutex<HashMap<[u8; 32], Arc<Schema>>>,
}

/// Whose turn an evaluation takes.
#[derive(Clone, Copy)]
enum Turn {
    /// One of its own.
    Own,
    /// That of the guest which asks and waits for it. A second one would be taken while the first is held.
    Caller,
}

/// A sandbox between two evaluations.
struct Idle {
    store: Store<CallState>,
    instance: Instance,
    used: u64,
}

#[derive(Default)]
struct Kept {
    idle: HashMap<Key, Vec<Idle>>,
    count: usize,
    /// Counts evaluations: the least recently used sandbox makes room.
    clock: u64,
}

impl Evaluator {
    pub(super) async fn new(host: &Host, wasm: &[u8]) -> Result<Self, InstallError> {
        let linked = install::link(host, wasm).await?;
        let (evaluate, check) = exports::expression(&linked.component)?;
        Ok(Self(Arc::new(Inner {
            host: host.clone(),
            pre: linked.pre,
            evaluate,
            check,
            kept: Mutex::default(),
            schemas: Mutex::default(),
        })))
    }

    /// What is wrong with a value by a JSON Schema, both JSON text: sentences with their places. The error is a sentence about
    /// the schema.
    pub(super) fn validate(&self, schema: &str, value: &str) -> Result<Vec<String>, String> {
        let schema = self.schema(schema)?;
        let value = serde_json::from_str(value).map_err(|error| format!("the value is not JSON: {error}"))?;
        let findings = schema.validate(&value).err().unwrap_or_default();
        Ok(findings
            .into_iter()
            .map(|(pointer, sentence)| match pointer.as_str() {
                "" => sentence,
                pointer => format!("`{pointer}`: {sentence}"),
            })
            .collect())
    }

    fn schema(&self, text: &str) -> Result<Arc<Schema>, String> {
        let digest = *blake3::hash(text.as_bytes()).as_bytes();
        if let Some(schema) = self.schemas().get(&digest) {
            return Ok(schema.clone());
        }
        if text.len() > SCHEMA_BYTES {
            return Err(format!("the schema has {} bytes; at most {SCHEMA_BYTES} are read", text.len()));
        }
        let schema =
            serde_json::from_str(text).map_err(|error| format!("the schema is not JSON: {error}"))?;
        let schema = Schema::compile_bounded(&schema).map_err(|why| format!("the schema is wrong {why}"))?;
        let schema = Arc::new(schema);
        let mut schemas = self.schemas();
        if schemas.len() >= KEPT_SCHEMAS {
            schemas.clear();
        }
        schemas.insert(digest, schema.clone());
        Ok(schema)
    }

    fn schemas(&self) -> MutexGuard<'_, HashMap<[u8; 32], Arc<Schema>>> {
        self.0.schemas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one value that `program` makes of `input`, both JSON text; `variables` is an object. The error is a
    /// sentence for the program's author.
    pub(crate) async fn evaluate(
        &self,
        key: &Key,
        program: &str,
        input: &str,
        variables: &str,
        limits: CallLimits,
    ) -> Result<String, String> {
        self.evaluated(key, (program, input, variables), limits, Turn::Own).await.0
    }

    /// The same for a guest that asks, in its turn; and the fuel that it took.
    pub(super) async fn evaluate_counted(
        &self,
        key: &Key,
        texts: (&str, &str, &str),
        limits: CallLimits,
    ) -> (Result<String, String>, u64) {
        self.evaluated(key, texts, limits, Turn::Caller).await
    }

    async fn evaluated(
        &self,
        key: &Key,
        texts: (&str, &str, &str),
        limits: CallLimits,
        whose: Turn,
    ) -> (Result<String, String>, u64) {
        let judged: (Result<(Result<String, String>,), String>, u64) =
            self.call(key, &self.0.evaluate, texts, limits, whose).await;
        let result = match judged.0.and_then(|(result,)| result) {
            Ok(value) if value.len() > MAX_RESULT => Err(format!(
                "the result is {} bytes long, and may have {MAX_RESULT}: select less",
                value.len()
            )),
            other => other,
        };
        (result, judged.1)
    }

    /// Compiles a program that may use these variables, named without `$`. The error is a sentence for its author.
    pub(crate) async fn check(
        &self,
        key: &Key,
        program: &str,
        variables: &[String],
        limits: CallLimits,
    ) -> Result<(), String> {
        self.checked(key, (program, variables), limits, Turn::Own).await.0
    }

    /// The same for a guest that asks, in its turn; and the fuel that it took.
    pub(super) async fn check_counted(
        &self,
        key: &Key,
        program: &str,
        limits: CallLimits,
    ) -> (Result<(), String>, u64) {
        self.checked(key, (program, &[]), limits, Turn::Caller).await
    }

    async fn checked(
        &self,
        key: &Key,
        texts: (&str, &[String]),
        limits: CallLimits,
        whose: Turn,
    ) -> (Result<(), String>, u64) {
        let judged: (Result<(Result<(), String>,), String>, u64) =
            self.call(key, &self.0.check, texts, limits, whose).await;
        (judged.0.and_then(|(result,)| result), judged.1)
    }

    async fn call<P, R>(
        &self,
        key: &Key,
        export: &ComponentExportIndex,
        params: P,
        mut limits: CallLimits,
        whose: Turn,
    ) -> (Result<R, String>, u64)
    where
        P: wasmtime::component::ComponentNamedList + wasmtime::component::Lower + Send + Sync,
        R: wasmtime::component::ComponentNamedList + wasmtime::component::Lift + Send + Sync + 'static,
    {
        limits.memory_bytes = limits.memory_bytes.min(MAX_MEMORY);
        let Inner { host, pre, .. } = &*self.0;
        let (tenant, deadline) = (&key.0, store::deadline(limits.wall));
        let _place = match store::place(host.evaluations(), tenant, deadline).await {
            Ok(place) => place,
            Err(error) => return (Err(error.to_string()), 0),
        };
        let (mut store, kept) = match self.kept().take(key) {
            Some(Idle { store, instance, .. }) => (store, Some(instance)),
            None => {
                match store::store(host, CallState::new(Reach::Nothing(tenant.clone()), &limits), limits.cpu)
                {
                    Ok(store) => (store, None),
                    Err(error) => return (Err(error.to_string()), 0),
                }
            }
        };
        if let Err(error) = begin(&mut store, &limits) {
            return (Err(error.to_string()), 0);
        }
        let work = async {
            let instance = match kept {
                Some(instance) => instance,
                None => pre.instantiate_async(&mut store).await?,
            };
            let function = instance.get_typed_func::<P, R>(&mut store, export)?;
            let value = function.call_async(&mut store, params).await?;
            Ok((instance, value))
        };
        let worked = match whose {
            Turn::Own => timeout_at(deadline, host.turns().of(tenant, work)).await,
            Turn::Caller => timeout_at(deadline, work).await,
        };
        let spent = fuel(limits.cpu) - store.get_fuel().unwrap_or(0);
        let result = match worked {
            Ok(Ok((instance, value))) => {
                self.kept().put(key, store, instance, host.kept_evaluators());
                Ok(value)
            }
            Ok(Err(error)) => Err(stopped(&error, &mut store, &limits)),
            Err(_) => Err(format!(
                "the expression took longer than {} ms: simplify it, or raise `tenant.quota.step_time`",
                limits.wall.as_millis()
            )),
        };
        (result, spent)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn take(&mut self, key: &Key) -> Option<Idle> {
        let idle = self.idle.get_mut(key)?.pop()?;
        self.count -= 1;
        Some(idle)
    }

    fn put(&mut self, key: &Key, mut store: Store<CallState>, instance: Instance, most: usize) {
        // What it printed belongs to nobody, and must not be there for the next one.
        drop(store.data_mut().take_log());
        if store.data().meter.memory() > KEPT_MEMORY || most == 0 {
            return;
        }
        while self.count >= most {
            self.drop_oldest();
        }
        self.clock += 1;
        self.count += 1;
        let idle = Idle { store, instance, used: self.clock };
        match self.idle.get_mut(key) {
            Some(others) => others.push(idle),
            None => drop(self.idle.insert(key.clone(), vec![idle])),
        }
    }

    /// The last of each list was used latest, the first longest ago.
    fn drop_oldest(&mut self) {
        self.idle.retain(|_, idle| !idle.is_empty());
        let oldest = self.idle.iter_mut().min_by_key(|(_, idle)| idle.first().map(|idle| idle.used));
        if let Some((_, idle)) = oldest {
            idle.remove(0);
            self.count -= 1;
        }
    }
}

/// A new account in a store that may have had another one.
fn begin(store: &mut Store<CallState>, limits: &CallLimits) -> wasmtime::Result<()> {
    store.data_mut().meter.restart(limits);
    store.set_epoch_deadline(1);
    store.set_fuel(fuel(limits.cpu))
}

/// Why the expression did not come to an end, for its author.
fn stopped(error: &wasmtime::Error, store: &mut Store<CallState>, limits: &CallLimits) -> String {
    let state = store.data_mut();
    let log = state.take_log();
    let (fault, problem) = match fault::judge(error, &state.meter, &log, limits) {
        Ok(judged) => judged,
        Err(host) => return host.to_string(),
    };
    match fault {
        Fault::Cpu => format!(
            "the expression used up its CPU time of {} ms (`tenant.quota.cpu`): look for a loop that does not end",
            limits.cpu.as_millis()
        ),
        Fault::Memory => format!(
            "the expression needs more than its {} MiB of memory (`tenant.quota.memory`, 64 MiB at most): work on less at once",
            limits.memory_bytes / (1024 * 1024)
        ),
        Fault::Stack => {
            "the expression calls itself too deeply: look for a recursion that does not end".to_owned()
        }
        _ => {
            tracing::error!(%problem, "the expression guest failed");
            format!("the expression could not be evaluated: {problem}")
        }
    }
}
