//! Policies that say who may pass: `ip` and `auth`. They replace what is inherited as a whole: half of
//! one policy and half of another is how holes are made. Each way to say who a request is from has a
//! file of its own.

mod api_key;
mod asked;
pub(super) mod authorize;
mod basic;
mod client_cert;
mod external;
mod introspection;
mod jwt;
mod oidc;
mod signature;

use std::{path::PathBuf, sync::Arc};

use http::HeaderName;

use super::{
    super::{
        diagnostic::{Diagnostic, Place},
        fields::{AUTH, ROUTE_AUTH},
        model::{AuthPolicy, AuthScheme, IpRules, Located, Mode, Name, Require, RouteAuth},
        tree::{Kind, Node},
    },
    edge::networks,
    reader::{Fields, Owner, Reader, list},
    records::{INLINE, Policies, header_name},
    slot::Slot,
};
use crate::{auth::api_key::carrier::Carrier, server::gate};

pub(super) use self::asked::services;

/// The path of all questions of `ext_authz`.
const EXT_AUTHZ: &str = "/envoy.service.auth.v3.Authorization/Check";

/// `ip`: networks let in, networks kept out, or both.
pub(super) fn ip(f: &Fields<'_>, policy: Name) -> Option<IpRules> {
    let list = |key| f.get(key).map(|slot| networks(slot.one_or_many()));
    let (allow, deny) = (list("allow"), list("deny"));
    if [&allow, &deny].into_iter().flatten().any(Vec::is_empty) {
        return None; // reported: without its networks a rule would say the opposite
    }
    if allow.is_none() && deny.is_none() {
        let message = format!("{} has neither `allow` nor `deny`", f.owner);
        f.r.report(Diagnostic::error(f.place, message));
        return None;
    }
    let rules = IpRules {
        policy,
        allow: allow.unwrap_or_default(),
        deny: deny.unwrap_or_default(),
        mode: mode(f)?,
    };
    Some(rules)
}

pub(super) fn mode(f: &Fields<'_>) -> Option<Mode> {
    match f.get("mode") {
        None => Some(Mode::Enforce),
        Some(slot) => slot.word().map(|word| match word {
            "shadow" => Mode::Shadow,
            _ => Mode::Enforce,
        }),
    }
}

// === auth ===

/// `auth` of a route: a name, `any` or `all` of some names, or a policy in its place.
pub(super) fn route_auth(slot: &Slot<'_>, policies: &Policies<'_>) -> Option<RouteAuth> {
    let alone = |policy| RouteAuth { require: Require::Any, policies: vec![Arc::new(policy)] };
    match &slot.node.kind {
        Kind::Scalar(_) => named(slot, policies).map(alone),
        Kind::Map(entries) if entries.iter().any(|it| it.key == "any" || it.key == "all") => {
            several(slot, policies)
        }
        Kind::Map(_) => {
            let f = slot.r.fields(slot.node, &AUTH, Owner::of(AUTH.name, slot.owner))?;
            auth(&f, INLINE.into()).map(alone)
        }
        Kind::Seq(_) | Kind::Null => {
            let help = "`{ any: [a, b] }` for one of them, `{ all: [a, b] }` for all";
            slot.wrong("a name, a map or none", Some(help.to_owned()));
            None
        }
    }
}

fn several(slot: &Slot<'_>, policies: &Policies<'_>) -> Option<RouteAuth> {
    let f = slot.r.fields(slot.node, &ROUTE_AUTH, Owner::of(ROUTE_AUTH.name, slot.owner))?;
    let (require, list) = match (f.get("any"), f.get("all"), f.entries().len()) {
        (Some(any), None, 1) => (Require::Any, any),
        (None, Some(all), 1) => (Require::All, all),
        _ => {
            slot.error(format!("{} is either `any` or `all`, alone", slot.subject()), None);
            return None;
        }
    };
    let items = list.items()?;
    if items.is_empty() {
        list.error(format!("{} is empty", list.subject()), None);
        return None;
    }
    // Under the key of the policies, where they are looked for.
    let one = |item: &Slot<'_>| named(&Slot { key: slot.key, ..*item }, policies).map(Arc::new);
    let found: Vec<_> = items.iter().map(one).collect();
    let policies = found.into_iter().collect::<Option<Vec<_>>>()?;
    Some(RouteAuth { require, policies })
}

fn named(slot: &Slot<'_>, policies: &Policies<'_>) -> Option<AuthPolicy> {
    let entry = policies.find(slot)?;
    // Judged once where it is defined.
    judged(&slot.r.silent(), &entry.value, &entry.key)
}

