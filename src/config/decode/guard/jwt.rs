//! `jwt`: whose tokens let pass, for whom they must be, and where the keys of the issuer are.

use std::time::Duration;

use http::{Uri, header::AUTHORIZATION};
use serde_json::Value;

use super::{
    super::{
        super::{
            diagnostic::Diagnostic,
            model::{Jwt, JwtKeys, UpstreamTls},
            tree::{Kind, Node},
        },
        reader::{Fields, list},
        slot::Slot,
        upstreams::tls_settings,
    },
    carrier, flag, told_in,
};
use crate::auth::{
    api_key::carrier::Carrier,
    jwt::{Algorithm, At, Audience, Demand, KeySet, Published},
};

const LEEWAY: Duration = Duration::from_secs(30);
const REFRESH: Duration = Duration::from_secs(600);

/// Settings that are about fetching keys.
const FETCHED: [&str; 3] = ["refresh", "plain_http", "tls"];

pub(super) fn jwt(f: &Fields<'_>) -> Option<Jwt> {
    let Some(issuer) = f.get("issuer") else {
        f.missing("issuer");
        return None;
    };
    // All of them, so that all mistakes are told at once.
    let (audience, keys) = (audience(f), keys(f, &issuer));
    let (algorithms, from) = (algorithms(f), carrier(f, Carrier::Header(AUTHORIZATION)));
    let (require, pass_claims) = (require(f), pass_claims(f));
    let leeway = f.get("leeway").map_or(Some(LEEWAY), |slot| slot.duration());
    Some(Jwt {
        issuer: issuer.text()?.to_owned(),
        audience: audience?,
        keys: keys?,
        algorithms: algorithms?,
        leeway: leeway?,
        from: from?,
        require: require?,
        consumer: consumer(f)?,
        pass_claims: pass_claims?,
        pass_token: flag(f, "pass_token")?,
    })
}

pub(super) fn audience(f: &Fields<'_>) -> Option<Audience> {
    let Some(slot) = f.get("audience") else {
        let found = Diagnostic::error(f.place, format!("{} has no `audience`", f.owner));
        f.r.report(found.help("what `aud` names; or `any`, for what others may use too"));
        return None;
    };
    if slot.node.is("any") {
        return Some(Audience::Any);
    }
    texts(&slot).map(Audience::OneOf)
}

/// One text or several.
fn texts(slot: &Slot<'_>) -> Option<Vec<String>> {
    let items = slot.one_or_many()?;
    items.iter().map(|item| item.text().map(str::to_owned)).collect()
}

fn algorithms(f: &Fields<'_>) -> Option<Vec<Algorithm>> {
    let Some(slot) = f.get("algorithms") else {
        return Some(vec![Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa]);
    };
    let one = |item: &Slot<'_>| {
        let name = item.text()?;
        let found = Algorithm::parse(name);
        if found.is_none() {
            let help = match name.to_ascii_uppercase().as_str() {
                "NONE" => "a token without a signature can be made by anybody".to_owned(),
                "HS256" | "HS384" | "HS512" => {
                    "whoever verifies with it can sign with it too: it is no algorithm of issuers"
                        .to_owned()
                }
                _ => list(Algorithm::ALL.map(Algorithm::name)),
            };
            item.wrong("made of algorithms", Some(help));
        }
        found
    };
    slot.one_or_many()?.iter().map(one).collect()
}

// === keys ===

fn keys(f: &Fields<'_>, issuer: &Slot<'_>) -> Option<JwtKeys> {
    let at = match f.get("jwks") {
        None => At::Issuer(discovered(issuer)?),
        Some(slot) => match &slot.node.kind {
            Kind::Scalar(_) if slot.text()?.trim_start().starts_with('{') => {
                return inline(f, &slot, slot.text()?.to_owned());
            }
            Kind::Scalar(_) if slot.text()?.contains("://") => At::Url(url(&slot)?),
            Kind::Scalar(_) => {
                let path = slot.path()?;
                return unfetched(f).then_some(JwtKeys::File(path));
            }
            Kind::Map(_) => return inline(f, &slot, json(slot.node).to_string()),
            Kind::Seq(_) | Kind::Null => {
                slot.wrong("a URL, the path of a file, or a set of keys", None);
                return None;
            }
        },
    };
    let mut tls = UpstreamTls::default();
    if let Some(f) = f.child("tls") {
        tls_settings(&f, &mut tls);
    }
    let refresh = f.get("refresh").map_or(Some(REFRESH), |slot| slot.duration())?;
    let published = Published { at, plain_http: flag(f, "plain_http")?, tls, refresh };
    let (slot, uri) = match &published.at {
        At::Url(uri) => (f.get("jwks")?, uri.clone()),
        At::Issuer(text) => (*issuer, text.parse().ok()?),
    };
    if !published.is_allowed(&uri) {
        let message = format!("{} would fetch keys over http://", slot.subject());
        let help =
            "whoever is on the way could put in keys of his own: `https://`, or `plain_http: true`";
        slot.error(message, Some(help.to_owned()));
        return None;
    }
    Some(JwtKeys::Published(Box::new(published)))
}

