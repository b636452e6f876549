//! Whole explanations, word for word, and whether they are true.

mod agrees;

use super::{Asked, Explanation, explain, human};
use crate::{
    config::{self, Input},
    layers::custom::Registry,
    runtime::live::Live,
};

/// A shop, with all that a file may say of routes.
const SHOP: &str = include_str!("tests/shop.yaml");

/// What becomes of requests by a file, one after the other.
fn ask(file: &str, all: &[Asked]) -> Vec<Result<Explanation, String>> {
    let input = Input::Text { name: "shop.yaml".to_owned(), text: file.to_owned() };
    let env = |name: &str| (name == "SECRET").then(|| "hunter2-hunter2-hunter2".to_owned());
    let loaded = config::load(&[input], &env);
    let config = loaded.config.clone().unwrap_or_else(|| panic!("{}", loaded.render(false)));
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let handle = runtime.worker_threads(1).enable_all().build().unwrap();
    let compiled = Live::dry(&std::sync::Arc::new(config), Registry::default(), handle.handle());
    let (compiled, _) = compiled
        .unwrap_or_else(|problems| panic!("{}", config::render(&problems, &loaded.sources, false)));
    all.iter().map(|asked| explain(&compiled, asked, handle.handle(), None)).collect()
}

/// A question as on the command line: method, URL, then fields, with `~` for their spaces.
fn asked(line: &str) -> Asked {
    let mut words = line.split(' ');
    let (method, url) = (words.next().unwrap(), words.next().unwrap());
    let (ips, fields): (Vec<_>, Vec<_>) = words.partition(|word| word.starts_with("ip="));
    let fields: Vec<String> = fields.into_iter().map(|field| field.replace('~', " ")).collect();
    let client_ip = ips.first().map(|ip| ip[3..].parse().unwrap());
    Asked { client_ip, ..Asked::new(method, url, &fields).unwrap() }
}

fn shop(line: &str) -> Explanation {
    ask(SHOP, &[asked(line)]).remove(0).unwrap()
}

#[track_caller]
fn says(line: &str, expected: &str) {
    let said = human(&shop(line));
    assert_eq!(said.trim_end(), expected.trim(), "\n{said}");
}

#[test]
fn a_route_with_all_there_is() {
    says("get https://shop.example.com/orders/7/lines?a=b", include_str!("tests/orders.txt"));
}

#[test]
fn the_more_specific_route_wins_and_the_address_is_judged() {
    says("GET https://shop.example.com/orders/7 ip=10.1.1.1", include_str!("tests/order.txt"));
    let denied = shop("GET https://shop.example.com/orders/7 ip=203.0.113.9");
    let text = "403 ip_denied (203.0.113.9 is not let in by `office`)";
    assert_eq!(denied.answers.this_request.text, text);
    let unknown = shop("GET https://shop.example.com/orders/7");
    assert_eq!(
        unknown.answers.this_request.text,
        "forwarded to orders, if `ip` lets the address in"
    );
    assert_eq!(unknown.answers.not_judged.len(), 1, "{:?}", unknown.answers);
}

#[test]
fn what_no_route_gets_says_why() {
    says(
        "GET https://shop.example.com/a%2fb",
        "GET shop.example.com/a%2fb, listener https
→ no route: the gateway refuses it
result  400 bad_path (encoded slash)",
    );
    says(
        "GET http://shop.example.com/x?y",
        "GET shop.example.com/x, listener http
→ no route: this listener sends it to HTTPS
result  308 to https://shop.example.com/x?y",
    );
    says(
        "GET https://other.org/stats",
        "GET other.org/stats, listener https
→ no route: the gateway refuses it
  near    status   path: wants /status, got /stats                shop.yaml:70
          catalog  host: wants api.example.com, got other.org     shop.yaml:59
          site     host: wants *.example.com, got other.org       shop.yaml:67
result  404 no_route (no route takes this request)",
    );
    let method = shop("DELETE https://only.example.net/only-get");
    assert_eq!(method.answers.this_request.text, "405 method_not_allowed (allowed: GET, HEAD)");
    let headers = [("allow".to_owned(), "GET, HEAD".to_owned())];
    assert_eq!(method.answers.this_request.headers, headers);
    for (line, reason) in [
        ("GE!T https://shop.example.com/", "bad_request"),
        ("CONNECT https://shop.example.com/", "unsupported_method"),
        ("GET https://other.org./", "no_route"),
        ("GET https://shop.example.com/ host:u@shop.example.com", "bad_host"),
        ("GET https://shop.example.com/ transfer-encoding:gzip", "bad_framing"),
        ("GET https://shop.example.com/ x_forwarded_for:1", "bad_request"),
    ] {
        let found = shop(line).answers.this_request;
        assert_eq!(found.reason.as_deref(), Some(reason), "{line}: {}", found.text);
    }
}

