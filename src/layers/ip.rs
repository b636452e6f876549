//! Client addresses that may pass. The first of the guard zone: nothing else is asked of a client that
//! may not be here. `deny` beats `allow`, and the address is the client's own, past trusted proxies.

use std::{
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::{Either, Ready, ready};
use tower::{Layer, Service};

use super::{Request, Response, exchange_of};
use crate::{
    config::model::{IpRules, Mode},
    error::{Error, Reason},
    telemetry::metrics::{Decisions, Verdict},
};

/// Lets only some addresses pass.
#[derive(Clone, Debug)]
pub struct IpLayer(Arc<Settings>);

/// The service of [`IpLayer`].
#[derive(Clone, Debug)]
pub struct Ip<S> {
    inner: S,
    settings: Arc<Settings>,
}

#[derive(Debug)]
struct Settings {
    rules: IpRules,
    decisions: Arc<Decisions>,
}

// === impl IpRules ===

impl IpRules {
    /// Whether this address may pass. Nobody knows the address behind a Unix socket that names none:
    /// that may pass where no network is required.
    pub(crate) fn allows(&self, address: Option<IpAddr>) -> bool {
        let Some(address) = address.map(|address| address.to_canonical()) else {
            return self.allow.is_empty();
        };
        let is_in = |network: &ipnet::IpNet| network.contains(&address);
        !self.deny.iter().any(is_in) && (self.allow.is_empty() || self.allow.iter().any(is_in))
    }
}

// === impl IpLayer ===

impl IpLayer {
    /// A layer with these rules, whose decisions are counted there.
    pub fn new(rules: IpRules, decisions: Arc<Decisions>) -> Self {
        Self(Arc::new(Settings { rules, decisions }))
    }
}

impl<S> Layer<S> for IpLayer {
    type Service = Ip<S>;

    fn layer(&self, inner: S) -> Ip<S> {
        Ip { inner, settings: Arc::clone(&self.0) }
    }
}

// === impl Settings ===

impl Settings {
    fn judge(&self, request: &Request) -> Result<(), Error> {
        let Some(exchange) = exchange_of(request) else {
            return Err(Error::new(Reason::Internal, "a request without an exchange"));
        };
        if self.rules.allows(exchange.client_ip) {
            self.decisions.count(Verdict::Allowed);
            return Ok(());
        }
        let policy = &*self.rules.policy;
        if self.rules.mode == Mode::Shadow {
            self.decisions.count(Verdict::Shadow);
            let (route, client) = (&*exchange.route.name, exchange.client_ip);
            tracing::debug!(route, policy, ?client, "the address would be refused");
            return Ok(());
        }
        self.decisions.count(Verdict::Denied);
        Err(Error::new(Reason::IpDenied, format!("the address is not let in by `{policy}`")))
    }
}

impl<S> Service<Request> for Ip<S>
where
    S: Service<Request, Response = Response, Error = Error>,
{
    type Response = Response;
    type Error = Error;
    type Future = Either<Ready<Result<Response, Error>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self.settings.judge(&request) {
            Ok(()) => Either::Right(self.inner.call(request)),
            Err(error) => Either::Left(ready(Err(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str], deny: &[&str]) -> IpRules {
        let of = |list: &[&str]| list.iter().map(|it| it.parse().expect("a network")).collect();
        IpRules { policy: "office".into(), allow: of(allow), deny: of(deny), mode: Mode::Enforce }
    }

    #[test]
    fn deny_beats_allow_and_an_unknown_address_is_in_no_network() {
        let at = |rules: &IpRules, ip: &str| rules.allows(ip.parse().ok());
        let both = rules(&["10.0.0.0/8", "fd00::/8"], &["10.6.6.0/24"]);
        assert!(at(&both, "10.1.2.3") && at(&both, "fd12::1"));
        assert!(!at(&both, "10.6.6.6") && !at(&both, "11.0.0.1") && !at(&both, "2001:db8::1"));
        assert!(at(&both, "::ffff:10.1.2.3"), "an IPv4 address in IPv6 clothes");
        assert!(!at(&both, "::ffff:10.6.6.6"), "and it is kept out in them, too");
        assert!(!both.allows(None));
        let deny = rules(&[], &["0.0.0.0/0"]);
        assert!(!at(&deny, "192.0.2.1") && at(&deny, "2001:db8::1"), "IPv6 is not IPv4");
        assert!(deny.allows(None));
    }
}
