//! Keys an issuer publishes: fetched from control as soon as a configuration with them runs, again
//! every so often, and when a token names one that is not known. What came last and was right stays in
//! use while the issuer is away. However many requests want an unknown key, one fetch is under way at
//! most, and none begins sooner than [`LEAST`] after the last one has ended.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use http::{HeaderMap, Request, Uri, header};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::{self, Instant},
};

use super::{KeySet, json, keys::LARGEST};
use crate::{
    config::model::UpstreamTls, fetch::Fetch, telemetry::metrics::KeysMetrics, upstream::dns::pause,
};

/// Between the end of a fetch and the begin of the next, whoever asks for it.
pub(crate) const LEAST: Duration = Duration::from_secs(5);

/// What an issuer takes at most to answer one question.
const TIME: Duration = Duration::from_secs(5);

/// How long a request waits for the key its token names.
const PATIENCE: Duration = Duration::from_secs(3);

/// `max-age` below this is taken as this.
const SHORTEST: Duration = Duration::from_secs(30);

/// Where an issuer publishes its keys, and how it is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// Where.
    pub at: At,
    /// Also over `http` from other machines.
    pub plain_http: bool,
    /// Whom we trust.
    pub tls: UpstreamTls,
    /// How often.
    pub refresh: Duration,
}

/// Where an issuer publishes its keys.
#[derive(Clone, Debug, PartialEq)]
pub enum At {
    /// Here.
    Url(Uri),
    /// Where its metadata says (OpenID Connect Discovery).
    Issuer(String),
}

/// The keys of one issuer.
#[derive(Debug)]
pub(crate) struct Remote {
    published: Published,
    /// With the trust of the configuration that runs.
    fetch: ArcSwap<Fetch>,
    now: ArcSwapOption<KeySet>,
    /// What `now` was read from.
    text: Mutex<Bytes>,
    wanted: Notify,
    state: watch::Sender<State>,
    metrics: Arc<KeysMetrics>,
}

/// What is going on.
#[derive(Clone, Copy, Debug)]
enum State {
    /// A fetch is under way.
    Asking,
    /// The last one ended then.
    Ended(Instant),
}

// === impl Published ===

impl Published {
    /// How it is asked.
    ///
    /// # Errors
    /// What is wrong with the files of `tls`.
    pub(crate) fn fetch(&self) -> Result<Fetch, Vec<crate::config::diagnostic::Diagnostic>> {
        Fetch::new(&self.tls, TIME, LARGEST)
    }

    /// What it is called in logs and metrics: without a query, which may hold a secret.
    pub(crate) fn name(&self) -> String {
        match &self.at {
            At::Url(uri) => uri.to_string().split('?').next().unwrap_or_default().to_owned(),
            At::Issuer(issuer) => issuer.clone(),
        }
    }

    /// Whether keys may come from there. On the way from a URL without TLS whoever sits on it can put
    /// in keys of his own.
    pub(crate) fn is_allowed(&self, uri: &Uri) -> bool {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let here = host.eq_ignore_ascii_case("localhost")
            || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        match uri.scheme_str() {
            Some("https") => true,
            Some("http") => here || self.plain_http,
            _ => false,
        }
    }
}

// === impl Remote ===

impl Remote {
    /// None yet: they come once this is followed.
    pub(crate) fn new(published: Published, fetch: Fetch, metrics: Arc<KeysMetrics>) -> Self {
        Self {
            published,
            fetch: ArcSwap::from_pointee(fetch),
            now: ArcSwapOption::empty(),
            text: Mutex::default(),
            wanted: Notify::new(),
            state: watch::channel(State::Asking).0,
            metrics,
        }
    }

    /// Where they come from.
    pub(crate) fn published(&self) -> &Published {
        &self.published
    }

    /// Begins with the keys another has.
    pub(crate) fn inherit(&self, other: &Self) {
        *self.text.lock() = other.text.lock().clone();
        self.now.store(other.now.load_full());
    }

    /// Asks with this trust from now on.
    pub(crate) fn trust(&self, fetch: Fetch) {
        self.fetch.store(Arc::new(fetch));
    }

    /// The keys that came last, if any have.
    pub(crate) fn now(&self) -> Option<Arc<KeySet>> {
        self.now.load_full()
    }

    /// Has them fetched, if that was not done just now.
    pub(crate) fn want(&self) {
        if let State::Ended(at) = *self.state.borrow()
            && at.elapsed() >= LEAST
        {
            self.wanted.notify_one();
        }
    }

    /// Other keys than these, if there are any now or in a moment.
    pub(crate) async fn other_than(&self, known: u64) -> Option<Arc<KeySet>> {
        let mut state = self.state.subscribe();
        let other = || self.now().filter(|set| set.number != known);
        if let Some(set) = other() {
            return Some(set);
        }
        // Copied: what is borrowed must not be held while waiting.
        let now = *state.borrow_and_update();
        if let State::Ended(at) = now {
            if at.elapsed() < LEAST {
                return None;
            }
            self.wanted.notify_one();
        }
        let ended = state.wait_for(|state| match (state, now) {
            (State::Ended(at), State::Ended(before)) => *at != before,
            (State::Ended(_), State::Asking) => true,
            (State::Asking, _) => false,
        });
        // Whether it ended or not: what is there counts.
        let _ = time::timeout(PATIENCE, ended).await;
        other()
    }

