//! A branch, the unit of matching: one host × one path × methods × further conditions. A route is
//! the OR of its branches, and each has a rank of its own.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName, Method};
use ipnet::IpNet;

use super::{condition::ValueCondition, host::HostPattern, methods::MethodSet, path::PathPattern};

/// One host and one path with all conditions that must hold, and what is found then.
#[derive(Clone, Debug)]
pub struct Branch<T> {
    /// Which hosts.
    pub host: HostPattern,
    /// Which paths.
    pub path: PathPattern,
    /// Which methods; `None` is every method.
    pub methods: Option<MethodSet>,
    /// Conditions on headers, all of which must hold.
    pub headers: Vec<(HeaderName, ValueCondition)>,
    /// Conditions on query parameters by decoded key, all of which must hold.
    pub query: Vec<(Box<str>, ValueCondition)>,
    /// Networks of the client, one of which must hold it; empty is any.
    pub client_ip: Vec<IpNet>,
    /// Listeners, one of which accepted the request; empty is any.
    pub listeners: Vec<Arc<str>>,
    /// Decides between branches that are equal in everything else; higher first.
    pub priority: i32,
    /// What the table finds.
    pub target: T,
}

/// What matching looks at in a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    /// Lower case, no port, no trailing dot, IPv6 in brackets; empty if there is none.
    pub host: &'a str,
    /// In canonical form.
    pub path: &'a str,
    /// Raw, without `?`.
    pub query: Option<&'a str>,
    /// Method.
    pub method: &'a Method,
    /// Header fields.
    pub headers: &'a HeaderMap,
    /// The client, not necessarily the peer; `None` on a Unix socket.
    pub client_ip: Option<IpAddr>,
    /// Name of the listener that accepted.
    pub listener: &'a str,
}

// === impl Branch ===

impl<T> Branch<T> {
    /// Whether the method is one the branch takes.
    #[inline]
    pub(super) fn takes_method(&self, facts: &RequestFacts<'_>) -> bool {
        self.methods.as_ref().is_none_or(|methods| methods.contains(facts.method))
    }

    /// Whether everything but host, path and method holds.
    #[inline]
    pub(super) fn conditions_hold(&self, facts: &RequestFacts<'_>) -> bool {
        self.headers.iter().all(|(name, want)| want.matches_header(facts.headers, name))
            && self.query.iter().all(|(key, want)| want.matches_query(facts.query, key))
            && self.address_holds(facts)
            && self.listener_holds(facts)
    }

    pub(super) fn address_holds(&self, facts: &RequestFacts<'_>) -> bool {
        // An IPv4 client of a dual-stack socket comes as ::ffff:a.b.c.d.
        let client = facts.client_ip.map(|ip| ip.to_canonical());
        self.client_ip.is_empty()
            || client.is_some_and(|ip| self.client_ip.iter().any(|net| net.contains(&ip)))
    }

    pub(super) fn listener_holds(&self, facts: &RequestFacts<'_>) -> bool {
        self.listeners.is_empty() || self.listeners.iter().any(|name| **name == *facts.listener)
    }

    /// Whether the branch takes the request: the slow way, one branch at a time.
    pub(super) fn takes(&self, facts: &RequestFacts<'_>) -> bool {
        self.host.matches(facts.host)
            && self.path.matches(facts.path)
            && self.takes_method(facts)
            && self.conditions_hold(facts)
    }

    /// Whether nothing but host and path matters.
    pub(super) fn is_plain(&self) -> bool {
        self.methods.is_none()
            && self.headers.is_empty()
            && self.query.is_empty()
            && self.client_ip.is_empty()
            && self.listeners.is_empty()
    }
}
