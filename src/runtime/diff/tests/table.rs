//! Pairs of files, and what each change between them means: `W` widens, `N` narrows, `O` is another change.

mod rest;

use super::between;

/// Policies and upstreams for routes of the table.
const COMMON: &str = r#"
upstreams: { u: { endpoints: "https://127.0.0.1:1" }, v: http://127.0.0.1:2 }
policies:
  auth:
    keys: { api_key: { keys: { a: 0123456789abcdef, b: fedcba9876543210 } } }
    staff: { basic: { users: { ann: "$2b$10$abcdefghijklmnopqrstuuK9hfQYC1mDh1kmAkGVJ2Bl3gWlPzF2e" } } }
    watch: { api_key: { keys: { a: 0123456789abcdef } }, mode: shadow }
"#;

type Row = (&'static str, &'static str, &'static [&'static str]);

#[track_caller]
fn holds(rows: &[Row], wrap: impl Fn(&str) -> String) {
    for (old, new, expected) in rows {
        let both = [(*old, *new, false), (*new, *old, true)];
        for (old, new, back) in both {
            let diff = between(&wrap(old), &wrap(new));
            let found: Vec<String> = diff
                .changes
                .iter()
                .map(|it| {
                    format!("{:?} {} {}", it.effect, it.name, it.key)[..1].to_owned()
                        + " "
                        + &it.key
                })
                .collect();
            if !back {
                assert_eq!(found, *expected, "{old} → {new}\n{diff}");
            }
            assert!(!found.is_empty(), "and back: {new} → {old}");
        }
    }
}

/// One route.
fn route(text: &str) -> String {
    let to = if ["to:", "respond:", "redirect:"].iter().any(|it| text.contains(it)) {
        ""
    } else {
        ", respond: 200"
    };
    let text = if text.is_empty() { "match: /x".to_owned() } else { format!("match: /x, {text}") };
    let text = if text.contains("match: [") || text.matches("match:").count() > 1 {
        text.replacen("match: /x, ", "", 1)
    } else {
        text
    };
    format!("{COMMON}routes:\n  r: {{ {text}{to} }}\n")
}

#[test]
fn who_may_pass() {
    holds(
        &[
            ("auth: keys", "", &["W auth"]),
            ("", "auth: keys", &["N auth"]),
            ("auth: keys", "auth: { any: [keys, staff] }", &["W auth"]),
            ("auth: { any: [keys, staff] }", "auth: keys", &["N auth"]),
            ("auth: { all: [keys, staff] }", "auth: keys", &["W auth"]),
            ("auth: keys", "auth: { all: [keys, staff] }", &["N auth"]),
            ("auth: { all: [keys, staff] }", "auth: { any: [keys, staff] }", &["W auth"]),
            ("auth: { any: [keys, staff] }", "auth: { all: [keys, staff] }", &["N auth"]),
            ("auth: keys", "auth: staff", &["W auth"]),
            ("auth: keys", "auth: watch", &["W auth"]),
            ("auth: { all: [keys, watch] }", "auth: keys", &["O auth"]),
            (
                "auth: { api_key: { keys: { a: 0123456789abcdef } } }",
                "auth: { api_key: { keys: { a: 0123456789abcdef, c: ffffffffffffffff } } }",
                &["W auth.keys"],
            ),
            (
                "auth: { api_key: { keys: { a: 0123456789abcdef } } }",
                "auth: { api_key: { keys: { a: ffffffffffffffff } } }",
                &["O auth.keys"],
            ),
            (
                "auth: keys, authorize: { allow: 'consumer == \"a\"' }",
                "auth: keys",
                &["W authorize"],
            ),
            (
                "auth: keys, authorize: { allow: 'consumer == \"a\"' }",
                "auth: keys, authorize: { allow: ['consumer == \"a\"', 'consumer == \"b\"'] }",
                &["W authorize.allow"],
            ),
            (
                "authorize: { deny: 'request.method == \"PUT\"' }",
                "authorize: { deny: ['request.method == \"PUT\"', 'request.method == \"POST\"'] }",
                &["N authorize.deny"],
            ),
            (
                "authorize: { deny: 'request.method == \"PUT\"' }",
                "authorize: { deny: 'request.method == \"PUT\"', mode: shadow }",
                &["W authorize"],
            ),
        ],
        route,
    );
}

