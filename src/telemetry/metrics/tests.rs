//! Tests of the metrics as they are scraped.

use http::{Method, StatusCode};

use super::*;
use crate::{
    admission::{self, Limiter},
    config::model::{Adaptive, Bound, Class},
    error::Reason,
};

fn name(text: &str) -> Name {
    text.into()
}

/// A request that took 30 ms, 20 of them upstream.
fn seen<'a>(listener: &'a ListenerMetrics, upstream: Option<&'a Name>) -> Observation<'a> {
    Observation {
        listener: listener.name(),
        listener_id: listener.id(),
        upstream,
        method: &Method::GET,
        status: 200,
        total: Duration::from_millis(30),
        gateway: Duration::from_millis(1),
        upstream_time: upstream.map(|_| Duration::from_millis(20)),
        bytes_in: 7,
        bytes_out: 11,
        reason: None,
        ended: 1_700_000_000,
    }
}

/// The value of one series, written as it is scraped.
fn value(metrics: &Metrics, series: &str) -> Option<f64> {
    let text = metrics.render();
    let line = text
        .lines()
        .find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

#[test]
fn a_request_counts_in_all_its_series() {
    let metrics = Metrics::new(&[0.01, 0.025, 0.05]);
    let listener = metrics.listener(&name("web"));
    let upstream = name("orders");
    let route = metrics.route(&name("shop"));
    route.record(&seen(&listener, Some(&upstream)));
    route.record(&seen(&listener, Some(&upstream)));
    let get = |series: &str| value(&metrics, series).unwrap_or_else(|| panic!("no {series}"));
    let close = |series: &str, want: f64| assert!((get(series) - want).abs() < 1e-9, "{series}");
    let requests = "tidegate_http_requests_total{listener=\"web\",route=\"shop\",\
                    upstream=\"orders\",method=\"GET\",code=\"200\"}";
    close(requests, 2.0);
    let duration = "tidegate_http_request_duration_seconds";
    let labels = "listener=\"web\",route=\"shop\",method=\"GET\",code_class=\"2xx\"";
    close(&format!("{duration}_bucket{{{labels},le=\"0.025\"}}"), 0.0);
    close(&format!("{duration}_bucket{{{labels},le=\"0.05\"}}"), 2.0);
    close(&format!("{duration}_bucket{{{labels},le=\"+Inf\"}}"), 2.0);
    close(&format!("{duration}_sum{{{labels}}}"), 0.06);
    let upstream = "tidegate_upstream_request_duration_seconds_sum";
    close(&format!("{upstream}{{route=\"shop\",upstream=\"orders\",code_class=\"2xx\"}}"), 0.04);
    close("tidegate_gateway_duration_seconds_sum{route=\"shop\"}", 0.002);
    close("tidegate_http_request_bytes_total{route=\"shop\"}", 14.0);
    close("tidegate_http_response_bytes_total{route=\"shop\"}", 22.0);
    close("tidegate_route_last_request_timestamp_seconds{route=\"shop\"}", 1_700_000_000.0);
}

#[test]
fn names_that_read_the_same_when_joined_are_two_series() {
    let metrics = Metrics::new(&[1.0]);
    let listener = metrics.listener(&name("web"));
    metrics.route(&name("a")).record(&seen(&listener, Some(&name("bc"))));
    metrics.route(&name("ab")).record(&seen(&listener, Some(&name("c"))));
    let route = metrics.route(&name("ab"));
    route.record(&seen(&listener, Some(&name("c"))));
    route.record(&seen(&listener, None));
    let count = |route: &str, upstream: &str| {
        let labels = format!("listener=\"web\",route=\"{route}\",upstream=\"{upstream}\"");
        let series =
            format!("tidegate_http_requests_total{{{labels},method=\"GET\",code=\"200\"}}");
        value(&metrics, &series)
    };
    assert_eq!(count("a", "bc"), Some(1.0));
    assert_eq!(count("ab", "c"), Some(2.0));
    assert_eq!(count("ab", ""), Some(1.0));
}

#[test]
fn invented_methods_share_a_label() {
    let metrics = Metrics::new(&[1.0]);
    let listener = metrics.listener(&name("web"));
    let route = metrics.route(&name(""));
    for method in ["BREW", "PROPFIND", "get"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        route.record(&Observation { method: &method, ..seen(&listener, None) });
    }
    let series = "tidegate_http_requests_total{listener=\"web\",route=\"\",upstream=\"\",\
                  method=\"other\",code=\"200\"}";
    assert_eq!(value(&metrics, series), Some(3.0));
    assert!(!metrics.render().contains("BREW"));
}

#[test]
fn every_reason_has_its_own_counter() {
    let metrics = Metrics::new(&[1.0]);
    let listener = metrics.listener(&name("web"));
    let route = metrics.route(&name("shop"));
    for (i, reason) in Reason::ALL.into_iter().enumerate() {
        for _ in 0..=i {
            route.record(&Observation { reason: Some(reason), ..seen(&listener, None) });
        }
    }
    for (i, reason) in Reason::ALL.into_iter().enumerate() {
        let word = reason.word();
        let series = format!("tidegate_gateway_errors_total{{route=\"shop\",reason=\"{word}\"}}");
        assert_eq!(value(&metrics, &series), Some((i + 1) as f64), "{word}");
    }
}

#[test]
fn a_route_keeps_its_numbers_while_it_lives_and_for_a_while_after() {
    let metrics = Metrics::new(&[1.0]);
    let route = metrics.route(&name("shop"));
    assert!(Arc::ptr_eq(&route, &metrics.route(&name("shop"))));
    let weak = Arc::downgrade(&route);
    let (none, now) = (BTreeSet::new(), Instant::now());
    metrics.retain_routes(&none, now);
    // Back within the time, so the time starts anew.
    metrics.retain_routes(&BTreeSet::from([name("shop")]), now + KEEP_VANISHED);
    metrics.retain_routes(&none, now + KEEP_VANISHED * 2);
    metrics.retain_routes(&none, now + KEEP_VANISHED * 3);
    assert!(metrics.render().contains("route=\"shop\""), "a request still counts in it");
    drop(route);
    metrics.retain_routes(&none, now + KEEP_VANISHED * 3);
    assert!(weak.upgrade().is_none());
    assert!(!metrics.render().contains("route=\"shop\""));
}

#[test]
fn other_buckets_empty_the_histograms_and_nothing_else() {
    let metrics = Metrics::new(&[0.01]);
    let listener = metrics.listener(&name("web"));
    let upstream = name("orders");
    let route = metrics.route(&name("shop"));
    route.record(&seen(&listener, Some(&upstream)));
    metrics.set_buckets(&[0.01]);
    assert!(metrics.render().contains("le=\"0.01\""), "equal buckets change nothing");
    metrics.set_buckets(&[0.5]);
    assert!(!metrics.render().contains("le=\""));
    route.record(&seen(&listener, Some(&upstream)));
    let text = metrics.render();
    assert!(text.contains("le=\"0.5\"") && !text.contains("le=\"0.01\""), "{text}");
    let series = "tidegate_http_requests_total{listener=\"web\",route=\"shop\",\
                  upstream=\"orders\",method=\"GET\",code=\"200\"}";
    assert_eq!(value(&metrics, series), Some(2.0));
}

#[test]
fn requests_of_many_threads_are_all_counted() {
    let metrics = Metrics::new(&[1.0]);
    let listener = metrics.listener(&name("web"));
    let route = metrics.route(&name("shop"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for status in 200..300 {
                    route.record(&Observation { status, ..seen(&listener, None) });
                }
            });
        }
    });
    let series = "tidegate_http_request_duration_seconds_count{listener=\"web\",route=\"shop\",\
                  method=\"GET\",code_class=\"2xx\"}";
    assert_eq!(value(&metrics, series), Some(400.0));
}

