//! `authorize`: rules in CEL. They are compiled here, so that a file with a rule that cannot be evaluated
//! is refused, with the place of what is wrong with it.

use std::sync::Arc;

use super::{
    super::{
        super::{
            diagnostic::Diagnostic,
            fields::{AUTHORIZE, ROUTE_AUTHORIZE},
            model::{Authorize, RouteAuth, RouteAuthorize},
            tree::{Kind, Node},
        },
        reader::{Fields, Owner, Reader},
        records::Policies,
        slot::Slot,
    },
    INLINE, mode,
};
use crate::authorize::{Problem, Rule, Rules};

/// The longest text a client is told.
const LONGEST_MESSAGE: usize = 200;

/// `authorize` of a route: a name, `all` of some names, or a policy in its place.
pub(in super::super) fn route_authorize(
    slot: &Slot<'_>,
    policies: &Policies<'_>,
) -> Option<RouteAuthorize> {
    let found = match &slot.node.kind {
        Kind::Scalar(_) => vec![named(slot, policies)],
        Kind::Map(entries) if entries.iter().any(|it| it.key == "all") => several(slot, policies)?,
        Kind::Map(_) => {
            let f = slot.r.fields(slot.node, &AUTHORIZE, Owner::of(AUTHORIZE.name, slot.owner))?;
            vec![authorize(&f, INLINE).map(Arc::new)]
        }
        Kind::Seq(_) | Kind::Null => {
            slot.wrong("a name, a map or none", Some("`{ all: [a, b] }` for several".to_owned()));
            return None;
        }
    };
    let policies = found.into_iter().collect::<Option<Vec<_>>>()?;
    Some(RouteAuthorize { place: slot.place(), policies })
}

fn several(slot: &Slot<'_>, policies: &Policies<'_>) -> Option<Vec<Option<Arc<Authorize>>>> {
    let owner = Owner::of(ROUTE_AUTHORIZE.name, slot.owner);
    let f = slot.r.fields(slot.node, &ROUTE_AUTHORIZE, owner)?;
    if f.entries().len() > 1 {
        slot.error(format!("`all` {} stands alone", f.owner.within()), None);
        return None;
    }
    let list = f.get("all")?;
    let items = list.items()?;
    if items.is_empty() {
        list.error(format!("{} is empty", list.subject()), None);
        return None;
    }
    // Under the key of the policies, where they are looked for.
    Some(items.iter().map(|item| named(&Slot { key: slot.key, ..*item }, policies)).collect())
}

/// Judged and compiled once, where it is defined.
fn named(slot: &Slot<'_>, policies: &Policies<'_>) -> Option<Arc<Authorize>> {
    let entry = policies.find(slot)?;
    policies.authorize(&entry.key)
}

/// A policy under `policies.authorize`.
pub(in super::super) fn judged(r: &Reader<'_>, node: &Node, name: &str) -> Option<Arc<Authorize>> {
    let f = r.fields(node, &AUTHORIZE, Owner::named("authorize policy", name))?;
    authorize(&f, name).map(Arc::new)
}

fn authorize(f: &Fields<'_>, policy: &str) -> Option<Authorize> {
    let list = |key| f.get(key).map(|slot| rules(&slot));
    let (allow, deny) = (list("allow"), list("deny"));
    if allow.is_none() && deny.is_none() {
        let found =
            Diagnostic::error(f.place, format!("{} has neither `allow` nor `deny`", f.owner));
        f.r.report(found.help("`{ allow: \"request.method == 'GET'\" }`"));
        return None;
    }
    let message = match f.get("message") {
        None => None,
        Some(slot) => Some(message(&slot)?),
    };
    // Without one of its expressions a rule would say something else.
    let (allow, deny) = (allow.unwrap_or(Some(Vec::new()))?, deny.unwrap_or(Some(Vec::new()))?);
    let rules = Rules { allow, deny };
    Some(Authorize { policy: policy.into(), rules, message, mode: mode(f)? })
}

fn message(slot: &Slot<'_>) -> Option<String> {
    let text = slot.text()?;
    if text.len() > LONGEST_MESSAGE || text.chars().any(char::is_control) {
        slot.error(
            format!("{} is one line of at most {LONGEST_MESSAGE} bytes", slot.subject()),
            None,
        );
        return None;
    }
    Some(text.to_owned())
}

fn rules(slot: &Slot<'_>) -> Option<Vec<Rule>> {
    // All of them, for all that is wrong.
    let rules: Vec<_> = slot.one_or_many()?.iter().map(rule).collect();
    rules.into_iter().collect()
}

fn rule(slot: &Slot<'_>) -> Option<Rule> {
    let text = slot.text()?;
    match Rule::compile(text) {
        Ok(rule) => Some(rule),
        Err(problem) => {
            report(slot, problem);
            None
        }
    }
}

fn report(slot: &Slot<'_>, problem: Problem) {
    if slot.node.is_secret() {
        slot.error(format!("{} is no rule that can be evaluated", slot.subject()), None);
        return;
    }
    let place = slot.r.part(slot.node, problem.at.start, problem.at.end);
    let found = Diagnostic::error(place, format!("{}: {}", slot.subject(), problem.message));
    slot.r.report(match problem.help {
        Some(help) => found.help(help),
        None => found,
    });
}

/// Nobody knows who a request is from unless it is asked.
pub(in super::super) fn fits(
    r: &Reader<'_>,
    route: &str,
    authorize: Option<&RouteAuthorize>,
    auth: Option<&RouteAuth>,
) {
    let Some(authorize) = authorize.filter(|_| auth.is_none()) else { return };
    if authorize.policies.iter().any(|policy| policy.rules.ask_who()) {
        let message = format!(
            "`authorize` of route `{route}` asks for `consumer` or `claims`, and the route has no `auth`"
        );
        let help = "nobody knows who its requests are from: the rule would refuse all of them";
        r.report(Diagnostic::error(authorize.place, message).help(help));
    }
}
