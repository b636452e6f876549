//! More than can be done: limits on concurrency, and who goes first.

use crate::support::{
    gateway::alone,
    offered::{Fixed, Offer, Outcome},
    prelude::*,
    wait::spawn,
};

/// What the service can do: so many at once, each so long.
const SLOTS: usize = 10;
const TAKES: Duration = Duration::from_millis(50);
/// Requests a second.
const CAPACITY: f64 = 200.0;

const PAID: &str = "X-Api-Key: 0123456789-paid-0123456789";
const FREE: &str = "X-Api-Key: 0123456789-free-0123456789";

/// Those who pay go first. `limit` is a line of the route or of its upstream.
fn yaml(upstream: &str, of_route: &str, of_upstream: &str) -> String {
    format!(
        "listeners: {{ http: \"127.0.0.1:0\" }}\n\
         upstreams: {{ app: {{ endpoints: \"{upstream}\", {of_upstream} }} }}\n\
         policies:\n  auth:\n    all:\n      api_key: {{ keys: {{ paid: 0123456789-paid-0123456789, free: 0123456789-free-0123456789 }} }}\n\
         routes:\n  app:\n    to: app\n    auth: all\n    {of_route}\n    \
         priority_class: {{ by: consumer, classes: {{ paid: high, free: low }} }}\n"
    )
}

/// Both classes at once.
fn offer(gateway: &Gateway, paid: f64, free: f64, time: Duration) -> (Outcome, Outcome) {
    let gateway = gateway.addr("http");
    let of = |field, rate: f64| {
        spawn(Offer { gateway, field, rate: (rate * CAPACITY) as u32, time }.send())
    };
    let (paid, free) = (of(PAID, paid), of(FREE, free));
    block_on(async { (paid.await.expect("no panic"), free.await.expect("no panic")) })
}

/// Five times of what the service can do is offered, more than it can do of each class.
fn withstands(of_route: &str, of_upstream: &str) {
    let _alone = alone();
    let service = Fixed::start(SLOTS, TAKES);
    let yaml = yaml(&service.url(), of_route, of_upstream);
    let gateway = Gateway::builder().measured().start(&yaml);
    let second = Duration::from_secs(1);
    let (quiet, _) = offer(&gateway, 0.2, 0.05, 2 * second);
    assert!(quiet.shed == 0 && quiet.wrong.is_empty(), "{quiet:?}");
    // Connections and buffers are made, and the limit is found.
    offer(&gateway, 2.0, 3.0, second);
    let (before, served) = (gateway.usage(), service.served());
    let (paid, free) = offer(&gateway, 2.0, 3.0, 4 * second);
    let served = (service.served() - served) as f64 / 4.0 / CAPACITY;
    let after = gateway.usage();
    let goodput = paid.good.len() as f64 / 4.0 / CAPACITY;
    let (slow, usual) = (paid.p99(), quiet.p99());
    let recovery = recovery(&gateway, usual);
    let shown = format!(
        "[{of_route}{of_upstream}] goodput of the high class {:.1} % of the capacity (of all {:.1} %), \
         p99 {:.2} times the quiet {usual:?}, memory {:+} kB of {} kB, recovery {recovery:?}; \
         shed {} high, {} low of {}",
        100.0 * goodput,
        100.0 * served,
        slow.as_secs_f64() / usual.as_secs_f64(),
        after.own.cast_signed() - before.own.cast_signed(),
        before.own,
        paid.shed,
        free.shed,
        free.shed + free.good.len(),
    );
    println!("{shown}");
    assert!(paid.wrong.is_empty() && free.wrong.is_empty(), "{:?} {:?}", paid.wrong, free.wrong);
    assert!(goodput >= 0.9, "{shown}");
    assert!(slow <= 5 * usual, "{shown}");
    assert!(after.own <= before.own + 4096, "{shown}");
    assert!(recovery < 2 * second, "{shown}");
    let labels = |class| [("route", "app"), ("class", class)];
    let shed = |class| gateway.metric("tidegate_requests_shed_total", &labels(class));
    assert!(shed("low") > shed("high"), "{:?} {:?}", shed("low"), shed("high"));
}

