//! Somebody whom the question names, as a request without credentials would be theirs: each policy of the
//! route says whether it could let them in, and the layer that serves traffic makes of that what it makes of
//! true credentials. A policy that has no list, or is told nothing of what it goes by, lets them in.

use std::{future::ready, sync::Arc};

use http::HeaderValue;

use crate::{
    auth::{Denied, Identity, Judging, Refused, Scheme},
    config::model::{AuthScheme, RouteAuth},
    layers::{Request, auth::Settings},
    telemetry::exchange::Exchange,
};

/// A policy that takes them for who they are said to be.
#[derive(Debug)]
struct AsIf {
    scheme: Arc<dyn Scheme>,
    who: Arc<Identity>,
    /// It goes by something that is said of them.
    shown: bool,
}

/// The settings of a route, for somebody who is said to be so.
pub(super) fn as_if(settings: Settings, auth: &RouteAuth, who: &Arc<Identity>) -> Settings {
    // Claims alone are no key and no password, where another policy is there to read them.
    let by_claims = auth.policies.iter().any(|policy| has_claims(&policy.scheme));
    let only_claims = who.consumer.is_none() && by_claims;
    let policies = settings.policies.into_iter().zip(&auth.policies);
    let policies = policies.map(|(mut policy, written)| {
        let shown = !only_claims || has_claims(&written.scheme);
        policy.scheme = Arc::new(AsIf { scheme: policy.scheme, who: Arc::clone(who), shown });
        policy
    });
    Settings { policies: policies.collect(), ..settings }
}

/// Whether it knows more of somebody than a name.
const fn has_claims(scheme: &AuthScheme) -> bool {
    match scheme {
        AuthScheme::Jwt(_)
        | AuthScheme::Oidc(_)
        | AuthScheme::Introspection(_)
        | AuthScheme::External(_)
        | AuthScheme::ExtAuthz(_) => true,
        AuthScheme::ApiKey(_)
        | AuthScheme::Basic(_)
        | AuthScheme::ClientCert(_)
        | AuthScheme::Signature(_) => false,
    }
}

impl Scheme for AsIf {
    fn judge<'a>(&'a self, _: &'a mut Request, _: &'a Arc<Exchange>) -> Judging<'a> {
        let shown = if self.shown { Ok(()) } else { Err(Denied::NOTHING) };
        let judged = shown.and_then(|()| self.scheme.could_admit(&self.who));
        Box::pin(ready(judged.map(|()| Arc::clone(&self.who)).map_err(Refused::Denied)))
    }

    fn strip(&self, _: &mut Request) {}

    fn challenge(&self, denied: Denied) -> Option<HeaderValue> {
        self.scheme.challenge(denied)
    }
}
