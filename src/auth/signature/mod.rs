//! HTTP Message Signatures (RFC 9421): a request that its sender has signed, and a body that is the one that
//! was signed. What must be covered is written in the file, not in the request: a signature of nothing is
//! worth nothing.

mod base;
mod digest;
mod input;
mod keys;
mod replay;

use std::{future::ready, sync::Arc, time::Duration};

use http::{HeaderValue, Version};

use self::{
    base::Message,
    digest::Expected,
    input::{Component, Form, Signed},
    replay::Nonce,
};
pub(crate) use self::{
    keys::{Algorithm, Keys, KeysFile, Written},
    replay::Nonces,
};
use super::{Denied, Identity, Judging, Refused, Scheme, listed};
use crate::{
    config::model::Name, layers::Request, server::forwarding::X_FORWARDED_PROTO,
    telemetry::exchange::Exchange,
};

const UNKNOWN_KEY: Denied = Denied::wrong("unknown_key");
const OTHER_ALGORITHM: Denied = Denied::wrong("wrong_algorithm");
const NOT_COVERED: Denied = Denied::wrong("not_covered");
const NO_TIME: Denied = Denied::wrong("created_missing");
const FUTURE: Denied = Denied::wrong("created_in_future");
const OLD: Denied = Denied::wrong("signature_too_old");
const EXPIRED: Denied = Denied::wrong("signature_expired");
const WRONG: Denied = Denied::wrong("wrong_signature");
const NO_NONCE: Denied = Denied::wrong("nonce_missing");
const REPLAYED: Denied = Denied::wrong("replayed");
const NO_ROOM: Denied = Denied::busy("no_room_for_nonces");

/// What says which body was signed.
const DIGEST: &str = "content-digest";

/// What every signature must cover where the file does not say otherwise.
pub(crate) const COMPONENTS: [&str; 4] = ["@method", "@authority", "@path", "@query"];

/// The signatures of one policy, ready to be asked.
#[derive(Debug)]
pub(crate) struct Signatures {
    pub(crate) policy: Name,
    pub(crate) rules: Rules,
    pub(crate) keys: Known,
    /// Those of the process: a reload must not make old ones new.
    pub(crate) nonces: Arc<Nonces>,
    /// Bodies that are not the ones that were signed are stopped.
    pub(crate) enforced: bool,
}

/// What is asked of a signature.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Parts it must cover.
    pub components: Vec<String>,
    /// How long ago it may have been made.
    pub max_age: Duration,
    /// How far the clock of who made it may be off.
    pub skew: Duration,
    /// It has a nonce, which is used once.
    pub nonce: bool,
    /// What it must be made for.
    pub tag: Option<String>,
    /// What it must be called.
    pub label: Option<String>,
    /// The upstream sees it.
    pub pass_signature: bool,
}

/// Keys from the file, or from one of their own.
#[derive(Debug)]
pub(crate) enum Known {
    Fixed(Keys),
    File(Arc<KeysFile>),
}

/// What a signature was found to say.
#[derive(Debug)]
struct Verified {
    consumer: Name,
    key: String,
    nonce: Option<String>,
    created: i64,
    body: Option<Expected>,
}

// === impl Rules ===

impl Rules {
    /// Who has signed a message at `now`, in Unix seconds. `has_body`: something follows its head.
    fn verify(
        &self,
        keys: &Keys,
        message: &Message<'_>,
        has_body: bool,
        now: i64,
    ) -> Result<Verified, Denied> {
        let signed = input::read(message.headers, self.label.as_deref(), self.tag.as_deref())?;
        let created = self.is_fresh(&signed, now)?;
        let id = signed.key.as_deref().ok_or(UNKNOWN_KEY)?;
        let key = keys.find(id).ok_or(UNKNOWN_KEY)?;
        if signed.alg.as_deref().is_some_and(|alg| alg != key.algorithm.word()) {
            return Err(OTHER_ALGORITHM);
        }
        if self.nonce && signed.nonce.as_deref().is_none_or(str::is_empty) {
            return Err(NO_NONCE);
        }
        let covered = |name: &str| signed.components.iter().any(|it| it.covers(name));
        let missing = |name: &String| {
            let needed = name != "@query" || message.uri.query().is_some();
            needed && !covered(name)
        };
        if self.components.iter().any(missing) || (has_body && !covered(DIGEST)) {
            return Err(NOT_COVERED);
        }
        let body = covered(DIGEST).then(|| Expected::read(message.headers)).transpose()?;
        if !key.has_signed(&message.base(&signed)?, &signed.signature) {
            return Err(WRONG);
        }
        let (consumer, key) = (Arc::clone(&key.consumer), id.to_owned());
        Ok(Verified { consumer, key, nonce: signed.nonce, created, body })
    }

