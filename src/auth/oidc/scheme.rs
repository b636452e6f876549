//! What becomes of a request: who has a session passes, a person without one is sent to the provider,
//! and everybody else is told that they must log in.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header::CACHE_CONTROL};
use tokio::time::timeout;

use super::wanted::Wanted;
use super::{
    super::{Denied, Fields, Identity, Judged, Judging, Meaning, Refused, Scheme},
    Seconds,
    cookies::Jar,
    page::page,
    provider::Provider,
    renewals::{Renewal, Renewals},
    seal::Keyring,
    session::{Limits, Session, Standing},
    site::{Site, is_navigation},
    tokens,
};
use crate::{layers::Request, telemetry::exchange::Exchange};

/// A request whose session still holds waits no longer for a new one.
const SHORT: Duration = Duration::from_secs(2);

/// Logins of one policy.
#[derive(Debug)]
pub(crate) struct Oidc {
    /// The name of the policy.
    pub(crate) name: String,
    pub(crate) provider: Arc<Provider>,
    pub(crate) renewals: Arc<Renewals>,
    pub(crate) jar: Jar,
    pub(crate) keys: Keyring,
    pub(crate) limits: Limits,
    /// The claims that are kept, if not all.
    pub(crate) keep: Option<Arc<BTreeSet<String>>>,
    pub(crate) wanted: Wanted,
    /// The headers among them.
    pub(crate) tells: Vec<HeaderName>,
    pub(crate) urls: Urls,
    /// `openid email`.
    pub(crate) scope: String,
    /// What else the provider is told with each login.
    pub(crate) parameters: Vec<(String, String)>,
    /// It refuses; one that does not neither answers by itself nor asks the provider.
    pub(crate) enforced: bool,
    pub(crate) challenge: HeaderValue,
}

/// Where everything is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Urls {
    /// The path the provider sends browsers to.
    pub(crate) callback: String,
    /// The path that ends a session.
    pub(crate) logout: Option<String>,
    /// Where browsers go after that: a path or a URL.
    pub(crate) after_logout: Option<String>,
    /// The callback as the provider knows it, where it does not follow from the request.
    pub(crate) redirect_uri: Option<String>,
}

/// A request, as logins look at it.
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
    pub(super) exchange: &'a Exchange,
    pub(super) site: Site,
    pub(super) now: Seconds,
}

impl Oidc {
    async fn who(&self, method: &Method, headers: &HeaderMap, exchange: &Exchange) -> Judged {
        let site = match &self.urls.redirect_uri {
            Some(url) => Site::of_url(url),
            None => Site::of(headers, exchange),
        };
        let Some(site) = site else { return Err(self.in_the_clear(method, headers, exchange)) };
        let asked =
            Asked { method, headers, exchange, site, now: exchange.started_unix / 1_000_000 };
        if self.enforced {
            let path = exchange.uri.path();
            if path == self.urls.callback {
                return Err(self.callback(&asked).await);
            }
            if Some(path) == self.urls.logout.as_deref() {
                return Err(self.logout(&asked).await);
            }
        }
        match self.known(&asked).await {
            Err(denied) if denied.kind.is_unknown() && self.enforced => {
                if is_navigation(method, headers, exchange) {
                    Err(self.begin(&asked).await)
                } else {
                    Err(denied.into())
                }
            }
            known => known.map_err(Refused::Denied),
        }
    }