#[test]
fn connections_are_counted_by_what_they_speak() {
    let metrics = Metrics::new(&[1.0]);
    let listener = metrics.listener(&name("web"));
    let series = |protocol: &str| {
        let labels = format!("listener=\"web\",protocol=\"{protocol}\"");
        value(&metrics, &format!("tidegate_connections{{{labels}}}")).unwrap()
    };
    let mut guard = listener.connection(Protocol::Handshake);
    assert_eq!((series("handshake"), series("h2")), (1.0, 0.0));
    guard.set(Protocol::H2);
    assert_eq!((series("handshake"), series("h2")), (0.0, 1.0));
    drop(guard);
    assert_eq!((series("handshake"), series("h2")), (0.0, 0.0));
}

#[test]
fn a_listener_keeps_its_id() {
    let metrics = Metrics::new(&[1.0]);
    let (web, admin) = (metrics.listener(&name("web")), metrics.listener(&name("admin")));
    assert_eq!((web.id(), admin.id()), (0, 1));
    assert!(Arc::ptr_eq(&web, &metrics.listener(&name("web"))));
}

#[test]
fn a_refused_reload_leaves_the_configuration_in_use() {
    let metrics = Metrics::new(&[1.0]);
    metrics.config_in_use("3f2a", "1");
    metrics.reloaded(false);
    assert_eq!(value(&metrics, "tidegate_config_reloads_total{result=\"refused\"}"), Some(1.0));
    assert_eq!(value(&metrics, "tidegate_config_last_reload_successful"), Some(0.0));
    let info = "tidegate_config_info{hash=\"3f2a\",version=\"1\"}";
    assert_eq!(value(&metrics, info), Some(1.0));
    metrics.reloaded(true);
    metrics.config_in_use("4b11", "1");
    assert_eq!(value(&metrics, "tidegate_config_last_reload_successful"), Some(1.0));
    assert_eq!(value(&metrics, info), None);
}

