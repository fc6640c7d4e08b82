//! Holds the floors between the rooms of the engine: no file of a room names what lies above it, neither by a path nor by
//! a field of the runtime; and no type shows more of itself than one can keep in mind.

use std::path::Path;

use crate::imports::{climbed, module_of};
use crate::rules::{ABOVE_ALL, HOUSE, MOST_FIELDS, ROOM_WORDS, ROOMS};
use crate::source;
use crate::tree;

/// How high a file lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Floor {
    Words,
    /// The place in [`ROOMS`].
    Room(usize),
    Above,
}

/// Every import between rooms that goes up: `file:line: what and why`.
pub fn check(root: &Path) -> Vec<String> {
    house(root, check_file)
}

/// Every type that shows more than [`MOST_FIELDS`] fields to others.
pub fn check_types(root: &Path) -> Vec<String> {
    house(root, |file, _, text| {
        let large = source::shown_fields(text).into_iter().filter(|(_, _, shown)| *shown > MOST_FIELDS);
        let told = large.map(|(line, name, shown)| {
            format!("{file}:{line}: `{name}` shows {shown} fields to others, and may show {MOST_FIELDS}")
        });
        told.collect()
    })
}

fn house(root: &Path, check: impl Fn(&str, &[String], &str) -> Vec<String>) -> Vec<String> {
    let folder = root.join("runtime/src");
    let files =
        tree::files(&folder.join(HOUSE)).into_iter().filter(|path| tree::has_extension(path, &["rs"]));
    let checked = files.flat_map(|path| {
        let module = module_of(&tree::relative(&folder, &path));
        check(&tree::relative(root, &path), &module, &tree::read(&path))
    });
    checked.collect()
}

fn check_file(file: &str, module: &[String], text: &str) -> Vec<String> {
    let Some(place) = module.get(1) else { return vec![] };
    let Some(floor) = floor(place) else {
        return vec![format!("{file}:1: `{place}` is neither a room nor a word in tests/tidy/rules.rs")];
    };
    if floor == Floor::Above {
        return vec![];
    }
    let mut findings = vec![];
    for named in source::paths(text).iter().filter(|named| !named.test) {
        let target = match named.path.first().map(String::as_str) {
            Some("crate") => Some(named.path[1..].to_vec()),
            Some("super" | "self") => climbed(module, named),
            _ => None,
        };
        let Some([part, other, ..]) = target.as_deref() else { continue };
        if part == HOUSE && self::floor(other).is_some_and(|other| other > floor) {
            let path = named.path.join("::");
            findings.push(format!("{file}:{}: `{path}`: `{other}` lies above `{place}`", named.line));
        }
    }
    for (line, field) in source::fields_of(text, "rooms") {
        let into = ROOMS.iter().position(|room| room.fields.contains(&field.as_str()));
        if let Some(into) = into.filter(|into| Floor::Room(*into) > floor) {
            let other = ROOMS[into].module;
            findings.push(format!("{file}:{line}: `rooms.{field}`: `{other}` lies above `{place}`"));
        }
    }
    findings
}

/// Nothing for what the part itself declares, such as `Runtime`.
fn floor(place: &str) -> Option<Floor> {
    if ROOM_WORDS.contains(&place) {
        return Some(Floor::Words);
    }
    if ABOVE_ALL.contains(&place) {
        return Some(Floor::Above);
    }
    ROOMS.iter().position(|room| room.module == place).map(Floor::Room)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, text: &str) -> Vec<String> {
        check_file(file, &module_of(file), text)
    }

    #[test]
    fn an_import_from_a_room_above_is_found() {
        let findings =
            found("engine/steps/call.rs", "use super::places::Places;\nuse crate::engine::runs::Runs;\n");
        assert_eq!(
            findings,
            ["engine/steps/call.rs:2: `crate::engine::runs::Runs`: `runs` lies above `steps`"]
        );
        assert_eq!(found("engine/runs/mod.rs", "use super::inbound::Hook;").len(), 1);
        assert_eq!(
            found("engine/deployed/subscription/attempt.rs", "use super::super::super::runs::Runs;").len(),
            1
        );
        assert_eq!(found("engine/tenant.rs", "use super::steps::Places;").len(), 1);
    }

    #[test]
    fn a_room_sees_what_lies_below_it() {
        let text = "use super::journals::Lane;\nuse crate::engine::deployed::Deployed;\nuse crate::engine::{Runtime, steps::Steps};\nuse crate::flow::Flow;";
        assert_eq!(found("engine/runs/begin.rs", text), Vec::<String>::new());
        assert_eq!(found("engine/open.rs", "use super::admin::audit;"), Vec::<String>::new());
        assert_eq!(found("engine/mod.rs", "use self::runs::Runs;"), Vec::<String>::new());
    }

    #[test]
    fn the_runtime_is_no_way_around() {
        let findings =
            found("engine/steps/trial.rs", "fn a() { self.rooms.sandboxes.b(); self.rooms.runs.c(); }");
        assert_eq!(findings, ["engine/steps/trial.rs:1: `rooms.runs`: `runs` lies above `steps`"]);
    }

    #[test]
    fn a_folder_that_no_floor_has_is_found() {
        assert_eq!(found("engine/manager/mod.rs", "").len(), 1);
    }
}
