//! `headers`: what is put in and taken out. Fields that protect browsers, and those that keep clients from
//! saying what only the gateway may say, widen when they go.

use http::{HeaderName, HeaderValue};

use super::{Effect, subject::Subject};
use crate::config::model::{HeaderEdits, Headers};

/// Fields of answers by which browsers are told what not to do.
const PROTECTS: [&str; 10] = [
    "strict-transport-security",
    "content-security-policy",
    "x-frame-options",
    "x-content-type-options",
    "referrer-policy",
    "permissions-policy",
    "cross-origin-opener-policy",
    "cross-origin-embedder-policy",
    "cross-origin-resource-policy",
    "x-permitted-cross-domain-policies",
];

/// Fields that are set, or added.
type Fields = fn(&HeaderEdits) -> &[(HeaderName, HeaderValue)];

/// Compares `headers` of a route.
pub(super) fn compare(s: &mut Subject<'_, '_>, old: &Headers, new: &Headers) {
    edits(s, "headers.request", &old.request, &new.request, |_, is| {
        // What the gateway sets, clients cannot say themselves.
        Effect::of(is.is_none(), false)
    });
    edits(s, "headers.response", &old.response, &new.response, answer);
}

/// What a field of the answer means.
fn answer(name: &HeaderName, is: Option<(&[HeaderValue], &[HeaderValue])>) -> Effect {
    if !PROTECTS.contains(&name.as_str()) {
        return Effect::Other;
    }
    match is {
        None => Effect::Widens,
        Some(([], _)) => Effect::Narrows,
        Some((old, new)) => match (max_age(old), max_age(new)) {
            (Some(old), Some(new)) if old != new => Effect::of(new < old, new > old),
            // Nobody here can say which policy of contents is the stricter one.
            _ => Effect::Widens,
        },
    }
}

fn max_age(values: &[HeaderValue]) -> Option<u64> {
    let [value] = values else { return None };
    let mut parts = value.to_str().ok()?.split(';').map(str::trim);
    parts.find_map(|part| part.strip_prefix("max-age=")?.parse().ok())
}

fn edits(
    s: &mut Subject<'_, '_>,
    at: &str,
    old: &HeaderEdits,
    new: &HeaderEdits,
    judge: impl Fn(&HeaderName, Option<(&[HeaderValue], &[HeaderValue])>) -> Effect,
) {
    let all: [(&str, Fields); 2] = [("set", |it| &it.set), ("add", |it| &it.add)];
    for (verb, of) in all {
        let mut names: Vec<&HeaderName> = of(old).iter().chain(of(new)).map(|it| &it.0).collect();
        names.sort_by_key(|name| name.as_str());
        names.dedup();
        for name in names {
            let values = |it| -> Vec<HeaderValue> {
                let of_name = |pair: &&(_, _)| pair.0 == *name;
                of(it).iter().filter(of_name).map(|pair| pair.1.clone()).collect()
            };
            let (was, is) = (values(old), values(new));
            if was == is {
                continue;
            }
            // A field that is set once more instead of added is still there.
            let elsewhere = is.is_empty() && new.set.iter().chain(&new.add).any(|it| it.0 == *name);
            let effect = match is.is_empty() && !elsewhere {
                true => judge(name, None),
                false => judge(name, Some((&was, &is))),
            };
            s.key(&format!("{at}.{verb}.{name}"), effect, shown(&was), shown(&is));
        }
    }
    if old.remove != new.remove {
        let gone = old.remove.iter().any(|name| !new.remove.contains(name));
        let came = new.remove.iter().any(|name| !old.remove.contains(name));
        let names =
            |it: &HeaderEdits| it.remove.iter().map(ToString::to_string).collect::<Vec<_>>();
        s.part(&format!("{at}.remove"), Effect::of(gone, came), &names(old), &names(new));
    }
}

fn shown(values: &[HeaderValue]) -> String {
    let one = |value: &HeaderValue| match value.to_str() {
        Ok(text) if !value.is_sensitive() => text.to_owned(),
        _ => "«redacted»".to_owned(),
    };
    let all: Vec<String> = values.iter().map(one).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}
