//! What a component exports, looked up once: a function's index in the component, so that a call finds it without its name,
//! and each function's type compared with the one that the host calls it by.

use wasmtime::component::{Component, ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower};
use wasmtime::{AsContextMut, Store};

use super::HostError;
use super::bindings::{
    ACTION, CHECKS, EXPRESSION, GuestOutcome, IMPORTING, Remark, Returned, SAMPLING, SCHEMA, TRIGGER,
};
use super::install::InstallError;
use super::store::CallState;

/// Where the functions of a component are. An interface that it does not export is absent.
pub(super) struct Exports {
    action: Option<ActionExports>,
    trigger: Option<TriggerExports>,
    check: Option<ComponentExportIndex>,
    import: Option<ComponentExportIndex>,
    sample: Option<ComponentExportIndex>,
}

/// The functions of [`ACTION`].
pub(super) struct ActionExports {
    describe: ComponentExportIndex,
    pub(super) start: ComponentExportIndex,
    pub(super) resume: ComponentExportIndex,
    pub(super) cancel: ComponentExportIndex,
}

/// The functions of [`TRIGGER`].
pub(super) struct TriggerExports {
    describe: ComponentExportIndex,
    pub(super) enable: ComponentExportIndex,
    pub(super) disable: ComponentExportIndex,
    pub(super) receive: ComponentExportIndex,
}

impl Exports {
    pub(super) fn action(&self) -> Result<&ActionExports, HostError> {
        self.action.as_ref().ok_or(HostError::NoExport("actions"))
    }

    pub(super) fn trigger(&self) -> Result<&TriggerExports, HostError> {
        self.trigger.as_ref().ok_or(HostError::NoExport("triggers"))
    }

    /// Absent where the plugin checks nothing.
    pub(super) fn check(&self) -> Option<&ComponentExportIndex> {
        self.check.as_ref()
    }

    pub(super) fn import(&self) -> Result<&ComponentExportIndex, HostError> {
        self.import.as_ref().ok_or(HostError::NoExport("`importing`"))
    }

    pub(super) fn sample(&self) -> Result<&ComponentExportIndex, HostError> {
        self.sample.as_ref().ok_or(HostError::NoExport("`sampling`"))
    }

    /// The error is worded for the component's author.
    pub(super) fn find(component: &Component) -> Result<Self, InstallError> {
        let interface = |name| component.get_export_index(None, name);
        let function = |interface: &ComponentExportIndex, name: &'static str| {
            component
                .get_export_index(Some(interface), name)
                .ok_or_else(|| InstallError::WrongExport(format!("there is no function `{name}`")))
        };
        let action = match interface(ACTION) {
            None => None,
            Some(action) => Some(ActionExports {
                describe: function(&action, "describe")?,
                start: function(&action, "start")?,
                resume: function(&action, "resume")?,
                cancel: function(&action, "cancel")?,
            }),
        };
        let trigger = match interface(TRIGGER) {
            None => None,
            Some(trigger) => Some(TriggerExports {
                describe: function(&trigger, "describe")?,
                enable: function(&trigger, "enable")?,
                disable: function(&trigger, "disable")?,
                receive: function(&trigger, "receive")?,
            }),
        };
        if action.is_none() && trigger.is_none() {
            return Err(InstallError::NoExport);
        }
        let optional = |name, of: &'static str| interface(name).map(|found| function(&found, of)).transpose();
        Ok(Self {
            action,
            trigger,
            check: optional(CHECKS, "check")?,
            import: optional(IMPORTING, "from-text")?,
            sample: optional(SAMPLING, "sample")?,
        })
    }

    /// Compares every function with the type that the host will call it by.
    pub(super) fn compare(
        &self,
        instance: &Instance,
        store: &mut Store<CallState>,
    ) -> Result<(), WrongExport> {
        if let Some(action) = &self.action {
            compare::<(&str, &str), Returned<GuestOutcome>>(instance, store, &action.start, "start")?;
            compare::<(&str, &[u8], &str), Returned<GuestOutcome>>(
                instance,
                store,
                &action.resume,
                "resume",
            )?;
            compare::<(&str, &[u8], &str), Returned<()>>(instance, store, &action.cancel, "cancel")?;
        }
        if let Some(trigger) = &self.trigger {
            compare::<(&str, &str), Returned<Vec<u8>>>(instance, store, &trigger.enable, "enable")?;
            compare::<(&str, &str, &[u8]), Returned<()>>(instance, store, &trigger.disable, "disable")?;
            compare::<(&str, &str), Returned<String>>(instance, store, &trigger.receive, "receive")?;
        }
        if let Some(export) = &self.check {
            compare::<(&str, &str), Vec<Remark>>(instance, store, export, "check")?;
        }
        if let Some(export) = &self.import {
            compare::<(&str, &str), Result<String, String>>(instance, store, export, "from-text")?;
        }
        if let Some(export) = &self.sample {
            compare::<(&str, &str), Result<String, String>>(instance, store, export, "sample")?;
        }
        Ok(())
    }

    /// Where the component describes itself.
    pub(super) fn describe(&self) -> &ComponentExportIndex {
        match (&self.action, &self.trigger) {
            (Some(action), _) => &action.describe,
            (None, Some(trigger)) => &trigger.describe,
            (None, None) => unreachable!("`find` refuses a component with neither"),
        }
    }
}

/// A function that the host could not call.
#[derive(Debug, thiserror::Error)]
#[error("`{function}` has another type ({reason})")]
pub(super) struct WrongExport {
    function: &'static str,
    reason: String,
}

impl WrongExport {
    pub(super) fn new(function: &'static str, error: &wasmtime::Error) -> Self {
        Self { function, reason: error.root_cause().to_string() }
    }
}

/// `R`: what it returns.
fn compare<P, R>(
    instance: &Instance,
    store: &mut Store<CallState>,
    export: &ComponentExportIndex,
    function: &'static str,
) -> Result<(), WrongExport>
where
    P: ComponentNamedList + Lower,
    R: Lift + 'static,
    (R,): ComponentNamedList,
{
    match instance.get_typed_func::<P, (R,)>(store.as_context_mut(), export) {
        Ok(_) => Ok(()),
        Err(error) => Err(WrongExport::new(function, &error)),
    }
}

/// `evaluate` and `check` of the expression guest.
pub(super) fn expression(
    component: &Component,
) -> Result<(ComponentExportIndex, ComponentExportIndex), InstallError> {
    two(component, EXPRESSION, ["evaluate", "check"])
}

/// `validate` and `check` of the schema guest.
pub(super) fn schema(
    component: &Component,
) -> Result<(ComponentExportIndex, ComponentExportIndex), InstallError> {
    two(component, SCHEMA, ["validate", "check"])
}

fn two(
    component: &Component,
    interface: &str,
    [one, other]: [&str; 2],
) -> Result<(ComponentExportIndex, ComponentExportIndex), InstallError> {
    let find = || {
        let found = component.get_export_index(None, interface)?;
        let function = |name| component.get_export_index(Some(&found), name);
        Some((function(one)?, function(other)?))
    };
    find().ok_or_else(|| {
        InstallError::WrongExport(format!("there is no `{interface}` with `{one}` and `{other}`"))
    })
}
