//! Tokens of one policy, ready to be asked.

use std::{future::ready, sync::Arc};

use http::{HeaderName, HeaderValue};
use tokio::time::Instant;

use super::{
    super::{
        Denied, Identity, Judged, Judging, Refused, Scheme, api_key::carrier::Carrier,
        watched::Watched,
    },
    Flaw, KeySet, Remote, Rules, Verified,
    bearer::{self, Reading},
    remembered::Remembered,
    verify,
};
use crate::{
    layers::Request,
    telemetry::{clock::unix_micros, exchange::Exchange},
};

/// A file of keys that is read again when it changes.
pub(crate) type SetFile = Watched<KeySet>;

/// Tokens of one policy.
#[derive(Debug)]
pub(crate) struct Jwt {
    settings: Settings,
    tells: Vec<HeaderName>,
    remembered: Remembered,
}

/// What one policy wants.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) from: Carrier,
    pub(crate) rules: Rules,
    pub(crate) keys: Keys,
    pub(crate) reading: Reading,
    /// The upstream sees the token.
    pub(crate) pass_token: bool,
}

/// Where the keys of the issuer come from.
#[derive(Debug)]
pub(crate) enum Keys {
    Fixed(Arc<KeySet>),
    File(Arc<SetFile>),
    Remote(Arc<Remote>),
}

// === impl Jwt ===

impl Jwt {
    pub(crate) fn new(settings: Settings) -> Self {
        let tells = settings.reading.tells();
        Self { settings, tells, remembered: Remembered::new() }
    }

    /// Whom the token is from, unless other keys have to be waited for.
    fn at_once(&self, token: &[u8], now: u64) -> Result<Judged, (&Arc<Remote>, u64)> {
        let keys = match &self.settings.keys {
            Keys::Fixed(keys) => Arc::clone(keys),
            Keys::File(file) => Arc::clone(&file.now()),
            Keys::Remote(remote) => match remote.now() {
                Some(keys) => keys,
                None => {
                    remote.want();
                    return Ok(Err(Denied::unavailable("no_keys").into()));
                }
            },
        };
        if let Some(identity) = self.remembered.find(token, keys.number, now) {
            return Ok(Ok(identity));
        }
        match (self.identity(token, &keys, now), &self.settings.keys) {
            (Err(Flaw::UnknownKey), Keys::Remote(remote)) => Err((remote, keys.number)),
            (judged, _) => Ok(judged.map_err(|flaw| Denied::from(flaw).into())),
        }
    }

    /// The same with other keys than those known, which may be there in a moment.
    async fn later(&self, token: &[u8], (remote, known): (&Remote, u64)) -> Judged {
        let unknown = || Refused::from(Denied::from(Flaw::UnknownKey));
        let keys = remote.other_than(known).await.ok_or_else(unknown)?;
        let now = unix_micros(Instant::now()) / 1_000_000;
        self.identity(token, &keys, now).map_err(|flaw| Denied::from(flaw).into())
    }

    fn identity(&self, token: &[u8], keys: &KeySet, now: u64) -> Result<Arc<Identity>, Flaw> {
        let Verified { claims, until } = verify(token, keys, &self.settings.rules, now)?;
        let identity = Arc::new(self.settings.reading.identity(claims)?);
        self.remembered.keep(token, keys.number, &identity, until);
        Ok(identity)
    }
}

impl Scheme for Jwt {
    fn judge<'a>(&'a self, request: &'a mut Request, exchange: &'a Arc<Exchange>) -> Judging<'a> {
        let token = match bearer::shown(&self.settings.from, request) {
            Ok(token) => token,
            Err(denied) => return Box::pin(ready(Err(denied.into()))),
        };
        match self.at_once(&token, exchange.started_unix / 1_000_000) {
            Ok(judged) => Box::pin(ready(judged)),
            Err((remote, known)) => {
                Box::pin(async move { self.later(&token, (remote, known)).await })
            }
        }
    }

    fn strip(&self, request: &mut Request) {
        if !self.settings.pass_token {
            bearer::strip(&self.settings.from, request);
        }
    }

    fn could_admit(&self, who: &Identity) -> Result<(), Denied> {
        let said = who.claims.as_ref();
        Ok(said.map_or(Ok(()), |claims| self.settings.reading.allows(claims))?)
    }

    fn tells(&self) -> &[HeaderName] {
        &self.tells
    }

    fn is_in_query(&self, _: &str) -> bool {
        matches!(self.settings.from, Carrier::Query(_))
    }

    fn challenge(&self, denied: Denied) -> Option<HeaderValue> {
        bearer::challenge(denied)
    }
}

#[cfg(test)]
mod tests;
