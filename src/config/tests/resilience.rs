//! Keys about endpoints that fail: what they mean, and how they are inherited.

use std::time::Duration;

use http::{Method, StatusCode};

use super::{super::model::*, read};

fn good(lines: &str) -> Config {
    let loaded = read(&format!("version: 1\n{lines}\n"));
    assert!(loaded.config.is_some(), "{}", loaded.render(false));
    loaded.config.unwrap()
}

/// An upstream with these settings.
fn upstream(settings: &str) -> Upstream {
    let config = good(&format!(
        "upstreams: {{ x: {{ endpoints: \"http://a:1\", {settings} }} }}\n\
         routes: {{ r: {{ to: x }} }}"
    ));
    config.upstreams["x"].clone()
}

/// The `retry` of a route with these settings.
fn retry(settings: &str) -> Option<Retry> {
    good(&format!("routes: {{ r: {{ to: \"http://a:1\", {settings} }} }}")).routes["r"]
        .retry
        .clone()
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn health_in_its_short_form_and_in_full() {
    let short = upstream("health: /healthz").health.unwrap();
    assert_eq!(short.probe, Probe::Http("/healthz".to_owned()));
    assert_eq!((short.every, short.timeout), (seconds(10), seconds(2)));
    assert_eq!((short.healthy_after, short.unhealthy_after), (2, 3));
    assert_eq!(short.expect, Statuses(vec![(200, 299)]));
    assert_eq!((short.host.as_ref(), short.initial), (None, Initial::Healthy));
    assert_eq!(short.on_none_healthy, NoneHealthy::Fail);
    let full = upstream(
        "health: { path: \"/h?full=1\", every: 500ms, timeout: 500ms, expect: [204, 300-301], \
         healthy_after: 1, unhealthy_after: 20, host: a.b:1, initial: unhealthy, \
         on_none_healthy: use_all }",
    );
    let full = full.health.unwrap();
    assert_eq!(full.probe, Probe::Http("/h?full=1".to_owned()));
    assert_eq!((full.every, full.timeout), (seconds(1) / 2, seconds(1) / 2));
    assert_eq!((full.healthy_after, full.unhealthy_after), (1, 20));
    assert_eq!(full.expect, Statuses(vec![(204, 204), (300, 301)]));
    assert_eq!(full.host.unwrap(), "a.b:1");
    assert_eq!((full.initial, full.on_none_healthy), (Initial::Unhealthy, NoneHealthy::UseAll));
    let grpc = |it: &str| upstream(&format!("health: {{ grpc: {it} }}")).health.unwrap().probe;
    assert_eq!(grpc("a.v1.B"), Probe::Grpc("a.v1.B".to_owned()));
    assert_eq!(grpc("\"\""), Probe::Grpc(String::new()), "the whole server");
}

#[test]
fn ejection_breaker_and_slow_start() {
    let built_in = upstream("outlier: {}, breaker: {}");
    let ejection = Outlier { after: 5, eject_for: seconds(30), max_ejected: 0.5 };
    assert_eq!(built_in.outlier, Some(ejection));
    let breaker = built_in.breaker.unwrap();
    assert_eq!((breaker.errors, breaker.min_requests, breaker.probes), (0.5, 20, 3));
    assert_eq!((breaker.window, breaker.open_for), (seconds(10), seconds(30)));
    assert!(breaker.count.connect && breaker.count.timeout && !breaker.count.reset);
    assert!(breaker.count.statuses.contains(StatusCode::SERVICE_UNAVAILABLE));
    assert!(!breaker.count.statuses.contains(StatusCode::TOO_MANY_REQUESTS));
    let own = upstream(
        "outlier: { after: 2, eject_for: 5s, max_ejected: 10% }, slow_start: 1m, \
         breaker: { errors: 1%, count: [429, reset], min_requests: 1, window: 1s, open_for: 2s, \
         probes: 1 }",
    );
    let ejection = Outlier { after: 2, eject_for: seconds(5), max_ejected: 0.1 };
    assert_eq!((own.outlier, own.slow_start), (Some(ejection), Some(seconds(60))));
    let breaker = own.breaker.unwrap();
    assert_eq!((breaker.errors, breaker.min_requests, breaker.probes), (0.01, 1, 1));
    assert_eq!((breaker.window, breaker.open_for), (seconds(1), seconds(2)));
    let count = Causes { reset: true, statuses: Statuses(vec![(429, 429)]), ..Causes::default() };
    assert_eq!(breaker.count, count, "only what is written");
}

#[test]
fn the_choice_of_an_endpoint() {
    let on = |what: &str| upstream(&format!("lb: hash, hash_on: \"{what}\"")).hash_on.unwrap();
    assert_eq!(on("client_ip"), HashOn::ClientIp);
    assert_eq!(on("path"), HashOn::Path);
    assert_eq!(on("header:X-User"), HashOn::Header(http::HeaderName::from_static("x-user")));
    assert_eq!(on("cookie:Id"), HashOn::Cookie("Id".to_owned()), "cookies know capitals");
    assert_eq!(on("query:a:b"), HashOn::Query("a:b".to_owned()));
    assert_eq!(upstream("lb: peak_ewma").balance, Balance::PeakEwma);
    let session = Sticky { cookie: "tg".to_owned(), ttl: None, secret: None };
    assert_eq!(upstream("sticky: { cookie: tg }").sticky, Some(session.clone()));
    let secret = Some("0123456789abcdef".to_owned());
    assert_eq!(
        upstream("sticky: { cookie: tg, ttl: 1h, secret: 0123456789abcdef }").sticky,
        Some(Sticky { ttl: Some(seconds(3600)), secret, ..session })
    );
    let config = good(
        "upstreams: { x: [{ url: \"http://a:1\", weight: 3 }, { url: \"http://b:1\", priority: 2 }, \
         { url: \"http://c:1\", backup: true }] }\nroutes: { r: { to: x } }",
    );
    let endpoints = &config.upstreams["x"].endpoints;
    let shown: Vec<_> = endpoints.iter().map(|it| (it.weight, it.priority, it.backup)).collect();
    assert_eq!(shown, [(3, 0, false), (1, 2, false), (1, 0, true)]);
}

#[test]
fn retries_in_all_forms() {
    assert_eq!(retry("errors: auto"), None);
    for off in ["none", "false", "0", "{ times: 0 }"] {
        assert_eq!(retry(&format!("retry: {off}")), None, "{off}: the direct way");
    }
    let two = retry("retry: 2").unwrap();
    assert_eq!((two.times, two.hedge, two.body_limit), (2, None, 64 << 10));
    assert_eq!((two.backoff, two.max_backoff), (seconds(1) / 40, seconds(1)));
    assert_eq!((two.budget, two.methods.clone()), (0.2, Methods::Idempotent));
    assert!(two.when.connect && two.when.reset && !two.when.timeout);
    assert_eq!(two.when.statuses, Statuses(vec![(502, 504)]));
    assert_eq!(retry("retry: { times: 2 }"), Some(two));
    let full = retry(
        "retry: { times: 10, when: [timeout, 5xx, 429], methods: any, backoff: 1ms, \
         max_backoff: 2s, budget: 100%, body_limit: 0B, hedge: p50 }",
    );
    let full = full.unwrap();
    assert_eq!((full.times, full.hedge, full.body_limit), (10, Some(0.5), 0));
    assert_eq!((full.backoff, full.max_backoff), (seconds(1) / 1000, seconds(2)));
    assert_eq!((full.budget, full.methods), (1.0, Methods::Any));
    assert!(full.when.timeout && !full.when.connect && !full.when.reset);
    assert_eq!(full.when.statuses, Statuses(vec![(500, 599), (429, 429)]));
    let methods = retry("retry: { times: 1, methods: [GET, PURGE] }").unwrap().methods;
    assert!(methods.contain(&Method::GET) && !methods.contain(&Method::PUT));
    let one = retry("retry: { times: 1, methods: POST, when: connect }").unwrap();
    assert!(one.methods.contain(&Method::POST) && one.when.connect);
    for (word, of) in [("p90", 0.9), ("p95", 0.95), ("p99", 0.99)] {
        let hedged = retry(&format!("retry: {{ hedge: {word} }}")).unwrap();
        assert_eq!((hedged.times, hedged.hedge), (0, Some(of)), "no tries but the hedge");
    }
}

#[test]
fn a_route_merges_retry_by_field() {
    let config = good(
        "defaults: { retry: { times: 3, budget: 10%, hedge: p99 } }\n\
         policies: { retry: { slow: { times: 1, backoff: 100ms }, bare: { times: 4 } } }\n\
         upstreams: { x: [\"http://a\", \"http://b\"] }\n\
         routes:\n  a: { to: x, match: /a }\n  b: { to: x, match: /b, retry: 5 }\n  \
         c: { to: x, match: /c, retry: slow }\n  d: { to: x, match: /d, retry: none }\n  \
         e: { to: x, match: /e, retry: { hedge: none, backoff: 50ms } }\n  \
         f: { to: x, match: /f, retry: bare }",
    );
    let of = |name: &str| config.routes[name].retry.as_ref();
    let main = |name: &str| of(name).map(|it| (it.times, it.budget, it.hedge));
    assert_eq!(main("a"), Some((3, 0.1, Some(0.99))));
    assert_eq!(main("b"), Some((5, 0.1, Some(0.99))));
    assert_eq!(main("c"), Some((1, 0.1, Some(0.99))));
    assert_eq!(main("d"), None);
    assert_eq!(main("e"), Some((3, 0.1, None)));
    let pause = |name: &str| of(name).map(|it| it.backoff.as_millis());
    assert_eq!(["a", "c", "e"].map(pause), [Some(25), Some(100), Some(50)]);
    // `bare` says nothing about pauses, whatever other policies say.
    assert_eq!(pause("f"), Some(25));
}

#[test]
fn an_upstream_merges_by_field() {
    let config = good(
        "defaults:\n  upstream:\n    health: { path: /up, every: 4s, unhealthy_after: 9 }\n    \
         outlier: { after: 7 }\n    breaker: { errors: 20%, count: [429] }\n    \
         sticky: { cookie: c, ttl: 1h }\n    slow_start: 10s\n    lb: hash\n    hash_on: path\n\
         upstreams:\n  a: \"http://a\"\n  \
         b: { endpoints: \"http://b\", health: /b, outlier: { eject_for: 1s }, \
         breaker: { probes: 9 }, sticky: { secret: 0123456789abcdef }, hash_on: client_ip }\n  \
         c: { endpoints: \"http://c\", health: none, outlier: none, breaker: false, sticky: none, \
         slow_start: none, lb: random }\n  \
         d: { endpoints: \"http://d\", health: { grpc: s }, sticky: { cookie: d, ttl: none } }\n\
         routes: { r: { to: { a: 1, b: 1, c: 1, d: 1, \"http://e:1\": 1 } } }",
    );
    let [a, b, c, d, e] = ["a", "b", "c", "d", "http://e:1"].map(|name| &config.upstreams[name]);
    let same = Upstream { place: a.place, endpoints: a.endpoints.clone(), ..e.clone() };
    assert_eq!(*a, same, "a URL in a route inherits as well");
    let health = |it: &Upstream| {
        let it = it.health.as_ref().unwrap();
        (it.probe.clone(), it.every, it.unhealthy_after)
    };
    assert_eq!(health(a), (Probe::Http("/up".to_owned()), seconds(4), 9));
    assert_eq!(health(b), (Probe::Http("/b".to_owned()), seconds(4), 9));
    assert_eq!(health(d), (Probe::Grpc("s".to_owned()), seconds(4), 9));
    let outlier = b.outlier.unwrap();
    assert_eq!((outlier.after, outlier.eject_for), (7, seconds(1)));
    let breaker = b.breaker.as_ref().unwrap();
    assert_eq!((breaker.errors, breaker.probes, breaker.count.connect), (0.2, 9, false));
    let sticky = |it: &Upstream| it.sticky.clone().map(|it| (it.cookie, it.ttl));
    assert_eq!(sticky(b), Some(("c".to_owned(), Some(seconds(3600)))));
    assert_eq!(sticky(d), Some(("d".to_owned(), None)));
    assert_eq!((b.hash_on.as_ref(), b.balance), (Some(&HashOn::ClientIp), Balance::Hash));
    assert_eq!((&c.health, c.outlier, &c.breaker), (&None, None, &None));
    assert_eq!((&c.sticky, c.slow_start), (&None, None));
    assert_eq!((&c.hash_on, c.balance), (&None, Balance::Random), "no key without `lb: hash`");
}

/// What would be a line of the file in a message.
#[test]
fn a_secret_written_in_the_file_is_not_shown_with_its_line() {
    for sticky in [
        "{ cookie: a b, secret: swordfish-swordfish }",
        "{ cookie: c, secret: \"swordfish\" }",
        "{ cookie: c, secret: [swordfish] }",
        "{ cookie: c, secret: { key: swordfish } }",
        "{ secret: swordfish-swordfish, cooky: c }",
        "{ cookie: c, secret: swordfish-swordfish, ttl: 5 }",
    ] {
        for text in [
            format!("upstreams: {{ x: {{ endpoints: \"http://a\", sticky: {sticky} }} }}"),
            format!("defaults: {{ upstream: {{ sticky: {sticky} }} }}"),
        ] {
            let loaded = read(&format!("version: 1\n{text}\nroutes: {{ r: {{ respond: 200 }} }}"));
            assert!(loaded.config.is_none(), "{sticky}");
            let shown = format!("{}{:?}", loaded.render(false), loaded.diagnostics);
            assert!(shown.contains("sticky: {") && !shown.contains("swordfish"), "{shown}");
        }
    }
    let config = upstream("sticky: { cookie: c, secret: swordfish-swordfish }");
    assert_eq!(config.sticky.as_ref().unwrap().secret.as_deref(), Some("swordfish-swordfish"));
    assert!(!format!("{config:?}").contains("swordfish"));
}

#[test]
fn a_mirror_in_its_short_form_and_in_full() {
    let mirror = |settings: &str| {
        let config = good(&format!(
            "upstreams: {{ x: \"http://b:1\" }}\n\
             routes: {{ r: {{ to: \"http://a:1\", mirror: {settings} }} }}"
        ));
        config.routes["r"].mirror.clone()
    };
    assert_eq!(mirror("none"), None);
    let short = mirror("x").unwrap();
    assert_eq!((&*short.to.value, short.share), ("x", 1.0));
    assert!(short.compare.is_empty());
    let full = "{ to: x, percent: 5%, compare: { headers: [ETag], body: true } }";
    let full = mirror(full).unwrap();
    assert_eq!(full.share, 0.05);
    let headers = vec![http::header::ETAG];
    assert_eq!(full.compare, Compare { status: true, headers, body: true });
    let asked = mirror("{ to: x, compare: { status: false, body: true } }").unwrap().compare;
    assert_eq!(asked, Compare { status: false, headers: Vec::new(), body: true });
}
