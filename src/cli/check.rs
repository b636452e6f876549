//! `tidegate check`: everything that is wrong with the files, without touching anything.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::builder::FalseyValueParser;

use super::{color, complain, count, exit, files, say};
use crate::{
    config::diagnostic::{Diagnostics, Severity},
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
}

pub(super) fn check(arguments: &Arguments, registry: Registry) -> ExitCode {
    let inputs = match files::inputs(&arguments.config) {
        Ok(inputs) => inputs,
        Err(error) => {
            complain(&format!("error: {error}"));
            return ExitCode::from(exit::FAILED);
        }
    };
    let env: Env = Arc::new(|name| std::env::var(name).ok());
    let mut candidate = Candidate::read(&inputs, &env);
    let mut summary = String::new();
    let mut more = Diagnostics::default();
    if let Some(config) = candidate.take() {
        let (routes, upstreams) = (config.routes.len(), config.upstreams.len());
        summary = format!(
            "ok: {}, {}, {}",
            count(routes, "route"),
            count(upstreams, "upstream"),
            count(config.listeners.len(), "listener"),
        );
        // Nothing runs on it: compiling wants to know where tasks would run.
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                complain(&format!("error: {error}"));
                return ExitCode::from(exit::FAILED);
            }
        };
        more = Live::check(&config, registry, runtime.handle()).unwrap_or_else(|problems| problems);
    }
    let text = candidate.render(more, color());
    if !text.trim().is_empty() {
        complain(&text);
    }
    let findings = &candidate.loaded.diagnostics;
    let warned = findings.items.iter().any(|d| d.severity == Severity::Warning);
    if findings.has_errors() || summary.is_empty() || (arguments.strict && warned) {
        return ExitCode::from(exit::FAILED);
    }
    say(&summary);
    ExitCode::SUCCESS
}
