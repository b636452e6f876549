//! Renewals of sessions under way, and those of the last minutes. All requests of one session ask
//! the provider once between them: it may take a refresh token only once (RFC 6749 section 10.4), and a browser
//! sends many requests with the old cookie until it has the new one.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ahash::RandomState;
use aws_lc_rs::digest::{Context, SHA256};
use parking_lot::Mutex;
use tokio::{runtime::Handle, time::Instant};

use super::{
    flight::Flight,
    session::{RefreshToken, Session},
};

/// How long requests with the old cookie get the new session.
const KEPT: Duration = Duration::from_mins(5);
/// After a failure the provider is left alone for so long.
const REST: Duration = Duration::from_secs(5);
/// Renewals remembered; beyond that there are none until some are forgotten.
const MOST: usize = 20_000;

/// What came of a renewal.
#[derive(Clone, Debug)]
pub(crate) enum Renewal {
    /// The session goes on as this one.
    Renewed(Arc<Session>),
    /// The provider says no: there must be a new login.
    Refused,
    /// It cannot be asked.
    Away,
}

/// Renewals of all sessions. They outlive a change of the configuration.
#[derive(Debug, Default)]
pub(crate) struct Renewals(Mutex<HashMap<[u8; 32], Place, RandomState>>);

#[derive(Debug)]
struct Place {
    flight: Flight<Renewal>,
    begun: Instant,
}

// === impl Renewals ===

impl Renewals {
    /// The renewal with this token of this client: one that is known, or else `question`. `None` if there
    /// are too many.
    pub(crate) fn of<F>(
        &self,
        client: &[&str],
        token: &RefreshToken,
        handle: &Handle,
        question: impl FnOnce() -> F,
    ) -> Option<Flight<Renewal>>
    where
        F: Future<Output = Renewal> + Send + 'static,
    {
        let (key, now) = (key(client, token), Instant::now());
        let mut places = self.0.lock();
        if let Some(place) = places.get(&key)
            && place.counts(now)
        {
            return Some(place.flight.clone());
        }
        if places.len() >= MOST {
            places.retain(|_, place| place.counts(now));
        }
        if places.len() >= MOST {
            return None;
        }
        let flight = Flight::launch(handle, question());
        places.insert(key, Place { flight: flight.clone(), begun: now });
        Some(flight)
    }
}

// === impl Place ===

impl Place {
    fn counts(&self, now: Instant) -> bool {
        let life = match self.flight.landed() {
            Some(Renewal::Renewed(_) | Renewal::Refused) => KEPT,
            Some(Renewal::Away) => REST,
            None => return !self.flight.is_lost(),
        };
        now < self.begun + life
    }
}

/// Tokens are not kept here, only what tells them apart.
fn key(client: &[&str], token: &RefreshToken) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in client.iter().chain(&[&*token.0]) {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut key = [0; 32];
    key.copy_from_slice(context.finish().as_ref());
    key
}

#[cfg(test)]
mod tests {
    use std::{
        future::ready,
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
    };

    use tokio::time::{advance, sleep};

    use super::*;

    fn session() -> Arc<Session> {
        let claims = serde_json::json!({ "sub": "ann" }).as_object().unwrap().clone();
        Arc::new(Session::new(claims, None, None, 0, 1))
    }

    async fn ask(
        renewals: &Renewals,
        token: &str,
        asked: &AtomicUsize,
        answer: Renewal,
    ) -> Renewal {
        let flight =
            renewals.of(&["i", "app"], &RefreshToken(token.into()), &Handle::current(), || {
                asked.fetch_add(1, Relaxed);
                async {
                    sleep(Duration::from_secs(1)).await;
                    answer
                }
            });
        flight.unwrap().answer().await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_is_renewed_once_whoever_asks() {
        let (renewals, asked) = (Renewals::default(), AtomicUsize::new(0));
        let renewed = || Renewal::Renewed(session());
        let many = (0..50).map(|_| ask(&renewals, "one", &asked, renewed()));
        let all = futures_util::future::join_all(many).await;
        assert!(all.iter().all(|it| matches!(it, Renewal::Renewed(_))));
        assert_eq!(asked.load(Relaxed), 1);
        // Stragglers with the old cookie.
        advance(Duration::from_secs(290)).await;
        ask(&renewals, "one", &asked, Renewal::Refused).await;
        assert_eq!(asked.load(Relaxed), 1);
        ask(&renewals, "two", &asked, renewed()).await;
        assert_eq!(asked.load(Relaxed), 2);
        advance(KEPT).await;
        assert!(matches!(ask(&renewals, "one", &asked, Renewal::Refused).await, Renewal::Refused));
        assert_eq!(asked.load(Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_away_is_asked_again_soon_and_not_at_once() {
        let (renewals, asked) = (Renewals::default(), AtomicUsize::new(0));
        for (pause, times) in [(0, 1), (1, 1), (5, 2)] {
            advance(Duration::from_secs(pause)).await;
            assert!(matches!(ask(&renewals, "one", &asked, Renewal::Away).await, Renewal::Away));
            assert_eq!(asked.load(Relaxed), times);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_an_end_to_what_is_remembered() {
        let renewals = Renewals::default();
        let of = |client: &str, token: usize| {
            let token = RefreshToken(token.to_string());
            renewals.of(&[client], &token, &Handle::current(), || ready(Renewal::Refused))
        };
        let flights: Vec<_> = (0..MOST).filter_map(|token| of("app", token)).collect();
        assert_eq!(flights.len(), MOST);
        assert!(of("app", MOST).is_none() && of("other", 0).is_none());
        assert!(of("app", 0).is_some(), "known");
        for flight in &flights {
            flight.answer().await;
        }
        advance(KEPT).await;
        assert!(of("app", MOST).is_some());
        assert_eq!(renewals.0.lock().len(), 1);
    }
}
