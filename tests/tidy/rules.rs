//! The rules: which part of the runtime may know which other, and which crates it may know.

/// What one part must never name.
pub struct Part {
    /// A top-level module of runtime/src.
    pub module: &'static str,
    /// What of the runtime it may use.
    pub uses: Uses,
    /// Crates that it must never name, tests aside: a test may need a clock or a server.
    pub never_crates: &'static [&'static str],
}

/// What of the runtime a part may use.
pub enum Uses {
    /// Every module but these.
    AllBut(&'static [&'static str]),
    /// What the library makes public, and these modules.
    PublicAnd(&'static [&'static str]),
}

use Uses::{AllBut, PublicAnd};

/// From the words that everyone shares up to the outermost door. A module that is not here is a finding.
pub const PARTS: &[Part] = &[
    Part {
        module: "id",
        uses: AllBut(EVERYTHING),
        never_crates: &["tokio", "hyper", "wasmtime", "rusqlite"],
    },
    Part {
        module: "problem",
        uses: AllBut(EVERYTHING),
        never_crates: &["tokio", "hyper", "wasmtime", "rusqlite"],
    },
    Part {
        module: "json",
        uses: AllBut(EVERYTHING),
        never_crates: &["tokio", "hyper", "wasmtime", "rusqlite"],
    },
    Part {
        module: "descriptors",
        uses: AllBut(EVERYTHING),
        never_crates: &["tokio", "hyper", "wasmtime", "rusqlite"],
    },
    Part { module: "shares", uses: AllBut(EVERYTHING), never_crates: &["hyper", "wasmtime", "rusqlite"] },
    Part {
        module: "memory",
        uses: AllBut(EVERYTHING),
        never_crates: &["tokio", "hyper", "wasmtime", "rusqlite"],
    },
    Part {
        module: "nearest",
        uses: AllBut(EVERYTHING),
        never_crates: &["tokio", "hyper", "wasmtime", "rusqlite"],
    },
    Part {
        module: "rate",
        uses: AllBut(EVERYTHING),
        never_crates: &["tokio", "hyper", "wasmtime", "rusqlite"],
    },
    Part {
        module: "redact",
        uses: AllBut(EVERYTHING),
        never_crates: &["tokio", "hyper", "wasmtime", "rusqlite"],
    },
    Part { module: "clock", uses: AllBut(EVERYTHING), never_crates: &["hyper", "wasmtime", "rusqlite"] },
    Part { module: "config", uses: AllBut(EVERYTHING), never_crates: &["tokio", "wasmtime", "rusqlite"] },
    Part {
        module: "flow",
        uses: AllBut(&["clock", "config", "journal", "capability", "host", "engine", "server", "cli"]),
        never_crates: &["tokio", "hyper", "hyper_util", "wasmtime", "wasmtime_wasi", "rusqlite"],
    },
    Part {
        module: "journal",
        uses: AllBut(&["flow", "capability", "host", "engine", "server", "cli"]),
        never_crates: &["hyper", "hyper_util", "wasmtime", "wasmtime_wasi"],
    },
    Part {
        module: "capability",
        uses: AllBut(&["flow", "journal", "host", "engine", "server", "cli"]),
        never_crates: &["rusqlite"],
    },
    Part {
        module: "host",
        uses: AllBut(&["flow", "journal", "engine", "server", "cli"]),
        never_crates: &["hyper", "hyper_util", "rusqlite"],
    },
    Part {
        module: "engine",
        uses: AllBut(&["server", "cli"]),
        never_crates: &["hyper", "hyper_util", "wasmtime", "wasmtime_wasi", "rusqlite"],
    },
    Part {
        module: "server",
        uses: PublicAnd(&["descriptors", "json", "memory", "redact", "shares"]),
        never_crates: &["wasmtime", "wasmtime_wasi", "rusqlite"],
    },
    Part {
        module: "cli",
        uses: PublicAnd(&["server"]),
        never_crates: &["wasmtime", "wasmtime_wasi", "rusqlite"],
    },
];

/// What the shared words do not know: every part with a purpose of its own.
const EVERYTHING: &[&str] = &["flow", "journal", "capability", "host", "engine", "server", "cli"];

/// The part whose folders lie on floors.
pub const HOUSE: &str = "engine";

/// A folder of [`HOUSE`].
pub struct Room {
    /// Its name.
    pub module: &'static str,
    /// The fields of `Rooms` that lead into it: what is below does not go that way either.
    pub fields: &'static [&'static str],
}

/// The rooms of the engine, from the lowest floor up. A room imports from itself and from the rooms below it.
pub const ROOMS: &[Room] = &[
    Room { module: "steps", fields: &["sandboxes"] },
    Room { module: "deployed", fields: &["deployer"] },
    Room { module: "runs", fields: &["runs"] },
    Room { module: "inbound", fields: &[] },
    Room { module: "admin", fields: &["sealer"] },
];

/// The words that the rooms share. They lie below all rooms and import none.
pub const ROOM_WORDS: &[&str] =
    &["addresses", "carried", "folder", "journals", "lifecycle", "observers", "options", "tenant"];

/// What opens the house and what tries it: these see every room.
pub const ABOVE_ALL: &[&str] = &["open", "simulator", "tests"];

/// How many fields a type of the engine may show to others.
pub const MOST_FIELDS: usize = 10;

/// What is finished later is not finished: these stand in no file. Split, so that they do not stand in this one.
pub const WORDS: &[(&str, &str)] = &[("TO", "DO"), ("FIX", "ME"), ("XX", "X"), ("for ", "now")];

/// Folders that work for every plugin alike: no plugin is named in them.
pub const NAMELESS: &[&str] = &["runtime/src/flow", "runtime/src/engine"];

/// Folders of plugins whose names the flow language has for itself: its HTTP call, and its expressions.
pub const NAMES_OF_ITS_OWN: &[&str] = &["http", "jq"];
