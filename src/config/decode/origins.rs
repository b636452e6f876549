//! Notes where the keys of a map were written, beside reading them: by the shape of the tree alone, so
//! that a new kind of policy needs nothing here.

use std::borrow::Cow;

use super::{
    super::{
        diagnostic::Place,
        fields::{Inherit, ROUTE},
        model::Origins,
        tree::{Entry, Kind, Node},
    },
    reader::Fields,
    records::Policies,
    slot::Slot,
};

/// What one level says of one kind of policy. `short`: the field that a number or a size alone stands for.
pub(super) fn policy(
    origins: &mut Origins,
    slot: &Slot<'_>,
    kind: &'static str,
    short: Option<&'static str>,
    policies: &Policies<'_>,
) {
    let place = slot.place();
    if let Some(field) = short {
        return origins.add(Cow::Owned(format!("{kind}.{field}")), place, None);
    }
    let named = |node: &Node| node.text().and_then(|name| policies.named(kind, name));
    let inherit = ROUTE.field(kind).map(|field| field.inherit);
    let merges = matches!(inherit, Some(Inherit::Merges | Inherit::MergesByHeader));
    match (&slot.node.kind, named(slot.node)) {
        (_, Some(entry)) if merges => below(origins, kind, &entry.value, Some(place)),
        (Kind::Map(_), None) if merges => below(origins, kind, slot.node, None),
        (_, Some(entry)) => {
            origins.replace(kind, entry.key_place, Some(place));
            origins.add(Cow::Owned(format!("{kind}.{}", entry.key)), entry.key_place, Some(place));
        }
        _ => {
            origins.replace(kind, place, None);
            for node in several(slot.node) {
                if let Some(entry) = named(node) {
                    let key = format!("{kind}.{}", entry.key);
                    origins.add(Cow::Owned(key), entry.key_place, Some(node.place));
                }
            }
        }
    }
}

/// The items of a list, or of the lists in a map: `{ any: [a, b] }`.
fn several(node: &Node) -> impl Iterator<Item = &Node> {
    fn items(node: &Node) -> &[Node] {
        match &node.kind {
            Kind::Seq(items) => items,
            Kind::Null | Kind::Scalar(_) | Kind::Map(_) => &[],
        }
    }
    let inner = node.entries().into_iter().flatten().flat_map(|entry| items(&entry.value));
    items(node).iter().chain(inner)
}

/// The keys of a map as the table knows them, each with what is below it, except those told elsewhere.
pub(super) fn keys(origins: &mut Origins, f: &Fields<'_>, except: &[&str]) {
    for entry in f.entries().iter().filter(|entry| !except.contains(&entry.key.as_str())) {
        let Some(key) = f.known(&entry.key) else { continue };
        match &entry.value.kind {
            Kind::Map(_) if key != "to" && key != "match" => {
                below(origins, key, &entry.value, None);
            }
            _ if entry.value.is_none_word() => origins.replace(key, entry.key_place, None),
            _ => origins.add(Cow::Borrowed(key), entry.key_place, None),
        }
    }
}

fn below(origins: &mut Origins, path: &str, node: &Node, via: Option<Place>) {
    for Entry { key, key_place, value } in node.entries().into_iter().flatten() {
        let path = format!("{path}.{}", key.to_ascii_lowercase());
        match &value.kind {
            Kind::Map(_) => below(origins, &path, value, via),
            // Headers that are taken out: each is told by its name.
            Kind::Seq(items) if key == "remove" => {
                for item in items.iter().filter(|item| !item.is_secret()) {
                    let name = item.text().unwrap_or_default().to_ascii_lowercase();
                    origins.add(Cow::Owned(format!("{path}.{name}")), item.place, via);
                }
            }
            Kind::Null | Kind::Scalar(_) | Kind::Seq(_) => {
                origins.add(Cow::Owned(path), *key_place, via);
            }
        }
    }
}
