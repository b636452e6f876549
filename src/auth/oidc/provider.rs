//! The provider: what it says of itself (OpenID Connect Discovery), the keys it signs with, and its token
//! endpoint. All questions run on control and are bounded in time, size and number.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::{runtime::Handle, sync::Semaphore, time::Instant};

use super::{flight::Flight, form};
use crate::{auth::jwt::KeySet, config::model::Secret, fetch::Fetch};

/// The longest a question may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer.
pub(crate) const LARGEST: usize = 512 << 10;
/// What the provider says of itself is asked for again after so long.
const FRESH: Duration = Duration::from_hours(1);
/// Keys that are not known are asked for no more often.
const PAUSE: Duration = Duration::from_secs(10);
/// After a failure nobody is asked for so long.
const REST: Duration = Duration::from_secs(1);
/// Questions to the token endpoint at once.
const AT_ONCE: usize = 64;

/// One provider and what it knows the gateway as.
pub(crate) struct Provider {
    settings: Settings,
    fetch: Fetch,
    handle: Handle,
    state: Mutex<State>,
    room: Semaphore,
}

/// What the operator says of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: Option<Secret>,
}

#[derive(Default)]
struct State {
    known: Option<(Arc<Known>, Instant)>,
    asking: Option<Flight<Result<Arc<Known>, Away>>>,
    failed: Option<(Away, Instant)>,
}

/// What a provider says of itself.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) metadata: Metadata,
    pub(crate) keys: KeySet,
}

/// Its metadata, as far as it is used here.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    issuer: String,
    pub(crate) authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    pub(crate) end_session_endpoint: Option<String>,
    #[serde(default = "basic")]
    token_endpoint_auth_methods_supported: Vec<String>,
    /// Its answers to the browser say who gave them (RFC 9207).
    #[serde(default)]
    pub(crate) authorization_response_iss_parameter_supported: bool,
}

/// Why it cannot be asked. It shows nothing of what was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Away(pub(crate) String);

/// What the token endpoint gives.
#[derive(Deserialize)]
pub(crate) struct Tokens {
    pub(crate) id_token: Option<String>,
    pub(crate) refresh_token: Option<String>,
    pub(crate) expires_in: Option<u64>,
}

/// Why it gives nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoTokens {
    /// It cannot be asked, or does not know the gateway.
    Away(Away),
    /// The code or the token is no good.
    Refused,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: String,
}

/// What is meant when nothing is said (RFC 8414 section 2).
fn basic() -> Vec<String> {
    vec!["client_secret_basic".to_owned()]
}

// === impl Provider ===

