//! `mirror`: a copy of a route's traffic elsewhere.

use super::{
    super::{
        diagnostic::Diagnostic,
        fields::MIRROR,
        model::{Action, Compare, Mirror},
    },
    Context,
    actions::target,
    edge::set,
    reader::{Fields, Owner},
    records::{Defaults, header_name},
};

/// The mirror of a route.
pub(super) fn mirror(
    context: &Context<'_>,
    f: &Fields<'_>,
    action: Option<&Action>,
    defaults: &Defaults,
) -> Option<Mirror> {
    let slot = f.get("mirror")?;
    if slot.node.is_none_word() {
        return None;
    }
    if action.is_some_and(|action| !matches!(action, Action::Forward(_))) {
        let message = format!("{} has no effect: the route forwards nothing", slot.subject());
        f.r.report(Diagnostic::warning(slot.place(), message));
    }
    if slot.node.scalar().is_some() {
        let to = target(context, f, slot.node, slot.text()?, slot.place(), defaults)?;
        return Some(Mirror { to, share: 1.0, compare: Compare::default() });
    }
    let f = &slot.r.fields(slot.node, &MIRROR, Owner::of(MIRROR.name, slot.owner))?;
    let Some(to) = f.get("to") else {
        f.missing("to");
        return None;
    };
    let to = target(context, f, to.node, to.text()?, to.place(), defaults)?;
    let mut it = Mirror { to, share: 1.0, compare: Compare::default() };
    set(&mut it.share, f.get("percent").and_then(|slot| slot.percent()));
    if let Some(f) = f.child("compare") {
        it.compare.status = true;
        set(&mut it.compare.status, f.get("status").and_then(|slot| slot.bool()));
        set(&mut it.compare.body, f.get("body").and_then(|slot| slot.bool()));
        for item in f.get("headers").and_then(|slot| slot.items()).unwrap_or_default() {
            let Some(text) = item.text() else { continue };
            it.compare.headers.extend(header_name(&item, text, item.place()));
        }
    }
    Some(it)
}
