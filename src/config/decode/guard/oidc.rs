//! `oidc`: logins at an OpenID provider.

use std::collections::BTreeSet;

use http::{HeaderName, Uri};

use super::{
    super::{
        super::{
            diagnostic::Diagnostic,
            model::{Located, Oidc, Secret, UpstreamTls},
            tree::Kind,
        },
        reader::Fields,
        slot::Slot,
        upstreams::tls_settings,
    },
    INLINE,
    jwt::{consumer, pass_claims, require},
};
use crate::auth::oidc::{scheme::Urls, session::Limits, site::Site, wanted::Wanted};

/// Characters of a secret.
const SECRET: usize = 32;
/// Secrets at once: each that is not the first costs a try.
const SECRETS: usize = 8;
/// What the gateway itself tells the provider with a login.
const RESERVED: [&str; 10] = [
    "response_type",
    "response_mode",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "request",
];

pub(super) fn oidc(f: &Fields<'_>, policy: &str) -> Option<Oidc> {
    if policy == INLINE {
        let message = format!("{} must stand under `policies.auth`, with a name", f.owner);
        let found = Diagnostic::error(f.place, message);
        f.r.report(found.help("sessions are for one policy, and found again by its name"));
        return None;
    }
    let issuer = required(f, "issuer").and_then(|slot| self::issuer(&slot));
    let client_id = required(f, "client_id").and_then(|slot| slot.text().map(str::to_owned));
    let secrets = required(f, "secrets").and_then(|slot| secrets(&slot));
    let client_secret = optional(f, "client_secret", |slot| slot.text());
    let client_secret = client_secret?.map(|text| Secret(text.to_owned()));
    let (urls, limits) = (urls(f), limits(f));
    let scopes = optional(f, "scopes", scopes)?.unwrap_or_else(|| vec!["openid".to_owned()]);
    let parameters = optional(f, "parameters", parameters)?.unwrap_or_default();
    let claims = optional(f, "claims", |slot| texts(&slot.one_or_many()?))?;
    let claims = claims.map(|names| names.into_iter().collect::<BTreeSet<_>>());
    let wanted = wanted(f, claims.as_ref());
    let cookie = cookie(f, policy);
    let mut tls = UpstreamTls::default();
    if let Some(f) = f.child("tls") {
        tls_settings(&f, &mut tls);
    }
    Some(Oidc {
        issuer: issuer?,
        client_id: client_id?,
        client_secret,
        scopes,
        parameters,
        urls: urls?,
        callback_place: f.get("callback").map_or(f.place, |slot| slot.place()),
        secrets: secrets?,
        limits: limits?,
        cookie: cookie?,
        claims,
        wanted: wanted?,
        tls,
    })
}

fn required<'f>(f: &'f Fields<'_>, key: &'static str) -> Option<Slot<'f>> {
    let slot = f.get(key);
    if slot.is_none() {
        f.missing(key);
    }
    slot
}

/// The outer `None`: it is there, and wrong.
#[allow(clippy::option_option)]
fn optional<'f, T>(
    f: &'f Fields<'_>,
    key: &'static str,
    read: impl FnOnce(&Slot<'f>) -> Option<T>,
) -> Option<Option<T>> {
    match f.get(key) {
        None => Some(None),
        Some(slot) => read(&slot).map(Some),
    }
}

/// Letters and signs that stand for themselves in a URL.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| (b'!'..=b'~').contains(&byte) && !b"\\\"<>^`{|}".contains(&byte))
}

/// An https URL; http to this very machine, where nobody listens.
fn is_url(text: &str) -> bool {
    is_plain(text) && text.parse::<Uri>().is_ok() && Site::of_url(text).is_some()
}

fn is_path(text: &str) -> bool {
    is_plain(text) && text.starts_with('/') && !text.starts_with("//")
}

fn issuer(slot: &Slot<'_>) -> Option<Located<String>> {
    let text = slot.text()?;
    if !is_url(text) || text.contains(['?', '#']) {
        let help = "as in `issuer` of its `/.well-known/openid-configuration`";
        slot.wrong("an https URL (or http to localhost)", Some(help.to_owned()));
        return None;
    }
    slot.located()
}

fn secrets(slot: &Slot<'_>) -> Option<Vec<Secret>> {
    let mut found: Vec<Secret> = Vec::new();
    for item in slot.one_or_many()? {
        let secret = Secret(item.text()?.to_owned());
        let help = || Some("`openssl rand -base64 32` makes one".to_owned());
        if secret.0.chars().count() < SECRET {
            item.error(
                format!("a secret of {} has at least {SECRET} characters", slot.subject()),
                help(),
            );
            return None;
        }
        if found.contains(&secret) {
            item.error(format!("a secret is twice in {}", slot.subject()), help());
            return None;
        }
        found.push(secret);
    }
    if found.len() > SECRETS {
        slot.error(format!("{} has more than {SECRETS} secrets", slot.subject()), None);
        return None;
    }
    Some(found)
}

