//! `concurrency` and `priority_class`: how many requests at once, and who goes first.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    super::{
        diagnostic::{Diagnostic, Place},
        fields::{ADAPTIVE, CONCURRENCY, PRIORITY_CLASS, WAITING},
        model::{Adaptive, Bound, Class, ClassBy, Concurrency, Mode, Name, PriorityClass},
        tree::{Kind, Node},
    },
    edge::set,
    guard::mode,
    headers::header_name,
    rate_limit::key_part,
    reader::{Fields, Owner, Reader},
    records::{Defaults, INLINE, Policies},
    retry::is_number,
    slot::Slot,
};

/// The least `tolerance`: answers of a healthy service differ by more.
const LEAST_TOLERANCE: f64 = 0.05;

// === concurrency ===

/// `concurrency` of a route or of `defaults`: a name, a number, a map, or a list of these.
pub(super) fn route_limits(slot: &Slot<'_>, policies: &Policies<'_>) -> Vec<Arc<Concurrency>> {
    slot.several(|item| one(item, policies))
}

fn one(slot: &Slot<'_>, policies: &Policies<'_>) -> Option<Concurrency> {
    match &slot.node.kind {
        Kind::Scalar(_) if is_number(slot.node) => number(slot, INLINE.into()),
        Kind::Scalar(_) => {
            let entry = policies.find(slot)?;
            // Judged once where it is defined.
            judged(&slot.r.silent(), &entry.value, &entry.key)
        }
        Kind::Map(_) => {
            let owner = Owner::of(CONCURRENCY.name, slot.owner);
            limit(&slot.r.fields(slot.node, &CONCURRENCY, owner)?, INLINE.into())
        }
        Kind::Seq(_) | Kind::Null => {
            slot.wrong("a name, a number, a map, a list of these, or none", None);
            None
        }
    }
}

/// A policy under `policies.concurrency`.
pub(super) fn judged(r: &Reader<'_>, node: &Node, name: &str) -> Option<Concurrency> {
    let owner = Owner::named("concurrency policy", name);
    let found = if node.scalar().is_some() {
        let slot = Slot { r, key: "limit", owner: &owner, ty: &CONCURRENCY.fields[0].ty, node };
        number(&slot, name.into())
    } else {
        limit(&r.fields(node, &CONCURRENCY, owner)?, name.into())
    };
    found.map(|found| Concurrency { named: true, ..found })
}

fn builtin(policy: Name, bound: Bound) -> Concurrency {
    let patience = Duration::from_secs(1);
    let key = Vec::new();
    Concurrency { policy, named: false, bound, key, queue: None, patience, mode: Mode::Enforce }
}

fn number(slot: &Slot<'_>, policy: Name) -> Option<Concurrency> {
    let slot = Slot { ty: &CONCURRENCY.fields[0].ty, ..*slot };
    slot.count().map(|limit| builtin(policy, Bound::Fixed(limit)))
}

fn limit(f: &Fields<'_>, policy: Name) -> Option<Concurrency> {
    let adaptive = match f.get("adaptive") {
        None => None,
        Some(slot) => self::adaptive(&slot)?,
    };
    let bound = match (f.get("limit"), adaptive) {
        (Some(slot), None) => Bound::Fixed(slot.count()?),
        (None, Some(adaptive)) => Bound::Adaptive(adaptive),
        (Some(slot), Some(_)) => {
            let message = format!("{} has both `limit` and `adaptive`", f.owner);
            slot.error(message, Some("`adaptive: { max: … }` bounds what is found".to_owned()));
            return None;
        }
        (None, None) => {
            let message = format!("{} has neither `limit` nor `adaptive`", f.owner);
            f.r.report(Diagnostic::error(f.place, message));
            return None;
        }
    };
    let mut it = Concurrency { mode: mode(f)?, ..builtin(policy, bound) };
    if let Some(slot) = f.get("key") {
        if matches!(it.bound, Bound::Adaptive(_)) {
            let message = format!("{} cannot be `adaptive` with a `key`", f.owner);
            slot.error(message, Some("one client says too little of a service".to_owned()));
            return None;
        }
        let parts: Vec<_> = slot.one_or_many()?.iter().map(key_part).collect();
        it.key = parts.into_iter().collect::<Option<_>>()?;
    }
    match f.get("queue") {
        None => {}
        Some(slot) if slot.node.is_none_word() => it.queue = Some(0),
        Some(slot) if slot.node.scalar().is_some() => {
            it.queue = Some(Slot { ty: &WAITING.fields[0].ty, ..slot }.count()?);
        }
        Some(_) => {
            let f = f.child("queue")?;
            if let Some(slot) = f.get("max") {
                it.queue = Some(slot.count()?);
            }
            set(&mut it.patience, f.get("timeout").and_then(|slot| slot.duration()));
        }
    }
    Some(it)
}

