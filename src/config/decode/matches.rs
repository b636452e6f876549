//! `match`: `[METHOD ]host/path`, a map, or a list of either. What the patterns mean is judged when
//! the table is built; here they only get their places.

use http::{HeaderName, Method};

use super::{
    super::{
        diagnostic::{Diagnostic, Place},
        fields::{MATCH, PATH_REGEX, VALUE},
        model::{Located, Match, Name, PathMatch, ValueMatch},
        tree::{Entry, Kind, shorten},
    },
    edge,
    reader::{Fields, Owner, Reader},
    slot::Slot,
};

/// The branches of a route; one that takes everything where nothing is written.
pub(super) fn matches(f: &Fields<'_>, place: Place) -> Option<Vec<Match>> {
    let Some(slot) = f.get("match") else { return Some(vec![anything(place)]) };
    let mut all = Vec::new();
    let mut good = true;
    for item in slot.one_or_many()? {
        match one(f, &item) {
            Some(found) => all.push(found),
            None => good = false,
        }
    }
    good.then_some(all)
}

fn anything(place: Place) -> Match {
    Match {
        place,
        hosts: Vec::new(),
        paths: Vec::new(),
        methods: Vec::new(),
        headers: Vec::new(),
        query: Vec::new(),
        client_ip: Vec::new(),
        listeners: Vec::new(),
    }
}

fn one(f: &Fields<'_>, item: &Slot<'_>) -> Option<Match> {
    match &item.node.kind {
        Kind::Scalar(_) => short(item),
        Kind::Map(_) => {
            let owner = Owner::of(MATCH.name, &f.owner);
            full(&item.r.fields(item.node, &MATCH, owner)?)
        }
        Kind::Null | Kind::Seq(_) => {
            item.wrong("`[METHOD ]host/path` or a map", None);
            None
        }
    }
}

/// `[METHOD ]host/path`.
fn short(slot: &Slot<'_>) -> Option<Match> {
    let text = slot.text()?;
    let mut found = anything(slot.place());
    let mut at = 0;
    if let Some((word, _)) = text.split_once([' ', '\t']) {
        found.methods.push(method(slot, word, slot.r.part(slot.node, 0, word.len()))?);
        at = text.len() - text[word.len()..].trim_start().len();
    }
    let rest = text[at..].trim_end();
    if let Some((scheme, after)) = rest.split_once("://") {
        let place = slot.r.part(slot.node, at, at + scheme.len() + 3);
        let message = format!("{} has a scheme", slot.subject());
        let found = Diagnostic::error(place, message);
        let help = if slot.node.is_secret() { String::new() } else { shorten(after) };
        slot.r.report(found.help(format!("write host and path only: `{help}`")));
        return None;
    }
    if rest.contains(char::is_whitespace) {
        slot.wrong("`[METHOD ]host/path`", None);
        return None;
    }
    let slash = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(slash);
    if !host.is_empty() {
        let place = slot.r.part(slot.node, at, at + slash);
        found.hosts.push(Located { value: host.to_owned(), place });
    }
    if !path.is_empty() {
        let place = slot.r.part(slot.node, at + slash, at + rest.len());
        found.paths.push(pattern(slot.r, path, place));
    }
    Some(found)
}

fn pattern(r: &Reader<'_>, path: &str, place: Place) -> Located<PathMatch> {
    if path == "/" {
        let found = Diagnostic::warning(place, "`/` matches only the root");
        r.report(found.help("did you mean `/**`?"));
    }
    Located { value: PathMatch::Pattern(path.to_owned()), place }
}

/// A method: a known one, or an unknown one that is not close to a known one.
pub(super) fn method(slot: &Slot<'_>, word: &str, place: Place) -> Option<Method> {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
    let close = slot.r.propose(&word.to_ascii_uppercase(), known).filter(|close| *close != word);
    let capitals = !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c == '-');
    if let (true, None, Ok(method)) = (capitals, close, Method::from_bytes(word.as_bytes())) {
        return Some(method);
    }
    let shown = if slot.node.is_secret() { "…".to_owned() } else { shorten(word) };
    let message = format!("`{shown}` is not a method {}", slot.owner.within());
    let found = Diagnostic::error(place, message);
    slot.r.report(match close {
        Some(close) => found.help(format!("did you mean `{close}`?")),
        None => found.help("methods are written in capitals: `GET shop.example.com/orders/**`"),
    });
    None
}