#[test]
fn weaker_hosts_redirects_and_fixed_answers() {
    let site = shop("GET https://shop.example.com/x?a=b");
    let route = site.route.unwrap();
    assert_eq!(
        (route.name.as_str(), route.fell_through),
        ("site", vec!["shop.example.com".into()])
    );
    assert_eq!(site.answers.this_request.text, "308 to https://www.example.org/x?a=b");
    let status = shop("GET https://10.0.0.1/status");
    let text = "200 from the gateway, with a body of 4B";
    assert_eq!((status.answers.this_request.text.as_str(), status.upstream_path), (text, None));
}

#[test]
fn credentials_are_tried_and_never_shown() {
    let key = "0123456789abcdef-a";
    let good = shop(&format!("POST https://shop.example.com/orders/7 x-api-key:{key}"));
    let auth = &good.steps[1];
    assert_eq!(auth.says[1], "this request: it is from `partner-a`");
    assert_eq!(good.answers.this_request.text, "forwarded to orders 90 %, orders-canary 10 %");
    let without = good.answers.without_credentials.as_ref().unwrap();
    assert_eq!(without.text, "401 unauthenticated (no_credentials for `partners`)");
    assert_eq!(good.answers.with_credentials, None);
    let bad = shop("POST https://shop.example.com/orders/7 x-api-key:something-else-16");
    let text = "401 unauthenticated (wrong_credentials for `partners`)";
    assert_eq!(bad.answers.this_request.text, text);
    let inside = shop("GET https://api.example.com/inside/a?k=0123456789abcdef-b&x=y");
    assert_eq!(inside.answers.this_request.text, "forwarded to catalog");
    assert_eq!(inside.upstream_path.as_deref(), Some("/inside/a?…"));
    for it in [&good, &bad, &inside] {
        let all = format!("{}{}{it:?}", human(it), serde_json::to_string(it).unwrap());
        for secret in [key, "0123456789abcdef-b", "something-else-16", "hunter2"] {
            assert!(!all.contains(secret), "{all}");
        }
    }
    assert!(human(&inside).contains("set x-token: «redacted»"), "{}", human(&inside));
}

#[test]
fn passwords_are_verified() {
    let admin = "GET https://api.example.com/admin";
    let said = |line: &str| shop(line).answers.this_request.text;
    assert!(said(admin).starts_with("401 "), "{}", said(admin));
    // ada:correct horse
    let good = "authorization:Basic~YWRhOmNvcnJlY3QgaG9yc2U=";
    assert_eq!(said(&format!("{admin} {good}")), "200 from the gateway, without a body");
    let bad = "authorization:Basic~YWRhOndyb25n";
    let text = "401 unauthenticated (wrong_credentials for `staff`)";
    assert_eq!(said(&format!("{admin} {bad}")), text);
    let challenge = shop(admin).answers.this_request.headers;
    let expected =
        ("www-authenticate".to_owned(), "Basic realm=\"restricted\", charset=\"UTF-8\"".to_owned());
    assert_eq!(challenge, [expected]);
}

#[test]
fn policies_that_only_watch_say_so_and_refuse_nobody() {
    let shadow =
        SHOP.replace("allow: [192.0.2.0/24, 10.0.0.0/8]", "allow: [192.0.2.1], mode: shadow");
    let found = ask(&shadow, &[asked("GET https://shop.example.com/orders/7 ip=10.1.1.1")]);
    let found = found[0].as_ref().unwrap();
    assert_eq!(found.steps[0].verdict, super::Verdict::WouldRefuse);
    assert_eq!(found.answers.this_request.text, "forwarded to orders");
}

#[test]
fn bodies_upgrades_and_retries_are_judged_by_this_request() {
    let large = shop("POST https://api.example.com/items content-length:2000000");
    let text = "413 body_too_large (larger than 1048576 bytes)";
    assert_eq!(large.answers.this_request.text, text);
    let line = "GET https://api.example.com/ws connection:upgrade upgrade:";
    let step = |protocol: &str| {
        let steps = shop(&format!("{line}{protocol}")).steps;
        steps.into_iter().find(|step| step.kind == "upgrade").unwrap().says
    };
    assert_eq!(step("websocket"), ["this request: websocket is passed on"]);
    assert_eq!(step("h2c"), ["this request: the offer of h2c is ignored"]);
    let retry = |method: &str| {
        let steps = shop(&format!("{method} https://api.example.com/items")).steps;
        steps.into_iter().find(|step| step.kind == "retry").unwrap().says.remove(0)
    };
    assert_eq!(retry("PUT"), "PUT may be sent again (it is idempotent)");
    assert_eq!(retry("POST"), "POST may not be sent again (it is not idempotent)");
}

