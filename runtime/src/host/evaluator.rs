//! The expression guest: jq programs, judged in kept sandboxes.

use std::sync::Arc;

use wasmtime::component::ComponentExportIndex;

use super::Host;
use super::exports;
use super::install::{self, InstallError};
use super::kept::{KeptGuest, Key, Turn, Words};
use super::limits::CallLimits;
use super::turns::Record;

/// Largest result.
const MAX_RESULT: usize = 8 * 1024 * 1024;

const WORDS: Words = Words {
    what: "the expression",
    cpu: "look for a loop that does not end",
    memory: "work on less at once",
    stack: "calls itself too deeply: look for a recursion that does not end",
    failed: "could not be evaluated",
};

/// Judges jq programs.
#[derive(Clone)]
pub(crate) struct Evaluator(Arc<Inner>);

struct Inner {
    guest: KeptGuest,
    evaluate: ComponentExportIndex,
    check: ComponentExportIndex,
}

impl Evaluator {
    pub(super) async fn new(host: &Host, wasm: &[u8]) -> Result<Self, InstallError> {
        let linked = install::link(host, None, wasm).await?;
        let (evaluate, check) = exports::expression(&linked.compiled.component)?;
        let guest = KeptGuest::new(host, linked.pre, WORDS);
        host.compiler().keep(linked.compiled).await;
        Ok(Self(Arc::new(Inner { guest, evaluate, check })))
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
        callers: Record,
    ) -> (Result<String, String>, u64) {
        self.evaluated(key, texts, limits, Turn::Caller(callers)).await
    }

    async fn evaluated(
        &self,
        key: &Key,
        texts: (&str, &str, &str),
        limits: CallLimits,
        whose: Turn,
    ) -> (Result<String, String>, u64) {
        let Inner { guest, evaluate, .. } = &*self.0;
        let (judged, spent) = guest.call(key, evaluate, texts, limits, whose).await;
        let result = match judged.and_then(|result: Result<String, String>| result) {
            Ok(value) if value.len() > MAX_RESULT => Err(format!(
                "the result is {} bytes long, and may have {MAX_RESULT}: select less",
                value.len()
            )),
            other => other,
        };
        (result, spent)
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
        callers: Record,
    ) -> (Result<(), String>, u64) {
        self.checked(key, (program, &[]), limits, Turn::Caller(callers)).await
    }

    async fn checked(
        &self,
        key: &Key,
        texts: (&str, &[String]),
        limits: CallLimits,
        whose: Turn,
    ) -> (Result<(), String>, u64) {
        let Inner { guest, check, .. } = &*self.0;
        let (judged, spent) = guest.call(key, check, texts, limits, whose).await;
        (judged.and_then(|result: Result<(), String>| result), spent)
    }
}