impl Provider {
    pub(crate) fn new(settings: Settings, fetch: Fetch, handle: Handle) -> Self {
        let room = Semaphore::new(AT_ONCE);
        Self { settings, fetch, handle, state: Mutex::default(), room }
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// What it says of itself. What it said last holds while it is asked again, and while it is away.
    pub(crate) async fn known(self: &Arc<Self>) -> Result<Arc<Known>, Away> {
        let asking = {
            let mut state = self.state.lock();
            match &state.known {
                Some((known, since)) if since.elapsed() < FRESH => return Ok(Arc::clone(known)),
                Some((known, _)) => {
                    let known = Arc::clone(known);
                    let _ = self.ask(&mut state);
                    return Ok(known);
                }
                None => self.ask(&mut state)?,
            }
        };
        Self::heard(&asking).await
    }

    /// The same anew, as a key was not among those known; not too often.
    pub(crate) async fn known_anew(self: &Arc<Self>, old: &Arc<Known>) -> Result<Arc<Known>, Away> {
        let asking = {
            let mut state = self.state.lock();
            match &state.known {
                Some((known, _)) if !Arc::ptr_eq(known, old) => return Ok(Arc::clone(known)),
                Some((known, since)) if since.elapsed() < PAUSE => return Ok(Arc::clone(known)),
                _ => self.ask(&mut state)?,
            }
        };
        Self::heard(&asking).await
    }

    async fn heard(asking: &Flight<Result<Arc<Known>, Away>>) -> Result<Arc<Known>, Away> {
        asking.answer().await.unwrap_or_else(|| Err(Away::new("nobody asked it")))
    }

    /// Asks, unless somebody does already or it has just failed.
    fn ask(self: &Arc<Self>, state: &mut State) -> Result<Flight<Result<Arc<Known>, Away>>, Away> {
        if let Some(asking) = &state.asking
            && asking.landed().is_none()
            && !asking.is_lost()
        {
            return Ok(asking.clone());
        }
        if let Some((away, at)) = &state.failed
            && at.elapsed() < REST
        {
            return Err(away.clone());
        }
        let this = Arc::clone(self);
        let asking = Flight::launch(&self.handle, async move {
            let known = this.discover().await.map(Arc::new);
            this.remember(&known);
            known
        });
        state.asking = Some(asking.clone());
        Ok(asking)
    }

    fn remember(&self, said: &Result<Arc<Known>, Away>) {
        let (mut state, now) = (self.state.lock(), Instant::now());
        match said {
            Ok(known) => {
                state.known = Some((Arc::clone(known), now));
                state.failed = None;
            }
            Err(away) => {
                let (issuer, kept) = (&*self.settings.issuer, state.known.is_some());
                tracing::warn!(issuer, error = %away, kept, "the OpenID provider cannot be asked");
                state.failed = Some((away.clone(), now));
            }
        }
    }

    async fn discover(&self) -> Result<Known, Away> {
        let issuer = &self.settings.issuer;
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let text = self.get(&url).await?;
        let metadata: Metadata = serde_json::from_slice(&text)
            .map_err(|error| Away(format!("{url}: this is no metadata: {error}")))?;
        metadata.judge(issuer)?;
        let text = self.get(&metadata.jwks_uri).await?;
        let keys =
            KeySet::parse(&text).map_err(|why| Away(format!("{}: {why}", metadata.jwks_uri)))?;
        Ok(Known { metadata, keys })
    }

    async fn get(&self, url: &str) -> Result<Bytes, Away> {
        let request = Request::get(url)
            .header(header::ACCEPT, "application/json")
            .body(Bytes::new())
            .map_err(|_| Away(format!("{url}: this is no URL")))?;
        let answer = self.fetch.send(request).await;
        let answer = answer.map_err(|failed| Away(format!("{url}: {failed}")))?;
        match answer.status().as_u16() {
            200 => Ok(answer.into_body()),
            status => Err(Away(format!("{url}: status {status}"))),
        }
    }

    /// Asks for tokens, on control.
    pub(crate) async fn tokens(
        &self,
        known: &Known,
        mut fields: Vec<(&str, &str)>,
    ) -> Result<Tokens, NoTokens> {
        let away = |why: String| NoTokens::Away(Away(why));
        let Ok(_room) = self.room.try_acquire() else {
            return Err(away("too many ask for tokens".to_owned()));
        };
        let url = &known.metadata.token_endpoint;
        let (id, secret) = (&self.settings.client_id, &self.settings.client_secret);
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(url)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        match secret {
            Some(secret) if known.metadata.takes_basic() => {
                request = request.header(header::AUTHORIZATION, credentials(id, &secret.0));
            }
            Some(secret) => fields.extend([("client_id", &**id), ("client_secret", &*secret.0)]),
            None => fields.push(("client_id", id)),
        }
        let request = request.body(Bytes::from(form::encode(&fields)));
        let request = request.map_err(|_| away(format!("{url}: this is no URL")))?;
        let answer = self.fetch.send(request).await;
        let answer = answer.map_err(|failed| away(format!("{url}: {failed}")))?;
        let (status, body) = (answer.status().as_u16(), answer.into_body());
        if status == 200 {
            // What is wrong with it is not said, for it may hold tokens.
            return serde_json::from_slice(&body).map_err(|_| away(format!("{url}: no tokens")));
        }
        match serde_json::from_slice::<ErrorAnswer>(&body) {
            Ok(ErrorAnswer { error }) if status < 500 && error == "invalid_grant" => {
                Err(NoTokens::Refused)
            }
            Ok(ErrorAnswer { error }) => {
                let error: String = error.chars().filter(char::is_ascii_graphic).take(60).collect();
                Err(away(format!("{url}: status {status}, `{error}`")))
            }
            Err(_) => Err(away(format!("{url}: status {status}"))),
        }
    }
}

/// RFC 6749 section 2.3.1: both are encoded as a form first.
fn credentials(id: &str, secret: &str) -> HeaderValue {
    let pair = format!("{}:{}", form::escape(id), form::escape(secret));
    let text = format!("Basic {}", BASE64_STANDARD.encode(pair));
    // Base64 is always a value.
    let mut value = HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("settings", &self.settings).finish_non_exhaustive()
    }
}

// === impl Metadata ===

impl Metadata {
    /// Whether it is that of this issuer, and leads nowhere less safe.
    fn judge(&self, issuer: &str) -> Result<(), Away> {
        if self.issuer != issuer {
            return Err(Away::new("its metadata is that of another issuer"));
        }
        let clear = issuer.starts_with("http://");
        let endpoints = [
            Some(&self.authorization_endpoint),
            Some(&self.token_endpoint),
            Some(&self.jwks_uri),
            self.end_session_endpoint.as_ref(),
        ];
        for url in endpoints.into_iter().flatten() {
            let parsed: Option<Uri> = url.parse().ok();
            let good = parsed.is_some_and(|uri| match uri.scheme_str() {
                Some("https") => true,
                Some("http") => clear,
                _ => false,
            });
            if !good {
                return Err(Away(format!("its metadata has an endpoint that is not https: {url}")));
            }
        }
        Ok(())
    }

    fn takes_basic(&self) -> bool {
        let methods = &self.token_endpoint_auth_methods_supported;
        let has = |method: &str| methods.iter().any(|it| it == method);
        has("client_secret_basic") || !has("client_secret_post")
    }
}

// === impl Away ===

impl Away {
    fn new(why: &str) -> Self {
        Self(why.to_owned())
    }
}

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
