//! The circuit breaker: when it opens, what it refuses, how it closes, what it outlives.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{answer, serve, switched};
use crate::support::{gateway::SHORT, prelude::*, websocket::Socket};

const BREAKER: &str = "{ errors: 50%, min_requests: 10, window: 10s, open_for: 1s, probes: 2, count: [5xx, connect, timeout] }";

fn file(upstream: &Raw, breaker: &str, more: &str) -> String {
    format!(
        "upstreams: {{ app: {{ endpoints: [\"{}\"], breaker: {breaker} }} }}\n\
         routes: {{ app: {{ to: app{more} }} }}\n",
        upstream.url()
    )
}

fn state(gateway: &Gateway) -> Option<f64> {
    gateway.metric("tidegate_breaker_state", &[("upstream", "app")])
}

fn transitions(gateway: &Gateway) -> [Option<f64>; 3] {
    ["open", "half_open", "closed"]
        .map(|to| gateway.metric("tidegate_breaker_transitions_total", &[("to", to)]))
}

#[track_caller]
fn refused(gateway: &Gateway) {
    let answer = gateway.get("h", "/");
    assert_eq!((answer.status, answer.reason().as_str()), (503, "breaker_open"));
    assert!(answer.header("retry-after").is_some(), "{:?}", answer.head);
}

#[test]
fn it_opens_at_its_share_of_failures_and_leaves_the_upstream_alone() {
    let failing = Arc::new(AtomicBool::new(true));
    let told = Arc::clone(&failing);
    let upstream = serve(move |at, _, peer| {
        let bad = told.load(Ordering::SeqCst) && at % 2 == 1;
        peer.send(answer(if bad { 500 } else { 200 }, ""));
    });
    let gateway = Gateway::start(&file(&upstream, BREAKER, ""));
    assert_eq!(state(&gateway), Some(0.0));
    let mut client = gateway.client();
    for at in 0..10 {
        assert_eq!(client.get("h", "/").status, if at % 2 == 1 { 500 } else { 200 });
    }
    assert_eq!(state(&gateway), Some(2.0));
    (0..5).for_each(|_| refused(&gateway));
    assert_eq!(upstream.requests().len(), 10);
    let line = gateway.last_access(15);
    assert_eq!((&line["reason"], &line["tries"]), (&"breaker_open".into(), &0.into()), "{line}");
    // After its time the probes decide.
    failing.store(false, Ordering::SeqCst);
    pause(Duration::from_secs(1));
    assert_eq!(client.get("h", "/").status, 200);
    assert_eq!(state(&gateway), Some(1.0));
    assert_eq!(client.get("h", "/").status, 200);
    assert_eq!(state(&gateway), Some(0.0));
    assert_eq!(transitions(&gateway), [Some(1.0); 3]);
}

#[test]
fn fewer_failures_do_not_open_it() {
    let upstream = serve(|at, _, peer| {
        peer.send(answer(if at % 5 > 2 { 500 } else { 200 }, ""));
    });
    let gateway = Gateway::start(&file(&upstream, BREAKER, ""));
    let mut client = gateway.client();
    (0..50).for_each(|_| assert_ne!(client.get("h", "/").status, 503));
    assert_eq!(upstream.requests().len(), 50);
}

#[test]
fn half_open_it_lets_exactly_its_probes_through() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = parking_lot::Mutex::new(released);
    let upstream = serve(move |at, _, peer| {
        if at < 10 {
            peer.send(answer(500, ""));
        } else {
            let _ = released.lock().recv_timeout(DEADLINE);
            peer.send(answer(200, ""));
        }
    });
    let gateway = Gateway::start(&file(&upstream, BREAKER, ""));
    let mut client = gateway.client();
    (0..10).for_each(|_| assert_eq!(client.get("h", "/").status, 500));
    refused(&gateway);
    pause(Duration::from_secs(1));
    let mut probes: Vec<Client> = (0..2).map(|_| gateway.client()).collect();
    probes.iter_mut().for_each(|probe| probe.request("GET", "h", "/", &[]));
    until("both probes", || upstream.requests().len() == 12);
    (0..6).for_each(|_| refused(&gateway));
    assert_eq!(upstream.requests().len(), 12);
    // A client that leaves gives its place back.
    drop(probes.pop());
    until("its place", || gateway.access_log(18).iter().any(|line| line["status"] == 499));
    let mut third = gateway.client();
    third.request("GET", "h", "/", &[]);
    until("a probe in its place", || upstream.requests().len() == 13);
    refused(&gateway);
    (0..3).for_each(|_| release.send(()).unwrap());
    assert_eq!(probes[0].response().status, 200);
    assert_eq!(third.response().status, 200);
    assert_eq!(state(&gateway), Some(0.0));
}

