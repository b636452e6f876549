//! `tidegate test`: whether requests get what the files expect of them.

use std::{path::PathBuf, process::ExitCode};

use clap::builder::NonEmptyStringValueParser;

use super::{complain, dry, exit, out_color, say};
use crate::{layers::custom::Registry, suite};

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Configuration file; may repeat; `-` is standard input [default: ./routes.yaml, then
    /// /etc/tidegate/routes.yaml]
    #[arg(short, long, value_name = "FILE", env = "TIDEGATE_CONFIG")]
    config: Vec<PathBuf>,
    /// Only tests whose name or request has this in it
    #[arg(long, value_name = "TEXT", env = "TIDEGATE_FILTER", conflicts_with = "coverage_min",
          value_parser = NonEmptyStringValueParser::new())]
    filter: Option<String>,
    /// Fail unless tests get to so many of the routes: `80%`
    #[arg(long, value_name = "PERCENT", env = "TIDEGATE_COVERAGE_MIN", value_parser = percent)]
    pub(super) coverage_min: Option<usize>,
    /// How it is printed
    #[arg(long, value_enum, default_value = "human", env = "TIDEGATE_TEST_FORMAT")]
    format: Format,
}

/// How it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Human,
    /// The XML of JUnit
    Junit,
    /// One JSON object
    Json,
}

fn percent(text: &str) -> Result<usize, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse().ok();
    number.filter(|number| *number <= 100).ok_or_else(|| "from 0% to 100%".to_owned())
}

pub(super) fn test(arguments: &Arguments, registry: &Registry) -> ExitCode {
    let checked = match dry::compile(&arguments.config, registry, false) {
        Ok(checked) => checked,
        Err(code) => return code,
    };
    let report = suite::run(
        &checked.compiled,
        &checked.sources,
        checked.runtime.handle(),
        arguments.filter.as_deref(),
    );
    if report.results.is_empty() {
        complain(&match &arguments.filter {
            Some(text) if report.all > 0 => {
                format!("error: none of {} has `{text}` in its name", super::count(report.all, "test"))
            }
            _ => "error: there are no tests\nhelp: `tests: [{ request: GET https://host/path, route: \
                  NAME }]`"
                .to_owned(),
        });
        return ExitCode::from(exit::DIFFERENT);
    }
    match arguments.format {
        Format::Human => say(&suite::human(&report, out_color())),
        Format::Junit => say(&suite::junit(&report)),
        Format::Json => say(&suite::json(&report)),
    }
    let reached = report.coverage.as_ref().map_or(100, suite::Coverage::percent);
    let short = arguments.coverage_min.filter(|least| reached < *least);
    if let Some(least) = short {
        complain(&format!("error: tests get to {reached} % of the routes, {least} % are wanted"));
    }
    match report.failed() == 0 && short.is_none() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(exit::DIFFERENT),
    }
}
