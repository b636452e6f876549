//! `tests`: requests, and what is expected of them.

use std::collections::BTreeSet;

use http::{HeaderName, StatusCode};

use super::{
    super::{
        diagnostic::{Diagnostic, Place},
        fields::TEST,
        model::{Config, Expected, Located, Name, Test},
        tree::{Entry, Kind, Node, shorten},
        typed::json,
    },
    Context, Tops, address, matches,
    reader::{Fields, Owner, Reader},
    slot::Slot,
};
use crate::{
    error::Reason,
    explain::{Asked, Caller},
};

/// The tests of one file.
pub(super) fn section(top: &Fields<'_>, all: &mut Vec<Test>) {
    for item in top.get("tests").and_then(|slot| slot.items()).unwrap_or_default() {
        let owner = Owner::of(TEST.name, &top.owner);
        all.extend(item.r.fields(item.node, &TEST, owner).and_then(|f| test(&f)));
    }
}

fn test(f: &Fields<'_>) -> Option<Test> {
    let Some(request) = f.get("request") else {
        f.missing("request");
        return None;
    };
    let asked = request.text().and_then(|text| asked(&request, text));
    let headers = headers(f);
    let caller = caller(f);
    let listener = f.get("listener").and_then(|slot| slot.text()).map(str::to_owned);
    let client_ip = f.get("client_ip").and_then(|slot| address_of(&slot));
    let expected = expected(f)?;
    let name = match f.get("name") {
        Some(slot) => slot.text()?.to_owned(),
        None if request.node.is_secret() => "«redacted»".to_owned(),
        None => f.r.sources.without_private(request.text()?, |_| "…".to_owned()),
    };
    let asked = Asked { headers: headers?, caller, listener, client_ip, ..asked? };
    Some(Test { place: request.place(), name, asked, expected })
}

// === the request ===

/// `METHOD URL`.
fn asked(slot: &Slot<'_>, text: &str) -> Option<Asked> {
    let Some((word, url)) = text.split_once([' ', '\t']) else {
        let bare = text.contains("://") && !slot.node.is_secret();
        let help = bare.then(|| format!("did you mean `GET {}`?", shorten(text)));
        slot.wrong("a method and a URL", help.or(Some("`GET https://host/path`".to_owned())));
        return None;
    };
    let at = text.len() - url.trim_start().len();
    let url = url.trim();
    let method = matches::method(slot, word, slot.r.part(slot.node, 0, word.len()))?;
    match Asked::new(method.as_str(), url, &[]) {
        Ok(asked) if url.contains("://") => Some(asked),
        found => {
            let secret = slot.node.is_secret();
            let place = slot.r.part(slot.node, at, at + url.len());
            let message = match found {
                _ if secret => format!("{} has no URL like https://host/path", slot.subject()),
                Err(problem) => problem,
                Ok(_) => format!("`{}` has no scheme", shorten(url)),
            };
            let wrong = Diagnostic::error(place, message);
            let likely = !secret && !url.contains("://");
            slot.r.report(match likely {
                true => wrong.help(format!("did you mean `https://{}`?", shorten(url))),
                false => wrong,
            });
            None
        }
    }
}

fn headers(f: &Fields<'_>) -> Option<Vec<(String, String)>> {
    let Some(slot) = f.get("headers") else { return Some(Vec::new()) };
    let Kind::Map(entries) = &slot.node.kind else {
        slot.wrong("a map of names and values", None);
        return None;
    };
    let one = |Entry { key, key_place, value }: &Entry| {
        if HeaderName::from_bytes(key.as_bytes()).is_err() {
            let message = format!("`{}` is not the name of a header", shorten(key));
            f.r.report(Diagnostic::error(*key_place, message));
            return None;
        }
        let text = value.text().filter(|text| !text.contains(['\r', '\n', '\0']));
        if text.is_none() {
            let message = format!("the value of `{}` {} must be text", key, f.owner.within());
            f.r.report(Diagnostic::error(value.place, message));
        }
        Some((key.clone(), text?.to_owned()))
    };
    // Each says what is wrong with it.
    let all: Vec<_> = entries.iter().map(one).collect();
    all.into_iter().collect()
}