#[test]
fn from_which_addresses() {
    holds(
        &[
            ("ip: { allow: [10.0.0.0/8] }", "", &["W ip"]),
            ("ip: { allow: [10.0.0.0/8] }", "ip: { allow: [10.0.0.0/9] }", &["N ip"]),
            ("ip: { allow: [10.0.0.0/8] }", "ip: { allow: [10.0.0.0/8, 192.0.2.0/24] }", &["W ip"]),
            ("ip: { allow: [10.0.0.0/9, 10.128.0.0/9] }", "ip: { allow: [10.0.0.0/8] }", &["O ip"]),
            ("ip: { deny: [192.0.2.0/24] }", "ip: { deny: [192.0.2.0/25] }", &["W ip"]),
            (
                "ip: { deny: [192.0.2.0/24] }",
                "ip: { deny: [192.0.2.0/24], mode: shadow }",
                &["W ip"],
            ),
            ("ip: { allow: [10.0.0.0/9] }", "ip: { allow: [10.128.0.0/9] }", &["W ip"]),
        ],
        route,
    );
}

#[test]
fn how_much() {
    holds(
        &[
            ("rate_limit: 10/s", "", &["W rate_limit"]),
            ("rate_limit: 10/s", "rate_limit: 20/s", &["W rate_limit.limit"]),
            ("rate_limit: 20/s", "rate_limit: 10/s", &["N rate_limit.limit"]),
            (
                "rate_limit: 10/s",
                "rate_limit: { limit: 10/s, mode: shadow }",
                &["W rate_limit.mode"],
            ),
            (
                "rate_limit: 10/s",
                "rate_limit: { limit: 10/s, exempt: [10.0.0.0/8] }",
                &["W rate_limit.exempt"],
            ),
            (
                "rate_limit: { limit: 10/s, burst: 5 }",
                "rate_limit: { limit: 10/s, burst: 9 }",
                &["W rate_limit.limit"],
            ),
            (
                "rate_limit: { limit: 10/s, burst: 4, cost: 2 }",
                "rate_limit: { limit: 10/s, burst: 4 }",
                &["W rate_limit.cost"],
            ),
            ("rate_limit: 10/s", "rate_limit: [10/s, 1000/day]", &["N rate_limit"]),
            ("concurrency: 10", "concurrency: 20", &["W concurrency.limit"]),
            ("concurrency: 10", "", &["W concurrency"]),
            (
                "bandwidth: { connection: { request: 1MiB/s } }",
                "bandwidth: { connection: { request: 2MiB/s } }",
                &["W bandwidth.connection.request"],
            ),
            ("body: 1MiB", "body: 2MiB", &["W body.max"]),
            ("body: 1MiB", "body: none", &["W body.max"]),
            ("body: none", "body: 1MiB", &["N body.max"]),
        ],
        route,
    );
}

#[test]
fn what_browsers_and_services_are_told() {
    holds(
        &[
            (
                "headers: { response: { set: { x-frame-options: DENY } } }",
                "",
                &["W headers.response.set.x-frame-options"],
            ),
            (
                "",
                "headers: { response: { set: { x-frame-options: DENY } } }",
                &["N headers.response.set.x-frame-options"],
            ),
            (
                "headers: { response: { set: { strict-transport-security: max-age=9 } } }",
                "headers: { response: { set: { strict-transport-security: max-age=5 } } }",
                &["W headers.response.set.strict-transport-security"],
            ),
            (
                "headers: { response: { set: { x-other: a } } }",
                "headers: { response: { set: { x-other: b } } }",
                &["O headers.response.set.x-other"],
            ),
            ("headers: { response: { remove: [server] } }", "", &["W headers.response.remove"]),
            ("headers: { request: { remove: [x-admin] } }", "", &["W headers.request.remove"]),
            ("", "headers: { request: { remove: [x-admin] } }", &["N headers.request.remove"]),
            (
                "headers: { request: { set: { x-user: none } } }",
                "",
                &["W headers.request.set.x-user"],
            ),
            ("upgrade: none", "", &["W upgrade"]),
        ],
        route,
    );
}

