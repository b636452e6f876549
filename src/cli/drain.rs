//! `tidegate drain`: what SIGTERM does, for those who have no process id at hand (a `preStop` hook).

use std::process::ExitCode;

use http::Method;

use super::{exit, say, target::Target};

/// Arguments of `drain`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: Target,
}

pub(super) fn drain(arguments: &Arguments) -> ExitCode {
    match arguments.target.call(Method::POST, "/drain") {
        Ok((status, answer)) => {
            say(answer["result"].as_str().unwrap_or_default());
            if status.is_success() { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) }
        }
        Err(code) => code,
    }
}
