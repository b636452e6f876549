//! Tests of when an issuer is asked. What it says to whom is in the end-to-end tests.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;

use super::{
    super::testing::{Signer, jwks},
    *,
};
use crate::telemetry::metrics::Metrics;

fn published(at: &str) -> Published {
    Published {
        at: At::Url(at.parse().unwrap()),
        plain_http: false,
        tls: UpstreamTls::default(),
        refresh: Duration::from_secs(600),
    }
}

/// One that nobody follows: the test says what comes of each fetch.
fn remote() -> Arc<Remote> {
    let published = published("https://issuer.example/keys?secret=1");
    let fetch = published.fetch().unwrap();
    let metrics = Metrics::new(&[1.0]).keys(&published.name().into());
    Arc::new(Remote::new(published, fetch, metrics))
}

fn set() -> Arc<KeySet> {
    let text = jwks([&Signer::new("EdDSA", "a")]);
    Arc::new(KeySet::parse(text.as_bytes()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_thousand_that_want_a_key_make_one_fetch_and_wait_for_it() {
    let remote = remote();
    let first = set();
    remote.now.store(Some(Arc::clone(&first)));
    remote.state.send_replace(State::Ended(Instant::now()));
    // Just after a fetch nobody waits and nobody asks.
    let start = Instant::now();
    assert!(remote.other_than(first.number).await.is_none());
    assert!(start.elapsed().is_zero());
    time::advance(LEAST).await;
    // What follows the issuer, but for the network.
    let fetches = Arc::new(AtomicUsize::new(0));
    let (counted, of, second) = (Arc::clone(&fetches), Arc::clone(&remote), set());
    let (number, fresh) = (first.number, Arc::clone(&second));
    tokio::spawn(async move {
        let mut since = start;
        loop {
            of.rest(since, Duration::from_secs(600)).await;
            counted.fetch_add(1, Ordering::SeqCst);
            of.state.send_replace(State::Asking);
            time::sleep(Duration::from_secs(1)).await;
            of.now.store(Some(Arc::clone(&fresh)));
            since = Instant::now();
            of.state.send_replace(State::Ended(since));
        }
    });
    let ask = || {
        let remote = Arc::clone(&remote);
        tokio::spawn(async move { remote.other_than(number).await })
    };
    let asking: Vec<_> = (0..1000).map(|_| ask()).collect();
    time::sleep(Duration::from_millis(500)).await;
    for got in join_all(asking.into_iter().chain([ask()])).await {
        assert_eq!(got.unwrap().map(|set| set.number), Some(second.number));
    }
    // One that was judged with the old keys needs no fetch any more.
    assert!(remote.other_than(number).await.is_some());
    time::sleep(LEAST * 3).await;
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever() {
    let (remote, first) = (remote(), set());
    remote.now.store(Some(Arc::clone(&first)));
    remote.state.send_replace(State::Ended(Instant::now()));
    time::advance(LEAST).await;
    let start = Instant::now();
    assert!(remote.other_than(first.number).await.is_none());
    assert_eq!(start.elapsed(), PATIENCE);
    // A fetch that brings the same keys ends the wait.
    remote.state.send_replace(State::Asking);
    let start = Instant::now();
    let waiting = tokio::spawn({
        let remote = Arc::clone(&remote);
        async move { remote.other_than(first.number).await }
    });
    time::sleep(Duration::from_secs(1)).await;
    remote.state.send_replace(State::Ended(Instant::now()));
    assert!(waiting.await.unwrap().is_none());
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_pause_ends_early_for_who_wants_a_key_but_not_too_early() {
    let remote = remote();
    let rest = |since| {
        let remote = Arc::clone(&remote);
        tokio::spawn(async move { remote.rest(since, Duration::from_secs(600)).await })
    };
    let since = Instant::now();
    let resting = rest(since);
    remote.state.send_replace(State::Ended(since));
    time::sleep(LEAST / 2).await;
    // As if many had asked before the last fetch ended.
    remote.wanted.notify_one();
    remote.want();
    time::sleep(LEAST).await;
    assert!(!resting.is_finished());
    remote.want();
    time::timeout(Duration::from_millis(1), resting).await.unwrap().unwrap();
    let since = Instant::now();
    rest(since).await.unwrap();
    assert!(since.elapsed() >= Duration::from_secs(600));
}

#[test]
fn max_age_shortens_and_never_prolongs() {
    let refresh = Duration::from_secs(600);
    for (said, seconds) in [
        ("", 600),
        ("max-age=60", 60),
        ("public, Max-Age=120, must-revalidate", 120),
        ("max-age=\"45\"", 45),
        ("max-age=0", 30),
        ("max-age=86400", 600),
        ("max-age=-1", 600),
        ("max-age=99999999999999999999999", 600),
        ("no-store", 600),
        ("s-maxage=1", 600),
    ] {
        let headers = HeaderMap::from_iter([(header::CACHE_CONTROL, said.parse().unwrap())]);
        assert_eq!(fresh(&headers, refresh), Duration::from_secs(seconds), "{said}");
    }
    assert_eq!(fresh(&HeaderMap::new(), refresh), refresh);
}

#[test]
fn keys_come_over_tls_or_from_this_machine() {
    let strict = published("https://issuer.example/");
    let lax = Published { plain_http: true, ..strict.clone() };
    for (url, by_default, with_choice) in [
        ("https://issuer.example/keys", true, true),
        ("http://127.0.0.1:80/keys", true, true),
        ("http://127.9.9.9/keys", true, true),
        ("http://[::1]/keys", true, true),
        ("http://LOCALHOST/keys", true, true),
        ("http://issuer.example/keys", false, true),
        ("http://localhost.evil.example/", false, true),
        ("http://127.0.0.1.evil.example/", false, true),
        ("http://10.0.0.1/", false, true),
        ("ftp://127.0.0.1/", false, false),
        ("/keys", false, false),
    ] {
        let url: Uri = url.parse().unwrap();
        assert_eq!(
            (strict.is_allowed(&url), lax.is_allowed(&url)),
            (by_default, with_choice),
            "{url}"
        );
    }
    assert_eq!(published("https://a.example/keys?secret=1").name(), "https://a.example/keys");
}
