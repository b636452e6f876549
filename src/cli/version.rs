//! `tidegate version`: which build this is.

use std::process::ExitCode;

use clap::builder::FalseyValueParser;
use serde_json::json;

use super::say;

/// Arguments of `version`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// As JSON, with the target and the kind of build
    #[arg(long, env = "TIDEGATE_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
}

/// What this build can do, in the words of the language.
const FEATURES: [&str; 7] = ["h1", "h2", "h2c", "tls", "grpc", "websocket", "systemd"];

pub(super) fn version(arguments: &Arguments) -> ExitCode {
    let version = env!("CARGO_PKG_VERSION");
    if arguments.json {
        let build = if cfg!(debug_assertions) { "debug" } else { "release" };
        let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
        let all = json!({
            "name": "tidegate",
            "version": version,
            "language": 1,
            "target": target,
            "build": build,
            "features": FEATURES,
        });
        say(&all.to_string());
    } else {
        say(&format!("tidegate {version}\nlanguage 1; {}", FEATURES.join(", ")));
    }
    ExitCode::SUCCESS
}
