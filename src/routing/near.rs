//! What kept a branch from taking a request, in words. For people asking why; slow.

use std::cmp::Reverse;

use super::{
    branch::{Branch, RequestFacts},
    host::HostPattern,
};

/// How far a branch is from taking a request, nearest first: number of things that differ, then
/// the later the first of them, then the more the paths and hosts share.
pub(super) type Distance = (usize, Reverse<usize>, Reverse<usize>);

// === impl Branch: nearness ===

impl<T> Branch<T> {
    /// `None` when it takes the request.
    pub(super) fn distance(&self, facts: &RequestFacts<'_>) -> Option<Distance> {
        let holds = [
            self.host.matches(facts.host),
            self.path.matches(facts.path),
            self.takes_method(facts),
            self.headers.iter().all(|(name, want)| want.matches_header(facts.headers, name)),
            self.query.iter().all(|(key, want)| want.matches_query(facts.query, key)),
            self.address_holds(facts),
            self.listener_holds(facts),
        ];
        let first = holds.iter().position(|holds| !holds)?;
        let count = holds.iter().filter(|holds| !**holds).count();
        let shared = shared(self.path.literal_prefix().bytes(), facts.path.bytes())
            + match &self.host {
                HostPattern::Exact(host) => shared(host.bytes().rev(), facts.host.bytes().rev()),
                _ => 0,
            };
        Some((count, Reverse(first), Reverse(shared)))
    }

    /// The first thing that differs; `None` when it takes the request. Values of headers and query
    /// parameters are not repeated: they may be secrets.
    pub(super) fn difference(&self, facts: &RequestFacts<'_>) -> Option<String> {
        if !self.host.matches(facts.host) {
            let got = if facts.host.is_empty() { "none" } else { facts.host };
            return Some(format!("host: wants {}, got {got}", self.host));
        }
        if !self.path.matches(facts.path) {
            return Some(format!("path: wants {}, got {}", self.path.as_str(), facts.path));
        }
        if let Some(methods) = self.methods.as_ref().filter(|m| !m.contains(facts.method)) {
            return Some(format!("method: wants {}, got {}", methods.allow(), facts.method));
        }
        self.differing_value(facts).or_else(|| self.differing_place(facts))
    }

    fn differing_value(&self, facts: &RequestFacts<'_>) -> Option<String> {
        for (name, want) in &self.headers {
            if !want.matches_header(facts.headers, name) {
                let got = if facts.headers.contains_key(name) { "another value" } else { "none" };
                return Some(format!("header {name}: wants {want}, got {got}"));
            }
        }
        for (key, want) in &self.query {
            if !want.matches_query(facts.query, key) {
                let there = super::ValueCondition::Present.matches_query(facts.query, key);
                let got = if there { "another value" } else { "none" };
                return Some(format!("query {key}: wants {want}, got {got}"));
            }
        }
        None
    }

    fn differing_place(&self, facts: &RequestFacts<'_>) -> Option<String> {
        if !self.address_holds(facts) {
            let want: Vec<_> = self.client_ip.iter().map(ToString::to_string).collect();
            let got = facts.client_ip.map_or_else(|| "none".to_owned(), |ip| ip.to_string());
            return Some(format!("client_ip: wants {}, got {got}", want.join(", ")));
        }
        if !self.listener_holds(facts) {
            let want = self.listeners.join(", ");
            return Some(format!("listener: wants {want}, got {}", facts.listener));
        }
        None
    }
}

fn shared(a: impl Iterator<Item = u8>, b: impl Iterator<Item = u8>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).count()
}
