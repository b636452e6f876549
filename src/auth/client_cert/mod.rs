//! Client certificates: who a request is from by the certificate its connection was opened with. That it
//! is true was found out in the handshake (`server/trust`); here is asked whether it still is, and whether
//! this is somebody the route is for.

mod accepted;

use std::{future::ready, sync::Arc};

use http::{HeaderName, HeaderValue};

pub(crate) use self::accepted::Accepted;
use self::accepted::Names;
use super::{Denied, Identity, Judged, Judging, Scheme};
use crate::{
    config::model::{self, Name},
    layers::Request,
    server::peer::{Facts, San},
    telemetry::exchange::Exchange,
};

/// What it says is not true any more.
const EXPIRED: Denied = Denied::wrong("certificate_expired");
/// The listener would not accept it again: revoked, or of an authority that is gone.
const OUTDATED: Denied = Denied::wrong("certificate_not_accepted");
/// Nobody the route is for.
const NOT_LISTED: Denied = Denied::forbidden("not_listed");
/// With two URIs nobody knows which of them it is for (X.509-SVID, section 2).
const SEVERAL: Denied = Denied::forbidden("several_spiffe_ids");

/// Where RFC 9440 writes a client certificate and those above it.
static FIELDS: [HeaderName; 2] =
    [HeaderName::from_static("client-cert"), HeaderName::from_static("client-cert-chain")];

/// The client certificates of one policy.
#[derive(Debug)]
pub(crate) struct ClientCert {
    /// `None`: every one the listener accepts.
    names: Option<Names>,
    /// The upstream sees the certificate.
    pass_cert: bool,
}

// === impl ClientCert ===

impl ClientCert {
    pub(crate) fn new(settings: &model::ClientCert) -> Self {
        let names = (!settings.san.is_empty()).then(|| Names::new(&settings.san));
        Self { names, pass_cert: settings.pass_cert }
    }

    fn judged(&self, exchange: &Exchange) -> Judged {
        let tls = exchange.connection.tls.as_ref();
        let Some(peer) = tls.and_then(|tls| tls.peer.as_ref()) else {
            return Err(Denied::NOTHING.into());
        };
        let facts = peer.facts();
        let now = i64::try_from(exchange.started_unix / 1_000_000).unwrap_or(i64::MAX);
        if now > facts.not_after {
            return Err(EXPIRED.into());
        }
        if !peer.is_vouched(now) {
            return Err(OUTDATED.into());
        }
        let consumer = self.consumer(facts)?;
        let tells = match self.pass_cert {
            true => vec![(FIELDS[0].clone(), peer.field().clone())],
            false => Vec::new(),
        };
        let claims = Some(Arc::clone(&facts.claims));
        Ok(Arc::new(Identity { consumer: Some(consumer), claims, tells, ..Identity::default() }))
    }

    /// What the certificate is called: the name that is listed, or the first. One that has none is
    /// called by its fingerprint.
    fn consumer(&self, facts: &Facts) -> Result<Name, Denied> {
        let found = match &self.names {
            None => facts.names.first(),
            Some(names) => Some(names.find(facts).ok_or(NOT_LISTED)?),
        };
        match found {
            Some(San::Uri(uri)) if facts.uris > 1 && accepted::is_spiffe(uri) => Err(SEVERAL),
            Some(san) => Ok(Arc::clone(san.name())),
            None => Ok(format!("sha256:{}", facts.fingerprint).into()),
        }
    }
}

impl Scheme for ClientCert {
    fn judge<'a>(&'a self, _: &'a mut Request, exchange: &'a Arc<Exchange>) -> Judging<'a> {
        Box::pin(ready(self.judged(exchange)))
    }

    fn strip(&self, _: &mut Request) {}

    fn tells(&self) -> &[HeaderName] {
        &FIELDS
    }

    fn challenge(&self, _: Denied) -> Option<HeaderValue> {
        Some(HeaderValue::from_static("ClientCertificate"))
    }
}

#[cfg(test)]
mod tests;
