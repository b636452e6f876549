//! The report for people: one line for each test, what failed with its place, what was not tested.

use std::fmt::Write as _;

use super::{Coverage, Judged, Report};
use crate::config;

/// So many routes without a test are named.
const NAMES: usize = 20;

/// All of it.
pub(crate) fn human(report: &Report<'_>, color: bool) -> String {
    let mut text = String::new();
    let width = report.results.iter().map(|it| it.test.name.chars().count()).max().unwrap_or(0);
    for it in &report.results {
        let mark = if it.wrong.is_empty() { "ok    " } else { "FAILED" };
        let mark = match (color, it.wrong.is_empty()) {
            (false, _) => mark.to_owned(),
            (true, true) => format!("\x1b[32m{mark}\x1b[0m"),
            (true, false) => format!("\x1b[1;31m{mark}\x1b[0m"),
        };
        let name = one_line(&it.test.name);
        let _ = writeln!(text, "{mark}  {name:width$}  → {}", became(it));
    }
    text.push('\n');
    for it in &report.results {
        for wrong in &it.wrong {
            let found = wrong.diagnostic(it.test);
            let _ = writeln!(text, "{}\n", config::render_one(&found, report.sources, color));
        }
    }
    let (failed, run) = (report.failed(), report.results.len());
    let _ = write!(text, "{} passed, {failed} failed", run - failed);
    match report.all - run {
        0 => text.push('\n'),
        left => drop(writeln!(text, ", {left} not run")),
    }
    if let Some(coverage) = &report.coverage {
        let _ = writeln!(text, "{}", covered(coverage));
    }
    text
}

/// `orders: 401 unauthenticated (…)`.
fn became(it: &Judged<'_>) -> String {
    match &it.route {
        Some(route) => format!("{route}: {}", it.answer),
        None => it.answer.clone(),
    }
}

fn covered(it: &Coverage) -> String {
    let mut text = format!("routes tested: {} of {} ({} %)", it.tested(), it.routes, it.percent());
    if !it.untested.is_empty() {
        let named: Vec<&str> = it.untested.iter().take(NAMES).map(|name| &**name).collect();
        let _ = write!(text, "; without a test: {}", named.join(", "));
        if it.untested.len() > NAMES {
            let _ = write!(text, " and {} more", it.untested.len() - NAMES);
        }
    }
    text
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}
