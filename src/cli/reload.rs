//! `tidegate reload`: what SIGHUP does, with an answer.

use std::process::ExitCode;

use clap::builder::FalseyValueParser;
use http::Method;
use serde_json::Value;

use super::{complain, exit, say, target::Target};

/// Arguments of `reload`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Wait for the outcome and print what has changed, or the errors
    #[arg(long, env = "TIDEGATE_WAIT", value_parser = FalseyValueParser::new())]
    pub(super) wait: bool,
}

pub(super) fn reload(arguments: &Arguments) -> ExitCode {
    let path = if arguments.wait { "/reload?wait" } else { "/reload" };
    let (status, answer) = match arguments.target.call(Method::POST, path) {
        Ok(answer) => answer,
        Err(code) => return code,
    };
    let text = |key: &str| answer[key].as_str().unwrap_or_default();
    if !status.is_success() {
        complain(text("errors"));
        complain("refused: the gateway goes on with what it had");
        return ExitCode::from(exit::FAILED);
    }
    let lines = answer["diff"].as_array().into_iter().flatten().filter_map(Value::as_str);
    lines.for_each(say);
    if !text("warnings").trim().is_empty() {
        complain(text("warnings"));
    }
    say(text("result"));
    ExitCode::SUCCESS
}
