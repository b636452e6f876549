//! `tidegate migrate`: brings files to the version of the language this build reads. There has been one so
//! far, so it says what a file is and what to do about one it cannot read.

use std::{path::PathBuf, process::ExitCode};

use super::{color, complain, exit, files, say};
use crate::config::{
    self,
    diagnostic::{Diagnostic, Diagnostics},
};

/// Arguments of `migrate`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Configuration file; may repeat; `-` is standard input [default: ./routes.yaml, then
    /// /etc/tidegate/routes.yaml]
    #[arg(short, long, value_name = "FILE", env = "TIDEGATE_CONFIG")]
    config: Vec<PathBuf>,
}

pub(super) fn migrate(arguments: &Arguments) -> ExitCode {
    let inputs = match files::inputs(&arguments.config) {
        Ok(inputs) => inputs,
        Err(error) => {
            complain(&format!("error: {error}"));
            return ExitCode::from(exit::FAILED);
        }
    };
    let mut read = config::versions(&inputs, &|name| std::env::var(name).ok());
    let mut problems: Diagnostics = std::mem::take(&mut read.problems);
    for (path, written) in &read.files {
        // An included file need not say it.
        let Some(version) = written.filter(|version| version.number != Some(1)) else {
            say(&format!("{}: version 1 is the current one, nothing to do", path.display()));
            continue;
        };
        problems.push(match version.number {
            Some(number) if number > 1 => {
                let message =
                    format!("version {number} of the language is newer than this Tidegate");
                let ours = env!("CARGO_PKG_VERSION");
                let help = format!("this is {ours}, which reads version 1; take a newer Tidegate");
                Diagnostic::error(version.place, message).help(help)
            }
            _ => Diagnostic::error(version.place, "there is no such version of the language")
                .help("write `version: 1`, and see what `tidegate check` says"),
        });
    }
    if !problems.has_errors() {
        return ExitCode::SUCCESS;
    }
    complain(&config::render(&problems, &read.sources, color()));
    ExitCode::from(exit::FAILED)
}