    /// When it was made, if that was not too long ago, and its time is not over.
    fn is_fresh(&self, signed: &Signed, now: i64) -> Result<i64, Denied> {
        let created = signed.created.ok_or(NO_TIME)?;
        if created > now.saturating_add(seconds(self.skew)) {
            return Err(FUTURE);
        }
        if created < now.saturating_sub(seconds(self.max_age)) {
            return Err(OLD);
        }
        if signed.expires.is_some_and(|expires| expires <= now) {
            return Err(EXPIRED);
        }
        Ok(created)
    }
}

impl Component {
    /// Whether who signs this signs that part. The target holds the parts it is made of.
    fn covers(&self, name: &str) -> bool {
        let parts: &[&str] = match self.name.as_str() {
            "@target-uri" => &["@scheme", "@authority", "@path", "@query", "@request-target"],
            "@request-target" => &["@path", "@query"],
            _ => &[],
        };
        self.form == Form::Plain && (self.name == name || parts.contains(&name))
    }
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

// === impl Signatures ===

impl Signatures {
    fn judged(&self, request: &mut Request, exchange: &Exchange) -> Result<Arc<Identity>, Refused> {
        let proto = request.headers().get(X_FORWARDED_PROTO).map(HeaderValue::as_bytes);
        let secure = proto.map_or(exchange.connection.tls.is_some(), |proto| proto == b"https");
        let message = Message {
            method: &exchange.method,
            scheme: if secure { "https" } else { "http" },
            authority: exchange.authority.as_ref(),
            uri: &exchange.uri,
            headers: request.headers(),
        };
        let has_body = !request.body().is_empty();
        let now = i64::try_from(exchange.started_unix / 1_000_000).unwrap_or(i64::MAX);
        let verify = |keys: &Keys| self.rules.verify(keys, &message, has_body, now);
        let found = match &self.keys {
            Known::Fixed(keys) => verify(keys),
            Known::File(file) => verify(&file.now()),
        }?;
        if let Some(body) = &found.body
            && !has_body
        {
            body.of_nothing()?;
        }
        self.use_nonce(&found, now)?;
        if let Some(body) = found.body
            && has_body
            && self.enforced
        {
            let streamed = request.version() == Version::HTTP_2;
            let all = std::mem::take(request.body_mut());
            *request.body_mut() = body.judge(all, streamed);
        }
        Ok(Identity::named(found.consumer))
    }

    fn use_nonce(&self, found: &Verified, now: i64) -> Result<(), Denied> {
        let Some(nonce) = found.nonce.as_deref().filter(|_| self.rules.nonce) else {
            return Ok(());
        };
        // After that the signature is too old.
        let until = found.created.saturating_add(seconds(self.rules.max_age));
        match self.nonces.take(&[&self.policy, &found.key, nonce], until, now) {
            Nonce::New => Ok(()),
            Nonce::Used => Err(REPLAYED),
            Nonce::NoRoom => Err(NO_ROOM),
        }
    }
}

impl Scheme for Signatures {
    fn judge<'a>(&'a self, request: &'a mut Request, exchange: &'a Arc<Exchange>) -> Judging<'a> {
        Box::pin(ready(self.judged(request, exchange)))
    }

    fn strip(&self, request: &mut Request) {
        if !self.rules.pass_signature {
            request.headers_mut().remove(input::SIGNATURE);
            request.headers_mut().remove(input::INPUT);
        }
    }

    fn could_admit(&self, who: &Identity) -> Result<(), Denied> {
        listed(who, |name| match &self.keys {
            Known::Fixed(keys) => keys.has(name),
            Known::File(file) => file.now().has(name),
        })
    }

    fn challenge(&self, _: Denied) -> Option<HeaderValue> {
        Some(HeaderValue::from_static("Signature"))
    }
}

#[cfg(test)]
mod tests;