/// How long after the end of the load it takes until requests are served as fast as before it.
fn recovery(gateway: &Gateway, usual: Duration) -> Duration {
    let step = Duration::from_millis(250);
    let mut recovery = Duration::ZERO;
    for number in 1..=8 {
        let (paid, free) = offer(gateway, 0.2, 0.05, step);
        if paid.shed + free.shed > 0 || paid.p99() > 2 * usual {
            recovery = number * step;
        }
    }
    recovery
}

/// A little more than the service works on, so that it need not wait for the next request.
#[test]
fn a_fixed_limit_keeps_the_paid_tier_going() {
    withstands("concurrency: 12", "");
}

#[test]
fn an_adaptive_limit_finds_out_what_the_service_bears() {
    withstands("concurrency: { adaptive: true }", "");
}

#[test]
fn an_upstream_may_have_an_adaptive_limit_for_all_its_routes() {
    withstands("", "limits: { adaptive: true, queue: 20 }");
}

/// Half a second of bytes more than may flow at once.
#[test]
fn a_download_takes_as_long_as_its_bandwidth_lets_it() {
    let upstream = Raw::text(&"x".repeat(300 * 1024));
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: \"127.0.0.1:0\" }}\nroutes:\n  \
         slow: {{ match: /slow, to: \"{0}\", bandwidth: 200KiB/s }}\n  \
         open: {{ match: /open, to: \"{0}\" }}\n",
        upstream.url()
    ));
    let takes = |target: &str| {
        let begun = tokio::time::Instant::now();
        assert_eq!(gateway.get("h", target).text().len(), 300 * 1024);
        begun.elapsed()
    };
    let (open, slow) = (takes("/open"), takes("/slow"));
    // 1.5 s, less 100 ms that may come at once, and less the last piece, of 128 KiB at most.
    assert!(slow > Duration::from_millis(700) && slow < Duration::from_secs(4), "{slow:?}");
    assert!(open < slow / 2, "{open:?}");
}

#[test]
fn a_reload_keeps_the_places_that_are_taken() {
    let service = Fixed::start(SLOTS, Duration::from_secs(2));
    let limits = "policies: { concurrency: { one: { limit: 1, queue: none } } }\n";
    let yaml = |more: &str| {
        format!(
            "listeners: {{ http: \"127.0.0.1:0\" }}\n{limits}routes:\n  \
             a: {{ match: /a, to: \"{0}\", concurrency: one }}\n  \
             b: {{ match: /b, to: \"{0}\", concurrency: one{more} }}\n",
            service.url()
        )
    };
    let gateway = Gateway::start(&yaml(""));
    let first = std::thread::spawn({
        let mut client = gateway.client();
        move || client.exchange("GET", "h", "/a", &["Connection: close"]).status
    });
    let labels = [("kind", "policy"), ("name", "one")];
    until("a place is taken", || {
        gateway.metric("tidegate_concurrency_in_flight", &labels) == Some(1.0)
    });
    let other =
        |target: &str| gateway.client().exchange("GET", "h", target, &["Connection: close"]);
    let refused = other("/b");
    assert_eq!(refused.status, 503, "it is one limit for both");
    assert_eq!(refused.reason(), "overloaded");
    assert_eq!(refused.header("retry-after"), Some("1"));
    gateway.reload(&yaml(", labels: { team: b }"));
    assert_eq!(other("/b").status, 503, "the place is still taken");
    assert_eq!(first.join().expect("no panic"), 200);
    until("the place is free", || other("/b").status == 200);
}

// === the gateway itself ===

/// Routes of all classes, and one the gateway answers itself.
fn classes(upstream: &Raw, server: &str) -> String {
    format!(
        "listeners: {{ http: \"127.0.0.1:0\" }}\n{server}\nroutes:\n  \
         high: {{ match: /high, to: \"{0}\", priority_class: high }}\n  \
         normal: {{ match: /normal, to: \"{0}\" }}\n  \
         low: {{ match: /low, to: \"{0}\", priority_class: low }}\n  \
         looked-up:\n    match: /looked-up\n    to: \"{0}\"\n    \
         priority_class: {{ by: header:x-plan, classes: {{ paid: high }}, default: low }}\n  \
         own: {{ match: /own, respond: 204, priority_class: low }}\n",
        upstream.url()
    )
}

