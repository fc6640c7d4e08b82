//! When the memory of guests goes back to the system.
//!
//! The pool gives back many pieces at a time. A call by itself has only one: what lies below the upper part of its stack,
//! mostly untouched. To give back even nothing makes the kernel interrupt every core where two threads do it at the same time.

use std::ops::{Deref, DerefMut};

use futures_util::FutureExt as _;
use wasmtime::{AsContext, AsContextMut, Engine, Func, Store, StoreContext, StoreContextMut};

use super::store::CallState;

/// How many pieces of memory are given back together.
pub(super) const BATCH: usize = 64;

/// The store of a guest. When it is dropped, the memory of a large guest goes back at once.
pub(super) struct GuestStore(Option<Store<CallState>>);

impl GuestStore {
    pub(super) fn new(store: Store<CallState>) -> Self {
        Self(Some(store))
    }
}

impl Deref for GuestStore {
    type Target = Store<CallState>;

    fn deref(&self) -> &Store<CallState> {
        self.0.as_ref().expect("only its drop takes it")
    }
}

impl DerefMut for GuestStore {
    fn deref_mut(&mut self) -> &mut Store<CallState> {
        self.0.as_mut().expect("only its drop takes it")
    }
}

impl AsContext for GuestStore {
    type Data = CallState;

    fn as_context(&self) -> StoreContext<'_, CallState> {
        (**self).as_context()
    }
}

impl AsContextMut for GuestStore {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, CallState> {
        (**self).as_context_mut()
    }
}

impl Drop for GuestStore {
    fn drop(&mut self) {
        let large = self.data().meter.is_counted().then(|| self.engine().clone());
        self.0 = None;
        if let Some(engine) = large {
            give_back(&engine);
        }
    }
}

/// Has all pieces given back that wait on this thread. wasmtime has nothing that asks for it, but does it as soon as [`BATCH`]
/// of them wait, and the stack of a call is one.
fn give_back(engine: &Engine) {
    for _ in 0..BATCH {
        let mut store = Store::new(engine, ());
        let call = Func::wrap_async(&mut store, |_, (): ()| Box::new(async {}));
        // It returns nothing, and waits for nothing.
        let _ = call.call_async(&mut store, &[], &mut []).now_or_never();
    }
}
