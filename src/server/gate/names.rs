//! Field names a client may not use, or not spell its own way. What follows from the configuration
//! is collected once per runtime.

use std::collections::HashSet;

use ahash::RandomState;
use http::HeaderName;

use crate::{
    config::model::{ClientIpFrom, Config},
    routing::Normalize,
};

/// What the gate holds requests against, besides the limits of the listener.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) normalize: Normalize,
    /// The header that carries request ids.
    pub(super) request_id: HeaderName,
    /// Names the configuration speaks of, with dashes for underscores.
    reserved: HashSet<Box<str>, RandomState>,
    /// Names with underscores the configuration itself uses: these are meant so.
    spelled: Vec<HeaderName>,
    /// `server.pass_headers`.
    pass: Vec<HeaderName>,
}

/// Fields by which some applications take another path or method than the one that was matched.
const OVERRIDES: [&str; 5] = [
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];

/// Fields in which a proxy or TLS terminator in front says who asks.
const CLAIMS: [&str; 10] = [
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "client-cert",
    "client-cert-chain",
    "x-client-verify",
    "x-client-dn",
];

/// The same, whatever follows.
const CLAIM_PREFIXES: [&str; 7] = [
    "x-forwarded-",
    "x-ssl-",
    "ssl-client-",
    "x-client-cert",
    "x-auth-request-",
    "remote-",
    "x-remote-",
];

/// Fields that frame messages or belong to one hop, those with a dash: no alias can be made of others.
const FRAMING: [&str; 6] = [
    "content-length",
    "transfer-encoding",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "http2-settings",
];

/// Claims the gateway itself writes: trust decides about them, never a list.
const WRITTEN: [&str; 6] = [
    "forwarded",
    "x-real-ip",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
];

/// Whether a name begins as a claim or an override does; few others do.
pub(super) fn may_be_unwanted(name: &str) -> bool {
    matches!(
        name.as_bytes(),
        [b'x', b'-', b'a', b'u', ..]
            | [b'x', b'-', b'c', b'l', ..]
            | [b'x', b'-', b'f' | b'h' | b'm' | b'o', ..]
            | [b'x', b'-', b'r', b'e', b'a' | b'm' | b'w', ..]
            | [b'x', b'-', b's', b's', ..]
            | [b'c', b'f' | b'l', ..]
            | [b'f', b'o', ..]
            | [b'r', b'e', b'm', ..]
            | [b's', b's', b'l', ..]
            | [b't', b'r', b'u', ..]
    )
}

/// Whether applications may take another path or method from this field.
pub(crate) fn is_override(name: &str) -> bool {
    OVERRIDES.contains(&name)
}

/// Whether this field says who asks.
pub(crate) fn is_claim(name: &str) -> bool {
    CLAIM_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || CLAIMS.contains(&name)
}

/// Whether the gateway itself writes this field on every request.
pub(crate) fn is_written(name: &str) -> bool {
    WRITTEN.contains(&name) || name == "via"
}

/// Whether `server.pass_headers` may name this field.
pub(crate) fn may_pass(name: &str) -> bool {
    is_override(name) || (is_claim(name) && !WRITTEN.contains(&name))
}

// === impl Rules ===

impl Rules {
    /// The rules of a configuration.
    pub(crate) fn new(config: &Config) -> Self {
        let server = &config.server;
        let normalize = Normalize {
            merge_slashes: server.merge_slashes,
            keep_encoded_slash: server.keep_encoded_slash,
        };
        let (mut reserved, mut spelled) = (HashSet::default(), Vec::new());
        for name in spoken_of(config) {
            reserved.insert(name.as_str().replace('_', "-").into());
            if name.as_str().contains('_') {
                spelled.push(name.clone());
            }
        }
        let request_id = server.request_id_header.clone();
        Self { normalize, request_id, reserved, spelled, pass: server.pass_headers.clone() }
    }

    /// Whether a name with an underscore is one of ours in disguise: many applications cannot tell
    /// `_` from `-`, so it would carry what we remove, or overrule what we set.
    pub(super) fn is_alias(&self, name: &str) -> bool {
        let dashed = name.replace('_', "-");
        let ours = FRAMING.contains(&&*dashed)
            || is_override(&dashed)
            || is_claim(&dashed)
            || self.reserved.contains(&*dashed);
        ours && !self.spelled.iter().any(|spelled| spelled == name)
    }

    /// Whether the operator lets this field pass.
    pub(crate) fn passes(&self, name: &HeaderName) -> bool {
        self.pass.contains(name)
    }
}

/// Every request header the configuration sets, removes, matches or reads.
fn spoken_of(config: &Config) -> impl Iterator<Item = &HeaderName> {
    let routes = config.routes.values().flat_map(|route| {
        let edits = &route.headers.request;
        let written = edits.set.iter().chain(&edits.add).map(|(name, _)| name);
        let matched = route.matches.iter().flat_map(|branch| &branch.headers);
        let known = route.auth.iter().flat_map(|auth| &auth.policies);
        let known = known.flat_map(|policy| policy.tells().chain(policy.shows()));
        let rules = route.authorize.iter().flat_map(|authorize| &authorize.policies);
        let known = known.chain(rules.flat_map(|policy| policy.rules.headers()));
        let written = written.chain(&edits.remove).chain(known);
        written.chain(matched.map(|(name, _)| name))
    });
    let listeners =
        config.listeners.values().filter_map(|listener| match &listener.client_ip_from {
            ClientIpFrom::Header(name) => Some(name),
            ClientIpFrom::XForwardedFor | ClientIpFrom::Forwarded => None,
        });
    routes.chain(listeners).chain([&config.server.request_id_header])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_look_misses_none() {
        for name in CLAIMS.into_iter().chain(CLAIM_PREFIXES).chain(OVERRIDES) {
            assert!(may_be_unwanted(name), "{name}");
        }
        for name in ["cookie", "cache-control", "referer", "sec-fetch-mode", "accept-encoding"] {
            assert!(!may_be_unwanted(name), "{name}");
        }
    }
}
