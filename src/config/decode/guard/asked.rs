//! What the schemes have in common that ask a service: which one, what of its answer counts, and what is
//! kept of it.

use std::time::Duration;

use http::{HeaderName, header::COOKIE, uri::PathAndQuery};

use super::{
    super::{
        super::{
            diagnostic::{Diagnostic, Place},
            model::{
                AlikePart, AskedService, DecisionCache, Judge, Located, Name, OnError, RouteAuth,
                Takes,
            },
            tree::shorten,
        },
        Context, address,
        edge::set,
        endpoints::endpoint,
        reader::Fields,
        records::{Defaults, header_name},
        slot::Slot,
        upstreams,
    },
    told_in,
};
use crate::auth::decisions::Life;

/// Bytes of a body a service sees, where nobody says how many.
const BODY: u64 = 64 << 10;

/// A service that is shown requests: one of `external`, or with a `path` of its protocol one of
/// `ext_authz`. It sees these headers where nobody says which; `None` is all.
pub(super) fn judge(
    f: &Fields<'_>,
    path: Option<&str>,
    seen: Option<Vec<HeaderName>>,
) -> Option<Judge> {
    let mut service = service(f, path)?;
    service.on_error = on_error(f)?;
    let request_headers = match f.get("request_headers") {
        Some(slot) if seen.is_none() && slot.node.is("all") => None,
        _ => headers(f, "request_headers")?.or(seen),
    };
    let body = body(f)?;
    let cache = cache(f, request_headers.as_deref(), body)?;
    Some(Judge { service, request_headers, takes: takes(f)?, body, cache })
}

/// `url`, or `to`, with what belongs to it. `path` is the one of all questions, where the protocol says
/// it; then none is written.
pub(super) fn service(f: &Fields<'_>, path: Option<&str>) -> Option<AskedService> {
    let (to, endpoint, in_url) = match (f.get("url"), f.get("to")) {
        (Some(url), None) => {
            let text = url.text()?;
            let (text, in_url) = split(text);
            let endpoint = endpoint(f.r, url.node, text, url.place())?;
            (endpoint.url.clone(), Some(endpoint), in_url.map(|path| (path, url)))
        }
        (None, Some(to)) => {
            let text = to.text()?;
            if address::is_url(text) {
                to.error(
                    format!("{} is an upstream, not a URL", to.subject()),
                    Some("`url`".into()),
                );
                return None;
            }
            (Located { value: Name::from(text), place: to.place() }, None, None)
        }
        (Some(_), Some(to)) => {
            to.error(format!("{} has both `url` and `to`", f.owner), None);
            return None;
        }
        (None, None) => {
            let message = format!("{} has neither `url` nor `to`", f.owner);
            f.r.report(Diagnostic::error(f.place, message));
            return None;
        }
    };
    let written = if path.is_none() { f.get("path") } else { None };
    let path = match (path, in_url, written) {
        (Some(path), None, _) => path.to_owned(),
        (Some(_), Some((_, url)), _) => {
            url.error(format!("{} has a path; gRPC has its own", url.subject()), None);
            return None;
        }
        (None, None, None) => "/".to_owned(),
        (None, Some((path, slot)), None) => checked(path, &slot)?,
        (None, None, Some(slot)) => checked(slot.text()?, &slot)?,
        (None, Some(_), Some(slot)) => {
            slot.error(format!("{} has a path in `url` too", f.owner), None);
            return None;
        }
    };
    let mut it = AskedService {
        to,
        endpoint,
        path,
        timeout: Duration::from_secs(1),
        on_error: OnError::Deny,
    };
    set(&mut it.timeout, f.get("timeout").and_then(|slot| slot.duration()));
    Some(it)
}

/// `on_error`. That requests pass unasked must not go unseen.
fn on_error(f: &Fields<'_>) -> Option<OnError> {
    let Some(slot) = f.get("on_error") else { return Some(OnError::Deny) };
    if slot.word()? == "deny" {
        return Some(OnError::Deny);
    }
    let message =
        format!("{}: whoever can keep the service from answering may pass", slot.subject());
    let found = Diagnostic::warning(slot.place(), message);
    f.r.report(found.help("`cache: { stale_if_error: … }` lets those pass that were known before"));
    Some(OnError::Allow)
}

/// A URL without its path, and the path if it has one.
fn split(url: &str) -> (&str, Option<&str>) {
    let Some(authority) = url.find("://").map(|at| at + 3).filter(|_| !url.starts_with("unix:"))
    else {
        return (url, None);
    };
    match url[authority..].find(['/', '?', '#']) {
        None => (url, None),
        Some(end) => match url.split_at(authority + end) {
            (url, "/") => (url, None),
            (url, path) => (url, Some(path)),
        },
    }
}

fn checked(path: &str, slot: &Slot<'_>) -> Option<String> {
    let good = path.starts_with('/') && !path.contains('#');
    if good && PathAndQuery::try_from(path).is_ok() {
        return Some(path.to_owned());
    }
    let what = if slot.key == "url" { "a URL with a path" } else { "a path that starts with `/`" };
    slot.wrong(what, None);
    None
}

/// A list of names of headers that may be read.
fn headers(f: &Fields<'_>, key: &'static str) -> Option<Option<Vec<HeaderName>>> {
    names(f, key, header_name)
}

