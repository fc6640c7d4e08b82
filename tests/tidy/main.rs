//! Holds the project to its own rules about its text: who imports whom, what every module says of itself, what the map
//! names, and what is never committed.
//!
//! The rules are data in [`rules`]; a rule is changed there, with a reason in the commit, and nowhere else. This test
//! reads files and runs nothing.

mod imports;
mod layout;
mod names;
mod rooms;
mod rules;
mod scenarios;
mod source;
mod tree;
mod words;

use std::path::Path;

/// The repository's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the repository")
}

/// Fails with every finding, one a line.
fn none(findings: &[String]) {
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

#[test]
fn no_import_goes_up_or_sideways() {
    none(&imports::check(root()));
}

#[test]
fn no_room_of_the_engine_looks_up() {
    none(&rooms::check(root()));
}

#[test]
fn no_type_of_the_engine_shows_more_than_one_can_keep_in_mind() {
    none(&rooms::check_types(root()));
}

#[test]
fn what_works_for_every_plugin_names_none() {
    none(&names::check(root()));
}

#[test]
fn every_module_says_what_it_holds() {
    none(&layout::undocumented(root()));
}

#[test]
fn the_map_names_every_module() {
    none(&layout::unmapped(root()));
}

#[test]
fn nothing_that_a_build_makes_is_committed() {
    none(&layout::built(&tree::committed(root())));
}

#[test]
fn every_scenario_has_its_test() {
    none(&scenarios::missing(root()));
}

#[test]
fn nothing_is_left_for_later() {
    none(&words::check(root()));
}
