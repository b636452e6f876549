//! `bandwidth`: so many bytes a second.

use super::{
    super::{
        diagnostic::Diagnostic,
        fields::{BANDWIDTH, RATES},
        model::{Bandwidth, Name, Rates},
        tree::{Kind, Node},
    },
    reader::{Fields, Owner, Reader},
    records::{INLINE, Policies},
    slot::Slot,
    units,
};

/// What is less is a mistake: a single piece of a body would take minutes.
const LEAST: u64 = 1024;

/// `bandwidth` of a route or of `defaults`: a name, a rate, or a map.
pub(super) fn route(slot: &Slot<'_>, policies: &Policies<'_>) -> Option<Bandwidth> {
    match &slot.node.kind {
        Kind::Scalar(_) if is_rate(slot.node) => alone(slot, INLINE.into()),
        Kind::Scalar(_) => {
            let entry = policies.find(slot)?;
            // Judged once where it is defined.
            judged(&slot.r.silent(), &entry.value, &entry.key)
        }
        Kind::Map(_) => {
            let owner = Owner::of(BANDWIDTH.name, slot.owner);
            map(&slot.r.fields(slot.node, &BANDWIDTH, owner)?, INLINE.into())
        }
        Kind::Seq(_) | Kind::Null => {
            slot.wrong("a name, a rate, a map or none", None);
            None
        }
    }
}

/// A policy under `policies.bandwidth`.
pub(super) fn judged(r: &Reader<'_>, node: &Node, name: &str) -> Option<Bandwidth> {
    let owner = Owner::named("bandwidth policy", name);
    let found = if node.scalar().is_some() {
        let slot = Slot { r, key: "response", owner: &owner, ty: &RATES.fields[1].ty, node };
        alone(&slot, name.into())
    } else {
        map(&r.fields(node, &BANDWIDTH, owner)?, name.into())
    };
    found.map(|found| Bandwidth { named: true, ..found })
}

/// A rate, or what was meant as one: no name has a slash or a capital letter.
fn is_rate(node: &Node) -> bool {
    node.text().is_some_and(|text| text.contains('/') || units::size(text).is_ok())
}

fn alone(slot: &Slot<'_>, policy: Name) -> Option<Bandwidth> {
    let connection = Rates { request: None, response: Some(rate(slot)?) };
    Some(Bandwidth { policy, named: false, connection, total: Rates::default() })
}

fn map(f: &Fields<'_>, policy: Name) -> Option<Bandwidth> {
    let rates = |key| match f.child(key) {
        None => f.entry(key).is_none().then(Rates::default),
        Some(f) => {
            let one = |key| match f.get(key) {
                None => Some(None),
                Some(slot) => rate(&slot).map(Some),
            };
            Some(Rates { request: one("request")?, response: one("response")? })
        }
    };
    let (connection, total) = (rates("connection")?, rates("total")?);
    if connection == Rates::default() && total == Rates::default() {
        let found = Diagnostic::error(f.place, format!("{} limits nothing", f.owner));
        f.r.report(found.help("like `{ connection: { response: 5MiB/s } }`"));
        return None;
    }
    Some(Bandwidth { policy, named: false, connection, total })
}

/// `10MiB/s`.
fn rate(slot: &Slot<'_>) -> Option<u64> {
    let text = slot.text()?;
    match text.strip_suffix("/s").map(units::size) {
        Some(Ok(rate)) if rate >= LEAST => return Some(rate),
        Some(Ok(_)) => {
            slot.error(format!("{} must be at least 1KiB/s", slot.subject()), None);
            return None;
        }
        Some(Err(_)) | None => {}
    }
    let bare = units::size(text).is_ok() && !slot.node.is_secret();
    let help = if bare { format!("did you mean `{text}/s`?") } else { "like `10MiB/s`".to_owned() };
    slot.wrong("bytes a second", Some(help));
    None
}
