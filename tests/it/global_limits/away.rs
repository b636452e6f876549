//! A Redis that is dead, frozen, slow or emptied: what was asked for happens, nobody waits long, and all is
//! well again by itself.

use super::*;
use crate::support::redis::Slow;
use tokio::time::Instant;

#[test]
fn killed_and_started_again_with_a_share_meanwhile() {
    let (mut redis, upstream) = (Redis::start(), Raw::text("in"));
    let mut gateway = start(&file(&upstream, &store_of(&redis), "limit: 8/h, burst: 8"));
    assert_eq!([status(&gateway), status(&gateway)], [200, 200]);
    redis.kill();
    // Half of it is this gateway's own, as there are two.
    let alone: Vec<u16> = (0..6).map(|_| status(&gateway)).collect();
    assert_eq!(alone, [200, 200, 200, 200, 429, 429]);
    assert_eq!(degraded(&gateway, "local"), 6.0);
    assert_eq!(is_up(&gateway), Some(0.0));
    let explain = |client: &str| {
        let from = format!("X-Forwarded-For: {client}");
        let ask =
            ["explain", "GET", "http://h/", "--live", "--client-ip", "127.0.0.1", "-H", &from];
        crate::support::gateway::everything(&gateway.verb(&ask))
    };
    let (over, fresh) = (explain("203.0.113.7"), explain("203.0.113.8"));
    assert!(over.contains("429 rate_limited") && over.contains("0 left at once"), "{over}");
    assert!(fresh.contains("forwarded") && fresh.contains("4 left at once"), "{fresh}");
    gateway.wait_log(&["the store is away", "\"store\":\"main\""]);
    redis.restart();
    until("the store is up again", || is_up(&gateway) == Some(1.0));
    gateway.wait_log(&["the store is back", "away_seconds"]);
    let answer = ask(&gateway, "203.0.113.7");
    assert_eq!((answer.status, left(&answer)), (200, 7), "it has forgotten all");
    let logs = gateway.logs();
    assert_eq!(logs.matches("the store is away").count(), 1, "once, not per request: {logs}");
    assert!(calls(&gateway, "away") >= 1.0);
}