fn caller(f: &Fields<'_>) -> Option<Caller> {
    let consumer = f.get("consumer").map(|slot| slot.text().map(Name::from));
    let claims = f.get("claims").map(|slot| {
        if slot.node.entries().is_none() {
            slot.wrong("a map of claims", None);
        }
        json(slot.node)
    });
    if consumer.is_none() && claims.is_none() {
        return None;
    }
    let claims = claims.and_then(|claims| claims.as_object().cloned()).unwrap_or_default();
    Some(Caller { consumer: consumer.flatten(), claims })
}

fn address_of(slot: &Slot<'_>) -> Option<std::net::IpAddr> {
    let address = slot.text()?.parse().ok();
    if address.is_none() {
        slot.wrong("an address", Some("like `192.0.2.7` or `2001:db8::7`".to_owned()));
    }
    address
}

// === what is expected ===

/// A key, and how its value is read.
type Read = (&'static str, fn(&Slot<'_>) -> Option<Expected>);

fn expected(f: &Fields<'_>) -> Option<Vec<Located<Expected>>> {
    let read: [Read; 8] = [
        ("route", |slot| Some(Expected::Route(none_or(slot, |slot| slot.text().map(Name::from))?))),
        ("upstream", |slot| Some(Expected::Upstream(none_or(slot, upstreams)?))),
        ("path", path),
        ("auth", |slot| Some(Expected::Auth(none_or(slot, names)?.unwrap_or_default()))),
        ("rate_limit", |slot| Some(Expected::RateLimit(none_or(slot, names)?.unwrap_or_default()))),
        ("status", |slot| Some(Expected::Status(none_or(slot, status)?))),
        ("reason", |slot| Some(Expected::Reason(none_or(slot, reason)?))),
        ("redirect", redirect),
    ];
    let (mut all, mut good) = (Vec::new(), true);
    for (key, read) in read {
        let Some(slot) = f.get(key) else { continue };
        match read(&slot) {
            Some(value) => all.push(Located { value, place: slot.place() }),
            None => good = false,
        }
    }
    if good && all.is_empty() {
        let found = Diagnostic::error(f.place, "a test that expects nothing");
        f.r.report(found.help("`route: NAME` or `status: 404`, for example"));
        return None;
    }
    no_route(f, &all);
    good.then_some(all)
}

/// What belongs to a route is not expected of a request that none takes.
fn no_route(f: &Fields<'_>, all: &[Located<Expected>]) {
    let Some(none) = all.iter().find(|it| it.value == Expected::Route(None)) else { return };
    for it in all {
        let of_route = match &it.value {
            Expected::Upstream(names) => names.is_some(),
            Expected::Auth(names) | Expected::RateLimit(names) => !names.is_empty(),
            Expected::Path(_) => true,
            _ => false,
        };
        if of_route {
            let message =
                format!("`route: none` and `{}`: no route, nothing of one", it.value.key());
            f.r.report(Diagnostic::error(it.place, message).and(none.place, ""));
        }
    }
}

/// `none`, or what else may stand there.
fn none_or<T>(slot: &Slot<'_>, read: impl Fn(&Slot<'_>) -> Option<T>) -> Option<Option<T>> {
    if slot.node.is_none_word() { Some(None) } else { read(slot).map(Some) }
}

fn names(slot: &Slot<'_>) -> Option<Vec<Located<Name>>> {
    let one = |item: Slot<'_>| {
        let value = item.text()?.into();
        Some(Located { value, place: item.place() })
    };
    slot.one_or_many()?.into_iter().map(one).collect()
}

/// Upstreams by name, or by the URL they were written as.
fn upstreams(slot: &Slot<'_>) -> Option<Vec<Located<Name>>> {
    let mut all = names(slot)?;
    for it in &mut all {
        if let Ok(url) = address::endpoint(&it.value) {
            it.value = url.name;
        }
    }
    Some(all)
}

fn path(slot: &Slot<'_>) -> Option<Expected> {
    let text = slot.text()?;
    if !text.starts_with('/') {
        let help = (!slot.node.is_secret()).then(|| format!("did you mean `/{}`?", shorten(text)));
        slot.wrong("a path that starts with `/`", help);
        return None;
    }
    Some(Expected::Path(text.to_owned()))
}

fn status(slot: &Slot<'_>) -> Option<StatusCode> {
    StatusCode::from_u16(u16::try_from(slot.int()?).ok()?).ok()
}

