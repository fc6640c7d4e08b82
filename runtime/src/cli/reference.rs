//! What the command line says of itself, compared with the texts that the repository keeps of it.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};

use super::Cli;
use crate::server::snapshot;

/// The columns of the kept help.
const WIDTH: usize = 100;

#[test]
fn the_help_of_every_command_is_as_kept() {
    let mut root = Cli::command().term_width(WIDTH);
    root.build();
    let mut text = String::new();
    write_help(&mut text, "flowcell", &mut root);
    snapshot::assert_kept("snapshots/help.txt", &text);
}

fn write_help(text: &mut String, words: &str, command: &mut Command) {
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    writeln!(text, "$ {words} --help\n{}\n", lines.join("\n")).expect("writing to a string does not fail");
    for below in command.get_subcommands_mut().filter(|below| below.get_name() != "help") {
        let words = format!("{words} {}", below.get_name());
        write_help(text, &words, below);
    }
}
