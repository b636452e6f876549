//! Ejection: endpoints that fail are left alone for a while, and come back slowly.

use std::sync::atomic::Ordering;

use rustix::process::Signal;
use tokio::time::Instant;

use super::{
    list,
    load::{Load, failed, share},
    nowhere, switched,
};
use crate::support::prelude::*;

fn ejections(gateway: &Gateway, endpoint: &str) -> Option<f64> {
    gateway.metric("tidegate_endpoint_ejections_total", &[("endpoint", endpoint)])
}

fn up(gateway: &Gateway, endpoint: &str) -> Option<f64> {
    gateway.metric("tidegate_endpoint_up", &[("endpoint", endpoint)])
}

#[test]
fn no_client_sees_that_an_endpoint_was_killed() {
    let start = |name| Nginx::start(&format!("location / {{ return 200 \"{name}\"; }}"));
    let (mut a, b, c) = (start("a"), start("b"), start("c"));
    let gateway = Gateway::start(&format!(
        "upstreams:\n  app:\n    endpoints: [\"{}\", \"{}\", \"{}\"]\n\
         \x20   outlier: {{ after: 3, eject_for: 3s }}\n    slow_start: 4s\n\
         routes: {{ app: {{ to: app, retry: 2 }} }}\n",
        a.url(),
        b.url(),
        c.url()
    ));
    let url = a.url();
    let load = Load::start(gateway.addr("http"), 6, Duration::from_millis(3));
    pause(Duration::from_secs(1));
    assert_eq!(up(&gateway, &url), Some(1.0));
    a.signal(Signal::KILL);
    let killed = Instant::now();
    until("it is ejected", || ejections(&gateway, &url) == Some(1.0));
    println!("ejected {:?} after it was killed", killed.elapsed());
    assert_eq!(up(&gateway, &url), Some(0.0));
    a.restart();
    until("it is back", || up(&gateway, &url) == Some(1.0));
    let back = Instant::now();
    let out = back - killed;
    pause(Duration::from_secs(6));
    let samples = load.finish();
    assert!(failed(&samples).is_empty(), "{:?}", failed(&samples));
    assert_eq!(ejections(&gateway, &url), Some(1.0));
    let during = |from: u64, to: u64| {
        let (from, to) = (back + Duration::from_millis(from), back + Duration::from_millis(to));
        let some: Vec<_> =
            samples.iter().filter(|it| (from..to).contains(&it.at)).cloned().collect();
        share(&some, "a")
    };
    let shares =
        [during(0, 1_000), during(1_000, 2_500), during(2_500, 4_000), during(4_000, 6_000)];
    println!(
        "{} requests, none failed; out for {out:?}; its shares then: {shares:.2?}",
        samples.len()
    );
    // A tenth of a third at first, all of it at the end.
    assert!(shares[0] < 0.2, "{shares:?}");
    assert!(shares[0] < shares[3] * 0.8 && shares[0] > 0.0, "{shares:?}");
    assert!((0.2..0.5).contains(&shares[3]), "{shares:?}");
}

#[test]
fn failures_in_a_row_eject_and_successes_between_them_do_not() {
    let ((bad, status), (good, _)) = (switched(500), switched(200));
    let gateway = Gateway::start(&format!(
        "upstreams: {{ app: {{ endpoints: {}, lb: round_robin, outlier: {{ after: 3, eject_for: 1h }} }} }}\n\
         routes: {{ app: {{ to: app }} }}\n",
        list([&bad, &good])
    ));
    let mut client = gateway.client();
    let mut ask = |times: usize| (0..times).filter(|_| client.get("h", "/").status == 500).count();
    assert_eq!(ask(4), 2);
    status.store(200, Ordering::SeqCst);
    assert_eq!(ask(2), 0);
    status.store(500, Ordering::SeqCst);
    assert_eq!(ask(4), 2);
    assert_eq!(ejections(&gateway, &bad.url()), Some(0.0));
    assert_eq!(ask(20), 1, "the third in a row");
    assert_eq!(ejections(&gateway, &bad.url()), Some(1.0));
    let seen = bad.requests().len();
    // A reload keeps it out, whatever else changes.
    gateway.reload(&format!(
        "upstreams: {{ app: {{ endpoints: {}, lb: random, connect_timeout: 3s, \
         outlier: {{ after: 4, eject_for: 1h }} }} }}\n\
         routes: {{ app: {{ to: app }} }}\n",
        list([&bad, &good])
    ));
    let mut client = gateway.client();
    (0..20).for_each(|_| assert_eq!(client.get("h", "/").status, 200));
    assert_eq!((bad.requests().len(), up(&gateway, &bad.url())), (seen, Some(0.0)));
}

#[test]
fn the_last_one_is_never_ejected() {
    let ((a, _), (b, _)) = (switched(500), switched(500));
    let gateway = Gateway::start(&format!(
        "upstreams: {{ app: {{ endpoints: {}, outlier: {{ after: 1, max_ejected: 100%, eject_for: 1h }} }} }}\n\
         routes: {{ app: {{ to: app }} }}\n",
        list([&a, &b])
    ));
    let mut client = gateway.client();
    (0..30).for_each(|_| assert_eq!(client.get("h", "/").status, 500));
    let all = gateway.metric("tidegate_endpoint_ejections_total", &[]);
    assert_eq!(all, Some(1.0));
}

#[test]
fn it_comes_back_without_anybody_asking() {
    let (good, _) = switched(200);
    let dead = nowhere();
    let gateway = Gateway::start(&format!(
        "upstreams: {{ app: {{ endpoints: [\"{}\", \"{dead}\"], lb: round_robin, outlier: {{ after: 1, eject_for: 500ms }} }} }}\n\
         routes: {{ app: {{ to: app }} }}\n",
        good.url()
    ));
    let mut client = gateway.client();
    (0..2).for_each(|_| assert_eq!(client.get("h", "/").status, 200));
    assert_eq!(up(&gateway, &dead), Some(0.0));
    until("it is in again", || up(&gateway, &dead) == Some(1.0));
}
