//! Every change an operator can make, and what the difference says of it.

use std::time::Duration;

use super::*;
use crate::config::{
    self, Input,
    model::{self, Located},
};

fn config(text: &str) -> Config {
    let input = Input::Text { name: "test.yaml".to_owned(), text: text.to_owned() };
    let loaded = config::load(&[input], &|_| None);
    loaded.config.as_ref().unwrap_or_else(|| panic!("{}", loaded.render(false))).clone()
}

const BASE: &str = r#"
version: 1
listeners: { http: "127.0.0.1:8080" }
upstreams:
  orders: { endpoints: http://127.0.0.1:1001, health: /up, outlier: {}, breaker: {} }
  canary: http://127.0.0.1:1002
routes:
  shop: { match: /shop/**, to: { orders: 90, canary: 10 }, retry: 2 }
"#;

/// Every change an operator can make, and the line that tells of it.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_change_has_its_line() {
    type Change = fn(&mut Config);
    let table: &[(Change, &str)] = &[
        (
            |c| {
                let shop = c.routes["shop"].clone();
                c.routes.insert("new".into(), shop);
            },
            "+ route new  to: canary 10, orders 90",
        ),
        (|c| c.routes.clear(), "- route shop"),
        (
            |c| route(c).action = forward(&[("canary", 20), ("orders", 80)]),
            "~ route shop  to: canary 10, orders 90 → canary 20, orders 80",
        ),
        (
            |c| route(c).action = forward(&[("orders", 1)]),
            "~ route shop  to: canary 10, orders 90 → orders",
        ),
        (|c| route(c).enabled = false, "~ route shop  disabled"),
        (|c| route(c).priority = 5, "~ route shop  priority: 0 → 5"),
        (|c| route(c).matches[0].methods.push(http::Method::GET), "~ route shop  match"),
        (
            |c| {
                route(c).access_log = false;
                route(c).timeouts.request = Some(Duration::from_secs(1));
            },
            "~ route shop  timeouts, access_log",
        ),
        (
            |c| {
                let http = c.listeners["http"].clone();
                c.listeners.insert("other".into(), http);
            },
            "+ listener other  127.0.0.1:8080",
        ),
        (|c| c.listeners.clear(), "- listener http"),
        (
            |c| {
                let http = c.listeners.get_mut("http").expect("it is in the file");
                http.address.value = Address::Tcp { host: None, port: 81 };
            },
            "~ listener http  address: 127.0.0.1:8080 → :81",
        ),
        (
            |c| {
                let http = c.listeners.get_mut("http").expect("it is in the file");
                http.max_connections = 1;
            },
            "~ listener http  max_connections",
        ),
        (|c| c.tls.session_tickets = false, "~ tls"),
        (
            |c| {
                orders(c).endpoints[0].url.value = "http://127.0.0.1:1003".into();
            },
            "~ upstream orders  +http://127.0.0.1:1003, -http://127.0.0.1:1001",
        ),
        (
            |c| {
                orders(c).endpoints[0].weight = 7;
            },
            "~ upstream orders  http://127.0.0.1:1001 weight 1 → 7",
        ),
        (
            |c| {
                let endpoint = &mut orders(c).endpoints[0];
                (endpoint.backup, endpoint.priority) = (true, 2);
            },
            "~ upstream orders  http://127.0.0.1:1001 backup priority 0 → 2",
        ),
        (|c| orders(c).hash_on = Some(model::HashOn::Path), "~ upstream orders  hash_on"),
        (
            |c| {
                let sticky = model::Sticky { cookie: "c".to_owned(), ttl: None, secret: None };
                orders(c).sticky = Some(sticky);
                orders(c).slow_start = Some(Duration::from_secs(1));
            },
            "~ upstream orders  slow_start, sticky",
        ),
        (|c| orders(c).health = None, "~ upstream orders  health"),
        (|c| orders(c).outlier = None, "~ upstream orders  outlier"),
        (|c| orders(c).breaker = None, "~ upstream orders  breaker"),
        (|c| route(c).retry = None, "~ route shop  retry"),
        (|c| c.logs.level = tracing::Level::DEBUG, "~ logs  level"),
        (|c| c.metrics.path = "/m".to_owned(), "~ metrics  path"),
        (|c| c.admin.address = None, "~ admin  address"),
        (|c| c.server.drain_delay = Duration::ZERO, "~ server  drain"),
        (|c| c.server.workers = 7, "! server.workers changed: needs a restart"),
    ];
    for (change, expected) in table {
        let old = config(BASE);
        let mut new = old.clone();
        change(&mut new);
        let diff = Diff::between(&old, &new);
        assert_eq!(diff.lines[0], *expected, "{diff}");
        let rest: Vec<_> = diff.lines[1..].iter().filter(|l| !l.starts_with('=')).collect();
        assert!(rest.is_empty(), "more than the one change: {diff}");
    }
}

#[test]
fn nothing_changed_says_nothing() {
    let old = config(BASE);
    assert!(Diff::between(&old, &old.clone()).is_empty());
    assert_eq!(Diff::between(&old, &old.clone()).to_string(), "");
}

#[test]
fn places_and_order_are_no_change() {
    let old = config(BASE);
    let moved = Place { file: 3, start: 70, end: 80 };
    let mut new = old.clone();
    route(&mut new).place = moved;
    route(&mut new).matches[0].place = moved;
    new.upstreams.values_mut().for_each(|u| u.place = moved);
    new.listeners.values_mut().for_each(|l| l.place = moved);
    route(&mut new).action = forward(&[("orders", 90), ("canary", 10)]);
    assert!(Diff::between(&old, &new).is_empty(), "{}", Diff::between(&old, &new));
    route(&mut new).action = forward(&[("canary", 10), ("orders", 90)]);
    assert!(Diff::between(&old, &new).is_empty(), "{}", Diff::between(&old, &new));
}

#[test]
fn untouched_upstreams_are_counted() {
    let old = config(BASE);
    let mut new = old.clone();
    route(&mut new).enabled = false;
    let diff = Diff::between(&old, &new);
    assert_eq!(diff.lines[1], "= 2 upstreams unchanged: pools kept");
    new.upstreams.remove("canary");
    let diff = Diff::between(&old, &new);
    assert_eq!(
        diff.lines,
        ["- upstream canary", "~ route shop  disabled", "= 1 upstream unchanged: pools kept"]
    );
}

fn orders(config: &mut Config) -> &mut Upstream {
    config.upstreams.get_mut("orders").expect("it is in the file")
}

fn route(config: &mut Config) -> &mut Route {
    config.routes.get_mut("shop").expect("it is in the file")
}

fn forward(targets: &[(&str, u32)]) -> Action {
    let one = |(name, weight): &(&str, u32)| {
        (Located { value: Name::from(*name), place: Place::default() }, *weight)
    };
    Action::Forward(targets.iter().map(one).collect())
}
