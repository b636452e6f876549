//! A second try beside a first one that is slow.

use rustix::process::Signal;
use tokio::time::Instant;

use super::{
    answer, list,
    load::{Load, failed, p99},
    serve,
};
use crate::support::{gateway::alone, prelude::*};

#[test]
fn a_frozen_endpoint_is_not_felt() {
    let _alone = alone();
    let logs = tempfile::tempdir().unwrap();
    let start = |name: &str| {
        let log = logs.path().join(name);
        Nginx::start(&format!(
            "access_log {}; location / {{ return 200 \"{name}\"; }}",
            log.display()
        ))
    };
    let (a, b, c) = (start("a"), start("b"), start("c"));
    let gateway = Gateway::builder().measured().start(&format!(
        "upstreams: {{ app: {{ endpoints: [\"{}\", \"{}\", \"{}\"], outlier: {{ after: 3, eject_for: 1m }} }} }}\n\
         routes: {{ app: {{ to: app, retry: {{ times: 1, hedge: p95 }} }} }}\n",
        a.url(),
        b.url(),
        c.url()
    ));
    let load = Load::start(gateway.addr("http"), 8, Duration::from_millis(20));
    let begin = Instant::now();
    pause(Duration::from_secs(4));
    a.signal(Signal::STOP);
    let frozen = Instant::now();
    pause(Duration::from_secs(4));
    let samples = load.finish();
    a.signal(Signal::CONT);
    assert!(failed(&samples).is_empty(), "{:?}", failed(&samples));
    let split = samples.partition_point(|it| it.at < frozen);
    // At the very beginning nothing is known yet.
    let warm = samples.partition_point(|it| it.at < begin + Duration::from_secs(1));
    let (healthy, sick) = (p99(&samples[warm..split]), p99(&samples[split..]));
    let hedges = gateway.metric("tidegate_retries_total", &[("reason", "hedge")]).unwrap_or(0.0);
    // What was sent to the frozen one is seen by it now.
    pause(Duration::from_millis(500));
    let lines = |name: &str| {
        std::fs::read_to_string(logs.path().join(name)).unwrap_or_default().lines().count()
    };
    let seen = lines("a") + lines("b") + lines("c");
    println!(
        "p99 {healthy:?} healthy, {sick:?} with one of three frozen; {} requests, {seen} tries, {hedges} hedges",
        samples.len()
    );
    assert!(hedges > 0.0);
    assert!(sick <= (2 * healthy).max(Duration::from_millis(50)), "{sick:?} {healthy:?}");
    let seconds = begin.elapsed().as_secs_f64();
    assert!(seen as f64 <= samples.len() as f64 * 1.2 + 10.0 + seconds, "{seen}");
    let label = [("endpoint", &*a.url())];
    assert_eq!(gateway.metric("tidegate_endpoint_ejections_total", &label), Some(1.0));
}

#[test]
fn only_a_safe_method_is_doubled_and_both_tries_are_told() {
    let slow = |at: usize| if at >= 60 { 400 } else { 1 };
    let upstreams = [0, 1].map(|_| {
        serve(move |at, _, peer| {
            pause(Duration::from_millis(slow(at)));
            peer.send(answer(200, ""));
        })
    });
    let gateway = Gateway::start(&format!(
        "upstreams: {{ app: {{ endpoints: {}, lb: round_robin }} }}\n\
         routes: {{ app: {{ to: app, retry: {{ times: 0, hedge: p99, methods: any }} }} }}\n",
        list(&upstreams)
    ));
    let mut client = gateway.client();
    let sent = || upstreams.iter().map(|it| it.requests().len()).sum::<usize>();
    (0..120).for_each(|_| assert_eq!(client.get("h", "/").status, 200));
    let before = sent();
    assert_eq!(client.post("h", "/", b"order").status, 200);
    assert_eq!(sent(), before + 1);
    assert_eq!(client.get("h", "/").status, 200);
    assert_eq!(sent(), before + 3);
    assert_eq!(gateway.last_access(122)["tries"], 2);
}

#[test]
fn a_bad_answer_does_not_beat_a_good_one() {
    // The first try is slow and good, the second fast and bad, or the other way round.
    for good_first in [true, false] {
        let late = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let upstreams = [0, 1].map(|_| {
            let late = std::sync::Arc::clone(&late);
            serve(move |_, request, peer| {
                if request.head.word(1) == "/" {
                    peer.send(answer(200, ""));
                    return;
                }
                let first = late.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
                pause(Duration::from_millis(if first { 500 } else { 50 }));
                peer.send(answer(if first == good_first { 200 } else { 503 }, ""));
            })
        });
        let gateway = Gateway::start(&format!(
            "upstreams: {{ app: {{ endpoints: {}, lb: round_robin }} }}\n\
             routes: {{ app: {{ to: app, retry: {{ times: 0, hedge: p99 }} }} }}\n",
            list(&upstreams)
        ));
        let mut client = gateway.client();
        (0..100).for_each(|_| assert_eq!(client.get("h", "/").status, 200));
        // What is asked now is at most a tenth of a second old.
        pause(Duration::from_millis(150));
        assert_eq!(client.get("h", "/late").status, 200, "good first: {good_first}");
        assert_eq!(late.load(std::sync::atomic::Ordering::SeqCst), 2);
    }
}
