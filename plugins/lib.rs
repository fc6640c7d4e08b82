//! The plugins that every host has: their names and their components.
//!
//! Each has a folder of its own beside this file, whose Cargo.toml says for which target it is compiled; the build
//! script compiles them and makes the list. What a component exports and wants, its descriptor says; nothing of that
//! stands here.

/// A plugin of the bundle.
#[derive(Clone, Copy)]
pub struct Bundled {
    /// Its name.
    pub name: &'static str,
    /// The component's bytes.
    pub wasm: &'static [u8],
}

/// The name of the one that evaluates expressions. No flow calls it.
pub const EXPRESSIONS: &str = "jq";

/// The name of the one that compares values with JSON Schemas. No flow calls it.
pub const SCHEMAS: &str = "json-schema";

impl std::fmt::Debug for Bundled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.wasm.len())
    }
}

/// All plugins of the bundle.
///
/// ```
/// let names: Vec<_> = flowcell_plugins::bundled().iter().map(|plugin| plugin.name).collect();
/// assert_eq!(names, ["curl", "http-request", "http-webhook", "webhook", "jq", "json-schema"]);
/// ```
pub fn bundled() -> &'static [Bundled] {
    const BUNDLED: &[Bundled] = include!(concat!(env!("OUT_DIR"), "/bundle.rs"));
    BUNDLED
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_plugin_is_a_component() {
        for plugin in super::bundled() {
            // The preamble of a component: magic, version 13, layer 1.
            assert_eq!(plugin.wasm.get(..8), Some(b"\0asm\x0d\0\x01\0".as_slice()), "{plugin:?}");
        }
    }
}
