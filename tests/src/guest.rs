//! Guests: the misbehaving probe, built with this crate, and components that no toolchain would make, built by hand.

use std::path::Path;

/// The component file of tests/probe.
pub fn probe() -> &'static Path {
    Path::new(env!("FLOWCELL_PROBE"))
}

/// The same guest without WASI, as the plugins of the bundle are built.
pub fn bare_probe() -> &'static Path {
    Path::new(env!("FLOWCELL_BARE_PROBE"))
}

/// A component that wants an interface, for example `wasi:sockets/tcp@0.2.0`.
///
/// # Panics
/// When the interface's name is none.
pub fn component_importing(interface: &str) -> Vec<u8> {
    let text = format!(r#"(component (import "{interface}" (instance (export "wanted" (func)))))"#);
    wat::parse_str(&text).expect("the text is a component")
}

/// A core module, which is what a compiler makes before anybody makes a component of it.
///
/// # Panics
/// Never.
pub fn core_module() -> Vec<u8> {
    wat::parse_str(r#"(module (func (export "start")))"#).expect("the text is a module")
}

/// A component that asks for nothing and does nothing, and takes a compiler seconds: so many functions of a thousand loops
/// within each other.
///
/// # Panics
/// Never.
pub fn laborious_component(functions: usize) -> Vec<u8> {
    let (begin, end) = ("(loop (br_if 0 (local.tee 0 (i32.mul (local.get 0) (local.get 1))))", ")");
    let body = format!("{}{}", begin.repeat(1000), end.repeat(1000));
    let function = format!("(func (param i32 i32) {body})");
    let text = format!("(component (core module {}))", function.repeat(functions));
    wat::parse_str(&text).expect("the text is a component")
}
