//! The schemes of `auth` in words, and which of them would ask somebody else about a request: that is not
//! done here.

use http::header::COOKIE;

use super::super::super::words::{count, few};
use crate::{
    auth::{
        api_key::{
            Form,
            carrier::{Carrier, Found},
        },
        jwt::Audience,
        oidc::site::is_navigation,
    },
    config::model::{
        ApiKey, ApiKeys, AskedService, AuthPolicy, AuthScheme, Basic, BasicUsers, ClientCert,
        External, Jwt, JwtKeys, Mode, Oidc, Signature, SignatureKeys,
    },
    layers::Request,
    telemetry::exchange::Exchange,
};

impl AuthScheme {
    /// Its key in the file.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::ApiKey(_) => "api_key",
            Self::Basic(_) => "basic",
            Self::ClientCert(_) => "client_cert",
            Self::Signature(_) => "signature",
            Self::External(_) => "external",
            Self::ExtAuthz(_) => "ext_authz",
            Self::Introspection(_) => "introspection",
            Self::Jwt(_) => "jwt",
            Self::Oidc(_) => "oidc",
        }
    }
}

/// One policy, without anything that lets anybody in.
pub(super) fn describe(policy: &AuthPolicy) -> String {
    let scheme = match &policy.scheme {
        AuthScheme::ApiKey(it) => api_key(it),
        AuthScheme::Basic(it) => basic(it),
        AuthScheme::ClientCert(it) => client_cert(it),
        AuthScheme::Signature(it) => signature(it),
        AuthScheme::External(it) => format!("{} is asked", service(&it.judge.service)),
        AuthScheme::ExtAuthz(it) => format!("{} is asked in gRPC", service(&it.service)),
        AuthScheme::Introspection(it) => {
            format!("token in {}, {} is asked", carrier(&it.from), service(&it.service))
        }
        AuthScheme::Jwt(it) => jwt(it),
        AuthScheme::Oidc(it) => oidc(it),
    };
    let mode = if policy.mode == Mode::Shadow { " (mode: shadow)" } else { "" };
    let tells: Vec<_> = policy.tells().collect();
    let tells = match tells.as_slice() {
        [] => String::new(),
        some => format!(", upstream is told in {}", few(some)),
    };
    format!("{}: {scheme}{tells}{mode}", policy.policy)
}

fn api_key(it: &ApiKey) -> String {
    let keys = match &it.keys {
        ApiKeys::Inline(keys) => count(keys.len(), "key"),
        ApiKeys::File(path) => format!("keys of {}", path.value.display()),
    };
    let form = if it.form == Form::Sha256 { ", hashed" } else { "" };
    format!("API key in {}, {keys}{form}", carrier(&it.from))
}

fn basic(it: &Basic) -> String {
    let users = match &it.users {
        BasicUsers::Inline(users) => count(users.len(), "user"),
        BasicUsers::File(path) => format!("users of {}", path.value.display()),
    };
    format!("user name and password, {users}")
}

fn client_cert(it: &ClientCert) -> String {
    let names = match it.san.len() {
        0 => "any".to_owned(),
        some => format!("one of {}", count(some, "name")),
    };
    format!("certificate of the client, {names}")
}

fn signature(it: &Signature) -> String {
    let keys = match &it.keys {
        SignatureKeys::Inline(keys) => count(keys.len(), "key"),
        SignatureKeys::File(path) => format!("keys of {}", path.value.display()),
    };
    format!("signature of the request, {keys}")
}

fn service(it: &AskedService) -> String {
    it.to.value.to_string()
}

fn jwt(it: &Jwt) -> String {
    let audience = match &it.audience {
        Audience::OneOf(names) => format!("for {}", few(names)),
        Audience::Any => "for anybody".to_owned(),
    };
    let keys = match &it.keys {
        JwtKeys::Inline(_) => "in the file".to_owned(),
        JwtKeys::File(path) => format!("of {}", path.value.display()),
        JwtKeys::Published(published) => format!("of {}", published.name()),
    };
    format!("token of {} {audience}, in {}, keys {keys}", it.issuer, carrier(&it.from))
}

fn oidc(it: &Oidc) -> String {
    format!("login with a browser at {}, callback {}", it.issuer.value, it.urls.callback)
}

fn carrier(from: &Carrier) -> String {
    match from {
        Carrier::Header(name) => format!("header {name}"),
        Carrier::Query(name) => format!("query parameter {name}"),
        Carrier::Cookie(name) => format!("cookie {name}"),
    }
}

/// Why a request cannot be judged without asking somebody else.
pub(super) fn asks(
    policy: &AuthPolicy,
    request: &Request,
    exchange: &Exchange,
    live: bool,
) -> Option<String> {
    let name = &policy.policy;
    match &policy.scheme {
        // Nobody shows a certificate here: it is judged as a request without.
        AuthScheme::ApiKey(_) | AuthScheme::Basic(_) | AuthScheme::ClientCert(_) => None,
        AuthScheme::Signature(_) => request
            .headers()
            .contains_key("signature")
            .then(|| format!("{name}: a nonce would be used up")),
        AuthScheme::External(External { judge, .. }) | AuthScheme::ExtAuthz(judge) => {
            Some(format!("{name}: only {} can say", service(&judge.service)))
        }
        AuthScheme::Introspection(it) => {
            let shown = !matches!(it.from.take(request.uri(), request.headers()), Found::None);
            shown.then(|| format!("{name}: only {} can say", service(&it.service)))
        }
        AuthScheme::Jwt(it) => {
            let shown = !matches!(it.from.take(request.uri(), request.headers()), Found::None);
            // A running gateway has the keys; for a file nobody fetches them.
            let away = matches!(it.keys, JwtKeys::Published(_)) && !live;
            (shown && away)
                .then(|| format!("{name}: the keys of the issuer are not fetched, --live has them"))
        }
        AuthScheme::Oidc(it) => {
            let path = request.uri().path();
            let own = path == it.urls.callback || Some(path) == it.urls.logout.as_deref();
            if own && policy.mode == Mode::Enforce {
                return Some(format!("{name}: it answers {path} itself, and may ask the provider"));
            }
            if request.headers().contains_key(COOKIE) {
                return Some(format!("{name}: a session may have to be renewed at the provider"));
            }
            is_navigation(request.method(), request.headers(), exchange)
                .then(|| format!("{name}: without a session the provider's login is next"))
        }
    }
}
