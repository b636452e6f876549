//! Credentials on listeners without TLS: whoever is on the way can read them there, and use them.

use super::{
    super::{
        diagnostic::{Diagnostic, Place},
        model::{Action, Address, Config, Listener, ListenerTls, Name, Route},
    },
    reader::Reader,
};

/// So many routes of a listener are named.
const NAMED: usize = 3;

/// One warning for each listener: what is to be done is done there.
pub(super) fn warn(r: &Reader<'_>, config: &Config) {
    let guarded = config.routes.iter().filter(|(_, route)| {
        let shows = route.auth.as_ref().is_some_and(|auth| auth.shows_secrets());
        route.enabled && shows && route.action != Action::Quarantined
    });
    let guarded: Vec<(&Name, &Route)> = guarded.collect();
    for (name, listener) in config.listeners.iter().filter(|(_, it)| is_readable(it)) {
        let here: Vec<_> = guarded.iter().filter(|(_, route)| route.is_on(name)).collect();
        if let Some((_, first)) = here.first() {
            let routes: Vec<&str> = here.iter().map(|(route, _)| &***route).collect();
            r.report(warning(name, listener, &routes, asked_for(first)));
        }
    }
}

/// Whether strangers may read what is sent to this listener. Nobody does on this machine; and who trusts
/// proxies has said that clients do not come here themselves.
fn is_readable(listener: &Listener) -> bool {
    let far = match &listener.address.value {
        Address::Tcp { host, .. } => !host.is_some_and(|ip| ip.to_canonical().is_loopback()),
        Address::Unix(_) => false,
        // What systemd opens is not known here.
        Address::Fd(_) => true,
    };
    let plain = listener.tls == ListenerTls::None && listener.https_redirect.is_none();
    far && plain && listener.trusted_proxies.is_empty()
}

/// Where a route says who may pass.
fn asked_for(route: &Route) -> Place {
    route.origins.at("auth").map_or(route.place, |origin| origin.via.unwrap_or(origin.place))
}

fn warning(name: &str, listener: &Listener, routes: &[&str], auth: Place) -> Diagnostic {
    let quoted: Vec<String> = routes.iter().take(NAMED).map(|it| format!("`{it}`")).collect();
    let of = match (routes.len(), routes.len().saturating_sub(NAMED)) {
        (1, _) => format!("route {}", quoted[0]),
        (_, 0) => format!("routes {}", quoted.join(", ")),
        (_, more) => format!("routes {} and {more} more", quoted.join(", ")),
    };
    let message =
        format!("credentials for {of} can be read on their way: listener `{name}` has no TLS");
    let here = match listener.address.value {
        Address::Tcp { port, .. } => format!("`127.0.0.1:{port}` for this machine only, "),
        Address::Unix(_) | Address::Fd(_) => String::new(),
    };
    let what = format!(
        "who reads them can use them: `tls` in the listener, {here}or `trusted_proxies` if TLS ends in front of it"
    );
    let at = listener.address.place;
    if at.start == at.end {
        let help = format!("no file has `listeners`, so that is every address; {what}");
        return Diagnostic::warning(auth, message).label("asked for here").help(help);
    }
    Diagnostic::warning(at, message).and(auth, "asked for here").help(what)
}