#[test]
fn the_process_is_measured() {
    let metrics = Metrics::new(&[1.0]);
    let get = |series| value(&metrics, series).unwrap_or_else(|| panic!("no {series}"));
    assert!(get("process_resident_memory_bytes") > 1e6);
    assert!(get("process_threads") >= 1.0);
    assert!(get("process_open_fds") >= 3.0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let age = now - get("process_start_time_seconds");
    assert!((-2.0..3600.0).contains(&age), "{age}");
}

/// A limit that knows how fast its service is.
fn measured() -> Arc<Limiter> {
    let probe = Duration::from_secs(30);
    let adaptive = Adaptive { min: 1, max: 10, tolerance: 0.25, probe };
    let settings = admission::Settings { bound: Bound::Adaptive(adaptive), queue: None };
    let limiter = Arc::new(Limiter::new(settings, Instant::now()));
    for _ in 0..20 {
        let mut permit = limiter.try_enter().expect("one at a time");
        permit.answered(Some(Duration::from_millis(1)), StatusCode::OK);
    }
    limiter
}

/// Every family in one scrape, and what has to be held for that.
fn full() -> (Metrics, impl Sized) {
    let metrics = Metrics::new(&[1.0]);
    let listener = metrics.listener(&name("web"));
    let upstream = name("orders");
    let reason = Some(Reason::BadResponse);
    let all = Observation { reason, ..seen(&listener, Some(&upstream)) };
    let route = metrics.route(&name("shop"));
    route.record(&all);
    route.retried(&upstream, "status");
    route.budget_exhausted();
    route.mirrored(MirrorResult::Answered);
    route.compared("none");
    let decisions = route.decisions("ip", &name("office"));
    decisions.count(Verdict::Denied);
    decisions.refused("no_credentials");
    route.shed(Class::Low, "outranked");
    let limiter = measured();
    metrics.set_limited(vec![Limited::new("upstream", name("orders"), &limiter)]);
    let upstream = metrics.upstream(&upstream);
    upstream.set_breaker(true, 0);
    upstream.discovered(1);
    let endpoint = upstream.endpoint(&name("http://10.0.0.1:80"));
    listener.handshake("TLSv1.3", Handshake::Ok);
    metrics.set_certificates([("shop.example.com".to_owned(), 1_800_000_000)]);
    metrics.set_quarantined(vec![("team.yaml".to_owned(), 2)]);
    metrics.config_in_use("3f2a", "1");
    let keys = metrics.keys(&name("https://idp.example.com"));
    let asked = metrics.asked(&name("sso"));
    asked.count(Question::Answered);
    let store = metrics.store(&name("main"));
    store.answered(Duration::from_micros(300));
    store.degraded(&name("per-ip")).count(Alone::Local);
    (metrics, (upstream, endpoint, limiter, keys, asked, store))
}

#[test]
fn every_family_of_the_table_is_scraped_and_no_other() {
    let (metrics, _held) = full();
    let text = metrics.render();
    let types: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let mut table: Vec<_> = FAMILIES
        .iter()
        .map(|f| format!("{} {}", f.name, format!("{:?}", f.kind).to_lowercase()))
        .collect();
    table.sort();
    assert_eq!(types, table);
}

#[test]
fn the_documentation_lists_every_family() {
    let page = include_str!("../../../docs/metrics.md");
    let rows: Vec<Vec<_>> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').skip(1).take(4).map(|cell| cell.trim().to_owned()).collect())
        .collect();
    let table: Vec<Vec<_>> = FAMILIES
        .iter()
        .map(|f| {
            let labels: Vec<_> = f.labels.iter().map(|label| format!("`{label}`")).collect();
            let kind = format!("{:?}", f.kind).to_lowercase();
            vec![format!("`{}`", f.name), kind, labels.join(" "), f.help.to_owned()]
        })
        .collect();
    assert_eq!(rows, table);
}
