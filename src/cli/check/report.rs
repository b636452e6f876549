//! What `check` found, for programs: JSON, SARIF for code scanning, annotations for GitHub.

use serde_json::{Value, json};

use super::{Checked, online::Line};
use crate::{
    config::{
        self,
        diagnostic::{Diagnostic, Severity, Sources},
        model::Quarantined,
    },
    explain::exposure,
};

/// One object.
pub(super) fn json(it: &Checked<'_>) -> String {
    let findings: Vec<Value> =
        it.findings.items.iter().map(|one| finding(one, it.sources)).collect();
    let online = it.online.map(|lines| lines.iter().map(line).collect::<Vec<_>>());
    let good = it.good;
    let all = json!({
        "ok": good.is_some(),
        "routes": good.map(|config| config.routes.len()),
        "upstreams": good.map(|config| config.upstreams.len()),
        "listeners": good.map(|config| config.listeners.len()),
        "tests": good.map(|config| config.tests.len()),
        "findings": findings,
        "quarantined": good.map(|config| config.quarantined.iter().map(apart).collect::<Vec<_>>()),
        "exposure": good.map(exposure::exposure),
        "online": online,
    });
    format!("{all:#}")
}

fn apart(it: &Quarantined) -> Value {
    let routes: Vec<&str> = it.routes.iter().map(|name| &**name).collect();
    json!({ "file": it.file.display().to_string(), "routes": routes })
}

fn line(it: &Line) -> Value {
    json!({
        "what": it.what,
        "asked": it.asked,
        "ok": it.said.ok(),
        "said": it.said.text(),
        "ms": u64::try_from(it.took.as_millis()).unwrap_or(u64::MAX),
    })
}

fn finding(found: &Diagnostic, sources: &Sources) -> Value {
    let places = found.labels.iter().filter_map(|(place, label)| {
        let (file, line, column) = config::line_column(sources, *place)?;
        Some(json!({ "file": file, "line": line, "column": column, "label": label }))
    });
    json!({
        "severity": severity(found),
        "message": found.message,
        "help": found.help,
        "places": places.collect::<Vec<_>>(),
    })
}

fn severity(found: &Diagnostic) -> &'static str {
    match found.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// What is wrong and what to do.
fn text(found: &Diagnostic) -> String {
    match &found.help {
        Some(help) => format!("{}\n{help}", found.message),
        None => found.message.clone(),
    }
}

// === SARIF ===

/// SARIF 2.1.0: one run.
pub(super) fn sarif(it: &Checked<'_>) -> String {
    let results: Vec<Value> = it.findings.items.iter().map(|one| result(one, it.sources)).collect();
    let rules = ["error", "warning"].map(|level| {
        json!({
            "id": format!("tidegate/{level}"),
            "shortDescription": { "text": match level {
                "error" => "The file is refused",
                _ => "The file loads, and somebody should look",
            } },
        })
    });
    let all = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "tidegate",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{all:#}")
}

fn result(found: &Diagnostic, sources: &Sources) -> Value {
    let mut places = found.labels.iter().filter_map(|(place, label)| {
        let (file, line, column) = config::line_column(sources, *place)?;
        let mut it = json!({
            "physicalLocation": {
                "artifactLocation": { "uri": uri(&file) },
                "region": { "startLine": line, "startColumn": column },
            },
        });
        if !label.is_empty() {
            it["message"] = json!({ "text": label });
        }
        Some(it)
    });
    let first: Vec<Value> = places.next().into_iter().collect();
    let mut it = json!({
        "ruleId": format!("tidegate/{}", severity(found)),
        "level": severity(found),
        "message": { "text": text(found) },
        "locations": first,
    });
    let others: Vec<Value> = places.collect();
    if !others.is_empty() {
        it["relatedLocations"] = others.into();
    }
    it
}

/// A path as a relative reference: what has a meaning in URIs is escaped.
fn uri(path: &str) -> String {
    let mut out = String::new();
    for byte in path.strip_prefix("./").unwrap_or(path).bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

// === GitHub ===

/// Commands that a workflow's log turns into annotations, one line each.
pub(super) fn github(it: &Checked<'_>) -> String {
    it.findings.items.iter().map(|one| annotation(one, it.sources)).collect()
}

fn annotation(found: &Diagnostic, sources: &Sources) -> String {
    let place = found.labels.first().and_then(|(place, _)| config::line_column(sources, *place));
    let place = place.map_or_else(String::new, |(file, line, column)| {
        format!(" file={},line={line},col={column}", escaped(&file, true))
    });
    format!("::{}{place}::{}\n", severity(found), escaped(&text(found), false))
}

fn escaped(text: &str, property: bool) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    if property { text.replace(':', "%3A").replace(',', "%2C") } else { text }
}
