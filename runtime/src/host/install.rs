//! From the bytes of a .wasm file to a [`Plugin`]: compiled (or from the cache), linked, described.
//!
//! Everything that may be wrong with a component is found here, and worded for its author.

use std::sync::Arc;
use std::time::Duration;

use flowcell_plugin_json_schema::ROOM;
use tokio::time::{Instant, timeout_at};
use wasmtime::component::{Component, InstancePre};

use super::bindings::{self, ACTION, IMPORTING, SAMPLING, TRIGGER};
use super::compile::Compiled;
use super::descriptor::Descriptor;
use super::exports::{Exports, WrongExport};
use super::limits::CallLimits;
use super::plugin::{Action, Plugin, Trigger};
use super::reach::Reach;
use super::schema::{Author, Schema};
use super::store::{self, CallState};
use super::{Host, HostError, call};
use crate::capability::wasi;
use crate::id::TenantId;
use crate::problem::Problem;

/// Largest component.
const MAX_WASM: usize = 32 * 1024 * 1024;
/// What `describe` may use. The time is generous: the fuel ends an endless loop long before.
const DESCRIBE: CallLimits = CallLimits {
    memory_bytes: 16 * 1024 * 1024,
    cpu: Duration::from_millis(50),
    cpu_per_minute: Duration::MAX,
    wall: Duration::from_secs(10),
    hand_over: 4 * 1024 * 1024,
};

/// Why a component cannot be installed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstallError {
    /// Over [`MAX_WASM`].
    #[error(
        "the component is {0} bytes large, and may have {MAX_WASM}: build it with `--release` and strip debug information"
    )]
    TooLarge(usize),
    /// No WebAssembly at all.
    #[error("this is not a WebAssembly file: it does not begin with `\\0asm`")]
    NotWasm,
    /// A module, not a component.
    #[error("this is a core WebAssembly module, not a component: build it for the target wasm32-wasip2")]
    CoreModule,
    /// It does not compile.
    #[error("the component is broken, or uses a WebAssembly feature that this host has switched off: {0}")]
    Broken(String),
    /// A limit ended its compilation.
    #[error(
        "the component is too much work to compile: {0}. Make it smaller, and its functions, or leave out what it does not use"
    )]
    TooHard(String),
    /// It imports what nobody offers.
    #[error("the component imports `{name}`, which is not offered: {instead}. Offered are {}", offered())]
    Import {
        /// The interface.
        name: String,
        /// What to use.
        instead: &'static str,
    },
    /// It imports something offered with another type or version.
    #[error("the component does not fit what this host offers: {0}; build it against flowcell:plugin 0.1.0")]
    Link(String),
    /// Nothing that a host could call.
    #[error("the component exports neither `{ACTION}` nor `{TRIGGER}`: end it with the SDK's `plugin!`")]
    NoExport,
    /// An export has another type.
    #[error("the component's exports are not those of flowcell:plugin 0.1.0: {0}")]
    WrongExport(String),
    /// `describe` did not return.
    #[error("`describe` failed: {0}. It runs alone, with nothing to call but WASI, for 50 ms and in 16 MiB")]
    Describe(Problem),
    /// `describe` returned nonsense.
    #[error("the component's descriptor is wrong: {0}")]
    Descriptor(String),
    /// Not the component's fault.
    #[error(transparent)]
    Host(#[from] HostError),
}

fn offered() -> String {
    format!("{} and {}", bindings::OFFERED.join(", "), wasi::OFFERED)
}

/// The component of the bytes, linked to what it imports.
pub(super) struct Linked {
    pub(super) compiled: Compiled,
    pub(super) pre: InstancePre<CallState>,
}

/// Installs a component, on the tenant's account.
pub(super) async fn install(
    host: &Host,
    tenant: &TenantId,
    wasm: &[u8],
    author: Author,
) -> Result<Arc<Plugin>, InstallError> {
    let stranger = match author {
        Author::Tenant => Some(tenant),
        Author::Host => None,
    };
    let Linked { compiled, pre } = link(host, stranger, wasm).await?;
    let exports = Exports::find(&compiled.component)?;
    let descriptor = describe(host, tenant, &compiled.component, &exports).await?;
    let promised =
        |says: bool, is_there: bool, name: &str, what: &str, interface: &str| match says && !is_there {
            true => Err(InstallError::Descriptor(format!(
                "`{name}` {what}, but the component does not export `{interface}`"
            ))),
            false => Ok(()),
        };
    let (name, imports) = (&descriptor.name, !descriptor.imports.is_empty());
    promised(imports, exports.import().is_ok(), name, "imports texts", IMPORTING)?;
    let mut room = ROOM;
    let mut schema = |schema, what: &str, of: &str| {
        Schema::compile(schema, author, &mut room).map_err(|why| wrong_schema(what, of, &why))
    };
    let actions = descriptor.actions.iter().map(|action| {
        let name = action.name.clone();
        let input = schema(&action.input, "input", &name)?;
        Ok(Action { name, input })
    });
    let actions = actions.collect::<Result<Vec<_>, InstallError>>()?;
    let triggers = descriptor.triggers.iter().map(|trigger| {
        let (name, samples) = (trigger.name.clone(), trigger.samples);
        promised(samples, exports.sample().is_ok(), &name, "reads samples", SAMPLING)?;
        let config = schema(&trigger.config, "config", &name)?;
        Ok(Trigger { name, subscribes: trigger.subscribes, samples, config })
    });
    let triggers = triggers.collect::<Result<Vec<_>, InstallError>>()?;
    let digest = compiled.digest.to_hex().to_string();
    host.compiler().keep(compiled).await;
    Ok(Arc::new(Plugin {
        actions,
        triggers,
        name: descriptor.name.clone(),
        version: descriptor.version.clone(),
        digest,
        descriptor,
        pre,
        exports,
    }))
}

