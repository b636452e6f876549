//! Which bucket a request belongs to. Buckets are known by a hash under keys made at random at start, so
//! nobody outside can tell, or choose, where in the table one is.

use std::{
    hash::{BuildHasher, Hash, Hasher},
    net::{IpAddr, Ipv6Addr},
};

use super::stored::Entries;
use crate::{
    auth::api_key::carrier::Found, config::model::KeyPart, layers::Request,
    telemetry::exchange::Exchange,
};

/// What requests of a bucket have in common, and how that is hashed.
#[derive(Debug)]
pub(crate) struct Keys {
    parts: Box<[KeyPart]>,
    ipv6_prefix: u8,
    /// Its results never leave the process.
    hash: ahash::RandomState,
}

/// What is hashed where a request lacks something: another first byte than anything it could have.
const MISSING: u8 = 0;
const THERE: u8 = 1;

// === impl Keys ===

impl Keys {
    /// Requests that are alike in these parts are alike.
    pub(crate) fn new(parts: &[KeyPart], ipv6_prefix: u8) -> Self {
        Self { parts: parts.into(), ipv6_prefix, hash: ahash::RandomState::new() }
    }

    /// The bucket of a request. All requests that lack a part are alike in it.
    #[inline]
    pub(crate) fn of(&self, request: &Request, exchange: &Exchange) -> u64 {
        // Nearly always; a loop costs more.
        if let [KeyPart::ClientIp] = &*self.parts {
            let mut hasher = self.hash.build_hasher();
            self.add_client(exchange, &mut hasher);
            return hasher.finish();
        }
        self.of_parts(request, exchange)
    }

    #[inline(never)]
    fn of_parts(&self, request: &Request, exchange: &Exchange) -> u64 {
        let mut hasher = self.hash.build_hasher();
        for part in &self.parts {
            self.add(part, request, exchange, &mut hasher);
        }
        hasher.finish()
    }

    fn add(
        &self,
        part: &KeyPart,
        request: &Request,
        exchange: &Exchange,
        hasher: &mut impl Hasher,
    ) {
        match part {
            KeyPart::ClientIp => self.add_client(exchange, hasher),
            KeyPart::Route => exchange.route.name.hash(hasher),
            KeyPart::Consumer => exchange.note(|outcome| {
                text(outcome.consumer.as_ref().map(|name| name.as_bytes()), hasher);
            }),
            KeyPart::Claim(name) => exchange.note(|outcome| {
                match outcome.claims.as_ref().and_then(|claims| claims.get(name)) {
                    Some(serde_json::Value::String(value)) => text(Some(value.as_bytes()), hasher),
                    Some(value) => text(Some(value.to_string().as_bytes()), hasher),
                    None => text(None, hasher),
                }
            }),
            KeyPart::Request(carrier) => {
                match carrier.take(request.uri(), request.headers()) {
                    Found::One(value) => text(Some(&value), hasher),
                    // Which one counts must not be for the client to choose.
                    Found::None | Found::Several => text(None, hasher),
                }
            }
        }
    }

    /// What requests of that bucket have in common, in words any gateway would use.
    pub(super) fn entries(&self, request: &Request, exchange: &Exchange) -> Entries {
        self.parts.iter().map(|part| self.entry(part, request, exchange)).collect()
    }

    fn entry(&self, part: &KeyPart, request: &Request, exchange: &Exchange) -> Option<Box<[u8]>> {
        let text = |text: &str| Box::from(text.as_bytes());
        match part {
            KeyPart::ClientIp => match exchange.client_ip?.to_canonical() {
                IpAddr::V4(ip) => Some(text(&ip.to_string())),
                IpAddr::V6(ip) => {
                    let network = Ipv6Addr::from_bits(ip.to_bits() & self.mask());
                    Some(text(&format!("{network}/{}", self.ipv6_prefix)))
                }
            },
            KeyPart::Route => Some(text(&exchange.route.name)),
            KeyPart::Consumer => exchange.with_outcome(|it| it.consumer.as_deref().map(text)),
            KeyPart::Claim(name) => {
                exchange.with_outcome(|outcome| match outcome.claims.as_ref()?.get(name)? {
                    serde_json::Value::String(value) => Some(text(value)),
                    value => Some(text(&value.to_string())),
                })
            }
            KeyPart::Request(carrier) => match carrier.take(request.uri(), request.headers()) {
                Found::One(value) => Some(Box::from(&*value)),
                Found::None | Found::Several => None,
            },
        }
    }

    #[inline]
    fn add_client(&self, exchange: &Exchange, hasher: &mut impl Hasher) {
        match exchange.client_ip.map(|ip| ip.to_canonical()) {
            Some(IpAddr::V4(ip)) => hasher.write_u64(1 << 32 | u64::from(ip.to_bits())),
            Some(IpAddr::V6(ip)) => hasher.write_u128(ip.to_bits() & self.mask()),
            None => hasher.write_u64(0),
        }
    }

    fn mask(&self) -> u128 {
        u128::MAX.checked_shl(128 - u32::from(self.ipv6_prefix.min(128))).unwrap_or(0)
    }
}

/// A text, in such a way that no two lists of texts are alike.
fn text(value: Option<&[u8]>, hasher: &mut impl Hasher) {
    match value {
        Some(value) => {
            hasher.write_u8(THERE);
            value.hash(hasher);
        }
        None => hasher.write_u8(MISSING),
    }
}