#[test]
fn a_bad_probe_opens_it_again() {
    let (upstream, status) = switched(500);
    let gateway = Gateway::start(&file(&upstream, BREAKER, ""));
    let mut client = gateway.client();
    (0..10).for_each(|_| assert_eq!(client.get("h", "/").status, 500));
    pause(Duration::from_secs(1));
    assert_eq!(client.get("h", "/").status, 500);
    refused(&gateway);
    assert_eq!(upstream.requests().len(), 11);
    status.store(200, Ordering::SeqCst);
    until("it closes", || gateway.get("h", "/").status == 200 && state(&gateway) == Some(0.0));
    assert_eq!(transitions(&gateway), [Some(2.0), Some(2.0), Some(1.0)]);
}

#[test]
fn a_reload_keeps_its_state_and_new_settings_do_not() {
    let (upstream, _) = switched(500);
    let breaker = BREAKER.replace("open_for: 1s", "open_for: 1h");
    let gateway = Gateway::start(&file(&upstream, &breaker, ""));
    let mut client = gateway.client();
    (0..10).for_each(|_| assert_eq!(client.get("h", "/").status, 500));
    refused(&gateway);
    gateway.reload(&file(&upstream, &breaker, ", retry: 1"));
    refused(&gateway);
    assert_eq!(upstream.requests().len(), 10);
    assert_eq!(state(&gateway), Some(2.0));
    // A file that is refused changes nothing, not even what is shown.
    let taken = format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\" }}, other: {{ address: \"{}\" }} }}\n",
        upstream.address()
    );
    gateway.write(&(taken + &file(&upstream, "none", "")));
    assert!(!gateway.verb(&["reload", "--wait"]).status.success());
    assert_eq!(state(&gateway), Some(2.0));
    gateway.reload(&file(&upstream, &breaker.replace("probes: 2", "probes: 3"), ""));
    assert_eq!(gateway.get("h", "/").status, 500);
    until("the new one is shown", || state(&gateway) == Some(0.0));
    gateway.reload(&file(&upstream, "none", ""));
    until("none is shown", || state(&gateway).is_none());
}

#[test]
fn an_upstream_that_hangs_opens_it_by_either_time_limit() {
    for limit in ["per_try", "request"] {
        let upstream = serve(|_, _, peer| peer.gone());
        let more = format!(", timeouts: {{ {limit}: 200ms }}");
        let gateway = Gateway::start(&file(&upstream, BREAKER, &more));
        let address = gateway.addr("http");
        std::thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| assert_eq!(Client::connect(address).get("h", "/").status, 504));
            }
        });
        until("it opens", || state(&gateway) == Some(2.0));
    }
}

#[test]
fn what_clients_do_is_neither_good_nor_bad_for_it() {
    let (upstream, _) = switched(500);
    let gateway = Gateway::start(&file(&upstream, BREAKER, ""));
    let mut client = gateway.client();
    (0..9).for_each(|_| assert_eq!(client.get("h", "/").status, 500));
    for at in 0..20 {
        let mut client = gateway.client();
        client.request("POST", "h", "/", &["Transfer-Encoding: chunked"]);
        // Broken framing, or nobody there any more.
        client.send(if at % 2 == 0 { "nonsense\r\n" } else { "5\r\nab" });
        if at % 2 == 0 {
            let _ = client.try_response("POST");
        }
    }
    gateway.access_log(29);
    assert_eq!(state(&gateway), Some(0.0));
    assert_eq!(client.get("h", "/").status, 500);
    assert_eq!(state(&gateway), Some(2.0), "nothing was good, and the tenth bad one opens it");
}

#[test]
fn tunnels_pass_it_too() {
    let (upstream, _) = switched(500);
    let gateway = Gateway::start(&file(&upstream, BREAKER, ""));
    let address = gateway.addr("http");
    for _ in 0..10 {
        assert_eq!(Socket::connect(address, "h", "/").err(), Some(500));
    }
    assert_eq!(Socket::connect(address, "h", "/").err(), Some(503));
    refused(&gateway);
    assert_eq!(upstream.requests().len(), 10);
}

#[test]
fn an_open_one_is_told_before_a_body_is_sent() {
    let (upstream, _) = switched(500);
    let gateway = Gateway::start(&file(
        &upstream,
        BREAKER,
        ", retry: { times: 1, methods: any, when: reset }",
    ));
    let mut client = gateway.client();
    (0..10).for_each(|_| assert_eq!(client.get("h", "/").status, 500));
    client.request("POST", "h", "/", &["Content-Length: 5", "Expect: 100-continue"]);
    let (interim, head) = client.head().expect("an answer");
    assert!(interim.is_empty(), "{interim:?}");
    assert_eq!(head.word(1), "503");
    pause(SHORT);
    assert_eq!(upstream.requests().len(), 10);
}
