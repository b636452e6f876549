//! Limits that a service counts, asked as Envoy asks one.

use super::*;
use crate::support::rls::{Rls, Said};
use tokio::time::Instant;

fn store_of(rls: &Rls) -> String {
    format!("rls: \"{}\", domain: edge, gateways: 2, timeout: 500ms", rls.url())
}

#[test]
fn the_service_is_asked_for_each_window_and_what_it_says_is_told() {
    let (rls, upstream) = (Rls::start(), Raw::text("in"));
    let limit = "limit: [3/min, 100/day, 7/90s], burst: 3, key: [client_ip, header:x-tenant], cost: { GET: 1, POST: 2 }";
    let yaml = file(&upstream, &store_of(&rls), limit);
    let (one, two) = (Gateway::start(&yaml), Gateway::start(&yaml));
    let answers = [&one, &two, &one].map(|gateway| ask(gateway, "203.0.113.7"));
    assert_eq!(answers.each_ref().map(|answer| answer.status), [200; 3]);
    assert_eq!(answers.each_ref().map(left), [2, 1, 0]);
    let who = "policy=shared,client_ip=203.0.113.7,header:x-tenant=";
    let said = Said {
        domain: "edge".to_owned(),
        hits: 1,
        // Of a time that the protocol has no word for, the service says how many.
        descriptors: vec![format!("{who}|3/2"), format!("{who}|100/4"), who.to_owned()],
    };
    assert_eq!(rls.seen()[0], said);
    let answer = ask(&two, "203.0.113.7");
    assert_eq!((answer.status, answer.reason().as_str()), (429, "rate_limited"));
    assert_eq!(answer.header("retry-after"), Some("42"));
    assert_eq!(answer.json()["violated-policies"], serde_json::json!(["shared-min"]));
    let fields = ["X-Forwarded-For: 2001:db8:1:2::3", "X-Tenant: a", "Connection: close"];
    let fields = [&fields[..], &["Content-Length: 0"]].concat();
    assert_eq!(one.client().exchange("POST", "h", "/", &fields).status, 200);
    let last = rls.seen().pop().expect("it was asked");
    assert_eq!(last.hits, 2);
    assert!(
        last.descriptors[0].contains("client_ip=2001:db8:1:2::/64,header:x-tenant=a"),
        "{last:?}"
    );
    assert_eq!(is_up(&one), Some(1.0));
    assert!(calls(&one, "answered") >= 3.0);
}

#[test]
fn a_service_that_is_away_is_done_without_and_found_again() {
    let (rls, upstream) = (Rls::start(), Raw::text("in"));
    let store = format!("rls: \"{}\", timeout: 200ms", rls.url());
    let mut gateway =
        Gateway::start(&file(&upstream, &store, "limit: 1000/h, on_store_error: deny"));
    until("the first answer is in time", || status(&gateway) == 200);
    let explain = || {
        let said = gateway.verb(&["explain", "GET", "http://h/", "--live"]);
        crate::support::gateway::everything(&said)
    };
    let said = explain();
    assert!(said.contains("store main was not asked"), "{said}");
    rls.slow(true);
    let times: Vec<Duration> = (0..20)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(ask(&gateway, "203.0.113.7").reason(), "limit_unavailable");
            begun.elapsed()
        })
        .collect();
    let slow = times.iter().filter(|time| **time >= Duration::from_millis(200)).count();
    // Three, and one now and then to see whether it is back.
    assert!((3..=10).contains(&slow), "{times:?}");
    assert_eq!(is_up(&gateway), Some(0.0));
    let said = explain();
    assert!(said.contains("503 limit_unavailable") && !said.contains("forwarded"), "{said}");
    gateway.wait_log(&["the store is away", "\"store\":\"main\""]);
    rls.slow(false);
    until("it is asked again", || status(&gateway) == 200);
    assert_eq!(is_up(&gateway), Some(1.0));
    gateway.wait_log(&["the store is back"]);
    assert_eq!(gateway.logs().matches("the store is away").count(), 1);
}

/// What an answer costs is asked for when it comes; nothing can be put back.
#[test]
fn costs_of_answers_are_asked_for_when_they_are_known() {
    let upstream = Raw::always("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Cost: 4\r\n\r\nin");
    let rls = Rls::start();
    let limit = "limit: 9/h, burst: 9, cost: header:x-cost";
    let gateway = Gateway::start(&file(&upstream, &store_of(&rls), limit));
    let answers = [&gateway; 3].map(|gateway| ask(gateway, "203.0.113.7"));
    assert_eq!(answers.each_ref().map(|answer| answer.status), [200, 200, 200]);
    assert_eq!(answers.each_ref().map(left), [5, 1, 0]);
    assert_eq!(status(&gateway), 429);
    assert_eq!(rls.seen().iter().map(|said| said.hits).collect::<Vec<_>>(), [1, 3, 1, 3, 1, 3, 1]);
}
