//! What holds passes, what does not fails and says why; and both are as in traffic, since `explain` is.

use std::sync::Arc;

use super::{Coverage, Report, human, json, junit, run};
use crate::{
    config::{self, Input},
    layers::custom::Registry,
    runtime::live::Live,
};

/// The shop of the tests of `explain`.
const SHOP: &str = include_str!("../explain/tests/shop.yaml");

/// Runs the tests of a file.
fn report<T>(file: &str, wanted: Option<&str>, then: impl FnOnce(&Report<'_>) -> T) -> T {
    let input = Input::Text { name: "shop.yaml".to_owned(), text: file.to_owned() };
    let env = |name: &str| (name == "SECRET").then(|| "hunter2-hunter2-hunter2".to_owned());
    let loaded = config::load(&[input], &env);
    let config = loaded.config.clone().unwrap_or_else(|| panic!("{}", loaded.render(false)));
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
    let compiled = Live::dry(&Arc::new(config), Registry::default(), runtime.handle());
    let (compiled, _) = compiled.unwrap_or_else(|it| panic!("{:?}", it.items));
    then(&run(&compiled, &loaded.sources, runtime.handle(), wanted))
}

/// The shop with these tests.
fn shop(tests: &str) -> String {
    format!("{SHOP}\ntests:\n{tests}")
}

/// What does not hold of one test: `key: expected, got: because`.
fn wrong(test: &str) -> Vec<String> {
    report(&shop(&format!("  - {{ {test} }}\n")), None, |report| {
        let all = report.results.iter().flat_map(|it| &it.wrong);
        let one = |it: &super::Wrong| {
            format!("{}: {}, {}: {}", it.key, it.expected, it.got, it.because.join("; "))
        };
        all.map(one).collect()
    })
}

const HOLD: [&str; 20] = [
    "request: GET https://shop.example.com/orders/7/x, route: orders, upstream: [orders, orders-canary], \
     path: /7/x, auth: partners, rate_limit: partners, status: 401, reason: unauthenticated",
    "request: GET https://shop.example.com/orders/7/x, consumer: partner-a, status: none, reason: none",
    "request: GET https://shop.example.com/orders/7/x, claims: { sub: ann }, status: none",
    "request: GET https://shop.example.com/orders/7/x, headers: { X-Api-Key: 0123456789abcdef-a }, status: none",
    "request: GET https://shop.example.com/orders/7/x, headers: { X-Api-Key: nobody }, status: 401",
    "request: GET https://shop.example.com/orders/7?a=b, client_ip: 10.0.0.1, route: order, path: /v2/7, status: none",
    "request: GET https://shop.example.com/orders/7?a=b, path: /v2/7?a=b, auth: none, rate_limit: none",
    "request: GET https://shop.example.com/orders/7, client_ip: 203.0.113.9, status: 403, reason: ip_denied",
    "request: GET https://only.example.net/only-get, route: only-get, upstream: orders",
    "request: DELETE https://only.example.net/only-get, route: none, status: 405, reason: method_not_allowed",
    "request: GET https://api.example.com/admin, headers: { Authorization: Basic YWRhOnNlY3JldA== }, status: 401",
    "request: GET https://api.example.com/admin, consumer: ada, status: 200, reason: none",
    "request: GET https://api.example.com/admin, upstream: none, auth: [staff]",
    "request: GET https://other.org/x, route: none, status: 404, reason: no_route, upstream: none, auth: none",
    "request: GET https://shop.example.com/x?y, route: site, redirect: \"https://www.example.org/x?y\", status: 308",
    "request: GET http://shop.example.com/x?y, route: none, redirect: \"https://shop.example.com/x?y\", status: 308",
    "request: GET http://api.example.com/inside/x, listener: inside, route: inside, auth: query",
    "request: GET https://shop.example.com/a%2fb, status: 400, reason: bad_path",
    "request: GET https://shop.example.com/orders/7/../../orders/8/9, route: orders, path: /8/9",
    "request: GET https://10.0.0.1/status, status: 200, reason: none, route: status",
];

#[test]
fn what_holds_passes() {
    for test in HOLD {
        assert_eq!(wrong(test), [""; 0], "{test}");
    }
}

const FAIL: [(&str, &str); 18] = [
    (
        "request: GET https://shop.example.com/orders/7/x, route: order",
        "route: order, orders: `order` does not take it: path: wants /orders/{id}, got /orders/7/x; \
         `orders` takes it by shop.example.com/orders/**, shop.yaml:38",
    ),
    (
        "request: GET https://shop.example.com/orders/7, route: orders",
        "route: orders, order: `orders` would take it and is weaker: path: tail in segment 2, where the \
         winner has parameter; `order` takes it by GET, HEAD shop.example.com/orders/{id}, shop.yaml:45",
    ),
    (
        "request: GET https://other.org/x, route: site",
        "route: site, none: `site` does not take it: host: wants *.example.com, got other.org; no route \
         takes it: 404 no_route (no route takes this request)",
    ),
    (
        "request: GET http://shop.example.com/x, route: site",
        "route: site, none: listener `http` redirects it: 308 to https://shop.example.com/x",
    ),
    (
        "request: GET http://shop.example.com:9/x, route: site",
        "route: site, none: listener `http` redirects it: 308 to https://shop.example.com/x; nothing \
         listens on port 9; `http` is assumed, `listener` names another",
    ),
    (
        "request: GET https://other.org/status, route: none",
        "route: none, status: `status` takes it by /status, shop.yaml:70",
    ),
    (
        "request: GET https://shop.example.com/orders/7/x, upstream: orders",
        "upstream: orders, orders, orders-canary: `orders` takes it by shop.example.com/orders/**, shop.yaml:38",
    ),
    (
        "request: GET https://other.org/status, upstream: orders",
        "upstream: orders, none: `status` takes it by /status, shop.yaml:70",
    ),
    (
        "request: GET https://only.example.net/only-get, upstream: none",
        "upstream: none, orders: `only-get` takes it by GET, HEAD only.example.net/only-get, shop.yaml:51",
    ),
    (
        "request: GET https://shop.example.com/orders/7/x?q=1, path: /7/x?q=2",
        "path: /7/x?q=2, /7/x?q=1: strip_prefix: /orders/7/x → /7/x, shop.yaml:40",
    ),
    (
        "request: GET https://api.example.com/a, path: /b",
        "path: /b, /a: nothing changes the path on its way",
    ),
    (
        "request: GET https://other.org/status, path: /status",
        "path: /status, none: `status` takes it by /status, shop.yaml:70",
    ),
    (
        "request: GET https://shop.example.com/orders/7/x, auth: [partners, staff]",
        "auth: partners, staff, partners: `orders` takes it by shop.example.com/orders/**, shop.yaml:38",
    ),
    (
        "request: GET https://shop.example.com/orders/7/x, rate_limit: none",
        "rate_limit: none, partners: `orders` takes it by shop.example.com/orders/**, shop.yaml:38",
    ),
    (
        "request: GET https://shop.example.com/orders/7/x, status: none",
        "status: none, 401: 401 unauthenticated (no_credentials for `partners`); auth: partners, shop.yaml:29; \
         `orders` takes it by shop.example.com/orders/**, shop.yaml:38",
    ),
    (
        "request: GET https://api.example.com/a, status: 200",
        "status: 200, no answer of the gateway: forwarded to catalog; `catalog` takes it by api.example.com/**, shop.yaml:59",
    ),
    (
        "request: GET https://other.org/status, reason: forbidden",
        "reason: forbidden, 200 without one: 200 from the gateway, with a body of 4B; `status` takes it by /status, shop.yaml:70",
    ),
    (
        "request: GET https://shop.example.com/x, redirect: /y",
        "redirect: /y, https://www.example.org/x: 308 to https://www.example.org/x; `site` takes it by *.example.com/**, shop.yaml:67",
    ),
];

#[test]
fn what_does_not_hold_says_why() {
    let found = FAIL.map(|(test, _)| wrong(test).join("\n"));
    let expected = FAIL.map(|(_, expected)| expected.to_owned());
    assert_eq!(found, expected, "{found:#?}");
}

#[test]
fn what_cannot_be_told_does_not_pass() {
    for status in ["403", "none"] {
        let test = format!("request: GET https://shop.example.com/orders/7, status: {status}");
        let expected = format!(
            "status: {status}, what cannot be told: ip: nobody knows the address, `client_ip` says it"
        );
        assert_eq!(wrong(&test), [expected]);
    }
    // Whatever is not judged stands behind what refuses.
    let file = "version: 1\nroutes:\n  a:\n    to: http://127.0.0.1:1\n    ip: { allow: [10.0.0.0/8] }\n    \
                auth: { external: { url: \"http://127.0.0.1:2/\" } }\ntests:\n  \
                - { request: GET http://a/, client_ip: 192.0.2.1, status: 403 }\n  \
                - { request: GET http://a/, client_ip: 10.0.0.1, status: 403 }\n  \
                - { request: GET http://a/, client_ip: 10.0.0.1, consumer: ann, status: none }\n";
    let held = report(file, None, |report| {
        report.results.iter().map(|it| it.wrong.is_empty()).collect::<Vec<_>>()
    });
    assert_eq!(held, [true, false, true]);
}

#[test]
fn rules_see_the_caller_a_test_names() {
    let file = "version: 1\nroutes:\n  a:\n    to: http://127.0.0.1:1\n    auth: { api_key: { keys: { ann: 0123456789abcdef, bob: fedcba9876543210 } } }\n    \
                authorize: { allow: \"consumer == 'ann' && 'admin' in claims.groups\" }\ntests:\n  \
                - { request: GET http://a/, consumer: ann, claims: { groups: [admin] }, status: none }\n  \
                - { request: GET http://a/, consumer: ann, claims: { groups: [guest] }, reason: forbidden }\n  \
                - { request: GET http://a/, consumer: bob, claims: { groups: [admin] }, status: 403 }\n";
    let failed = report(file, None, |report| (report.failed(), human(report, false)));
    assert_eq!(failed.0, 0, "{}", failed.1);
}

#[test]
fn a_caller_whom_no_policy_would_let_in_is_not_let_in() {
    let file = "version: 1\nupstreams: { u: \"http://127.0.0.1:1\" }\npolicies:\n  auth:\n    \
                token: { jwt: { issuer: \"https://idp.example.com\", audience: shop, require: { scope: read } } }\n    \
                key: { api_key: { keys: { ann: 0123456789abcdef } } }\n    \
                watched: { mode: shadow, api_key: { keys: { ann: 0123456789abcdef } } }\nroutes:\n  \
                token: { match: /token, to: u, auth: token }\n  key: { match: /key, to: u, auth: key }\n  \
                any: { match: /any, to: u, auth: { any: [key, token] } }\n  watched: { match: /watched, to: u, auth: watched }\ntests:\n  \
                - { request: GET http://a/token, claims: { scope: write }, reason: forbidden }\n  \
                - { request: GET http://a/token, claims: { scope: read write }, status: none }\n  \
                - { request: GET http://a/token, consumer: ann, status: none }\n  \
                - { request: GET http://a/key, consumer: zed, status: 401, reason: unauthenticated }\n  \
                - { request: GET http://a/key, consumer: ann, status: none }\n  \
                - { request: GET http://a/any, claims: { scope: write }, status: 403 }\n  \
                - { request: GET http://a/any, claims: { scope: read }, status: none }\n  \
                - { request: GET http://a/any, consumer: ann, status: none }\n  \
                - { request: GET http://a/watched, consumer: zed, status: none }\n";
    let failed = report(file, None, |report| (report.failed(), human(report, false)));
    assert_eq!(failed.0, 0, "{}", failed.1);
}

#[test]
fn routes_without_a_test_are_named() {
    let tests = "  - { request: GET https://other.org/status, route: status }\n  \
                 - { request: GET https://api.example.com/admin, status: 401 }\n";
    report(&shop(tests), None, |report| {
        let coverage = report.coverage.as_ref().unwrap();
        let untested = ["catalog", "inside", "only-get", "order", "orders", "site"];
        let expected =
            Coverage { routes: 8, untested: untested.map(Into::into).into_iter().collect() };
        assert_eq!((coverage, coverage.percent()), (&expected, 25));
    });
    // Of a part nobody can say.
    report(&shop(tests), Some("admin"), |report| {
        assert_eq!((report.results.len(), report.all), (1, 2));
        assert!(
            report.coverage.is_none()
                && human(report, false).contains("1 passed, 0 failed, 1 not run")
        );
    });
}

#[test]
fn a_report_in_all_forms() {
    let tests = "  - { request: GET https://other.org/status, status: 200 }\n  \
                 - name: a <b> & \"c\"\n    request: GET https://shop.example.com/orders/7/x\n    \
                   headers: { X-Api-Key: 0123456789abcdef-a }\n    status: 429\n";
    report(&shop(tests), None, |report| {
        let said = human(report, false);
        let expected = "\
ok      GET https://other.org/status  → status: 200 from the gateway, with a body of 4B
FAILED  a <b> & \"c\"                   → orders: forwarded to orders 90 %, orders-canary 10 %

error: `status` of test `a <b> & \"c\"`: expected 429, got no answer of the gateway
  --> shop.yaml:79:13
   |
79 |     status: 429
   |             ^^^ got no answer of the gateway
   |
   = help: forwarded to orders 90 %, orders-canary 10 %; `orders` takes it by shop.example.com/orders/**, shop.yaml:38

1 passed, 1 failed
routes tested: 2 of 8 (25 %); without a test: admin, catalog, inside, only-get, order, site
";
        assert_eq!(said, expected, "\n{said}");
        let parsed: serde_json::Value = serde_json::from_str(&json(report)).unwrap();
        assert_eq!((&parsed["passed"], &parsed["failed"]), (&1.into(), &1.into()));
        assert_eq!(parsed["tests"][1]["failures"][0]["at"], "shop.yaml:79:13");
        assert_eq!(parsed["coverage"]["untested"][0], "admin");
        let xml = junit(report);
        for part in [
            "<testsuites tests=\"2\" failures=\"1\">",
            "<testcase name=\"GET https://other.org/status\" classname=\"status\" file=\"shop.yaml\" line=\"75\"/>",
            "<testcase name=\"a &lt;b&gt; &amp; &quot;c&quot;\" classname=\"orders\"",
            "<failure message=\"status: expected 429, got no answer of the gateway\">shop.yaml:79:13&#10;forwarded",
        ] {
            assert!(xml.contains(part), "no {part} in:\n{xml}");
        }
        for text in [said, json(report), xml] {
            assert!(!text.contains("0123456789abcdef"), "{text}");
        }
    });
}