fn names(
    f: &Fields<'_>,
    key: &'static str,
    name: fn(&Slot<'_>, &str, Place) -> Option<HeaderName>,
) -> Option<Option<Vec<HeaderName>>> {
    let Some(slot) = f.get(key) else { return Some(None) };
    let items = slot.items()?;
    let names = items.iter().map(|item| name(item, item.text()?, item.place()));
    names.collect::<Option<Vec<_>>>().map(Some)
}

/// What of an answer counts: `response_headers`, `answer_headers` and `consumer`.
fn takes(f: &Fields<'_>) -> Option<Takes> {
    let response_headers = names(f, "response_headers", told_in)?.unwrap_or_default();
    let answer_headers = headers(f, "answer_headers")?.unwrap_or_default();
    let consumer = match f.get("consumer") {
        None => None,
        Some(slot) if slot.node.is_none_word() => None,
        Some(slot) => Some(told_in(&slot, slot.text()?, slot.place())?),
    };
    Some(Takes { response_headers, answer_headers, consumer })
}

/// `body`: how much of it the service sees.
fn body(f: &Fields<'_>) -> Option<Option<u64>> {
    let Some(slot) = f.get("body") else { return Some(None) };
    if slot.node.is_none_word() {
        return Some(None);
    }
    let f = f.child("body")?;
    let max = f.get("max").map_or(Some(BODY), |slot| slot.size())?;
    Some(Some(max))
}

/// `cache`, where it has a key. What the service sees of a request must be in it, or the answer to one
/// client would be the answer to another.
fn cache(
    of: &Fields<'_>,
    seen: Option<&[HeaderName]>,
    body: Option<u64>,
) -> Option<Option<DecisionCache>> {
    let Some(slot) = of.get("cache") else { return Some(None) };
    if slot.node.is_none_word() {
        return Some(None);
    }
    let f = of.child("cache")?;
    let Some(list) = f.get("key") else {
        f.missing("key");
        return None;
    };
    let mut key = Vec::new();
    for item in list.items()? {
        match AlikePart::parse(item.text()?) {
            Some(part) => key.push(part),
            None => {
                let help = "header:NAME, cookie:NAME, method, scheme, host, path, query, client_ip";
                item.wrong("a part of a request", Some(help.to_owned()));
                return None;
            }
        }
    }
    if key.is_empty() {
        list.error(format!("{} is empty", list.subject()), None);
        return None;
    }
    let Some(seen) = seen else {
        let message =
            format!("{} needs `request_headers`: the service sees them all", slot.subject());
        slot.error(message, None);
        return None;
    };
    if body.is_some() {
        slot.error(format!("{} cannot tell bodies apart", slot.subject()), None);
        return None;
    }
    if let Some(hidden) = seen.iter().find(|name| !key.iter().any(|part| part.covers(name))) {
        // A name may come from a variable.
        let secret = of.get("request_headers").and_then(|slot| slot.items());
        let secret = secret.is_some_and(|items| items.iter().any(|item| item.node.is_secret()));
        let shown = if secret { "«redacted»".to_owned() } else { format!("`{hidden}`") };
        let message = format!("{} does not tell apart who sends another {shown}", list.subject());
        let part = if *hidden == COOKIE { "cookie:NAME" } else { "header:NAME" };
        let help = format!("`{part}` in `key`, or another list of `request_headers`");
        list.error(message, Some(help));
        return None;
    }
    Some(Some(DecisionCache { key, life: life(&f)? }))
}

/// `cache`, where the token is the key.
pub(super) fn tokens(f: &Fields<'_>) -> Option<Option<Life>> {
    match f.get("cache") {
        None => Some(None),
        Some(slot) if slot.node.is_none_word() => Some(None),
        Some(_) => life(&f.child("cache")?).map(Some),
    }
}

/// How long something is kept, and how much.
fn life(f: &Fields<'_>) -> Option<Life> {
    let time = |key, otherwise| f.get(key).map_or(Some(otherwise), |slot| slot.duration());
    Some(Life {
        ttl: time("ttl", Duration::from_secs(60))?,
        negative_ttl: time("negative_ttl", Duration::from_secs(5))?,
        stale_if_error: time("stale_if_error", Duration::ZERO)?,
        max: f.get("max").map_or(Some(10_000), |slot| slot.count())?,
    })
}

/// Makes upstreams of the services that the policies of a route ask, as `to` of the route does.
pub(in super::super) fn services(context: &Context<'_>, auth: &RouteAuth, defaults: &Defaults) {
    for policy in &auth.policies {
        let Some(service) = policy.service() else { continue };
        let Located { value: name, place } = &service.to;
        if let Some(endpoint) = &service.endpoint {
            upstreams::implicit(context, endpoint.clone(), *place, defaults);
        } else if !context.declared.contains_key(&**name) && context.whole {
            let shown = context.r.sources.shown(*place, &shorten(name));
            let message =
                format!("auth policy `{}` asks an unknown upstream {shown}", policy.policy);
            let found = Diagnostic::error(*place, message).label("not defined in any file");
            let mut known: Vec<&str> = context.declared.keys().copied().collect();
            known.sort_unstable();
            let close = context.r.propose(name, known);
            let close = close.map(|close| format!("did you mean `{close}`?"));
            context.r.report(match context.r.lost("upstreams", name).or(close) {
                Some(help) => found.help(help),
                None => found,
            });
        }
    }
}
