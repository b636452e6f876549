//! Whether logins with a browser can end where they are answered: the callback of a policy must be on a
//! route that carries it, for every host whose routes send people to log in.

use std::collections::BTreeSet;

use http::{HeaderMap, Method, Uri};

use super::RouteTarget;
use crate::{
    config::{
        diagnostic::{Diagnostic, Diagnostics},
        model::{AuthPolicy, AuthScheme, Config, Mode, Oidc},
    },
    routing::{Branch, Found, HostPattern, RequestFacts, Table},
};

/// A host that no route names.
const ELSEWHERE: &str = "any.invalid";

/// Reports every callback, and every logout, that is not where its policy is.
pub(super) fn check(config: &Config, table: &Table<RouteTarget>, found: &mut Diagnostics) {
    let mut said = BTreeSet::new();
    for branch in table.branches() {
        let name = &branch.target.route.info.name;
        for (policy, oidc) in logins(config, name) {
            // What such conditions take of what a provider sends back, nobody can say.
            if !branch.headers.is_empty() || !branch.query.is_empty() {
                continue;
            }
            let host = host(branch, oidc);
            let callback = Some(("callback", &oidc.urls.callback));
            let logout = oidc.urls.logout.as_ref().map(|path| ("logout", path));
            for (what, path) in callback.into_iter().chain(logout) {
                let leads = leads_to(table, branch, &host, path);
                let good = leads.is_some_and(|route| {
                    logins(config, route).any(|(other, _)| other.policy == policy.policy)
                });
                if !good && said.insert((policy.policy.clone(), what)) {
                    let shown = if host == ELSEWHERE { "" } else { &host };
                    found.push(missing(policy, oidc, (what, shown, path), leads));
                }
            }
        }
    }
}

fn missing(
    policy: &AuthPolicy,
    oidc: &Oidc,
    (what, host, path): (&str, &str, &str),
    leads: Option<&str>,
) -> Diagnostic {
    let name = &policy.policy;
    let leads = match leads {
        Some(route) => format!("leads to route `{route}`, which does not have it"),
        None => "leads to no route".to_owned(),
    };
    let message = format!("the `{what}` of auth policy `{name}` {leads}: {host}{path}");
    let help = format!(
        "give a route with `auth: {name}` this path too, or choose a `{what}` below one that has it"
    );
    let place = oidc.callback_place;
    match what {
        "callback" => Diagnostic::error(place, message).help(help),
        _ => Diagnostic::warning(place, message).help(help + ", or `logout: none`"),
    }
}

/// Policies of a route that send people to log in.
fn logins<'c>(config: &'c Config, route: &str) -> impl Iterator<Item = (&'c AuthPolicy, &'c Oidc)> {
    let auth = config.routes.get(route).and_then(|route| route.auth.as_ref());
    auth.into_iter().flat_map(|auth| &auth.policies).filter_map(|policy| match &policy.scheme {
        AuthScheme::Oidc(oidc) if policy.mode == Mode::Enforce => Some((&**policy, &**oidc)),
        _ => None,
    })
}

/// The host a provider sends people back to.
fn host(branch: &Branch<RouteTarget>, oidc: &Oidc) -> String {
    if let Some(url) = &oidc.urls.redirect_uri {
        let url: Option<Uri> = url.parse().ok();
        return url.and_then(|url| url.host().map(str::to_ascii_lowercase)).unwrap_or_default();
    }
    match &branch.host {
        HostPattern::Any => ELSEWHERE.to_owned(),
        HostPattern::Exact(host) => host.to_string(),
        HostPattern::OneLabel(suffix) | HostPattern::AnyLabels(suffix) => format!("x.{suffix}"),
    }
}

/// The route that takes a GET of this path, from where the branch is.
fn leads_to<'t>(
    table: &'t Table<RouteTarget>,
    branch: &Branch<RouteTarget>,
    host: &str,
    path: &str,
) -> Option<&'t str> {
    let facts = RequestFacts {
        host,
        path,
        query: None,
        method: &Method::GET,
        headers: &HeaderMap::new(),
        client_ip: branch.client_ip.first().map(ipnet::IpNet::addr),
        listener: branch.listeners.first().map_or("", |name| name),
    };
    match table.find(&facts) {
        Found::Match { target, .. } => Some(&target.route.info.name),
        Found::MethodNotAllowed { .. } | Found::Nothing => None,
    }
}
