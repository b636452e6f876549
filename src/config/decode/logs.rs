//! `logs`.

use http::HeaderName;
use tracing::Level;

use super::{
    super::{
        fields::LOGS,
        model::{AccessFormat, AccessLog, AccessTarget, LogFormat, Logs, QueryLog},
        tree::{Kind, Node},
    },
    edge::set,
    reader::{Fields, Owner, Reader, cannot_yet},
    resilience::range,
    slot::Slot,
};

/// The `logs` section.
pub(super) fn logs(r: &Reader<'_>, node: Option<&Node>) -> Logs {
    let mut logs = Logs { level: Level::INFO, format: None, access: Some(plain()) };
    let owner = Owner::of(LOGS.name, &Owner::TOP);
    let Some(f) = node.and_then(|node| r.fields(node, &LOGS, owner)) else { return logs };
    let level = f.get("level").and_then(|slot| slot.word());
    set(&mut logs.level, level.and_then(|word| word.parse().ok()));
    logs.format = f.get("format").and_then(|slot| slot.word()).map(|word| match word {
        "json" => LogFormat::Json,
        _ => LogFormat::Pretty,
    });
    if let Some(slot) = f.get("access") {
        logs.access = access(&f, &slot);
    }
    logs
}

fn plain() -> AccessLog {
    AccessLog {
        format: AccessFormat::Json,
        to: AccessTarget::Stdout,
        only_status: Vec::new(),
        only_slower_than: None,
        sample: 1.0,
        request_headers: Vec::new(),
        response_headers: Vec::new(),
        query: QueryLog::Keep,
    }
}

fn access(f: &Fields<'_>, slot: &Slot<'_>) -> Option<AccessLog> {
    let mut log = plain();
    if slot.node.is_none_word() {
        return None;
    }
    if !matches!(slot.node.kind, Kind::Map(_)) {
        let slot = Slot { ty: &super::super::fields::FORMAT, ..*slot };
        set(&mut log.format, format(&slot));
        return Some(log);
    }
    let f = f.child("access")?;
    set(&mut log.format, f.get("format").and_then(|slot| format(&slot)));
    set(&mut log.to, f.get("to").and_then(|slot| target(&slot)));
    if let Some(only) = f.child("only") {
        let ranges = only.get("status").and_then(|slot| slot.one_or_many()).unwrap_or_default();
        log.only_status = ranges.iter().filter_map(range).collect();
        log.only_slower_than = only.get("slower_than").and_then(|slot| slot.duration());
    }
    set(&mut log.sample, f.get("sample").and_then(|slot| slot.percent()));
    if let Some(headers) = f.child("headers") {
        log.request_headers = names(headers.get("request"));
        log.response_headers = names(headers.get("response"));
    }
    let query = f.get("query").and_then(|slot| slot.word()).map(|word| match word {
        "redact" => QueryLog::Redact,
        "drop" => QueryLog::Drop,
        _ => QueryLog::Keep,
    });
    set(&mut log.query, query);
    Some(log)
}

fn format(slot: &Slot<'_>) -> Option<AccessFormat> {
    slot.word().map(|word| match word {
        "clf" => AccessFormat::Clf,
        "combined" => AccessFormat::Combined,
        _ => AccessFormat::Json,
    })
}

fn target(slot: &Slot<'_>) -> Option<AccessTarget> {
    match slot.text()? {
        "stdout" => Some(AccessTarget::Stdout),
        "stderr" => Some(AccessTarget::Stderr),
        "otlp" => {
            slot.r.report(cannot_yet(slot.place(), "to: otlp"));
            None
        }
        path if path.contains('/') => slot.path().map(|path| AccessTarget::File(path.value)),
        other => {
            let close = slot.r.propose(other, ["stdout", "stderr"]);
            let help = close.map(|word| format!("did you mean `{word}`?"));
            slot.wrong("stdout, stderr or a path with a `/`", help);
            None
        }
    }
}

fn names(slot: Option<Slot<'_>>) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for item in slot.and_then(|slot| slot.items()).unwrap_or_default() {
        match item.text().map(|text| HeaderName::from_bytes(text.as_bytes())) {
            Some(Ok(name)) => names.push(name),
            Some(Err(_)) => item.wrong("made of names of headers", None),
            None => {}
        }
    }
    names
}