/// Compiles or loads, and links. `stranger` is the tenant whose component it is; none for one that ships with the host.
pub(super) async fn link(
    host: &Host,
    stranger: Option<&TenantId>,
    wasm: &[u8],
) -> Result<Linked, InstallError> {
    check_header(wasm)?;
    let compiled = host.compiler().compile(stranger, wasm).await?;
    check_imports(&compiled.component)?;
    let pre = host
        .linker()
        .instantiate_pre(&compiled.component)
        .map_err(|error| InstallError::Link(format!("{error:#}")))?;
    Ok(Linked { compiled, pre })
}

fn check_header(wasm: &[u8]) -> Result<(), InstallError> {
    if wasm.len() > MAX_WASM {
        return Err(InstallError::TooLarge(wasm.len()));
    }
    match wasm {
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(InstallError::CoreModule),
        [0, b'a', b's', b'm', ..] => Ok(()),
        _ => Err(InstallError::NotWasm),
    }
}

fn check_imports(component: &Component) -> Result<(), InstallError> {
    let imports = component.component_type();
    for (name, _) in imports.imports(component.engine()) {
        let plain = name.split_once('@').map_or(name, |(plain, _)| plain);
        let ours = bindings::OFFERED
            .iter()
            .any(|offered| offered.split_once('@').is_some_and(|(offered, _)| offered == plain));
        // Types are nothing to call, and come with whatever uses them.
        if !ours && plain != "flowcell:plugin/types" && !wasi::offers(plain) {
            return Err(InstallError::Import { name: name.to_owned(), instead: instead(plain) });
        }
    }
    Ok(())
}

fn instead(import: &str) -> &'static str {
    if import.starts_with("wasi:sockets/") || import.starts_with("wasi:http/") {
        "a plugin reaches the network through `flowcell:plugin/http-request` alone, where the tenant's policy decides"
    } else if import.starts_with("wasi:") {
        "this host does not give that part of WASI to plugins"
    } else {
        "nothing of that name is known here"
    }
}

/// Asks the component what it is, where every import of this package traps.
async fn describe(
    host: &Host,
    tenant: &TenantId,
    component: &Component,
    exports: &Exports,
) -> Result<Descriptor, InstallError> {
    let link = || {
        let mut linker = host.bare_linker().clone();
        linker.define_unknown_imports_as_traps(component)?;
        linker.instantiate_pre(component)
    };
    let pre = link().map_err(|error| InstallError::Link(format!("{error:#}")))?;
    let started = Instant::now();
    let deadline = store::deadline(DESCRIBE.wall);
    let _place = store::place(host.calls(), tenant, deadline).await?;
    let state = CallState::new(Reach::Nothing(tenant.clone()), &DESCRIBE);
    let record = state.meter.record();
    let mut store = store::store(host, state, &DESCRIBE)?;
    let call = async {
        let instance = pre.instantiate_async(&mut store).await?;
        exports.compare(&instance, &mut store)?;
        let describe = instance
            .get_typed_func::<(), (String,)>(&mut store, exports.describe())
            .map_err(|error| WrongExport::new("describe", &error))?;
        describe.call_async(&mut store, ()).await
    };
    let result = timeout_at(deadline, host.turns().of(tenant, call).recorded(record)).await;
    if let Ok(Err(error)) = &result
        && let Some(wrong) = error.downcast_ref::<WrongExport>()
    {
        return Err(InstallError::WrongExport(wrong.to_string()));
    }
    let (text,) = call::finish(store, result, started, &DESCRIBE)?.result.map_err(InstallError::Describe)?;
    Descriptor::parse(&text).map_err(InstallError::Descriptor)
}

pub(super) fn wrong_schema(what: &str, of: &str, why: &str) -> InstallError {
    InstallError::Descriptor(format!("the {what} schema of `{of}` cannot be used: {why}"))
}