    /// Keeps them up to date as long as this is polled.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut failures = 0;
        loop {
            self.state.send_replace(State::Asking);
            let source = self.published.name();
            let wait = match self.renew().await {
                Ok(wait) => {
                    if failures > 0 {
                        tracing::info!(source, "the keys of the issuer are there again");
                    }
                    failures = 0;
                    wait
                }
                Err(error) => {
                    failures += 1;
                    self.metrics.failed();
                    let kept = self.now().map_or(0, |set| set.len());
                    // Said when it begins, not with every retry.
                    if failures == 1 {
                        tracing::warn!(source, error, kept, "no keys from the issuer");
                    } else {
                        tracing::debug!(source, error, kept, "no keys from the issuer");
                    }
                    pause(failures)
                }
            };
            let ended = Instant::now();
            self.state.send_replace(State::Ended(ended));
            self.rest(ended, wait).await;
        }
    }

    /// Fetches them once, for whoever wants to know whether they are there. Returns how many.
    pub(crate) async fn once(&self) -> Result<usize, String> {
        self.renew().await?;
        Ok(self.now().map_or(0, |set| set.len()))
    }

    /// Until it is time, or somebody wants a key.
    async fn rest(&self, since: Instant, wait: Duration) {
        let end = time::sleep_until(since + wait);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return,
                // What was wanted before the last fetch ended was answered by it.
                () = self.wanted.notified() => if since.elapsed() >= LEAST { return },
            }
        }
    }

    /// Fetches them once. Returns after how long they are to be fetched again.
    async fn renew(&self) -> Result<Duration, String> {
        let url = match &self.published.at {
            At::Url(url) => url.clone(),
            At::Issuer(issuer) => self.discovered(issuer).await?,
        };
        let (headers, text) = self.get(url).await?;
        let mut known = self.text.lock();
        // The same keys are the same set: what was verified with them stays so.
        if self.now.load().is_none() || *known != text {
            let set = KeySet::parse(&text)?;
            let (source, keys) = (self.published.name(), set.len());
            let left_out = set.left_out().join("; ");
            if left_out.is_empty() {
                tracing::info!(source, keys, "keys of the issuer");
            } else {
                tracing::warn!(source, keys, left_out, "keys of the issuer, not all of them good");
            }
            self.now.store(Some(Arc::new(set)));
            *known = text;
        }
        let keys = self.now.load().as_ref().map_or(0, |set| set.len());
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        self.metrics.fetched(keys, at.unwrap_or_default());
        Ok(fresh(&headers, self.published.refresh))
    }

    /// Where the metadata of the issuer says that its keys are.
    async fn discovered(&self, issuer: &str) -> Result<Uri, String> {
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let url = url.parse().map_err(|_| "the issuer is no URL".to_owned())?;
        let (_, text) = self.get(url).await?;
        let metadata = json::object(&text).ok_or("the metadata of the issuer is no JSON object")?;
        let said = |name| metadata.get(name).and_then(serde_json::Value::as_str);
        if said("issuer") != Some(issuer) {
            return Err("the metadata is of another `issuer`".to_owned());
        }
        let url = said("jwks_uri").ok_or("the metadata has no `jwks_uri`")?;
        let url: Uri = url.parse().map_err(|_| "`jwks_uri` in the metadata is no URL")?;
        if !self.published.is_allowed(&url) {
            return Err("`jwks_uri` in the metadata is no https:// URL".to_owned());
        }
        Ok(url)
    }

    async fn get(&self, url: Uri) -> Result<(HeaderMap, Bytes), String> {
        let request = Request::get(url).header(header::ACCEPT, "application/json");
        let request = request.body(Bytes::new()).map_err(|error| error.to_string())?;
        let fetch = self.fetch.load_full();
        let answer = fetch.send(request).await.map_err(|error| error.to_string())?;
        if answer.status() != http::StatusCode::OK {
            return Err(format!("it answered {}", answer.status().as_u16()));
        }
        let (head, body) = answer.into_parts();
        Ok((head.headers, body))
    }
}

/// For how long keys are to be used: `max-age` may shorten `refresh`, not make it longer.
fn fresh(headers: &HeaderMap, refresh: Duration) -> Duration {
    let lines = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|it| it.to_str().ok());
    let mut directives = lines.flat_map(|line| line.split(','));
    let age = directives.find_map(|it| {
        let (name, value) = it.trim().split_once('=')?;
        let seconds = value.trim_matches('"').parse().ok()?;
        name.eq_ignore_ascii_case("max-age").then(|| Duration::from_secs(seconds))
    });
    age.map_or(refresh, |age| age.max(SHORTEST).min(refresh))
}

#[cfg(test)]
mod tests;
