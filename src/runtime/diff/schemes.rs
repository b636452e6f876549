//! The settings of one policy of `auth` or `authorize`. What is not known here to be harmless counts as
//! widening, so a setting that comes later is never overlooked.

use super::{Effect, subject::Subject};
use crate::{
    auth::jwt::{Audience, Demand},
    authorize::Rule,
    config::model::{
        ApiKey, ApiKeys, AuthPolicy, AuthScheme, Authorize, Basic, BasicUsers, ClientCert,
        External, Introspection, Judge, Jwt, Mode, Oidc, OnError, Signature, SignatureKey,
        SignatureKeys,
    },
    explain::words::{count, few, span},
};

/// One policy with its subject.
struct Policy<'s, 'a, 'o> {
    s: &'s mut Subject<'a, 'o>,
    /// `auth.` where it is written in its place, nothing where it is a thing of its own.
    at: &'s str,
}

/// Compares two policies of `auth`.
pub(super) fn details(s: &mut Subject<'_, '_>, at: &str, old: &AuthPolicy, new: &AuthPolicy) {
    let mut p = Policy { s, at };
    p.mode(old.mode, new.mode);
    let header = |it: &Option<_>| it.as_ref().map_or_else(none, ToString::to_string);
    p.other("pass_consumer", &old.pass_consumer, &new.pass_consumer, header);
    match (&old.scheme, &new.scheme) {
        (a, b) if a == b => {}
        (AuthScheme::ApiKey(a), AuthScheme::ApiKey(b)) => p.api_key(a, b),
        (AuthScheme::Basic(a), AuthScheme::Basic(b)) => p.basic(a, b),
        (AuthScheme::ClientCert(a), AuthScheme::ClientCert(b)) => p.client_cert(a, b),
        (AuthScheme::Signature(a), AuthScheme::Signature(b)) => p.signature(a, b),
        (AuthScheme::External(a), AuthScheme::External(b)) => p.external(a, b),
        (AuthScheme::ExtAuthz(a), AuthScheme::ExtAuthz(b)) => p.ext_authz(a, b),
        (AuthScheme::Introspection(a), AuthScheme::Introspection(b)) => p.introspection(a, b),
        (AuthScheme::Jwt(a), AuthScheme::Jwt(b)) => p.jwt(a, b),
        (AuthScheme::Oidc(a), AuthScheme::Oidc(b)) => p.oidc(a, b),
        (a, b) => p.key("scheme", Effect::Widens, a.word().to_owned(), b.word().to_owned()),
    }
}

/// Compares two policies of `authorize`.
pub(super) fn rules(s: &mut Subject<'_, '_>, at: &str, old: &Authorize, new: &Authorize) {
    let mut p = Policy { s, at };
    p.mode(old.mode, new.mode);
    let message = |it: &Option<String>| it.clone().unwrap_or_else(none);
    p.other("message", &old.message, &new.message, message);
    // Their texts may hold what came from a variable.
    let shown = |rules: &[Rule]| count(rules.len(), "rule");
    let (was, is) = (&old.rules.allow, &new.rules.allow);
    if was != is {
        // Without any, everything is allowed.
        let effect = match (was.is_empty(), is.is_empty()) {
            (true, _) => Effect::Narrows,
            (_, true) => Effect::Widens,
            _ => more(was, is, Effect::Widens),
        };
        p.key("allow", effect, shown(was), shown(is));
    }
    let (was, is) = (&old.rules.deny, &new.rules.deny);
    if was != is {
        p.key("deny", more(was, is, Effect::Narrows), shown(was), shown(is));
    }
}

/// What it means that a list has more or fewer of something.
fn more<T: PartialEq>(old: &[T], new: &[T], added: Effect) -> Effect {
    let came = new.iter().any(|it| !old.contains(it));
    let gone = old.iter().any(|it| !new.contains(it));
    match added {
        Effect::Widens => Effect::of(came, gone),
        _ => Effect::of(gone, came),
    }
}

fn none() -> String {
    "none".to_owned()
}

/// What is not told apart by anything but that.
pub(super) const UNJUDGED: &str = "cannot be judged here";

// === impl Policy ===

