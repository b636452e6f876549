//! Every change an operator can make, what the difference says of it, and whether it widens access.

mod reach;
mod table;

use super::*;
use crate::config::{self, Input};

fn config(text: &str) -> Config {
    let text = format!("version: 1\n{text}");
    let input = Input::Text { name: "test.yaml".to_owned(), text };
    let loaded = config::load(&[input], &|_| Some("from-a-variable-0123".to_owned()));
    loaded.config.as_ref().unwrap_or_else(|| panic!("{}", loaded.render(false))).clone()
}

fn between(old: &str, new: &str) -> Diff {
    Diff::between(&config(old), &config(new))
}

const BASE: &str = r#"
listeners: { http: "127.0.0.1:8080" }
upstreams:
  orders: { endpoints: http://127.0.0.1:1001, health: /up, outlier: {}, breaker: {} }
  canary: http://127.0.0.1:1002
policies:
  auth: { partners: { api_key: { keys: { a: 0123456789abcdef } } } }
routes:
  shop: { match: /shop/**, to: { orders: 90, canary: 10 }, retry: 2, auth: partners }
"#;

#[test]
fn nothing_changed_says_nothing() {
    let same = between(BASE, BASE);
    assert!(same.is_empty() && same.lines().is_empty(), "{same}");
    assert_eq!((human(&same).as_str(), same.kept), ("no difference", 2));
}

#[test]
fn places_and_order_are_no_change() {
    let (upstreams, rest) = BASE.split_once("policies:").expect("they are there");
    let moved = format!("# moved\n\npolicies:{rest}{upstreams}");
    let turned = moved.replace("orders: 90, canary: 10", "canary: 10, orders: 90");
    assert!(between(BASE, &turned).is_empty(), "{}", between(BASE, &turned));
    assert_eq!(between(BASE, &turned).kept, 2);
}

#[test]
fn a_line_for_each_change_and_one_for_what_is_kept() {
    let new = BASE
        .replace("orders: 90, canary: 10", "orders: 80, canary: 20")
        .replace(", auth: partners", "")
        .replace("http://127.0.0.1:1002", "http://127.0.0.1:1003");
    let expected = [
        "~ route shop  auth: partners (api_key) → none; anybody may use it  ⚠ widens access",
        "~ upstream canary  endpoints: +http://127.0.0.1:1003, -http://127.0.0.1:1002",
        "~ route shop  to: canary 10, orders 90 → canary 20, orders 80",
        "= 1 upstream unchanged: pools kept",
    ];
    assert_eq!(between(BASE, &new).lines(), expected);
}

#[test]
fn people_see_what_widens_first_and_where_it_is_written() {
    let new = BASE.replace(", auth: partners", ", timeouts: { request: 5s }");
    let new = format!("{new}  status: {{ match: /status, respond: 200 }}\n");
    let expected = "\
widens access (2):
  ~ route shop  auth: partners (api_key) → none; anybody may use it  test.yaml:10
  + route status  to: respond 200; takes /status, anybody may use it, no rate limit  test.yaml:11

other changes (1):
  ~ route shop  timeouts.request: none → 5s                     test.yaml:10

= 2 upstreams unchanged: pools kept";
    assert_eq!(human(&between(BASE, &new)), expected, "\n{}", human(&between(BASE, &new)));
}

#[test]
fn what_is_gone_says_where_it_was() {
    let text = human(&between(&format!("{BASE}  old: {{ respond: 200 }}\n"), BASE));
    assert!(
        text.contains("- route old  to: respond 200") && text.contains("was test.yaml:11"),
        "{text}"
    );
}

#[test]
fn the_same_change_of_many_routes_is_one_line() {
    let mut routes = "routes:\n".to_owned();
    for at in 0..50 {
        routes.push_str(&format!("  r{at:02}: {{ match: /{at}, respond: 200 }}\n"));
    }
    let new = format!("defaults: {{ timeouts: {{ request: 5s }} }}\n{routes}");
    let lines = between(&routes, &new).lines();
    let expected = "~ 50 routes: r00, r01, r02, r03, r04 and 45 more  timeouts.request: none → 5s";
    assert_eq!(lines, [expected]);
}

#[test]
fn secrets_are_never_shown() {
    let old = "routes: { a: { match: { path: /, headers: { x-k: old-secret-0123 } }, respond: 200, \
               auth: { any: [k, s] } } }\npolicies: { auth: { k: { api_key: { keys: { a: \
               old-secret-0123456 } } }, s: { signature: { keys: { a: { id: i, secret: \
               old-secret-0123456789-0123456789 } } } } }, headers: { h: { request: { set: { x: \
               \"${V}\" } } } } }\ndefaults: { headers: h }\n";
    let new = old.replace("old-secret", "new-secret");
    let diff = between(old, &new);
    assert!(diff.changes.len() >= 3, "{diff}");
    let shown = format!("{diff}{}{diff:?}", human(&diff));
    assert!(!shown.contains("secret-0123") && !shown.contains("from-a-variable"), "{shown}");
    assert!(shown.contains("the secret of a changed"), "{shown}");
}

#[test]
fn it_travels_as_json() {
    let diff = between(BASE, &BASE.replace(", auth: partners", ""));
    let json = serde_json::to_string(&diff).unwrap();
    assert!(
        json.contains("\"effect\":\"widens\"") && json.contains("\"at\":\"test.yaml:10\""),
        "{json}"
    );
    assert_eq!(serde_json::from_str::<Diff>(&json).unwrap(), diff);
}

#[test]
fn ten_thousand_routes_are_compared_in_a_moment() {
    let mut old = "routes:\n".to_owned();
    for at in 0..10_000 {
        old.push_str(&format!("  r{at}: {{ match: /a{at}/**, respond: 200 }}\n"));
    }
    let new = format!("{old}  more: {{ match: /a77/b, respond: 204 }}\n");
    let (old, new) = (config(&old), config(&new));
    let start = tokio::time::Instant::now();
    assert_eq!(Diff::between(&old, &new).changes.len(), 1);
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}
