//! An issuer of tokens on loopback: it publishes its keys and metadata, counts who asks, and can be
//! slow, broken or a liar. It signs with real keys.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::raw::Raw;

#[path = "../../../src/auth/jwt/testing.rs"]
mod testing;

pub(crate) use testing::{Signer, jwks};

/// An issuer.
pub(crate) struct Issuer {
    raw: Raw,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    keys: Mutex<String>,
    /// What it says instead.
    instead: Mutex<Option<String>>,
    pause: Mutex<Duration>,
    /// What its metadata calls it.
    name: Mutex<String>,
    asked: AtomicUsize,
}

// === impl Issuer ===

impl Issuer {
    /// One that publishes the keys of these.
    pub(crate) fn start(signers: &[&Signer]) -> Self {
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let raw = Raw::serve(move |peer| {
            while let Some(request) = peer.request() {
                let host = request.head.get("host").unwrap_or_default().to_owned();
                let instead = shared.instead.lock().clone();
                let body = if request.head.first.contains("/.well-known/openid-configuration ") {
                    let keys = format!("http://{host}/keys");
                    json!({ "issuer": *shared.name.lock(), "jwks_uri": keys }).to_string()
                } else {
                    shared.asked.fetch_add(1, Ordering::SeqCst);
                    let pause = *shared.pause.lock();
                    std::thread::sleep(pause);
                    if let Some(instead) = instead {
                        peer.send(instead);
                        return;
                    }
                    shared.keys.lock().clone()
                };
                if !peer.ok(body.as_bytes()) {
                    return;
                }
            }
        });
        *state.name.lock() = raw.url();
        let issuer = Self { raw, state };
        issuer.publish(signers);
        issuer
    }

    /// Its name, and where its metadata is.
    pub(crate) fn url(&self) -> String {
        self.raw.url()
    }

    /// Publishes the keys of these from now on, and no others.
    pub(crate) fn publish(&self, signers: &[&Signer]) {
        *self.state.keys.lock() = jwks(signers.iter().copied());
    }

    /// Says this whole message instead, until told otherwise.
    pub(crate) fn say(&self, message: Option<&str>) {
        *self.state.instead.lock() = message.map(str::to_owned);
    }

    /// Takes this long from now on.
    pub(crate) fn take(&self, time: Duration) {
        *self.state.pause.lock() = time;
    }

    /// Calls itself so in its metadata.
    pub(crate) fn name(&self, name: &str) {
        name.clone_into(&mut self.state.name.lock());
    }

    /// How often its keys were asked for.
    pub(crate) fn asked(&self) -> usize {
        self.state.asked.load(Ordering::SeqCst)
    }

    /// Claims of somebody for the audience `api`, good for some minutes.
    pub(crate) fn claims(&self, subject: &str) -> Value {
        json!({ "iss": self.url(), "aud": "api", "sub": subject, "exp": now() + 300, "iat": now() })
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}