fn full(f: &Fields<'_>) -> Option<Match> {
    let mut found = anything(f.place);
    let mut good = true;
    for item in many(f, "host", &mut good) {
        match item.located() {
            Some(host) => found.hosts.push(host),
            None => good = false,
        }
    }
    for item in many(f, "path", &mut good) {
        match path(f, &item) {
            Some(path) => found.paths.push(path),
            None => good = false,
        }
    }
    for item in many(f, "method", &mut good) {
        match item.text().and_then(|word| method(&item, word, item.place())) {
            Some(method) => found.methods.push(method),
            None => good = false,
        }
    }
    for item in many(f, "listener", &mut good) {
        match item.text() {
            Some(name) => {
                found.listeners.push(Located { value: Name::from(name), place: item.place() });
            }
            None => good = false,
        }
    }
    if let Some(slot) = f.get("client_ip") {
        found.client_ip = edge::networks(slot.one_or_many());
        good &= !found.client_ip.is_empty();
    }
    for (entry, condition) in conditions(f, "headers", &mut good) {
        match HeaderName::from_bytes(entry.key.as_bytes()) {
            Ok(name) => found.headers.push((name, condition)),
            Err(_) => {
                let message = format!("`{}` is not the name of a header", shorten(&entry.key));
                f.r.report(Diagnostic::error(entry.key_place, message));
                good = false;
            }
        }
    }
    for (entry, condition) in conditions(f, "query", &mut good) {
        found.query.push((entry.key.clone(), condition));
    }
    good.then_some(found)
}

fn many<'f>(f: &'f Fields<'_>, key: &'static str, good: &mut bool) -> Vec<Slot<'f>> {
    let Some(slot) = f.get(key) else { return Vec::new() };
    let items = slot.one_or_many();
    *good &= items.is_some();
    items.unwrap_or_default()
}

fn path(f: &Fields<'_>, item: &Slot<'_>) -> Option<Located<PathMatch>> {
    if let Kind::Map(_) = item.node.kind {
        let owner = Owner::of(PATH_REGEX.name, &f.owner);
        let f = f.r.fields(item.node, &PATH_REGEX, owner)?;
        let Some(slot) = f.get("regex") else {
            f.missing("regex");
            return None;
        };
        let Located { value, place } = slot.located()?;
        return Some(Located { value: PathMatch::Regex(value), place });
    }
    let text = item.text()?;
    Some(pattern(item.r, text, item.place()))
}

fn conditions<'f>(
    f: &'f Fields<'_>,
    key: &'static str,
    good: &mut bool,
) -> Vec<(&'f Entry, Located<ValueMatch>)> {
    let mut all = Vec::new();
    let Some(slot) = f.get(key) else { return all };
    let Kind::Map(entries) = &slot.node.kind else {
        slot.wrong("a map of conditions", None);
        *good = false;
        return all;
    };
    for entry in entries {
        let item = Slot { node: &entry.value, ..slot };
        match condition(f, &item) {
            Some(value) => all.push((entry, Located { value, place: entry.value.place })),
            None => *good = false,
        }
    }
    all
}

fn condition(f: &Fields<'_>, item: &Slot<'_>) -> Option<ValueMatch> {
    match &item.node.kind {
        Kind::Scalar(scalar) => Some(match scalar.text.as_str() {
            "present" => ValueMatch::Present,
            "absent" => ValueMatch::Absent,
            text => ValueMatch::Exact(text.to_owned()),
        }),
        Kind::Map(_) => {
            let what = format!("`{}`", item.key);
            let f = item.r.fields(item.node, &VALUE, Owner::of(&what, &f.owner))?;
            match (f.get("regex"), f.get("prefix")) {
                (Some(regex), None) => Some(ValueMatch::Regex(regex.text()?.to_owned())),
                (None, Some(prefix)) => Some(ValueMatch::Prefix(prefix.text()?.to_owned())),
                (Some(_), Some(prefix)) => {
                    prefix.error("a condition has either `regex` or `prefix`".to_owned(), None);
                    None
                }
                (None, None) => {
                    form(item);
                    None
                }
            }
        }
        Kind::Null | Kind::Seq(_) => {
            form(item);
            None
        }
    }
}

fn form(item: &Slot<'_>) {
    item.wrong("a value, present, absent, `{ regex: … }` or `{ prefix: … }` for each key", None);
}
