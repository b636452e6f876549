//! `tidegate completion`: what makes a shell complete verbs and flags.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::{Arguments as Tidegate, say};

/// Arguments of `completion`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Which shell
    shell: Shell,
}

pub(super) fn completion(arguments: &Arguments) -> ExitCode {
    let mut script = Vec::new();
    generate(arguments.shell, &mut Tidegate::command(), "tidegate", &mut script);
    say(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}