fn reason(slot: &Slot<'_>) -> Option<Reason> {
    let text = slot.text()?;
    let found = Reason::ALL.into_iter().find(|reason| reason.word() == text);
    if found.is_none() {
        let close = slot.r.propose(text, Reason::ALL.map(|reason| reason.word()));
        let help = close.map(|word| format!("did you mean `{word}`?"));
        let pages = "docs/reasons.md has all of them".to_owned();
        slot.wrong("the word of a reason", Some(help.unwrap_or(pages)));
    }
    found
}

fn redirect(slot: &Slot<'_>) -> Option<Expected> {
    let text = slot.text()?;
    if !text.starts_with('/') && !text.contains("://") {
        let help =
            (!slot.node.is_secret()).then(|| format!("did you mean `https://{}`?", shorten(text)));
        slot.wrong("a URL", help);
        return None;
    }
    Some(Expected::Redirect(text.to_owned()))
}

// === names ===

/// Names that nothing has. Asked when all files could be read.
pub(super) fn names_exist(context: &Context<'_>, tops: &Tops<'_>, config: &Config) {
    if config.tests.is_empty() {
        return;
    }
    let known = Known::collect(context, tops, config);
    for test in &config.tests {
        if let Some(listener) = &test.asked.listener
            && !config.listeners.contains_key(listener.as_str())
        {
            let names = config.listeners.keys().map(ToString::to_string).collect();
            unknown(context.r, test, ("comes through", "listener"), (listener, test.place), &names);
        }
        for Located { value, place } in &test.expected {
            let (what, names, among) = match value {
                Expected::Route(Some(name)) => ("route", vec![(name, *place)], &known.routes),
                Expected::Upstream(Some(names)) => ("upstream", all(names), &known.upstreams),
                Expected::Auth(names) => ("policy of `auth`", all(names), &known.auth),
                Expected::RateLimit(names) => {
                    ("policy of `rate_limit`", all(names), &known.rate_limit)
                }
                _ => continue,
            };
            for (name, place) in names {
                if !among.contains(&**name) {
                    unknown(context.r, test, ("expects", what), (name, place), among);
                }
            }
        }
    }
}

/// What a test may name.
struct Known {
    routes: BTreeSet<String>,
    upstreams: BTreeSet<String>,
    auth: BTreeSet<String>,
    rate_limit: BTreeSet<String>,
}

impl Known {
    fn collect(context: &Context<'_>, tops: &Tops<'_>, config: &Config) -> Self {
        // Those that could not be read are there all the same.
        let keys = |path: &[&str]| -> BTreeSet<String> {
            let maps = tops.iter().filter_map(|(_, top)| top.entry(path[0]));
            let mut nodes: Vec<&Node> = maps.map(|entry| &entry.value).collect();
            for key in &path[1..] {
                let entries = nodes.iter().flat_map(|node| node.entries().unwrap_or_default());
                nodes = entries.filter(|it| it.key == *key).map(|it| &it.value).collect();
            }
            let entries = nodes.iter().flat_map(|node| node.entries().unwrap_or_default());
            entries.map(|entry| entry.key.clone()).collect()
        };
        let mut it = Self {
            routes: keys(&["routes"]),
            upstreams: context.declared.keys().map(ToString::to_string).collect(),
            auth: keys(&["policies", "auth"]),
            rate_limit: keys(&["policies", "rate_limit"]),
        };
        it.upstreams.extend(config.upstreams.keys().map(ToString::to_string));
        for route in config.routes.values() {
            let auth = route.auth.iter().flat_map(|it| &it.policies);
            it.auth.extend(auth.map(|policy| policy.policy.to_string()));
            it.rate_limit.extend(route.rate_limit.iter().map(|limit| limit.policy.to_string()));
        }
        it
    }
}

fn all(names: &[Located<Name>]) -> Vec<(&Name, Place)> {
    names.iter().map(|name| (&name.value, name.place)).collect()
}

fn unknown(
    r: &Reader<'_>,
    test: &Test,
    (verb, what): (&str, &str),
    (name, place): (&str, Place),
    among: &BTreeSet<String>,
) {
    let shown = r.sources.shown(place, &shorten(name));
    let shown = if place == test.place { format!("`{}`", shorten(name)) } else { shown };
    let message = format!("test `{}` {verb} an unknown {what} {shown}", shorten(&test.name));
    let found = Diagnostic::error(place, message);
    r.report(match r.propose(name, among.iter().map(String::as_str)) {
        Some(close) => found.help(format!("did you mean `{close}`?")),
        None => found,
    });
}