fn urls(f: &Fields<'_>) -> Option<Urls> {
    let path = |slot: &Slot<'_>| {
        let text = slot.text()?;
        if !is_path(text) || text.contains(['?', '#', '*', '%']) || text == "/" {
            slot.wrong("a path like `/oauth2/callback`", None);
            return None;
        }
        Some(text.to_owned())
    };
    let none = |slot: &Slot<'_>| slot.node.is("none");
    let callback = optional(f, "callback", path)?.unwrap_or_else(|| "/oauth2/callback".to_owned());
    let logout = match f.get("logout") {
        None => Some("/oauth2/logout".to_owned()),
        Some(slot) if none(&slot) => None,
        Some(slot) => Some(path(&slot)?),
    };
    if logout.as_ref() == Some(&callback) {
        let message = format!("`callback` and `logout` of {} are the same path", f.owner);
        f.r.report(Diagnostic::error(f.place, message));
        return None;
    }
    let after_logout = match f.get("after_logout") {
        None => None,
        Some(slot) if none(&slot) => None,
        Some(slot) => {
            let text = slot.text()?;
            if !is_path(text) && !is_url(text) {
                slot.wrong("a path or an https URL", None);
                return None;
            }
            Some(text.to_owned())
        }
    };
    let redirect_uri = optional(f, "redirect_uri", |slot| {
        let text = slot.text()?;
        if !is_url(text) || text.contains('#') {
            slot.wrong("an https URL (or http to localhost)", None);
            return None;
        }
        Some(text.to_owned())
    })?;
    Some(Urls { callback, logout, after_logout, redirect_uri })
}

fn limits(f: &Fields<'_>) -> Option<Limits> {
    let mut limits = Limits { max: 12 * 3600, idle: None };
    let Some(f) = f.child("session") else {
        return f.entry("session").is_none().then_some(limits);
    };
    if let Some(slot) = f.get("max") {
        limits.max = slot.duration()?.as_secs();
    }
    if let Some(slot) = f.get("idle") {
        limits.idle = slot.duration_or_none()?.map(|idle| idle.as_secs());
        if limits.idle.is_some_and(|idle| idle > limits.max) {
            slot.error(format!("{} is longer than `max`", slot.subject()), None);
            return None;
        }
    }
    Some(limits)
}

fn cookie(f: &Fields<'_>, policy: &str) -> Option<String> {
    let session = f.child("session");
    let slot = session.as_ref().and_then(|f| f.get("cookie"));
    let Some(slot) = slot else { return Some(format!("tidegate_{policy}")) };
    let text = slot.text()?;
    let is_token = HeaderName::from_bytes(text.as_bytes()).is_ok() && text.len() <= 64;
    if !is_token || text.contains('.') || text.starts_with("__") {
        let help = "over https `__Host-` is put before it";
        slot.wrong("the name of a cookie, without dots", Some(help.to_owned()));
        return None;
    }
    Some(text.to_owned())
}

fn scopes(slot: &Slot<'_>) -> Option<Vec<String>> {
    let mut scopes = texts(&slot.one_or_many()?)?;
    if let Some(wrong) = scopes.iter().find(|scope| !is_plain(scope)) {
        slot.error(format!("`{wrong}` in {} is no scope", slot.subject()), None);
        return None;
    }
    if !scopes.iter().any(|scope| scope == "openid") {
        scopes.insert(0, "openid".to_owned());
    }
    Some(scopes)
}

fn parameters(slot: &Slot<'_>) -> Option<Vec<(String, String)>> {
    let pairs = pairs(slot, "a map of name and text")?;
    for (name, _, key_place) in &pairs {
        if RESERVED.contains(&&**name) {
            let message = format!("`{name}` is what {} tells the provider by itself", slot.owner);
            slot.r.report(Diagnostic::error(*key_place, message));
            return None;
        }
    }
    let text =
        |(name, value, _): &(String, Slot<'_>, _)| Some((name.clone(), value.text()?.to_owned()));
    pairs.iter().map(text).collect()
}

type Pair<'s> = (String, Slot<'s>, crate::config::diagnostic::Place);

fn pairs<'s>(slot: &Slot<'s>, what: &str) -> Option<Vec<Pair<'s>>> {
    let Kind::Map(entries) = &slot.node.kind else {
        slot.wrong(what, None);
        return None;
    };
    let pair = |entry: &'s crate::config::tree::Entry| {
        (entry.key.clone(), Slot { node: &entry.value, ..*slot }, entry.key_place)
    };
    Some(entries.iter().map(pair).collect())
}

fn texts(items: &[Slot<'_>]) -> Option<Vec<String>> {
    items.iter().map(|item| item.text().map(str::to_owned)).collect()
}

/// `require`, `consumer` and `pass_claims`. What is looked at must be kept.
fn wanted(f: &Fields<'_>, kept: Option<&BTreeSet<String>>) -> Option<Wanted> {
    let (require, pass_claims) = (require(f), pass_claims(f));
    let consumer = consumer(f)?;
    let wanted = Wanted { require: require?, consumer, pass_claims: pass_claims? };
    let is_kept = |claim: &str| {
        let first = claim.split('.').next().unwrap_or_default();
        let has = |names: &BTreeSet<String>| names.contains(claim) || names.contains(first);
        kept.is_none_or(has) || claim == "sub" || claim == "iss"
    };
    let looked_at = wanted.require.iter().map(|demand| ("require", &demand.claim));
    let looked_at = looked_at.chain(wanted.consumer.iter().map(|claim| ("consumer", claim)));
    let looked_at = looked_at.chain(wanted.pass_claims.iter().map(|it| ("pass_claims", &it.1)));
    for (key, claim) in looked_at {
        if !is_kept(claim) {
            let place = f.entry(key).map_or(f.place, |entry| entry.value.place);
            let message = format!("`{key}` of {} looks at `{claim}`, which is not kept", f.owner);
            f.r.report(Diagnostic::error(place, message).help("add it to `claims`"));
            return None;
        }
    }
    Some(wanted)
}
