//! `to`, `redirect`, `respond`: exactly one of them.

use http::StatusCode;

use super::{
    super::{
        diagnostic::{Diagnostic, Place},
        model::{Action, Located, Name},
        tree::{Entry, Kind, Node, shorten},
    },
    Context, address,
    reader::{Fields, list},
    records::{self, Defaults},
    slot::Slot,
    upstreams,
};

const ACTIONS: [&str; 3] = ["to", "redirect", "respond"];
/// What one upstream of `to` may weigh.
const MAX_WEIGHT: u32 = 10_000;

/// What a route does.
pub(super) fn action(
    context: &Context<'_>,
    f: &Fields<'_>,
    place: Place,
    defaults: &Defaults,
) -> Option<Action> {
    let written: Vec<&Entry> = ACTIONS.iter().filter_map(|key| f.entry(key)).collect();
    match written.as_slice() {
        [] => {
            let message = format!("{} has no `to`, `redirect` or `respond`", f.owner);
            f.r.report(Diagnostic::error(place, message).help("it takes exactly one of them"));
            None
        }
        [one] => match one.key.as_str() {
            "to" => forward(context, f, &one.value, defaults),
            "redirect" => redirect(f),
            _ => respond(f),
        },
        [first, second, ..] => {
            let message = format!("{} has both `{}` and `{}`", f.owner, first.key, second.key);
            let found = Diagnostic::error(second.key_place, message).and(first.key_place, "");
            f.r.report(found.help("it takes exactly one of `to`, `redirect` and `respond`"));
            None
        }
    }
}

fn forward(
    context: &Context<'_>,
    f: &Fields<'_>,
    node: &Node,
    defaults: &Defaults,
) -> Option<Action> {
    let slot = f.get("to")?;
    match &node.kind {
        Kind::Scalar(_) => {
            let name = target(context, f, node, slot.text()?, node.place, defaults)?;
            Some(Action::Forward(vec![(name, 1)]))
        }
        Kind::Map(entries) if !entries.is_empty() => weights(context, f, &slot, entries, defaults),
        Kind::Map(_) | Kind::Null => {
            slot.error(format!("{} is empty", slot.subject()), None);
            None
        }
        Kind::Seq(items) => {
            let each: Vec<String> = items
                .iter()
                .filter(|item| !item.is_secret())
                .filter_map(Node::text)
                .map(|name| format!("{}: 1", shorten(name)))
                .collect();
            let help = format!("several upstreams have weights: `{{ {} }}`", each.join(", "));
            slot.wrong("an upstream, a URL, or a map of weights", Some(help));
            None
        }
    }
}

fn weights(
    context: &Context<'_>,
    f: &Fields<'_>,
    slot: &Slot<'_>,
    entries: &[Entry],
    defaults: &Defaults,
) -> Option<Action> {
    let mut targets: Vec<(Located<Name>, u32)> = Vec::new();
    let mut good = true;
    for Entry { key, key_place, value } in entries {
        let name = target(context, f, value, key, *key_place, defaults);
        let item = Slot { node: value, ..*slot };
        let weight = value.text().and_then(|text| text.parse().ok());
        let weight = weight.filter(|weight: &u32| *weight <= MAX_WEIGHT);
        if weight.is_none() {
            let percent = value.text().filter(|_| !value.is_secret());
            let percent = percent.and_then(|text| text.strip_suffix('%'));
            let help =
                percent.map(|number| format!("weights are shares: did you mean `{number}`?"));
            let message = format!(
                "the weight of `{}` {} must be a number from 0 to {MAX_WEIGHT}, not {}",
                shorten(key),
                f.owner.within(),
                value.shown()
            );
            item.error(message, help);
        }
        match (name, weight) {
            (Some(name), Some(weight)) => targets.push((name, weight)),
            _ => good = false,
        }
    }
    if good && targets.iter().all(|(_, weight)| *weight == 0) {
        let message = format!("all weights {} are 0", f.owner.within());
        slot.error(message, Some("`enabled: false` switches a route off".to_owned()));
        return None;
    }
    good.then_some(Action::Forward(targets))
}

/// One upstream, by name or by URL.
pub(super) fn target(
    context: &Context<'_>,
    f: &Fields<'_>,
    node: &Node,
    text: &str,
    place: Place,
    defaults: &Defaults,
) -> Option<Located<Name>> {
    if address::is_url(text) {
        let value = upstreams::inline(context, node, text, place, defaults)?;
        return Some(Located { value, place });
    }
    if !context.declared.contains_key(text) && context.whole {
        let secret = node.place == place && node.is_secret();
        let shown = if secret { "«redacted»".to_owned() } else { format!("`{}`", shorten(text)) };
        let message = format!("{} sends traffic to an unknown upstream {shown}", f.owner);
        let found = Diagnostic::error(place, message).label("not defined in any file");
        let help = if let Some(why) = f.r.lost("upstreams", text) {
            Some(why)
        } else if text.contains([':', '.', '/']) && !secret {
            Some(format!("did you mean `http://{text}`?"))
        } else {
            let mut known: Vec<&str> = context.declared.keys().copied().collect();
            known.sort_unstable();
            f.r.propose(text, known).map(|close| format!("did you mean `{close}`?"))
        };
        f.r.report(match help {
            Some(help) => found.help(help),
            None => found,
        });
        return None;
    }
    Some(Located { value: text.into(), place })
}

fn redirect(f: &Fields<'_>) -> Option<Action> {
    let slot = f.get("redirect")?;
    if slot.node.text().is_some() {
        let to = template(&slot)?;
        return Some(Action::Redirect {
            to,
            status: StatusCode::PERMANENT_REDIRECT,
            keep_query: true,
        });
    }
    let f = f.child("redirect")?;
    let Some(slot) = f.get("to") else {
        f.missing("to");
        return None;
    };
    let to = template(&slot);
    let status = f.get("status").map_or(Some("308"), |slot| slot.word());
    let keep_query = f.get("keep_query").map_or(Some(true), |slot| slot.bool());
    let status = StatusCode::from_bytes(status?.as_bytes()).ok()?;
    Some(Action::Redirect { to: to?, status, keep_query: keep_query? })
}

fn template(slot: &Slot<'_>) -> Option<Located<String>> {
    let to = slot.located()?;
    let starts = ["/", "http://", "https://", "{"];
    if starts.iter().any(|start| to.value.starts_with(start)) {
        return Some(to);
    }
    let secret = slot.node.is_secret();
    let help = (!secret).then(|| format!("did you mean `https://{}`?", to.value));
    slot.wrong(&format!("a URL that starts with {}", list(starts[..3].iter().copied())), help);
    None
}

fn respond(f: &Fields<'_>) -> Option<Action> {
    let slot = f.get("respond")?;
    if let Some(text) = slot.node.text() {
        let status = text.parse().ok().filter(|status| (200..=599).contains(status));
        let Some(status) = status.and_then(|status| StatusCode::from_u16(status).ok()) else {
            slot.wrong("a status from 200 to 599, or a map", None);
            return None;
        };
        return Some(Action::Respond { status, body: String::new(), headers: Vec::new() });
    }
    let f = f.child("respond")?;
    let status = f.get("status").map_or(Some(200), |slot| slot.int())?;
    let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok())?;
    let body = f.get("body").map_or(Some(String::new()), |slot| match slot.node.text() {
        Some(text) => Some(text.to_owned()),
        None => slot.text().map(str::to_owned),
    })?;
    let headers = f.get("headers").map(|slot| records::header_values(&slot, true));
    Some(Action::Respond { status, body, headers: headers.unwrap_or_default() })
}
