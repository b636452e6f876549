//! API keys of one policy, ready to be asked.

use std::{future::ready, sync::Arc};

use http::{HeaderValue, header::AUTHORIZATION};

use super::{
    super::{Denied, Identity, Judged, Judging, Scheme, listed},
    Keys, KeysFile,
    carrier::{Carrier, Found},
};
use crate::{layers::Request, telemetry::exchange::Exchange};

/// API keys of one policy.
#[derive(Debug)]
pub(crate) struct ApiKeys {
    pub(crate) from: Carrier,
    pub(crate) keys: Known,
    /// The upstream sees the key.
    pub(crate) pass_key: bool,
}

/// Keys from the file, or from one of their own.
#[derive(Debug)]
pub(crate) enum Known {
    Fixed(Box<Keys>),
    File(Arc<KeysFile>),
}

impl ApiKeys {
    fn consumer(&self, request: &Request) -> Judged {
        let shown = match self.from.take(request.uri(), request.headers()) {
            Found::None => return Err(Denied::NOTHING.into()),
            Found::Several => return Err(Denied::SEVERAL.into()),
            Found::One(shown) => shown,
        };
        let of = |keys: &Keys| keys.consumer_of(&shown).cloned();
        let consumer = match &self.keys {
            Known::Fixed(keys) => of(keys),
            Known::File(file) => of(&file.now()),
        };
        consumer.map(Identity::named).ok_or(Denied::UNKNOWN.into())
    }
}

impl Scheme for ApiKeys {
    fn judge<'a>(&'a self, request: &'a mut Request, _: &'a Arc<Exchange>) -> Judging<'a> {
        Box::pin(ready(self.consumer(request)))
    }

    fn strip(&self, request: &mut Request) {
        if self.pass_key {
            return;
        }
        let mut uri = std::mem::take(request.uri_mut());
        self.from.remove(&mut uri, request.headers_mut());
        *request.uri_mut() = uri;
    }

    fn is_in_query(&self, _: &str) -> bool {
        matches!(self.from, Carrier::Query(_))
    }

    fn could_admit(&self, who: &Identity) -> Result<(), Denied> {
        listed(who, |name| match &self.keys {
            Known::Fixed(keys) => keys.has(name),
            Known::File(file) => file.now().has(name),
        })
    }

    fn challenge(&self, _: Denied) -> Option<HeaderValue> {
        Some(match &self.from {
            Carrier::Header(name) if *name == AUTHORIZATION => HeaderValue::from_static("Bearer"),
            _ => HeaderValue::from_static("ApiKey"),
        })
    }
}
