//! What can only be judged when everything has been read.

use std::collections::HashSet;

use super::{
    super::{
        diagnostic::{Diagnostic, Place},
        model::{Action, Config, ListenerTls, Located, Name},
    },
    Context,
};

/// All of them.
pub(super) fn all(context: &Context<'_>, config: &Config, file: Place) {
    tls(context, config);
    listener_names(context, config);
    unused(context, config);
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

fn listener_names(context: &Context<'_>, config: &Config) {
    let routes = config.routes.iter();
    for (route, branch) in
        routes.flat_map(|(name, route)| route.matches.iter().map(move |b| (name, b)))
    {
        for Located { value, place } in &branch.listeners {
            if config.listeners.contains_key(value) {
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
    for route in config.routes.values() {
        if let Action::Forward(targets) = &route.action {
            used.extend(targets.iter().map(|(name, _)| &name.value));
        }
        used.extend(route.mirror.iter().map(|mirror| &mirror.to.value));
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
