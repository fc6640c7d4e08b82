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
