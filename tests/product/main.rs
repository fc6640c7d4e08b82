//! The product as its users see it: the real binary, started by the harness, one module per subject.
//!
//! Every test makes its own folder, servers and processes, so all run side by side. What a test expects is the contract
//! with the outside: commands, files, addresses, statuses and the words that an error cannot do without.

mod admin;
mod authors;
mod backup;
mod callbacks;
mod check;
mod config;
mod connections;
mod demo;
mod dev;
#[cfg(target_os = "linux")]
mod disk_full;
mod documents;
mod durability;
mod egress;
mod endurance;
mod examples;
mod forks;
mod http_faults;
mod http_request;
mod http_retry;
mod http_webhook;
mod journals;
mod policy;
mod quota;
mod respond;
mod rest;
mod rest_runs;
mod retention;
mod run;
mod run_language;
mod run_requests;
mod sandbox;
mod schedules;
mod schemas;
mod secrets;
mod signatures;
mod steps;
mod subscriptions;
mod tokens;
mod wall;
mod webhook;

use flowcell_tests::Product;

/// The binary under test.
const FLOWCELL: Product =
    Product::new(env!("CARGO_BIN_EXE_flowcell-under-test"), env!("CARGO_TARGET_TMPDIR"));