/// So much memory that the gateway uses this share of it.
fn memory(gateway: &Gateway, share: f64) -> String {
    let all = gateway.usage().resident as f64 * 1024.0 / share;
    format!("server: {{ overload: {{ memory: {}B }} }}", all as u64)
}

#[test]
fn what_matters_least_goes_first_when_memory_runs_short() {
    let upstream = Raw::text("ok");
    let mut gateway = Gateway::start(&classes(&upstream, ""));
    let mut kept = gateway.client();
    let level = |gateway: &Gateway| gateway.metric("tidegate_overload_level", &[]);
    let table = [
        (0.5, 0.0, [200, 200, 200, 200]),
        (0.91, 2.0, [200, 200, 503, 503]),
        (0.96, 3.0, [200, 503, 503, 503]),
        (0.5, 0.0, [200, 200, 200, 200]),
    ];
    for (share, expected, statuses) in table {
        gateway.reload(&classes(&upstream, &memory(&gateway, share)));
        until("the level", || level(&gateway) == Some(expected));
        let of =
            |target: &str| gateway.client().exchange("GET", "h", target, &["Connection: close"]);
        let found = ["/high", "/normal", "/low", "/looked-up"].map(|target| of(target).status);
        assert_eq!(found, statuses, "{share} of the memory");
        assert_eq!(of("/own").status, 204, "it costs nothing");
        assert_eq!(gateway.admin("/readyz").status, 200);
        if expected == 2.0 {
            let answer = kept.exchange("GET", "h", "/low", &[]);
            assert_eq!(answer.reason(), "overloaded");
            assert_eq!(answer.header("connection"), Some("close"), "what it holds comes back");
            kept = gateway.client();
        }
    }
    // More than there is: who is here may stay, and nobody else comes in.
    assert_eq!(kept.exchange("GET", "h", "/high", &[]).status, 200);
    gateway.reload(&classes(&upstream, &memory(&gateway, 1.5)));
    until("the level", || level(&gateway) == Some(4.0));
    assert_eq!(kept.exchange("GET", "h", "/high", &[]).status, 200);
    let refused = gateway.client().exchange("GET", "h", "/high", &[]);
    assert_eq!((refused.status, refused.header("connection")), (503, Some("close")));
    let cut = [("listener", "http"), ("why", "overload")];
    assert_eq!(gateway.metric("tidegate_connections_cut_total", &cut), Some(1.0));
    assert!(gateway.metric("tidegate_overload_pressure", &[("resource", "memory")]) > Some(1.2));
    gateway.reload(&classes(&upstream, "server: { overload: none }"));
    until("the level", || level(&gateway) == Some(0.0));
    let line = gateway.wait_log(&["\"overload\"", "shed_normal", "memory"]);
    assert!(line.contains("WARN"), "{line}");
}

#[test]
fn idle_connections_are_closed_sooner_when_there_are_too_many() {
    let gateway = Gateway::start(
        "listeners: { http: { address: \"127.0.0.1:0\", max_connections: 10, limits: { connections_per_client: 10 } } }\n\
         server: { overload: {} }\nroutes: { app: { respond: 204 } }\n",
    );
    let mut clients: Vec<_> = (0..9).map(|_| gateway.client()).collect();
    for client in &mut clients {
        assert_eq!(client.exchange("GET", "h", "/", &[]).status, 204);
    }
    let open = || gateway.metric("tidegate_connections", &[("protocol", "h1")]);
    assert_eq!(open(), Some(9.0));
    until("nine of ten is too much", || {
        gateway.metric("tidegate_overload_level", &[]) >= Some(1.0)
    });
    until("they are closed after five seconds, not 75", || open() == Some(0.0));
    until("there is room again", || gateway.metric("tidegate_overload_level", &[]) == Some(0.0));
}