#[test]
fn where_routes_go() {
    holds(
        &[
            ("to: u", "to: v", &["O to"]),
            ("to: { u: 1, v: 1 }", "to: { u: 1, v: 2 }", &["O to"]),
            ("to: u", "to: u, timeouts: { request: 5s }", &["O timeouts.request"]),
            ("to: u", "to: u, retry: 2", &["O retry"]),
            ("to: u", "to: u, strip_prefix: /x", &["O path rewriting"]),
            ("to: u", "to: u, mirror: { to: v, percent: 5% }", &["O mirror"]),
            ("respond: 200", "respond: 204", &["O to"]),
            ("respond: 403", "to: u", &["W to"]),
            ("redirect: https://x.com", "to: u", &["W to"]),
            ("auth: keys, respond: 403", "auth: keys, to: u", &["O to"]),
            ("to: u", "respond: 403", &["O to"]),
            ("priority: 1", "priority: 2", &["O priority"]),
            ("access_log: false", "", &["O access_log"]),
            ("labels: { a: b }", "", &["O labels"]),
            ("errors: html", "", &["O errors"]),
            ("", "enabled: false", &["N "]),
            ("enabled: false", "", &["W "]),
            ("match: [/x, /y]", "", &["N match"]),
            ("", "match: [/x, /y]", &["W match"]),
            ("auth: keys", "auth: keys, match: [/x, /y]", &["O match"]),
            ("match: { path: /x, method: GET }", "", &["W match"]),
        ],
        route,
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn policies_with_a_name_are_told_once() {
    let wrap = |text: &str| {
        format!(
            "policies: {{ {text} }}\nroutes:\n  r: {{ match: /r, respond: 200, rate_limit: p, ip: p, auth: p }}\n  \
             s: {{ match: /s, respond: 200, rate_limit: p, ip: p, auth: p }}\n"
        )
    };
    let base = |rate: &str, ip: &str, auth: &str| {
        format!("rate_limit: {{ p: {rate} }}, ip: {{ p: {{ {ip} }} }}, auth: {{ p: {{ {auth} }} }}")
    };
    let jwt = "jwt: { issuer: \"https://i/\", audience: a }";
    let old = base("{ limit: 10/s }", "allow: [10.0.0.0/8]", jwt);
    for (new, expected) in [
        (
            base("{ limit: 20/s }", "allow: [10.0.0.0/8]", jwt),
            &["Widens policy rate_limit.p limit"][..],
        ),
        (
            base("{ limit: 10/s, key: route }", "allow: [10.0.0.0/8]", jwt),
            &["Widens policy rate_limit.p key"],
        ),
        (base("{ limit: 10/s }", "allow: [0.0.0.0/0]", jwt), &["Widens policy ip.p "]),
        (
            base(
                "{ limit: 10/s }",
                "allow: [10.0.0.0/8]",
                "jwt: { issuer: \"https://i/\", audience: [a, b] }",
            ),
            &["Widens policy auth.p audience"],
        ),
        (
            base(
                "{ limit: 10/s }",
                "allow: [10.0.0.0/8]",
                "jwt: { issuer: \"https://i/\", audience: a, require: { role: x } }",
            ),
            &["Narrows policy auth.p require"],
        ),
        (
            base(
                "{ limit: 10/s }",
                "allow: [10.0.0.0/8]",
                "jwt: { issuer: \"https://i/\", audience: a, leeway: 60s }",
            ),
            &["Widens policy auth.p leeway"],
        ),
        (
            base(
                "{ limit: 10/s }",
                "allow: [10.0.0.0/8]",
                "jwt: { issuer: \"https://j/\", audience: a }",
            ),
            &["Widens policy auth.p issuer", "Widens policy auth.p keys"],
        ),
        (
            base("{ limit: 10/s }", "allow: [10.0.0.0/8]", &format!("{jwt}, mode: shadow")),
            &["Widens policy auth.p mode", "Widens route r auth", "Widens route s auth"],
        ),
    ] {
        let diff = between(&wrap(&old), &wrap(&new));
        let found: Vec<String> = diff
            .changes
            .iter()
            .map(|it| format!("{:?} {} {} {}", it.effect, it.kind, it.name, it.key))
            .collect();
        assert_eq!(found, expected, "{new}\n{diff}");
    }
}

#[test]
fn requests_that_fall_to_a_weaker_route_are_told() {
    let wrap = |text: &str| {
        format!("{COMMON}routes:\n  site: {{ match: shop.example.com, respond: 200 }}\n{text}")
    };
    let admin = "  admin: { match: shop.example.com/admin/**, respond: 200, auth: staff }\n";
    let diff = between(&wrap(admin), &wrap(""));
    let expected = "~ route site  takes: GET shop.example.com/admin, which went to `admin` \
                    (it asked for staff (basic), this for none)  ⚠ widens access";
    assert_eq!(diff.lines()[0], expected, "{diff}");
    // A hole in what was protected, by being more specific.
    let hole = format!(
        "{admin}  hole: {{ match: shop.example.com/admin/up, respond: 200, auth: keys }}\n"
    );
    let diff = between(&wrap(admin), &wrap(&hole));
    assert!(
        diff.lines()[0].starts_with("~ route hole  takes: GET shop.example.com/admin/up"),
        "{diff}"
    );
    // Just as well protected: nothing to see.
    let same = hole.replace("keys", "staff");
    assert!(
        !between(&wrap(admin), &wrap(&same)).widens(),
        "{}",
        between(&wrap(admin), &wrap(&same))
    );
}

/// The part of the path of a route that a stronger one takes goes to it, whatever the order.
#[test]
fn a_renamed_route_is_no_hole() {
    let one = format!("{COMMON}routes: {{ a: {{ match: /x, respond: 200, auth: keys }} }}\n");
    let other = one.replace("{ a: { match", "{ b: { match");
    assert!(!between(&one, &other).widens(), "{}", between(&one, &other));
}
