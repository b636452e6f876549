//! `tidegate check`: everything that is wrong with the files, without touching anything; and what they
//! open to whom.

mod online;
mod report;

use std::{io, path::PathBuf, process::ExitCode, sync::Arc};

use clap::builder::FalseyValueParser;

use self::online::Line;
use super::{color, complain, count, exit, files, say};
use crate::{
    config::{
        diagnostic::{Diagnostics, Severity, Sources},
        model::Config,
    },
    explain::exposure,
    layers::custom::Registry,
    runtime::{
        candidate::{Candidate, Env},
        live::Live,
    },
};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Configuration file; may repeat; `-` is standard input [default: ./routes.yaml, then
    /// /etc/tidegate/routes.yaml]
    #[arg(short, long, value_name = "FILE", env = "TIDEGATE_CONFIG")]
    config: Vec<PathBuf>,
    /// Warnings fail as well
    #[arg(long, env = "TIDEGATE_STRICT", value_parser = FalseyValueParser::new())]
    pub(super) strict: bool,
    /// Look whether what the files name is there: names, endpoints and what finds them, addresses, keys
    /// of issuers, OpenID providers, stores
    #[arg(long, env = "TIDEGATE_ONLINE", value_parser = FalseyValueParser::new())]
    online: bool,
    /// As `run --quarantine` would: broken included files do not refuse everything
    #[arg(long, env = "TIDEGATE_QUARANTINE", value_parser = FalseyValueParser::new())]
    quarantine: bool,
    /// How it is printed
    #[arg(long, value_enum, default_value = "human", env = "TIDEGATE_FORMAT")]
    format: Format,
}

/// How it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Human,
    /// One JSON object
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Annotations of a GitHub workflow
    Github,
}

/// What was found.
struct Checked<'a> {
    /// The configuration, if it is accepted.
    good: Option<&'a Config>,
    findings: &'a Diagnostics,
    sources: &'a Sources,
    /// What was asked, if anything was.
    online: Option<&'a [Line]>,
}

pub(super) fn check(arguments: &Arguments, registry: &Registry) -> ExitCode {
    checked(arguments, registry).unwrap_or_else(|error| {
        complain(&format!("error: {error}"));
        ExitCode::from(exit::FAILED)
    })
}

fn checked(arguments: &Arguments, registry: &Registry) -> io::Result<ExitCode> {
    let inputs = files::inputs(&arguments.config)?;
    let env: Env = Arc::new(|name| std::env::var(name).ok());
    let mut candidate = Candidate::read_quarantining(&inputs, &env, arguments.quarantine);
    // Nothing runs on it: compiling wants to know where tasks would run.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let checked =
        candidate.settle(|config| Live::check(config, registry.clone(), runtime.handle()));
    let (config, mut more) = match checked {
        Ok((config, warnings)) => (Some(config), warnings),
        Err(problems) => (None, problems),
    };
    // All errors in one run: what is wrong with the rest of what could be read.
    if let Some(rest) = candidate.loaded.partial.take() {
        more.items.extend(Live::check_partial(rest, registry.clone(), runtime.handle()).items);
    }
    let mut online = None;
    if let Some(config) = config.as_ref().filter(|_| arguments.online) {
        let lines = online::ask(config, &runtime)?;
        more.items.extend(lines.iter().filter_map(Line::finding));
        online = Some(lines);
    }
    let text = candidate.render(more, color());
    let findings = &candidate.loaded.diagnostics;
    let warned = findings.items.iter().any(|d| d.severity == Severity::Warning);
    let refused = findings.has_errors() || (arguments.strict && warned);
    let good = config.filter(|_| !refused);
    let found = Checked {
        good: good.as_deref(),
        findings,
        sources: &candidate.loaded.sources,
        online: online.as_deref(),
    };
    match arguments.format {
        Format::Human => human(&found, &text),
        Format::Json => say(&report::json(&found)),
        Format::Sarif => say(&report::sarif(&found)),
        Format::Github => say(&report::github(&found)),
    }
    Ok(if good.is_some() { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
}

// === for people ===

fn human(it: &Checked<'_>, findings: &str) {
    if !findings.trim().is_empty() {
        complain(findings);
    }
    for line in it.online.unwrap_or_default() {
        let (mark, took) = match line.said.ok() {
            Some(true) => ("ok    ", format!(" ({} ms)", line.took.as_millis())),
            Some(false) => ("FAILED", format!(" ({} ms)", line.took.as_millis())),
            None => ("unseen", String::new()),
        };
        say(&format!("{mark}  {}  {}  {}{took}", line.what, line.asked, line.said.text()));
    }
    if let Some(config) = it.good {
        say(&format!("{}\n\n{}", summary(config), exposed(config)));
    }
}

fn summary(config: &Config) -> String {
    let tests = match config.tests.len() {
        0 => String::new(),
        number => format!(", {} (`tidegate test` runs them)", count(number, "test")),
    };
    format!(
        "ok: {}, {}, {}{tests}",
        count(config.routes.len(), "route"),
        count(config.upstreams.len(), "upstream"),
        count(config.listeners.len(), "listener"),
    )
}

fn exposed(config: &Config) -> String {
    exposure::table(config, &exposure::exposure(config))
}
