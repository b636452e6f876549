//! `headers`: names and values of header fields, and changes to them.

use std::collections::HashSet;

use http::{HeaderName, HeaderValue};

use super::{
    super::{
        diagnostic::{Diagnostic, Place},
        model::HeaderEdits,
        tree::Kind,
    },
    reader::Fields,
    slot::Slot,
};

/// What one level says.
pub(super) fn edits(f: &Fields<'_>) -> HeaderEdits {
    let mut edits = HeaderEdits::default();
    if let Some(slot) = f.get("set") {
        edits.set = header_values(&slot, false);
    }
    if let Some(slot) = f.get("add") {
        edits.add = header_values(&slot, true);
    }
    for item in f.get("remove").and_then(|slot| slot.items()).unwrap_or_default() {
        let Some(text) = item.text() else { continue };
        edits.remove.extend(header_name(&item, text, item.place()));
    }
    edits
}

/// What a level says about a header replaces what weaker levels said about it.
pub(super) fn merge(onto: &mut HeaderEdits, level: HeaderEdits) {
    let names: HashSet<HeaderName> = level
        .set
        .iter()
        .chain(&level.add)
        .map(|(name, _)| name)
        .chain(&level.remove)
        .cloned()
        .collect();
    onto.set.retain(|(name, _)| !names.contains(name));
    onto.add.retain(|(name, _)| !names.contains(name));
    onto.remove.retain(|name| !names.contains(name));
    onto.set.extend(level.set);
    onto.add.extend(level.add);
    onto.remove.extend(level.remove);
}

/// A map from header to value, or to a list of values where `many`.
pub(super) fn header_values(slot: &Slot<'_>, many: bool) -> Vec<(HeaderName, HeaderValue)> {
    let mut found = Vec::new();
    let Kind::Map(entries) = &slot.node.kind else {
        slot.wrong("a map of headers", None);
        return found;
    };
    for entry in entries {
        let here = Slot { node: &entry.value, ..*slot };
        let Some(name) = header_name(&here, &entry.key, entry.key_place) else { continue };
        if found.iter().any(|(known, _)| *known == name) {
            let message = format!("the header `{name}` is written twice, names ignore case");
            slot.r.report(Diagnostic::error(entry.key_place, message));
            continue;
        }
        let values = match &entry.value.kind {
            Kind::Seq(items) if many => items.as_slice(),
            _ => std::slice::from_ref(&entry.value),
        };
        for node in values {
            let item = Slot { node, ..*slot };
            let Some(scalar) = node.scalar() else {
                item.wrong("text for each header", None);
                continue;
            };
            match HeaderValue::from_str(&scalar.text) {
                Ok(mut value) => {
                    value.set_sensitive(scalar.secret);
                    found.push((name.clone(), value));
                }
                Err(_) => {
                    item.error(format!("the value of `{name}` cannot be sent in a header"), None)
                }
            }
        }
    }
    found
}

/// A header the operator may change.
pub(super) fn header_name(slot: &Slot<'_>, text: &str, place: Place) -> Option<HeaderName> {
    const FRAMING: [&str; 9] = [
        "connection",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "host",
    ];
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        // A value may come from a variable, a key never does.
        let secret = slot.node.is_secret() && slot.node.place == place;
        let shown = if secret { "…" } else { text };
        let message =
            format!("`{}` is not the name of a header", super::super::tree::shorten(shown));
        slot.r.report(Diagnostic::error(place, message));
        return None;
    };
    if FRAMING.contains(&name.as_str()) {
        let message = format!("`{name}` cannot be changed here: it belongs to the message itself");
        let found = Diagnostic::error(place, message);
        slot.r.report(match name.as_str() {
            "host" => found.help("`host_header` of the upstream says which Host it sees"),
            _ => found,
        });
        return None;
    }
    Some(name)
}