#[test]
fn the_listener_is_found_by_the_url_or_named() {
    let at = |line: &str, listener: Option<&str>| {
        let asked = Asked { listener: listener.map(str::to_owned), ..asked(line) };
        ask(SHOP, &[asked]).remove(0)
    };
    let found = |line, listener| at(line, listener).unwrap().request.listener;
    assert_eq!(found("GET http://a.com/status", None), "http");
    assert_eq!(found("GET http://a.com:8080/status", None), "inside");
    assert_eq!(found("GET https://a.com:8443/status", None), "https");
    assert_eq!(found("GET http://a.com/status", Some("inside")), "inside");
    let error = at("GET http://a.com/", Some("htpp")).unwrap_err();
    assert_eq!(error, "there is no listener `htpp`; there are: http, https, inside");
    let note = at("GET http://a.com:1/status", None).unwrap().notes;
    let assumed = "`http` is assumed, --listener names another";
    assert_eq!(note, ["nothing listens on port 1", assumed]);
    let note = at("GET http://a.com:443/status", None).unwrap().notes;
    assert_eq!(note, ["listener `https` of port 443 does not speak http", assumed]);
    let two =
        "version: 1\nlisteners: { a: \":81\", b: \":82\" }\nroutes: { a: { respond: 204 } }\n";
    let note = ask(two, &[asked("GET http://a.com/")]).remove(0).unwrap().notes;
    assert_eq!(note, ["several listeners speak http: `a` is assumed, --listener names another"]);
}

#[test]
fn a_password_in_the_url_is_neither_sent_nor_shown() {
    let found = shop("GET http://ann:hunter2@only.example.net:8080/status");
    let said = human(&found);
    assert!(said.starts_with("GET only.example.net") && !said.contains("hunter2"), "{said}");
    assert!(said.contains("the user in the URL is not sent"), "{said}");
    assert_eq!(found.route.as_ref().map(|won| &*won.name), Some("status"), "{said}");
}

#[test]
fn trusted_proxies_are_believed_and_nobody_else() {
    let line = "GET https://shop.example.com/orders/7 x-forwarded-for:192.0.2.7";
    let client = |more: &str| shop(&format!("{line}{more}")).request.client_ip;
    assert_eq!(client(" ip=198.51.100.1").as_deref(), Some("192.0.2.7"));
    assert_eq!(client(" ip=198.51.200.1").as_deref(), Some("198.51.200.1"));
    assert_eq!(client(""), None);
}

#[test]
fn the_json_is_what_it_was() {
    let all = ask(SHOP, &[asked("GET https://shop.example.com/orders/7/lines")]).remove(0).unwrap();
    let text = serde_json::to_string_pretty(&all).unwrap();
    let back: Explanation = serde_json::from_str(&text).unwrap();
    assert_eq!(back, all);
    assert_eq!(text.trim(), include_str!("tests/orders.json").trim(), "\n{text}");
}

#[test]
fn the_documentation_names_every_field() {
    fn keys(value: &serde_json::Value, into: &mut std::collections::BTreeSet<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                for (key, value) in fields {
                    into.insert(key.clone());
                    keys(value, into);
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| keys(item, into)),
            _ => {}
        }
    }
    let mut all = std::collections::BTreeSet::new();
    keys(&serde_json::from_str(include_str!("tests/orders.json")).unwrap(), &mut all);
    let text = include_str!("../../docs/explain.md");
    let missing: Vec<_> = all.iter().filter(|key| !text.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty() && all.len() > 40, "{missing:?} of {}", all.len());
}