/// A policy under `policies.auth`.
pub(super) fn judged(r: &Reader<'_>, node: &Node, name: &str) -> Option<AuthPolicy> {
    let f = r.fields(node, &AUTH, Owner::named("auth policy", name))?;
    auth(&f, name.into())
}

fn auth(f: &Fields<'_>, policy: Name) -> Option<AuthPolicy> {
    const SCHEMES: [&str; 9] = [
        "jwt",
        "api_key",
        "basic",
        "oidc",
        "client_cert",
        "signature",
        "introspection",
        "external",
        "ext_authz",
    ];
    let written: Vec<_> = SCHEMES.into_iter().filter(|key| f.entry(key).is_some()).collect();
    let scheme = match written.as_slice() {
        ["jwt"] => AuthScheme::Jwt(Box::new(jwt::jwt(&f.child("jwt")?)?)),
        ["api_key"] => AuthScheme::ApiKey(api_key::api_key(&f.child("api_key")?)?),
        ["basic"] => AuthScheme::Basic(basic::basic(&f.child("basic")?)?),
        ["oidc"] => AuthScheme::Oidc(Box::new(oidc::oidc(&f.child("oidc")?, &policy)?)),
        ["client_cert"] => {
            AuthScheme::ClientCert(client_cert::client_cert(&f.child("client_cert")?)?)
        }
        ["signature"] => AuthScheme::Signature(signature::signature(&f.child("signature")?)?),
        ["introspection"] => {
            let it = introspection::introspection(&f.child("introspection")?)?;
            AuthScheme::Introspection(Box::new(it))
        }
        ["external"] => AuthScheme::External(external::external(&f.child("external")?)?),
        ["ext_authz"] => {
            AuthScheme::ExtAuthz(asked::judge(&f.child("ext_authz")?, Some(EXT_AUTHZ), None)?)
        }
        [_, _, ..] => {
            let message = format!("{} has two schemes", f.owner);
            let found = Diagnostic::error(f.place, message);
            f.r.report(found.help("two policies, and `auth: { any: [a, b] }` on the route"));
            return None;
        }
        _ if f.entries().iter().any(|it| it.key != "mode" && it.key != "pass_consumer") => {
            return None; // reported as unknown, or as not built
        }
        _ => {
            let message = format!("{} has no scheme", f.owner);
            let known = list(SCHEMES);
            f.r.report(Diagnostic::error(f.place, message).help(format!("one of {known}")));
            return None;
        }
    };
    let pass_consumer = match f.get("pass_consumer") {
        None => None,
        Some(slot) => Some(told_in(&slot, slot.text()?, slot.place())?),
    };
    Some(AuthPolicy { policy, scheme, pass_consumer, mode: mode(f)? })
}

/// A header in which the upstream is told who it is: none that the gateway itself writes.
fn told_in(slot: &Slot<'_>, text: &str, place: Place) -> Option<HeaderName> {
    let name = header_name(slot, text, place)?;
    if gate::is_written(name.as_str()) {
        let message = format!("{}: the gateway itself writes `{name}`", slot.subject());
        slot.r.report(Diagnostic::error(place, message));
        return None;
    }
    Some(name)
}

/// Where in a request something is.
fn carrier(f: &Fields<'_>, default: Carrier) -> Option<Carrier> {
    let Some(slot) = f.get("from") else { return Some(default) };
    let found = Carrier::parse(slot.text()?);
    if found.is_none() {
        slot.wrong("header:NAME, query:NAME or cookie:NAME", None);
    }
    found
}

/// `true` or `false`, and `false` where nothing is written.
fn flag(f: &Fields<'_>, key: &'static str) -> Option<bool> {
    f.get(key).map_or(Some(false), |slot| slot.bool())
}

/// Where secrets stand.
enum Source<'s> {
    Here(Slot<'s>),
    File(Located<PathBuf>),
}

/// One of two keys: what stands in its place, or the path of a file with it.
fn one_of<'s>(f: &'s Fields<'_>, here: &'static str, file: &'static str) -> Option<Source<'s>> {
    match (f.get(here), f.get(file)) {
        (Some(slot), None) => Some(Source::Here(slot)),
        (None, Some(slot)) => slot.path().map(Source::File),
        (Some(_), Some(slot)) => {
            slot.error(format!("{} has both `{here}` and `{file}`", f.owner), None);
            None
        }
        (None, None) => {
            let message = format!("{} has neither `{here}` nor `{file}`", f.owner);
            f.r.report(Diagnostic::error(f.place, message));
            None
        }
    }
}
