//! `tidegate run`: the gateway, in the foreground.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::builder::FalseyValueParser;

use super::{
    complain, exit, files,
    supervise::{Launch, launch},
};
use crate::layers::custom::Registry;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Configuration file; may repeat; `-` is standard input [default: ./routes.yaml, then
    /// /etc/tidegate/routes.yaml]
    #[arg(short, long, value_name = "FILE", env = "TIDEGATE_CONFIG")]
    pub(super) config: Vec<PathBuf>,
    /// A broken included file does not refuse everything: its routes answer 503
    #[arg(long, env = "TIDEGATE_QUARANTINE", value_parser = FalseyValueParser::new())]
    quarantine: bool,
}

pub(super) fn run(arguments: &Arguments, registry: Registry) -> ExitCode {
    match files::inputs(&arguments.config) {
        Ok(inputs) => launch(Launch {
            inputs,
            env: Arc::new(|name| std::env::var(name).ok()),
            registry,
            quarantine: arguments.quarantine,
            admin_socket: true,
            on_ready: None,
        }),
        Err(error) => {
            complain(&format!("error: {error}"));
            ExitCode::from(exit::BAD_CONFIG)
        }
    }
}