impl Policy<'_, '_, '_> {
    fn key(&mut self, key: &str, effect: Effect, old: String, new: String) {
        self.s.key(&format!("{}{key}", self.at), effect, old, new);
    }

    fn other<T: PartialEq>(&mut self, key: &str, old: &T, new: &T, show: impl Fn(&T) -> String) {
        self.s.other(&format!("{}{key}", self.at), old, new, show);
    }

    fn list(&mut self, key: &str, effect: Effect, old: &[String], new: &[String]) {
        self.s.part(&format!("{}{key}", self.at), effect, old, new);
    }

    /// Names that let somebody in: more of them widen.
    fn names(&mut self, key: &str, old: &[String], new: &[String]) {
        if old != new {
            self.list(key, more(old, new, Effect::Widens), old, new);
        }
    }

    /// Of one that is written in its place, the route says it.
    fn mode(&mut self, old: Mode, new: Mode) {
        let word = |mode| if mode == Mode::Enforce { "enforce" } else { "shadow" }.to_owned();
        if old != new && self.at.is_empty() {
            let effect = Effect::of(new == Mode::Shadow, old == Mode::Shadow);
            self.key("mode", effect, word(old), word(new));
        }
    }

    /// Of these nobody can say which lets in more.
    fn unjudged(&mut self, key: &str, differs: bool) {
        if differs {
            let key = format!("{}{key}", self.at);
            let note = Some(format!("changed, {UNJUDGED}"));
            self.s.noted(&key, Effect::Widens, (String::new(), String::new()), note);
        }
    }

    /// Secrets of those who are in both: who may pass is as before.
    fn secrets(&mut self, key: &str, changed: &[String]) {
        if !changed.is_empty() {
            let key = format!("{}{key}", self.at);
            let note = Some(format!("the secret of {} changed", few(changed)));
            self.s.noted(&key, Effect::Other, (String::new(), String::new()), note);
        }
    }

    /// What somebody's claims must hold.
    fn require(&mut self, old: &[Demand], new: &[Demand]) {
        let shown = |all: &[Demand]| -> Vec<String> {
            all.iter().map(|it| format!("{} ({})", it.claim, it.any_of.len())).collect()
        };
        let (was, is) = (shown(old), shown(new));
        // The values may have come from variables; how many there are says enough.
        if old != new {
            let as_strict = |old: &Demand| {
                let covers = |new: &Demand| {
                    new.claim == old.claim && new.any_of.iter().all(|it| old.any_of.contains(it))
                };
                new.iter().any(covers)
            };
            let effect = Effect::of(!old.iter().all(as_strict), true);
            let joined = |all: Vec<String>| if all.is_empty() { none() } else { all.join(", ") };
            self.key("require", effect, joined(was), joined(is));
        }
    }

    fn audience(&mut self, old: Option<&Audience>, new: Option<&Audience>) {
        let shown = |it: Option<&Audience>| match it {
            None | Some(Audience::Any) => "any".to_owned(),
            Some(Audience::OneOf(names)) => names.join(", "),
        };
        if old != new {
            let effect = match (old, new) {
                (Some(Audience::OneOf(old)), Some(Audience::OneOf(new))) => {
                    more(old, new, Effect::Widens)
                }
                (_, Some(Audience::OneOf(_))) => Effect::Narrows,
                (Some(Audience::OneOf(_)), _) => Effect::Widens,
                _ => Effect::Other,
            };
            self.key("audience", effect, shown(old), shown(new));
        }
    }

    fn on_error(&mut self, old: OnError, new: OnError) {
        let word = |it| if it == OnError::Allow { "allow" } else { "deny" }.to_owned();
        if old != new {
            let effect = Effect::of(new == OnError::Allow, old == OnError::Allow);
            self.key("on_error", effect, word(old), word(new));
        }
    }

    // === schemes ===

    fn api_key(&mut self, old: &ApiKey, new: &ApiKey) {
        if let (ApiKeys::Inline(a), ApiKeys::Inline(b)) = (&old.keys, &new.keys) {
            let names =
                |all: &[(_, _)]| all.iter().map(|(name, _)| named(name)).collect::<Vec<_>>();
            self.names("keys", &names(a), &names(b));
            let other = |(name, secret): &&(_, _)| b.iter().any(|(n, s)| n == name && s != secret);
            let changed: Vec<_> = a.iter().filter(other).map(|(name, _)| named(name)).collect();
            if old.form == new.form {
                self.secrets("keys", &changed);
            }
        } else {
            self.unjudged("keys", old.keys != new.keys);
        }
        self.other("from", &old.from, &new.from, |it| format!("{it:?}"));
        self.other("hash", &old.form, &new.form, |it| format!("{it:?}").to_lowercase());
        self.other("pass_key", &old.pass_key, &new.pass_key, ToString::to_string);
    }

    fn basic(&mut self, old: &Basic, new: &Basic) {
        if let (BasicUsers::Inline(a), BasicUsers::Inline(b)) = (&old.users, &new.users) {
            let names =
                |all: &[(String, _)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
            self.names("users", &names(a), &names(b));
            let other = |(name, secret): &&(_, _)| b.iter().any(|(n, s)| n == name && s != secret);
            let changed: Vec<_> = a.iter().filter(other).map(|(name, _)| name.clone()).collect();
            self.secrets("users", &changed);
        } else {
            self.unjudged("users", old.users != new.users);
        }
        self.other("realm", &old.realm, &new.realm, Clone::clone);
        let pass = (old.pass_credentials, new.pass_credentials);
        self.other("pass_credentials", &pass.0, &pass.1, ToString::to_string);
    }

    fn client_cert(&mut self, old: &ClientCert, new: &ClientCert) {
        let shown =
            |it: &ClientCert| -> Vec<String> { it.san.iter().map(ToString::to_string).collect() };
        if old.san != new.san {
            // Without any, every certificate is good.
            let effect = match (old.san.is_empty(), new.san.is_empty()) {
                (true, _) => Effect::Narrows,
                (_, true) => Effect::Widens,
                _ => more(&old.san, &new.san, Effect::Widens),
            };
            self.list("san", effect, &shown(old), &shown(new));
        }
        self.other("pass_cert", &old.pass_cert, &new.pass_cert, ToString::to_string);
    }

    fn signature(&mut self, old: &Signature, new: &Signature) {
        if let (SignatureKeys::Inline(a), SignatureKeys::Inline(b)) = (&old.keys, &new.keys) {
            let names = |all: &[SignatureKey]| -> Vec<String> {
                all.iter().map(|key| format!("{} of {}", key.id, key.consumer)).collect()
            };
            self.names("keys", &names(a), &names(b));
            let other = |old: &&SignatureKey| {
                b.iter().any(|new| {
                    (&new.id, &new.consumer) == (&old.id, &old.consumer)
                        && (&new.material, new.algorithm) != (&old.material, old.algorithm)
                })
            };
            let changed: Vec<_> = a.iter().filter(other).map(|it| it.id.clone()).collect();
            self.secrets("keys", &changed);
        } else {
            self.unjudged("keys", old.keys != new.keys);
        }
        let (a, b) = (&old.rules, &new.rules);
        if a.components != b.components {
            let effect = more(&a.components, &b.components, Effect::Narrows);
            self.list("components", effect, &a.components, &b.components);
        }
        if a.max_age != b.max_age {
            let effect = Effect::limit(Some(a.max_age), Some(b.max_age));
            self.key("max_age", effect, span(a.max_age), span(b.max_age));
        }
        let mut rest = a.clone();
        rest.components.clone_from(&b.components);
        (rest.max_age, rest.pass_signature) = (b.max_age, b.pass_signature);
        self.unjudged("settings", rest != *b);
        self.other("pass_signature", &a.pass_signature, &b.pass_signature, ToString::to_string);
    }

    fn external(&mut self, old: &External, new: &External) {
        self.on_error(old.judge.service.on_error, new.judge.service.on_error);
        let mut rest = old.clone();
        rest.judge.service.on_error = new.judge.service.on_error;
        self.unjudged("settings", rest != *new);
    }

    fn ext_authz(&mut self, old: &Judge, new: &Judge) {
        self.on_error(old.service.on_error, new.service.on_error);
        let mut rest = old.clone();
        rest.service.on_error = new.service.on_error;
        self.unjudged("settings", rest != *new);
    }

    fn introspection(&mut self, old: &Introspection, new: &Introspection) {
        self.audience(old.audience.as_ref(), new.audience.as_ref());
        self.require(&old.require, &new.require);
        self.on_error(old.service.on_error, new.service.on_error);
        let mut rest = old.clone();
        rest.audience.clone_from(&new.audience);
        rest.require.clone_from(&new.require);
        rest.service.on_error = new.service.on_error;
        self.unjudged("settings", rest != *new);
    }

    fn jwt(&mut self, old: &Jwt, new: &Jwt) {
        if old.issuer != new.issuer {
            self.key("issuer", Effect::Widens, old.issuer.clone(), new.issuer.clone());
        }
        self.audience(Some(&old.audience), Some(&new.audience));
        self.require(&old.require, &new.require);
        let names =
            |it: &Jwt| it.algorithms.iter().map(|it| it.name().to_owned()).collect::<Vec<_>>();
        self.names("algorithms", &names(old), &names(new));
        if old.leeway != new.leeway {
            let effect = Effect::limit(Some(old.leeway), Some(new.leeway));
            self.key("leeway", effect, span(old.leeway), span(new.leeway));
        }
        self.unjudged("keys", old.keys != new.keys);
        let mut rest = old.clone();
        rest.issuer.clone_from(&new.issuer);
        rest.audience.clone_from(&new.audience);
        rest.require.clone_from(&new.require);
        rest.algorithms.clone_from(&new.algorithms);
        rest.leeway = new.leeway;
        rest.keys.clone_from(&new.keys);
        self.unjudged("settings", rest != *new);
    }

    fn oidc(&mut self, old: &Oidc, new: &Oidc) {
        if old.issuer != new.issuer {
            let (was, is) = (old.issuer.value.clone(), new.issuer.value.clone());
            self.key("issuer", Effect::Widens, was, is);
        }
        self.require(&old.wanted.require, &new.wanted.require);
        let mut rest = old.clone();
        rest.issuer.clone_from(&new.issuer);
        rest.wanted.require.clone_from(&new.wanted.require);
        rest.callback_place = new.callback_place;
        self.unjudged("settings", rest != *new);
    }
}

fn named(name: &crate::config::model::Name) -> String {
    name.to_string()
}