/// The issuer, if its keys can be found by its name.
fn discovered(issuer: &Slot<'_>) -> Option<String> {
    let text = issuer.text()?;
    if !text.contains("://") {
        let message = format!("{} is no URL, so nobody can ask it for its keys", issuer.subject());
        issuer.error(message, Some("`jwks` says where they are".to_owned()));
        return None;
    }
    url(issuer)?;
    Some(text.to_owned())
}

/// An absolute URL without what does not belong there.
fn url(slot: &Slot<'_>) -> Option<Uri> {
    let text = slot.text()?;
    let uri: Option<Uri> = text.parse().ok().filter(|_| !text.contains('#'));
    let good = |uri: &Uri| {
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        known && uri.authority().is_some_and(|it| !it.as_str().contains('@'))
    };
    let uri = uri.filter(good);
    if uri.is_none() {
        slot.wrong("a URL with https://, without user and password", None);
    }
    uri
}

fn inline(f: &Fields<'_>, slot: &Slot<'_>, text: String) -> Option<JwtKeys> {
    match KeySet::parse(text.as_bytes()) {
        Ok(set) if set.left_out().is_empty() => unfetched(f).then_some(JwtKeys::Inline(text)),
        Ok(set) => {
            slot.error(format!("{}: {}", slot.subject(), set.left_out().join("; ")), None);
            None
        }
        Err(why) => {
            slot.error(format!("{}: {why}", slot.subject()), None);
            None
        }
    }
}

/// Whether nothing is said about fetching keys that are not fetched.
fn unfetched(f: &Fields<'_>) -> bool {
    let written = FETCHED.into_iter().filter_map(|key| f.get(key));
    let written = written.map(|slot| {
        let message = format!("{} is about keys from a URL", slot.subject());
        slot.error(message, None);
    });
    written.count() == 0
}

/// What a key set says has texts and lists of them.
fn json(node: &Node) -> Value {
    match &node.kind {
        Kind::Null => Value::Null,
        Kind::Scalar(scalar) => Value::String(scalar.text.clone()),
        Kind::Seq(items) => items.iter().map(json).collect(),
        Kind::Map(entries) => {
            entries.iter().map(|entry| (entry.key.clone(), json(&entry.value))).collect()
        }
    }
}

// === claims ===

/// The entries of a map of the operator's own.
fn entries<'s>(slot: &'s Slot<'_>, what: &str) -> Option<Vec<(&'s str, Slot<'s>)>> {
    let Kind::Map(entries) = &slot.node.kind else {
        slot.wrong(what, None);
        return None;
    };
    Some(entries.iter().map(|it| (it.key.as_str(), Slot { node: &it.value, ..*slot })).collect())
}

/// The claim that names the consumer; the outer `None` is a mistake.
#[allow(clippy::option_option)]
pub(super) fn consumer(f: &Fields<'_>) -> Option<Option<String>> {
    match f.get("consumer") {
        None => Some(Some("sub".to_owned())),
        Some(slot) if slot.node.is_none_word() => Some(None),
        Some(slot) => slot.text().map(|claim| Some(claim.to_owned())),
    }
}

pub(super) fn require(f: &Fields<'_>) -> Option<Vec<Demand>> {
    let Some(slot) = f.get("require") else { return Some(Vec::new()) };
    let one = |(claim, values): &(&str, Slot<'_>)| {
        Some(Demand { claim: (*claim).to_owned(), any_of: texts(values)? })
    };
    entries(&slot, "a map of claim and value")?.iter().map(one).collect()
}

pub(super) fn pass_claims(f: &Fields<'_>) -> Option<Vec<(http::HeaderName, String)>> {
    let Some(slot) = f.get("pass_claims") else { return Some(Vec::new()) };
    let Kind::Map(written) = &slot.node.kind else {
        slot.wrong("a map of header and claim", None);
        return None;
    };
    let mut found = Vec::new();
    for entry in written {
        let name = told_in(&slot, &entry.key, entry.key_place)?;
        let claim = Slot { node: &entry.value, ..slot }.text()?.to_owned();
        if found.iter().any(|(known, _)| *known == name) {
            let message = format!("{} has `{name}` twice", slot.subject());
            slot.r.report(Diagnostic::error(entry.key_place, message));
            return None;
        }
        found.push((name, claim));
    }
    Some(found)
}