    /// Who has a session.
    async fn known(&self, asked: &Asked<'_>) -> Result<Arc<Identity>, Denied> {
        let secure = asked.site.secure;
        let seal = self.jar.session(asked.headers, secure).ok_or(Denied::NOTHING)?;
        let session = Session::open(&self.keys, &seal).ok_or(Denied::wrong("wrong_session"))?;
        let (session, changed) = match session.standing(self.limits, asked.now) {
            Standing::Over(word) => return Err(Denied::wrong(word)),
            Standing::Good { touch: false } => (session, false),
            Standing::Good { touch: true } => (Session { used: asked.now, ..session }, true),
            // It changes nothing, not even tokens.
            Standing::Due { holds: true } if !self.enforced => (session, false),
            Standing::Due { holds: false } if !self.enforced => {
                return Err(Denied::wrong("session_expired"));
            }
            Standing::Due { holds } => match self.renewed(&session, holds).await {
                Some(Renewal::Renewed(new)) => (Session::clone(&new), true),
                Some(Renewal::Refused) => return Err(Denied::wrong("session_refused")),
                _ if holds => (session, false),
                _ => return Err(Denied::unavailable("provider_away")),
            },
        };
        let answer = match changed {
            true => {
                let mut fields = self.keep(asked, &session).unwrap_or_default();
                // Whatever the upstream says of its answer: a cache would hand the cookie to others.
                fields.push((CACHE_CONTROL, HeaderValue::from_static("no-store")));
                fields
            }
            false => Fields::new(),
        };
        self.wanted.identity(session.claims, answer)
    }

    /// What the provider says of a session that ends; `None` if there is no answer, or none in time.
    async fn renewed(&self, session: &Session, holds: bool) -> Option<Renewal> {
        let settings = self.provider.settings();
        let client = [&*settings.issuer, &*settings.client_id];
        let flight =
            self.renewals.of(&client, session.refresh.as_ref()?, self.provider.handle(), || {
                let (provider, session) = (Arc::clone(&self.provider), session.clone());
                let keep = self.keep.clone();
                async move { tokens::renew(&provider, &session, keep.as_deref()).await }
            })?;
        if holds { timeout(SHORT, flight.answer()).await.ok()? } else { flight.answer().await }
    }

    /// Fields with which the browser keeps a session; `None` is told in the log.
    pub(super) fn keep(&self, asked: &Asked<'_>, session: &Session) -> Option<Fields> {
        let seal = session.sealed(&self.keys)?;
        let life = session.life(self.limits, asked.now);
        let headers = asked.headers;
        let fields = self.jar.keep_session(&seal, life, headers, asked.site.secure);
        if fields.is_none() {
            let (policy, bytes) = (&*self.name, seal.len());
            tracing::error!(
                policy,
                bytes,
                "a session does not fit into cookies: name what is needed of it under `claims`"
            );
        }
        fields
    }

    /// A session in the clear belongs to whoever listens.
    fn in_the_clear(&self, method: &Method, headers: &HeaderMap, exchange: &Exchange) -> Refused {
        let policy = &*self.name;
        tracing::debug!(policy, "a request neither over https nor to this very machine");
        if !self.enforced || !is_navigation(method, headers, exchange) {
            return Denied::wrong("not_https").into();
        }
        page(
            StatusCode::BAD_REQUEST,
            Meaning::No(Denied::wrong("not_https")),
            "This needs https",
            "Logging in would send what proves who you are in the clear. Open this page with https.",
            None,
            Fields::new(),
        )
    }
}

impl Scheme for Oidc {
    fn judge<'a>(&'a self, request: &'a mut Request, exchange: &'a Arc<Exchange>) -> Judging<'a> {
        Box::pin(self.who(request.method(), request.headers(), exchange))
    }

    fn strip(&self, request: &mut Request) {
        self.jar.remove(request.headers_mut());
    }

    fn could_admit(&self, who: &Identity) -> Result<(), Denied> {
        who.claims.as_ref().map_or(Ok(()), |claims| self.wanted.allows(claims))
    }

    fn tells(&self) -> &[HeaderName] {
        &self.tells
    }

    /// The code of a login, also where the policy only watches.
    fn is_in_query(&self, path: &str) -> bool {
        path == self.urls.callback
    }

    fn challenge(&self, _: Denied) -> Option<HeaderValue> {
        Some(self.challenge.clone())
    }
}