/// `adaptive`: `true`, `none`, or a map. The outer `None` is an error.
pub(super) fn adaptive(slot: &Slot<'_>) -> Option<Option<Adaptive>> {
    let mut it = Adaptive { min: 4, max: 1000, tolerance: 0.25, probe: Duration::from_secs(30) };
    if slot.node.is_none_word() {
        return Some(None);
    }
    if slot.node.is("true") {
        return Some(Some(it));
    }
    if slot.node.scalar().is_some() {
        slot.wrong("true, a map or none", None);
        return None;
    }
    let f = slot.r.fields(slot.node, &ADAPTIVE, Owner::of(ADAPTIVE.name, slot.owner))?;
    set(&mut it.min, f.get("min").and_then(|slot| slot.count()));
    set(&mut it.max, f.get("max").and_then(|slot| slot.count()));
    set(&mut it.probe, f.get("probe").and_then(|slot| slot.duration()));
    if let Some(slot) = f.get("tolerance") {
        it.tolerance = slot.percent()?;
        if it.tolerance < LEAST_TOLERANCE {
            slot.error(format!("{} must be at least 5%", slot.subject()), None);
            return None;
        }
    }
    if it.min > it.max {
        let message =
            format!("{} has a `min` of {} above its `max` of {}", f.owner, it.min, it.max);
        f.r.report(Diagnostic::error(f.place, message));
        return None;
    }
    Some(Some(it))
}

// === priority_class ===

/// `priority_class`: a class, or a map that says whose is which.
pub(super) fn priority_class(slot: &Slot<'_>) -> Option<PriorityClass> {
    if slot.node.scalar().is_some() {
        return class(slot).map(PriorityClass::Fixed);
    }
    let owner = Owner::of(PRIORITY_CLASS.name, slot.owner);
    let f = slot.r.fields(slot.node, &PRIORITY_CLASS, owner)?;
    for key in ["by", "classes"] {
        if f.entry(key).is_none() {
            f.missing(key);
        }
    }
    let by = f.get("by").and_then(|slot| by(&slot));
    let classes = f.get("classes").and_then(|slot| classes(&slot));
    let default = match f.get("default") {
        None => Class::default(),
        Some(slot) => class(&slot)?,
    };
    Some(PriorityClass::By { by: by?, classes: classes?, default })
}

fn class(slot: &Slot<'_>) -> Option<Class> {
    let word = Slot { ty: &super::super::fields::CLASS, ..*slot }.word()?;
    Class::ALL.into_iter().find(|class| class.word() == word)
}

fn by(slot: &Slot<'_>) -> Option<ClassBy> {
    let text = slot.text()?;
    match text.split_once(':') {
        None if text == "consumer" => Some(ClassBy::Consumer),
        Some(("claim", name)) if !name.is_empty() => Some(ClassBy::Claim(name.to_owned())),
        Some(("header", name)) => header_name(slot, name, slot.place()).map(ClassBy::Header),
        _ => {
            slot.wrong("consumer, claim:NAME or header:NAME", None);
            None
        }
    }
}

fn classes(slot: &Slot<'_>) -> Option<BTreeMap<String, Class>> {
    let Some(entries) = slot.node.entries() else {
        slot.wrong("a map of values and classes", Some("like `{ paid: high }`".to_owned()));
        return None;
    };
    if entries.is_empty() {
        slot.error(format!("{} is empty", slot.subject()), None);
        return None;
    }
    let one = |entry: &super::super::tree::Entry| {
        class(&Slot { node: &entry.value, ..*slot }).map(|class| (entry.key.clone(), class))
    };
    let found: Vec<_> = entries.iter().map(one).collect();
    found.into_iter().collect()
}

/// What a route says about it all, with what it inherits.
pub(super) fn fits(f: &Fields<'_>, own: &mut Defaults, route: Place) {
    let known = f.entry("auth").is_some_and(|entry| !entry.value.is_none_word());
    if own.auth.is_none() && !known && own.concurrency.iter().any(|it| it.needs_identity()) {
        let place = f.get("concurrency").map_or(route, |slot| slot.place());
        let message = format!("a `concurrency` of {} goes by who a request is from", f.owner);
        let help = "without `auth` on the route nobody knows that";
        f.r.report(Diagnostic::error(place, message).help(help));
    }
    if !own.priority_class.needs_identity() || own.auth.is_some() {
        return;
    }
    match f.get("priority_class") {
        Some(slot) => {
            let message =
                format!("{} goes by who it is, but the route has no `auth`", slot.subject());
            slot.error(message, None);
        }
        // Inherited, for those that have.
        None => own.priority_class = PriorityClass::Fixed(own.priority_class.at_first()),
    }
}
