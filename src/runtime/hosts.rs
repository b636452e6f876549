//! Whether the certificates are for the hosts of the routes: clients of any other are shown a certificate
//! that they refuse, or none.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::{
    config::{
        diagnostic::{Diagnostic, Diagnostics, Place},
        model::{Config, ListenerTls, Name},
    },
    routing::HostPattern,
    server::{
        certs::{self, CertStore},
        tls::is_local_name,
    },
};

/// So many hosts are told one by one.
const TOLD: usize = 10;
/// So many names of certificates are told.
const NAMES: usize = 10;

/// A host that no certificate is for.
struct Bare<'c> {
    host: String,
    place: Place,
    route: &'c Name,
    listeners: BTreeSet<&'c Name>,
    /// Some of the listeners have a certificate to show, though a wrong one.
    shown: bool,
}

/// The certificates of all listeners.
struct Certificates<'c> {
    store: &'c CertStore,
    /// Everything that a host they are for is below of.
    parents: HashSet<&'c str>,
}

/// Warns of each host that no certificate is for, once.
pub(super) fn check(config: &Config, store: &CertStore, found: &mut Diagnostics) {
    let served = config
        .listeners
        .iter()
        .filter(|(_, listener)| matches!(listener.tls, ListenerTls::Files | ListenerTls::Auto));
    let served: Vec<(&Name, bool)> =
        served.map(|(name, listener)| (name, listener.tls == ListenerTls::Auto)).collect();
    if served.is_empty() {
        return;
    }
    let certificates = Certificates::new(store);
    let mut all: Vec<Bare<'_>> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for (route, settings) in config.routes.iter().filter(|(_, route)| route.enabled) {
        for rule in &settings.matches {
            let named: HashSet<&Name> = rule.listeners.iter().map(|name| &name.value).collect();
            let here: Vec<_> =
                served.iter().filter(|(it, _)| named.is_empty() || named.contains(it)).collect();
            for host in &rule.hosts {
                // One that cannot be read has been reported.
                let Ok(pattern) = HostPattern::parse(&host.value) else { continue };
                for (listener, auto) in &here {
                    if certificates.are_for(&pattern, *auto) {
                        continue;
                    }
                    let (host, place) = (pattern.to_string(), host.place);
                    let at = *known.entry(host.clone()).or_insert(all.len());
                    if at == all.len() {
                        let listeners = BTreeSet::new();
                        all.push(Bare { host, place, route, listeners, shown: false });
                    }
                    all[at].listeners.insert(listener);
                    all[at].shown |= !auto;
                }
            }
        }
    }
    all.sort_by_key(|bare| bare.place);
    report(&all, &certificates, found);
}

fn report(all: &[Bare<'_>], certificates: &Certificates<'_>, found: &mut Diagnostics) {
    for bare in all.iter().take(TOLD) {
        let Bare { host, place, route, listeners, shown } = bare;
        let names: Vec<String> = listeners.iter().map(|name| format!("`{name}`")).collect();
        let listeners = match names.len() {
            1 => format!("listener {}", names[0]),
            _ => format!("listeners {}", names.join(", ")),
        };
        let message = format!("{listeners}: no certificate is for `{host}` of route `{route}`");
        let shown = match shown {
            true => "clients are shown one for other names, and refuse it",
            false => "clients are shown none",
        };
        let help = format!("{shown}; there are certificates for {}", certificates.list(host));
        found.push(Diagnostic::warning(*place, message).help(help));
    }
    if let Some(next) = all.get(TOLD) {
        let message = match all.len() - TOLD {
            1 => "nor is there a certificate for another host".to_owned(),
            more => format!("nor is there a certificate for {more} other hosts"),
        };
        found.push(Diagnostic::warning(next.place, message).label("the first of them"));
    }
}

// === impl Certificates ===

impl<'c> Certificates<'c> {
    fn new(store: &'c CertStore) -> Self {
        let mut parents = HashSet::new();
        for host in store.hosts() {
            let mut rest = host;
            while let Some((_, parent)) = rest.split_once('.') {
                parents.insert(parent);
                rest = parent;
            }
        }
        Self { store, parents }
    }

    /// Whether clients of a host are shown a certificate for it. `auto`: the development CA makes those of
    /// local names, and the first certificate is no fallback.
    fn are_for(&self, host: &HostPattern, auto: bool) -> bool {
        let one = |host: &str| match auto {
            false => self.store.suits(host),
            true => {
                let name = host.replacen('*', "x", 1);
                let local = certs::address(host).is_some() || is_local_name(&name);
                local || self.store.covers(host)
            }
        };
        match host {
            HostPattern::Any => true,
            HostPattern::Exact(host) => one(host),
            HostPattern::OneLabel(parent) => one(&format!("*.{parent}")),
            // No certificate is for all of it.
            HostPattern::AnyLabels(parent) => {
                self.parents.contains(&**parent) || one(&format!("*.{parent}"))
            }
        }
    }

    /// What they are for, as far as it can be said in a line.
    fn list(&self, host: &str) -> String {
        let mut names: Vec<&str> = self.store.hosts().take(NAMES + 1).collect();
        let more = if names.len() > NAMES { " and others" } else { "" };
        names.truncate(NAMES);
        if names.is_empty() {
            return "no host".to_owned();
        }
        let near =
            |name: &str| name.strip_prefix("*.").is_some_and(|parent| is_below(host, parent));
        let label = if self.store.hosts().any(near) { "; `*` is one label" } else { "" };
        format!("{}{more}{label}", names.join(", "))
    }
}

/// Whether a host is this one, or below it.
fn is_below(host: &str, parent: &str) -> bool {
    host.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests;
