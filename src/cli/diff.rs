//! `tidegate diff`: what a file would change, what widens access first; against another file or against the
//! running gateway.

use std::{path::PathBuf, process::ExitCode};

use clap::builder::FalseyValueParser;
use http::Method;
use serde_json::json;

use super::{color, complain, exit, files, format::Format, say, target::Target};
use crate::{
    config::{self, Loaded, model::Config},
    runtime::diff::{Diff, human},
};

/// Arguments of `diff`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The old file and the new one; one alone is the new one. `-` is standard input. [default: the file
    /// `run` would take]
    #[arg(value_name = "FILE", num_args = 0..=2)]
    pub(super) files: Vec<PathBuf>,
    /// Against what the running gateway serves
    #[arg(long, env = "TIDEGATE_LIVE", value_parser = FalseyValueParser::new())]
    pub(super) live: bool,
    /// What ends with exit code 4
    #[arg(long, value_enum, default_value = "any", env = "TIDEGATE_FAIL_ON")]
    fail_on: FailOn,
    /// How it is printed
    #[arg(long, value_enum, default_value = "human", env = "TIDEGATE_FORMAT")]
    format: Format,
    #[command(flatten)]
    target: Target,
}

/// What ends with exit code 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    /// Somebody may do more than before
    Widening,
    /// Any difference
    Any,
    /// Nothing
    None,
}

pub(super) fn diff(arguments: &Arguments) -> ExitCode {
    match compared(arguments) {
        Ok(diff) => {
            print(arguments.format, &diff);
            let failed = match arguments.fail_on {
                FailOn::Widening => diff.widens(),
                FailOn::Any => !diff.is_empty(),
                FailOn::None => false,
            };
            if failed { ExitCode::from(exit::DIFFERENT) } else { ExitCode::SUCCESS }
        }
        Err(code) => code,
    }
}

fn compared(arguments: &Arguments) -> Result<Diff, ExitCode> {
    let (old, new) = match (arguments.live, arguments.files.as_slice()) {
        (true, [_, _, ..]) => return Err(usage("`--live` takes the place of the old file")),
        (true, new) => {
            let new = if new.is_empty() { arguments.target.files() } else { new };
            return live(&arguments.target, new);
        }
        (false, [old, new]) => {
            if old == new && old.as_os_str() == "-" {
                return Err(usage("only one of the files can be standard input"));
            }
            (read(std::slice::from_ref(old))?, read(std::slice::from_ref(new))?)
        }
        (false, [new]) => (read(arguments.target.files())?, read(std::slice::from_ref(new))?),
        (false, _) => {
            return Err(usage(
                "name the old file and the new one, or the new one and `--live`, or `--live` alone \
                 for what a reload would change",
            ));
        }
    };
    Ok(Diff::between(&old, &new))
}

/// What is read here is compared there: a running gateway tells its own secrets to nobody.
fn live(target: &Target, new: &[PathBuf]) -> Result<Diff, ExitCode> {
    let snapshot = serde_json::to_vec(&loaded(new)?.snapshot).unwrap_or_default();
    let (status, mut answer) = target.send(Method::POST, "/diff", snapshot.into())?;
    if status.is_success()
        && let Ok(diff) = serde_json::from_value(answer["diff"].take())
    {
        return Ok(diff);
    }
    complain(match answer["errors"].as_str() {
        Some(errors) => errors,
        None => "error: the gateway does not know `diff`: it is of another version",
    });
    Err(ExitCode::from(exit::FAILED))
}

fn loaded(named: &[PathBuf]) -> Result<Loaded, ExitCode> {
    let inputs = files::inputs(named).map_err(|error| {
        complain(&format!("error: {error}"));
        ExitCode::from(exit::FAILED)
    })?;
    Ok(config::load(&inputs, &|name| std::env::var(name).ok()))
}

fn read(named: &[PathBuf]) -> Result<Config, ExitCode> {
    config_of(loaded(named)?)
}

/// The configuration, or everything that is wrong with it.
fn config_of(mut loaded: Loaded) -> Result<Config, ExitCode> {
    loaded.config.take().ok_or_else(|| {
        complain(&loaded.render(color()));
        ExitCode::from(exit::FAILED)
    })
}

fn usage(problem: &str) -> ExitCode {
    complain(&format!("error: {problem}"));
    ExitCode::from(exit::USAGE)
}

fn print(format: Format, diff: &Diff) {
    match format {
        Format::Human => say(&human(diff)),
        Format::Json => say(&format!(
            "{:#}",
            json!({
                "different": !diff.is_empty(),
                "widens": diff.widens(),
                "changes": diff.changes,
                "upstreams_unchanged": diff.kept,
            })
        )),
    }
}
