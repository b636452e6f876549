//! The report for programs. docs/tools.md describes it; fields are added, never renamed.

use serde_json::{Value, json};

use super::{Judged, Report, Wrong};
use crate::config;

/// One object.
pub(crate) fn json(report: &Report<'_>) -> String {
    let failed = report.failed();
    let tests: Vec<Value> = report.results.iter().map(|it| test(report, it)).collect();
    let coverage = report.coverage.as_ref().map(|it| {
        json!({
            "routes": it.routes,
            "tested": it.tested(),
            "percent": it.percent(),
            "untested": it.untested.iter().map(|name| &**name).collect::<Vec<&str>>(),
        })
    });
    let all = json!({
        "passed": report.results.len() - failed,
        "failed": failed,
        "not_run": report.all - report.results.len(),
        "tests": tests,
        "coverage": coverage,
    });
    format!("{all:#}")
}

fn test(report: &Report<'_>, it: &Judged<'_>) -> Value {
    let wrong: Vec<Value> = it.wrong.iter().map(|wrong| failure(report, wrong)).collect();
    json!({
        "name": it.test.name,
        "at": at(report, it.test.place),
        "passed": it.wrong.is_empty(),
        "route": it.route,
        "answer": it.answer,
        "failures": wrong,
    })
}

fn failure(report: &Report<'_>, it: &Wrong) -> Value {
    json!({
        "key": it.key,
        "at": at(report, it.place),
        "expected": it.expected,
        "got": it.got,
        "because": it.because,
    })
}

/// `routes.yaml:52:7`.
pub(super) fn at(report: &Report<'_>, place: config::model::Place) -> Option<String> {
    let (file, line, column) = config::line_column(report.sources, place)?;
    Some(format!("{file}:{line}:{column}"))
}
