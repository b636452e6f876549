//! `tidegate show`: what the files say together, and where each value comes from.

use std::{path::PathBuf, process::ExitCode};

use clap::builder::{FalseyValueParser, NonEmptyStringValueParser};

use super::{color, complain, exit, files, say};
use crate::config;

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Configuration file; may repeat; `-` is standard input [default: ./routes.yaml, then
    /// /etc/tidegate/routes.yaml]
    #[arg(short, long, value_name = "FILE", env = "TIDEGATE_CONFIG")]
    config: Vec<PathBuf>,
    /// Also what nobody wrote
    #[arg(long, env = "TIDEGATE_EFFECTIVE", value_parser = FalseyValueParser::new())]
    effective: bool,
    /// Only this route, and what it names
    #[arg(long, value_name = "NAME", env = "TIDEGATE_ROUTE",
          value_parser = NonEmptyStringValueParser::new())]
    route: Option<String>,
    /// How it is printed
    #[arg(long, value_enum, default_value = "yaml", env = "TIDEGATE_SHOW_FORMAT")]
    format: Format,
}

/// How it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// As a file, with places in comments
    Yaml,
    /// One JSON object
    Json,
}

pub(super) fn show(arguments: &Arguments) -> ExitCode {
    let inputs = match files::inputs(&arguments.config) {
        Ok(inputs) => inputs,
        Err(error) => {
            complain(&format!("error: {error}"));
            return ExitCode::from(exit::FAILED);
        }
    };
    let env = |name: &str| std::env::var(name).ok();
    let loaded = config::load(&inputs, &env);
    let Some(config) = &loaded.config else {
        complain(&loaded.render(color()));
        return ExitCode::from(exit::FAILED);
    };
    if let Some(route) = &arguments.route
        && !config.routes.contains_key(route.as_str())
    {
        let known: Vec<&str> = config.routes.keys().map(|name| &**name).collect();
        complain(&format!("error: there is no route `{route}`; there are: {}", known.join(", ")));
        return ExitCode::from(exit::USAGE);
    }
    let shown = config::show(&inputs, &env, arguments.effective, arguments.route.as_deref());
    match arguments.format {
        Format::Yaml => say(&shown.yaml()),
        Format::Json => say(&format!("{:#}", shown.json())),
    }
    ExitCode::SUCCESS
}