const KNOWN: &str = "\
version: 1
policies:
  auth:
    tokens: { jwt: { issuer: \"https://idp.example.com\", audience: shop, consumer: sub } }
    people: { oidc: { issuer: \"https://login.example.com\", client_id: shop, secrets: [\"${SECRET}-0123456789abcdef\"] } }
    keys: { api_key: { from: \"header:x-api-key\", keys: { me: 0123456789abcdef, you: 0123456789fedcba } } }
    service: { external: { url: \"http://127.0.0.1:1/ask\" } }
  authorize:
    mine: { allow: \"consumer == 'me'\" }
    read: { allow: \"request.method == 'GET'\", mode: shadow }
routes:
  tokens: { match: /tokens, respond: 200, auth: tokens }
  people: { match: [/people, /oauth2/**], respond: 200, auth: people }
  service: { match: /service, respond: 200, auth: { any: [keys, service] } }
  rules: { match: /rules, respond: 200, auth: keys, authorize: { all: [mine, read] } }
";

fn known(line: &str) -> Explanation {
    ask(KNOWN, &[asked(line)]).remove(0).unwrap()
}

#[test]
fn nobody_else_is_asked() {
    for line in [
        "GET http://localhost/tokens authorization:Bearer~a.b.c",
        "GET http://localhost/people accept:text/html",
        "GET http://localhost/people cookie:a=b",
        "GET http://localhost/oauth2/callback?code=a&state=b",
        "GET http://localhost/service",
        "GET http://localhost/service x-api-key:0123456789abcdef",
    ] {
        let found = known(line);
        let auth = found.steps.iter().find(|step| step.kind == "auth").unwrap();
        assert_eq!(auth.verdict, super::Verdict::Unknown, "{line}");
        assert_eq!(found.answers.not_judged.len(), 1, "{line}");
        assert_eq!(found.answers.this_request.status, Some(200), "{line}");
    }
    for line in ["GET http://localhost/tokens", "GET http://localhost/people"] {
        assert_eq!(known(line).answers.this_request.status, Some(401), "{line}");
    }
}

#[test]
fn rules_are_asked_once_it_is_known_who_it_is() {
    let said = |line: &str| known(line).answers.this_request.text;
    let me = "GET http://a/rules x-api-key:0123456789abcdef";
    assert_eq!(said(me), "200 from the gateway, without a body");
    let you = "GET http://a/rules x-api-key:0123456789fedcba";
    assert_eq!(said(you), "403 forbidden (rule_false for `mine`)");
    let post = known("POST http://a/rules x-api-key:0123456789abcdef");
    assert_eq!(post.answers.this_request.status, Some(200));
    let says = &post.steps.iter().find(|step| step.kind == "authorize").unwrap().says;
    assert_eq!(says[1], "read: 1 rule to allow (mode: shadow) · this request: rule_false");
    let nobody = known("GET http://a/rules");
    assert_eq!(nobody.answers.this_request.status, Some(401));
    assert_eq!(nobody.answers.with_credentials.unwrap().status, Some(200));
    assert_eq!(nobody.answers.not_judged, ["authorize: nobody knows who the request is from"]);
}

#[test]
fn how_much_at_once_is_told_where_it_was_written() {
    let file = "version: 1
defaults: { priority_class: low }
policies:
  concurrency:
    narrow: { limit: 20, queue: { max: 5, timeout: 2s }, mode: shadow }
  bandwidth:
    slow: { connection: { response: 1MiB/s } }
routes:
  app: { match: /x, respond: 200, concurrency: narrow, bandwidth: slow }
";
    let found = ask(file, &[asked("GET http://a/x")]).remove(0).unwrap();
    let said = human(&found);
    for line in [
        "priority_class    low                                        defaults shop.yaml:2",
        "concurrency       narrow: 20 at once, 5 waiting up to 2s (mode: shadow)  shop.yaml:5 via :9",
        "bandwidth         slow: answers 1MiB/s each connection       shop.yaml:7 via :9",
    ] {
        assert!(said.contains(line), "no {line} in\n{said}");
    }
}

#[test]
fn where_limits_are_counted_is_told_with_what_may_pass() {
    let file = "version: 1
stores: { main: { redis: \"redis://r:1\", gateways: 3 } }
policies:
  rate_limit:
    sold: { limit: 20/day, store: main, on_store_error: deny }
    fast: { limit: 600/min, burst: 200, store: main, sync: leased }
routes:
  app: { match: /x, respond: 200, rate_limit: [sold, fast, { limit: 9/s, store: main, on_store_error: allow }] }
";
    let found = ask(file, &[asked("GET http://a/x")]).remove(0).unwrap();
    let said = human(&found);
    for line in [
        "counted in store main, exact: none more than that passes",
        "while that is away: 503 limit_unavailable",
        "counted in store main, leased up to 20 at once: at most 60 more pass, with 3 gateways",
        "while that is away: each gateway counts 1/3 of it",
        "while that is away: all pass",
    ] {
        assert!(said.contains(line), "no {line} in\n{said}");
    }
}
