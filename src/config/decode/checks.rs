//! What can only be judged when everything has been read.

use std::{collections::HashSet, sync::Arc};

use http::{HeaderName, header::AUTHORIZATION};

use super::{
    super::{
        diagnostic::{Diagnostic, Place},
        model::{Action, AuthPolicy, AuthScheme, Config, ListenerTls, Located, Name, Require},
    },
    Context, plain_http,
};

use crate::auth::api_key::carrier::Carrier;

/// Where signatures of requests are.
static SIGNATURES: Carrier = Carrier::Header(HeaderName::from_static("signature"));

/// All of them.
pub(super) fn all(context: &Context<'_>, config: &Config, file: Place) {
    tls(context, config);
    listener_names(context, config);
    unused(context, config);
    keys_in_logs(context, config);
    client_certs(context, config);
    plain_http::warn(context.r, config);
    // A broken route is not a missing one.
    if config.routes.is_empty() && !context.has_routes {
        let place = Place { end: file.start, ..file };
        let found = Diagnostic::error(place, "no file has a route");
        context.r.report(found.help("`routes: { app: { to: \"http://127.0.0.1:3000\" } }`"));
    }
}

fn tls(context: &Context<'_>, config: &Config) {
    let secure = config.listeners.values().any(|listener| listener.tls != ListenerTls::None);
    for (name, listener) in &config.listeners {
        if listener.https_redirect.is_some() {
            let wrong = if listener.tls != ListenerTls::None {
                Some(format!(
                    "listener `{name}` has TLS itself, `https_redirect` is for plain ones"
                ))
            } else if !secure {
                Some(format!("`https_redirect` in listener `{name}`, but no listener has TLS"))
            } else {
                None
            };
            if let Some(message) = wrong {
                context.r.report(Diagnostic::error(listener.place, message));
            }
        }
        if listener.tls == ListenerTls::Files && config.tls.certificates.is_empty() {
            let message = format!("listener `{name}` has `tls: true`, but there is no certificate");
            let found = Diagnostic::error(listener.place, message);
            let help =
                "`tls: { certificates: [{ cert: …, key: … }] }`, or `tls: dev` while developing";
            context.r.report(found.help(help));
        }
    }
}

/// A log that may be read by many must not hold what lets anybody pass.
fn keys_in_logs(context: &Context<'_>, config: &Config) {
    let Some(access) = &config.logs.access else { return };
    for (name, route) in &config.routes {
        for policy in route.auth.iter().flat_map(|auth| &auth.policies) {
            let (from, what) = match &policy.scheme {
                AuthScheme::ApiKey(keys) => (&keys.from, "API keys"),
                AuthScheme::Jwt(jwt) => (&jwt.from, "tokens"),
                AuthScheme::Signature(_) => (&SIGNATURES, "signatures"),
                AuthScheme::Introspection(it) => (&it.from, "tokens"),
                AuthScheme::Basic(_)
                | AuthScheme::Oidc(_)
                | AuthScheme::ClientCert(_)
                | AuthScheme::External(_)
                | AuthScheme::ExtAuthz(_) => continue,
            };
            let Carrier::Header(header) = from else { continue };
            if access.request_headers.contains(header) && *header != AUTHORIZATION {
                let message = format!(
                    "`logs.access.headers` would write the {what} of route `{name}`, in `{header}`"
                );
                context.r.report(Diagnostic::error(route.place, message));
            }
        }
    }
}

/// A route that is only for certificates must not be reached where nobody is asked for one.
fn client_certs(context: &Context<'_>, config: &Config) {
    let is_one = |policy: &Arc<AuthPolicy>| matches!(policy.scheme, AuthScheme::ClientCert(_));
    for (name, route) in config.routes.iter().filter(|(_, route)| route.enabled) {
        let Some(auth) = route.auth.as_ref().filter(|auth| auth.policies.iter().any(is_one)) else {
            continue;
        };
        let (asking, silent): (Vec<_>, Vec<_>) = config
            .listeners
            .iter()
            .filter(|(name, listener)| listener.https_redirect.is_none() && route.is_on(name))
            .partition(|(_, listener)| listener.client_auth.is_some());
        // Elsewhere one of the others may be shown.
        let others = auth.require == Require::Any && !auth.policies.iter().all(is_one);
        if let Some((listener, settings)) = silent.first().filter(|_| !others || asking.is_empty())
        {
            let message = format!(
                "route `{name}` wants client certificates, and listener `{listener}` does not ask for any"
            );
            let found = Diagnostic::error(route.place, message).and(settings.place, "this one");
            let help = "`client_auth` in its `tls`, or `match: { listener: … }` in the route";
            context.r.report(found.help(help));
        }
    }
}

fn listener_names(context: &Context<'_>, config: &Config) {
    let routes = config.routes.iter();
    for (route, branch) in
        routes.flat_map(|(name, route)| route.matches.iter().map(move |b| (name, b)))
    {
        for Located { value, place } in &branch.listeners {
            // A broken listener is not a missing one.
            if config.listeners.contains_key(value) || context.listeners.contains(&**value) {
                continue;
            }
            let shown = context.r.sources.shown(*place, value);
            let message = format!("route `{route}` matches an unknown listener {shown}");
            let found = Diagnostic::error(*place, message).label("not defined in any file");
            let known = config.listeners.keys().map(|name| &**name);
            context.r.report(match context.r.propose(value, known) {
                Some(close) => found.help(format!("did you mean `{close}`?")),
                None => found,
            });
        }
    }
}

/// What nothing refers to. Not asked while some routes are broken: they may be the ones.
fn unused(context: &Context<'_>, config: &Config) {
    if context.r.has_errors() {
        return;
    }
    let mut used: HashSet<&Name> = HashSet::new();
    used.extend(config.stores.values().filter_map(|it| Some(&it.upstream()?.to.value)));
    for route in config.routes.values() {
        if let Action::Forward(targets) = &route.action {
            used.extend(targets.iter().map(|(name, _)| &name.value));
        }
        used.extend(route.mirror.iter().map(|mirror| &mirror.to.value));
        let policies = route.auth.iter().flat_map(|auth| &auth.policies);
        let services = policies.filter_map(|policy| policy.service());
        used.extend(services.map(|service| &service.to.value));
    }
    for (name, upstream) in config.upstreams.iter().filter(|(name, _)| !used.contains(name)) {
        let message = format!("no route uses the upstream `{name}`");
        context.r.report(Diagnostic::warning(upstream.place, message));
    }
    for policy in context.policies.unused() {
        let message = format!("nothing uses the policy `{}`", policy.key);
        context.r.report(Diagnostic::warning(policy.key_place, message));
    }
}
