//! `tidegate history`: the last reloads, and `tidegate rollback`: an earlier configuration again.

use std::process::ExitCode;

use http::Method;
use serde_json::Value;

use super::{complain, exit, format::Format, say, target::Target};

/// Arguments of `history`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// How it is printed
    #[arg(long, value_enum, default_value = "human", env = "TIDEGATE_FORMAT")]
    format: Format,
    #[command(flatten)]
    target: Target,
}

/// Arguments of `rollback`.
#[derive(Debug, clap::Args)]
pub(super) struct RollbackArguments {
    /// Number or hash of a configuration in `tidegate history` [default: the last one before what runs that nobody
    /// went back from]
    #[arg(value_name = "N|HASH")]
    pub(super) which: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Lines of a difference that are shown of each.
const LINES: usize = 5;

pub(super) fn history(arguments: &Arguments) -> ExitCode {
    let (status, answer) = match arguments.target.call(Method::GET, "/history") {
        Ok(answer) => answer,
        Err(code) => return code,
    };
    let Some(reloads) = answer["reloads"].as_array().filter(|_| status.is_success()) else {
        complain("error: the gateway has no history: it is of another version");
        return ExitCode::from(exit::FAILED);
    };
    match arguments.format {
        Format::Json => say(&format!("{answer:#}")),
        Format::Human => reloads.iter().for_each(|it| say(&entry(it))),
    }
    ExitCode::SUCCESS
}

/// `*  3  2026-11-29 22:48:10  rollback  applied  3f2a9c01  → 1`, and below it what was different or wrong.
fn entry(it: &Value) -> String {
    let text = |key: &str| it[key].as_str().unwrap_or_default();
    let live = if it["live"] == true { '*' } else { ' ' };
    let (number, at) =
        (it["number"].as_u64().unwrap_or_default(), it["at"].as_u64().unwrap_or_default());
    let when = httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(at));
    let hash: String = text("hash").chars().take(8).collect();
    let (by, result) = (text("trigger"), text("result"));
    let mut lines = vec![format!("{live} {number:>3}  {when}  {by:8}  {result:8}  {hash}")];
    let lost = if it["kept"] == true || result != "applied" { "" } else { "  (no longer kept)" };
    lines[0].push_str(lost);
    let errors = text("errors").trim().lines().filter(|line| line.starts_with("error"));
    let diff = it["diff"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let all: Vec<&str> = diff.filter(|line| !line.starts_with('=')).chain(errors).collect();
    lines.extend(all.iter().take(LINES).map(|line| format!("       {line}")));
    if all.len() > LINES {
        lines.push(format!("       … and {} more", all.len() - LINES));
    }
    lines.join("\n")
}

pub(super) fn rollback(arguments: &RollbackArguments) -> ExitCode {
    let which = arguments.which.as_deref().unwrap_or_default();
    if !which.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        complain("error: a configuration is named by its number or its hash");
        return ExitCode::from(exit::USAGE);
    }
    let path = match &arguments.which {
        Some(which) => format!("/rollback?to={which}"),
        None => "/rollback".to_owned(),
    };
    let (status, answer) = match arguments.target.call(Method::POST, &path) {
        Ok(answer) => answer,
        Err(code) => return code,
    };
    let text = |key: &str| answer[key].as_str().unwrap_or_default();
    if !status.is_success() {
        complain(&format!("error: {}", text("errors")));
        complain("refused: the gateway goes on with what it had");
        return ExitCode::from(exit::FAILED);
    }
    let lines = answer["diff"].as_array().into_iter().flatten().filter_map(Value::as_str);
    lines.for_each(say);
    if !text("warnings").trim().is_empty() {
        complain(text("warnings"));
    }
    say(&format!("rolled back to number {} ({})", answer["to"], text("hash")));
    if !text("note").is_empty() {
        complain(text("note"));
    }
    ExitCode::SUCCESS
}
