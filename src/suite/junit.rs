//! The report in the XML of JUnit, which CI servers read.

use std::fmt::Write as _;

use super::{Report, report::at};
use crate::config;

/// One suite.
pub(crate) fn junit(report: &Report<'_>) -> String {
    let (run, failed) = (report.results.len(), report.failed());
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(text, "<testsuites tests=\"{run}\" failures=\"{failed}\">");
    let _ = writeln!(
        text,
        "  <testsuite name=\"tidegate\" tests=\"{run}\" failures=\"{failed}\" errors=\"0\">"
    );
    for it in &report.results {
        let name = escaped(&it.test.name);
        let class = escaped(it.route.as_deref().unwrap_or("none"));
        let place = config::line_column(report.sources, it.test.place);
        let place = place.map_or_else(String::new, |(file, line, _)| {
            format!(" file=\"{}\" line=\"{line}\"", escaped(&file))
        });
        let _ = write!(text, "    <testcase name=\"{name}\" classname=\"{class}\"{place}");
        if it.wrong.is_empty() {
            text.push_str("/>\n");
            continue;
        }
        text.push_str(">\n");
        for wrong in &it.wrong {
            let message = format!("{}: expected {}, got {}", wrong.key, wrong.expected, wrong.got);
            let at = at(report, wrong.place).unwrap_or_default();
            let because = wrong.because.join("\n");
            let (message, body) = (escaped(&message), escaped(&format!("{at}\n{because}")));
            let _ = writeln!(text, "      <failure message=\"{message}\">{body}</failure>");
        }
        text.push_str("    </testcase>\n");
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

/// Characters that XML 1.0 cannot hold, not even escaped, become U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\r' => out.push_str("&#13;"),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