#[test]
fn while_it_is_away_all_pass_or_none_as_the_file_says() {
    let (mut redis, upstream) = (Redis::start(), Raw::text("in"));
    let yaml = |word: &str| {
        file(&upstream, &store_of(&redis), &format!("limit: 2/h, burst: 2, on_store_error: {word}"))
    };
    let (open, closed) = (start(&yaml("allow")), start(&yaml("deny")));
    assert_eq!([&open, &closed, &open, &closed].map(status), [200, 200, 429, 429]);
    redis.kill();
    assert_eq!([&open; 5].map(status), [200; 5]);
    assert!(ask(&open, "203.0.113.7").header("ratelimit").is_none(), "nobody knows");
    assert_eq!(degraded(&open, "allowed"), 6.0);
    let answer = ask(&closed, "203.0.113.7");
    assert_eq!((answer.status, answer.reason().as_str()), (503, "limit_unavailable"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
    assert_eq!(degraded(&closed, "denied"), 1.0);
    let lines = closed.access_log(3);
    let line = lines.iter().find(|line| line["status"] == 503).expect("its line");
    assert!(line["detail"].as_str().unwrap_or_default().contains("store `main` is away"), "{line}");
    redis.restart();
    for gateway in [&open, &closed] {
        until("it is up again", || is_up(gateway) == Some(1.0));
        assert!([status(gateway), status(gateway), status(gateway)].contains(&429));
        redis.cli(&["flushall"]);
    }
}

/// What frozen processes do: they take connections, and never answer.
#[test]
fn frozen_nobody_waits_longer_than_the_timeout() {
    let (redis, upstream) = (Redis::start(), Raw::text("in"));
    let store = format!("redis: \"{}\", timeout: 100ms", redis.url());
    for sync in ["exact", "leased"] {
        let limit = format!("limit: 100/h, burst: 100, on_store_error: allow, sync: {sync}");
        let gateway = start(&file(&upstream, &store, &limit));
        assert_eq!(status(&gateway), 200);
        redis.freeze();
        let mut client = gateway.client();
        let times: Vec<Duration> = (0..30)
            .map(|number| {
                let begun = Instant::now();
                let field = format!("X-Forwarded-For: 198.51.100.{number}");
                assert_eq!(client.exchange("GET", "h", "/", &[&field]).status, 200, "{sync}");
                begun.elapsed()
            })
            .collect();
        let slow = times.iter().filter(|time| **time >= Duration::from_millis(100)).count();
        // One connection is served by one worker, which asks three times in vain before it knows.
        assert!((1..=6).contains(&slow), "{sync}: {times:?}");
        let longest = times.iter().max().expect("there are some");
        assert!(*longest < Duration::from_millis(600), "{sync}: {times:?}");
        assert!(calls(&gateway, "timeout") >= 1.0 && calls(&gateway, "away") >= 10.0, "{sync}");
        redis.thaw();
        until("it is up again", || is_up(&gateway) == Some(1.0));
        let asked = degraded(&gateway, "allowed");
        until("it is asked again", || {
            let before = degraded(&gateway, "allowed");
            status(&gateway) == 200 && degraded(&gateway, "allowed").total_cmp(&before).is_eq()
        });
        assert!(asked > 0.0);
    }
}

/// A store that answers too late is as good as none; when it is fast again it is asked again.
#[test]
fn slow_it_is_left_alone_until_it_is_fast() {
    let (redis, upstream) = (Redis::start(), Raw::text("in"));
    let way = Slow::to(redis.port);
    let store = format!("redis: \"{}\", timeout: 150ms", way.url());
    let gateway =
        start(&file(&upstream, &store, "limit: 100/h, burst: 100, on_store_error: allow"));
    assert_eq!(status(&gateway), 200);
    way.takes(Duration::from_millis(400));
    until("it counts as away", || {
        assert_eq!(status(&gateway), 200);
        is_up(&gateway) == Some(0.0)
    });
    let before = calls(&gateway, "timeout");
    for _ in 0..10 {
        assert_eq!(status(&gateway), 200);
    }
    assert!(calls(&gateway, "timeout") <= before + 3.0, "those of the other worker, at most");
    way.takes(Duration::ZERO);
    until("it is up again", || is_up(&gateway) == Some(1.0));
    until("it counts again", || ask(&gateway, "203.0.113.7").header("ratelimit").is_some());
}

/// A restart of the scripts and of the data is not noticed but for what it has forgotten.
#[test]
fn emptied_it_counts_from_nothing() {
    let (redis, upstream) = (Redis::start(), Raw::text("in"));
    for sync in ["exact", "leased"] {
        let limit = format!("limit: 3/h, burst: 3, sync: {sync}");
        let gateway = start(&file(&upstream, &store_of(&redis), &limit));
        assert_eq!([&gateway; 4].map(status), [200, 200, 200, 429], "{sync}");
        redis.cli(&["flushall"]);
        redis.cli(&["script", "flush"]);
        // A lease that is known to be empty asks again within a second.
        until("it counts from nothing", || status(&gateway) == 200);
        assert_eq!([&gateway; 3].map(status), [200, 200, 429], "{sync}");
        assert_eq!(degraded(&gateway, "local"), 0.0, "{sync}");
        assert_eq!(calls(&gateway, "failed"), 0.0, "{sync}");
        redis.cli(&["flushall"]);
    }
}

#[test]
fn not_there_at_the_start_it_is_found_later() {
    let (mut redis, upstream) = (Redis::start(), Raw::text("in"));
    redis.kill();
    let yaml = file(&upstream, &store_of(&redis), "limit: 2/h, burst: 2");
    let mut gateway = Gateway::start(&yaml);
    gateway.wait_log(&["the store is away", "refused"]);
    assert_eq!([status(&gateway), status(&gateway)], [200, 429], "half of it is its share");
    redis.restart();
    until("it is up", || is_up(&gateway) == Some(1.0));
    assert_eq!([&gateway; 3].map(status), [200, 200, 429]);
}

/// What a gateway has taken ahead and does not use is there for the others soon.
#[test]
fn leases_that_are_not_used_are_given_back() {
    let (redis, upstream) = (Redis::start(), Raw::text("in"));
    let yaml =
        file(&upstream, &store_of(&redis), "limit: 40/h, burst: 40, sync: leased, batch: 20");
    let (one, two) = (start(&yaml), start(&yaml));
    let mut client = one.client();
    let mut passed = 0;
    for _ in 0..12 {
        let answer = client.exchange("GET", "h", "/", &["X-Forwarded-For: 203.0.113.7"]);
        passed += u32::from(answer.status == 200);
    }
    assert_eq!(passed, 12);
    // Nobody else could have them while they are held, and all of them are there in the end.
    let mut others = 0;
    until("the rest has passed elsewhere", || {
        others += u32::from(status(&two) == 200);
        others >= 28
    });
    assert_eq!((others, status(&two)), (28, 429));
}
