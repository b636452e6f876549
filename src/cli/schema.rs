//! `tidegate schema`: the language as a JSON Schema, for editors.

use std::process::ExitCode;

use clap::builder::FalseyValueParser;

use super::say;
use crate::config;

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// For files that another one includes
    #[arg(long, env = "TIDEGATE_INCLUDED", value_parser = FalseyValueParser::new())]
    included: bool,
}

pub(super) fn schema(arguments: &Arguments) -> ExitCode {
    say(&text(arguments.included));
    ExitCode::SUCCESS
}

/// As it stands in a file.
pub(super) fn text(included: bool) -> String {
    format!("{:#}\n", config::schema(included))
}
