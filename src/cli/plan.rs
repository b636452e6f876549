//! `tidegate plan`: what a file would have done to the requests of an access log.

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::builder::{FalseyValueParser, NonEmptyStringValueParser};
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::{color, complain, exit, files, format::Format, say, target::Target};
use crate::{
    config::Input,
    layers::custom::Registry,
    plan::{self, Plan, Progress, Settings},
    runtime::{
        Runtime,
        candidate::{Candidate, Env},
        live::Live,
    },
};

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The new file; `-` is standard input
    #[arg(value_name = "NEW")]
    pub(super) new: PathBuf,
    /// An access log: JSON, ECS, common or combined; gzip or not; `-` is standard input
    #[arg(long, value_name = "FILE", env = "TIDEGATE_LOG")]
    pub(super) log: PathBuf,
    /// The old file [default: the one `run` would take]
    #[arg(long, value_name = "FILE", env = "TIDEGATE_CURRENT", conflicts_with = "live")]
    current: Option<PathBuf>,
    /// Against what the running gateway serves
    #[arg(long, env = "TIDEGATE_LIVE", value_parser = FalseyValueParser::new())]
    live: bool,
    /// The host of requests whose log does not say it
    #[arg(long, value_name = "HOST", env = "TIDEGATE_HOST",
          value_parser = NonEmptyStringValueParser::new())]
    host: Option<String>,
    /// Examples of each group
    #[arg(long, value_name = "N", default_value_t = 3, env = "TIDEGATE_SAMPLES")]
    samples: usize,
    /// What ends with exit code 4; may repeat
    #[arg(long, value_enum, env = "TIDEGATE_FAIL_ON", value_delimiter = ',')]
    fail_on: Vec<FailOn>,
    /// How it is printed
    #[arg(long, value_enum, default_value = "human", env = "TIDEGATE_FORMAT")]
    format: Format,
    #[command(flatten)]
    target: Target,
}

/// What ends with exit code 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    /// Any change
    Change,
    /// Requests that would be refused
    Refused,
    /// Requests that would be let in
    LetIn,
}

pub(super) fn plan(arguments: &Arguments, registry: &Registry) -> ExitCode {
    match planned(arguments, registry) {
        Ok(plan) => {
            match arguments.format {
                Format::Human => say(&plan::human(&plan)),
                Format::Json => match serde_json::to_string_pretty(&plan) {
                    Ok(text) => say(&text),
                    Err(error) => complain(&format!("error: {error}")),
                },
            }
            if plan.replayed == 0 {
                complain(&nothing(&arguments.log, &plan));
                return ExitCode::from(exit::DIFFERENT);
            }
            let fails = |it: &FailOn| match it {
                FailOn::Change => plan.changed > 0,
                FailOn::Refused => plan.refused > 0,
                FailOn::LetIn => plan.let_in > 0,
            };
            match arguments.fail_on.iter().any(fails) {
                true => ExitCode::from(exit::DIFFERENT),
                false => ExitCode::SUCCESS,
            }
        }
        Err(code) => code,
    }
}

/// Why a plan says nothing.
fn nothing(log: &Path, plan: &Plan) -> String {
    let log = log.display();
    let most = plan.not_replayed.iter().max_by_key(|(_, count)| **count);
    match most {
        None => format!("error: {log} is empty: no request was replayed"),
        Some((why, count)) => format!(
            "error: no request of {log} was replayed: {count} of {} lines: {why}",
            plan.lines
        ),
    }
}

fn planned(arguments: &Arguments, registry: &Registry) -> Result<Plan, ExitCode> {
    let failed = |error: io::Error| {
        complain(&format!("error: {error}"));
        ExitCode::from(exit::FAILED)
    };
    let from_pipe = [Some(&arguments.new), Some(&arguments.log), arguments.current.as_ref()];
    if from_pipe.into_iter().flatten().filter(|path| path.as_os_str() == "-").count() > 1 {
        complain("error: only one of the files can be standard input");
        return Err(ExitCode::from(exit::USAGE));
    }
    // Nothing runs on it: compiling wants to know where tasks would run.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let handle = runtime.handle();
    let read = |named: &[PathBuf]| -> Result<Candidate, ExitCode> {
        let env: Env = Arc::new(|name| std::env::var(name).ok());
        files::inputs(named).map(|inputs| Candidate::read(&inputs, &env)).map_err(failed)
    };
    let old = match (&arguments.current, arguments.live) {
        (Some(old), _) => read(std::slice::from_ref(old))?,
        (None, true) => running(&arguments.target)?,
        (None, false) => read(arguments.target.files())?,
    };
    let new = read(std::slice::from_ref(&arguments.new))?;
    let (old, new) = (compiled(old, registry, handle)?, compiled(new, registry, handle)?);
    let settings = Settings { host: arguments.host.clone(), samples: arguments.samples };
    let bar = Bar::new();
    let plan = plan::replay((&old, &new), &arguments.log, &settings, &bar);
    bar.end();
    plan.map_err(|error| {
        complain(&format!("error: cannot read {}: {error}", arguments.log.display()));
        ExitCode::from(exit::FAILED)
    })
}

/// What the running gateway serves, read from its own files. It tells nobody what it has read, for that has
/// secrets in it; whether it is this, the fingerprint says.
fn running(target: &Target) -> Result<Candidate, ExitCode> {
    let (_, answer) = target.call(Method::GET, "/status")?;
    let now = &answer["config"];
    let names = now["inputs"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let inputs: Vec<Input> = names.map(|name| Input::File(name.into())).collect();
    let env: Env = Arc::new(|name| std::env::var(name).ok());
    let candidate = Candidate::read_quarantining(&inputs, &env, now["quarantine"] == true);
    if !inputs.is_empty() && now["hash"] == *candidate.hash {
        return Ok(candidate);
    }
    complain(
        "error: what runs is not what its files say here: a reload was refused, it was rolled back, or \
         variables are others than there\nhelp: `tidegate diff --live` says what differs; `--current` names \
         the file to compare with",
    );
    Err(ExitCode::from(exit::FAILED))
}

fn compiled(
    mut candidate: Candidate,
    registry: &Registry,
    handle: &tokio::runtime::Handle,
) -> Result<Runtime, ExitCode> {
    let compiled = candidate.settle(|config| Live::dry(config, registry.clone(), handle));
    compiled.map(|(_, (runtime, _))| runtime).map_err(|problems| {
        complain(&candidate.render(problems, color()));
        ExitCode::from(exit::FAILED)
    })
}

// === how far it is ===

/// A bar on a terminal, nothing elsewhere.
struct Bar(Option<ProgressBar>);

impl Bar {
    fn new() -> Self {
        let style = ProgressStyle::with_template(
            "{wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
        );
        let bar = style.ok().filter(|_| io::stderr().is_terminal());
        Self(bar.map(|style| ProgressBar::no_length().with_style(style)))
    }

    fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Bar {
    fn at(&self, bytes: u64, of: Option<u64>) {
        if let Some(bar) = &self.0 {
            if let Some(of) = of {
                bar.set_length(of);
            }
            bar.set_position(bytes);
        }
    }
}
