//! Protected routes that take less than before: what falls to a weaker one is told, and nothing else is.

use super::{Diff, between, human};

/// Old and new protected route beside an open one for everything.
fn changed(old: &str, new: &str) -> Diff {
    let file = |protected: &str| {
        format!(
            "listeners: {{ a: \"127.0.0.1:1\", b: \"127.0.0.1:2\" }}\n\
             upstreams: {{ u: http://127.0.0.1:3 }}\n\
             policies: {{ auth: {{ keys: {{ api_key: {{ keys: {{ a: 0123456789abcdef }} }} }}, staff: {{ \
             basic: {{ users: {{ ann: \"$2b$10$abcdefghijklmnopqrstuuK9hfQYC1mDh1kmAkGVJ2Bl3gWlPzF2e\" }} }} }} }} }}\n\
             routes:\n  pub: {{ match: /**, to: u }}\n{protected}"
        )
    };
    let one = |it: &str| match it.starts_with("  ") {
        true => it.to_owned(),
        false => format!("  adm: {{ match: {it}, to: u, auth: keys }}\n"),
    };
    between(&file(&one(old)), &file(&one(new)))
}

#[test]
fn a_protected_route_that_takes_less_widens() {
    for (old, new, shown) in [
        ("/adm/**", "GET /adm/**", "POST example.com/adm,"),
        ("/adm/**", "[GET /adm/**, POST /adm/**]", "PUT example.com/adm,"),
        ("/adm/**", "/adm", "GET example.com/adm/,"),
        ("/adm/**", "[/adm, /adm/a/**]", "GET example.com/adm/,"),
        ("/adm/**", "{ path: /adm/**, listener: a }", "GET example.com/adm,"),
        ("/adm/**", "{ path: /adm/**, headers: { x-b: absent } }", "with header x-b,"),
        ("/adm/**", "{ path: /adm/**, headers: { x-b: present } }", "GET example.com/adm,"),
        ("/adm/**", "{ path: /adm/**, query: { b: absent } }", "GET example.com/adm?…,"),
        ("/adm/**", "{ path: /adm/**, client_ip: 10.0.0.0/8 }", "GET example.com/adm,"),
        ("\"**.x.com\"", "\"*.x.com\"", "GET x.y.x.com/,"),
        ("\"/adm/{a}\"", "\"/adm/{a:[a-z0-9]+}\"", "GET example.com/adm/X,"),
        ("{ path: { regex: ^/adm } }", "{ path: { regex: ^/adm/ } }", "cannot be judged"),
        ("{ path: { regex: \"^/(?i:adm)\" } }", "{ path: { regex: ^/adm } }", "cannot be judged"),
        (
            "{ path: /adm/**, listener: [a, b] }",
            "{ path: /adm/**, listener: b }",
            "GET example.com/adm,",
        ),
    ] {
        let diff = changed(old, new);
        let line = diff.lines().into_iter().find(|it| it.starts_with("~ route pub  takes: "));
        let line = line.unwrap_or_else(|| panic!("{old} → {new}: {diff}"));
        assert!(diff.widens() && line.contains(shown), "{old} → {new}: {line}");
        assert!(line.contains("`adm` (it asked for keys (api_key), this for none)"), "{line}");
    }
}

#[test]
fn whatever_a_route_asks_for_counts() {
    for (guard, words) in [
        ("to: u, ip: { allow: 10.0.0.0/8 }", "it asked for ip inline, this for none"),
        ("to: u, layers: [{ name: own, at: start }]", "it asked for layer own, this for none"),
        ("to: u, rate_limit: 10/s", "it asked for rate_limit 10/s, this for none"),
        ("to: u, concurrency: 3", "it asked for concurrency 3 at once, this for none"),
        ("to: u, authorize: { deny: 'true' }", "it asked for authorize, this for none"),
        ("respond: 403", "it was respond 403, this goes to u"),
        ("redirect: https://x.com", "it was redirect 308, this goes to u"),
    ] {
        let diff = changed(
            &format!("  adm: {{ match: /adm/**, {guard} }}\n"),
            &format!("  adm: {{ match: /adm/a/**, {guard} }}\n"),
        );
        assert!(diff.widens() && human(&diff).contains(words), "{guard}: {diff}");
    }
}

#[test]
fn what_is_as_well_protected_as_before_is_no_alarm() {
    let two = |first: &str, second: &str| {
        format!(
            "  one: {{ match: {first}, to: u, auth: keys }}\n  two: {{ match: {second}, to: u, auth: keys }}\n"
        )
    };
    for (old, new) in [
        ("/adm/**", "  other: { match: /adm/**, to: u, auth: keys }\n".to_owned()),
        (
            "/adm/**",
            "  other: { match: /adm/**, to: u, auth: { all: [keys, staff] } }\n".to_owned(),
        ),
        ("/adm/**", "[/adm/**, /adm/b]".to_owned()),
        ("[GET /adm/**, POST /adm/**]", "/adm/**".to_owned()),
        ("[GET /adm/**, POST /adm/**]", two("GET /adm/**", "POST /adm/**")),
        ("{ path: /adm/**, method: [GET, POST] }", two("GET /adm/**", "POST /adm/**")),
        ("/adm/**", two("{ path: /adm/**, listener: a }", "{ path: /adm/**, listener: b }")),
        ("[/adm/**, /ops/**]", two("/ops/**", "/adm/**")),
        ("\"/adm/{a}\"", "\"/adm/{b}\"".to_owned()),
        ("\"/adm/{a:[0-9]+}\"", "/adm/**".to_owned()),
        ("*.x.com", "\"**.x.com\"".to_owned()),
    ] {
        let old = old.replace("*.x.com", "\"*.x.com\"");
        let diff = changed(&old, &new);
        assert!(!diff.widens() && !diff.is_empty(), "{old} → {new}: {diff}");
    }
    // Policies without a name are the same only if they do the same.
    let key = |name: &str, consumer: &str| {
        format!(
            "  {name}: {{ match: /adm/**, to: u, auth: {{ api_key: {{ keys: {{ {consumer}: 0123456789abcdef }} }} }} }}\n"
        )
    };
    assert!(!changed(&key("one", "a"), &key("two", "a")).widens());
    let diff = changed(&key("one", "a"), &key("two", "b"));
    assert!(diff.lines()[0].starts_with("~ route two  takes: GET example.com/adm,"), "{diff}");
    // A smaller limit under another name is as strict.
    let limit = |name: &str, many: u32| {
        format!("  {name}: {{ match: /adm/**, to: u, auth: keys, rate_limit: {many}/s }}\n")
    };
    assert!(!changed(&limit("one", 9), &limit("two", 8)).widens());
    assert!(changed(&limit("one", 9), &limit("two", 10)).widens());
}

#[test]
fn a_listener_with_another_name_is_the_same_one() {
    let file = |name: &str, rule: &str| {
        format!(
            "listeners: {{ {name}: \"127.0.0.1:8080\", more: \"127.0.0.1:8081\" }}\n\
             routes:\n  adm: {{ match: {{ path: /x, listener: {name} }}, respond: 200{rule} }}\n"
        )
    };
    let diff = between(&file("http", ""), &file("web", ""));
    assert_eq!(diff.lines(), ["~ listener web  name: http → web"], "{diff}");
    // What is different besides is told as of any listener.
    let more = file("web", "").replace(
        "web: \"127.0.0.1:8080\"",
        "web: { address: \"127.0.0.1:8080\", max_connections: 9 }",
    );
    let diff = between(&file("http", ""), &more);
    assert!(diff.to_string().contains("~ listener web  max_connections: "), "{diff}");
    assert!(!diff.widens(), "{diff}");
    let rule = ", authorize: { deny: 'client.listener == \"http\"' }";
    assert!(between(&file("http", rule), &file("web", rule)).widens());
}

#[test]
fn proxies_that_are_trusted_no_more_cannot_be_judged_where_addresses_decide() {
    let file = |trusted: &str, rule: &str| {
        format!(
            "listeners: {{ a: {{ address: \":1\"{trusted} }} }}\nroutes: {{ r: {{ match: /x, respond: 200{rule} }} }}\n"
        )
    };
    let trusted = ", trusted_proxies: [10.0.0.0/8]";
    for (rule, widens) in [
        ("", false),
        (", ip: { allow: 10.0.0.0/8 }", true),
        (", ip: { allow: 10.0.0.0/8, mode: shadow }", false),
        (", rate_limit: 10/s", true),
        (", rate_limit: { limit: 10/s, key: route }", false),
        (", concurrency: { limit: 3, key: client_ip }", true),
        (", authorize: { allow: 'inNetwork(client.ip, \"10.0.0.0/8\")' }", true),
    ] {
        let diff = between(&file(trusted, rule), &file("", rule));
        assert_eq!(diff.widens(), widens, "{rule}: {diff}");
        assert_eq!(diff.to_string().contains("cannot be judged"), widens, "{rule}: {diff}");
        assert!(between(&file("", rule), &file(trusted, rule)).widens(), "{rule}");
    }
}

#[test]
fn values_are_told_as_the_operator_writes_them() {
    let with = |policies: &str, rule: &str| {
        format!(
            "policies: {{ {policies} }}\nroutes: {{ r: {{ match: /x, respond: 200, {rule} }}, s: {{ match: /s, respond: 200, {rule} }} }}\n"
        )
    };
    let jwt = |more: &str| {
        with(
            &format!("auth: {{ j: {{ jwt: {{ issuer: \"https://i/\", audience: a{more} }} }} }}"),
            "auth: j",
        )
    };
    let headers = |set: &str| {
        with(&format!("headers: {{ h: {{ response: {{ set: {{ {set} }} }} }} }}"), "headers: h")
    };
    let san = |names: &str| {
        format!(
            "listeners: {{ a: {{ address: \":1\", tls: {{ client_auth: {{ mode: require, ca: /ca.pem }} }} }} }}\n\
             tls: {{ certificates: [{{ cert: /c, key: /k }}] }}\n\
             routes: {{ r: {{ match: /x, respond: 200, auth: {{ client_cert: {{ san: [{names}] }} }} }} }}\n"
        )
    };
    for (old, new, line) in [
        (
            san("\"spiffe://prod/ns/a\", \"dns:a.b\""),
            san("\"spiffe://prod/ns/*\", \"dns:a.b\""),
            "auth.san: +spiffe://prod/ns/*, -spiffe://prod/ns/a  ⚠",
        ),
        (
            with("", "rate_limit: { limit: 10/s, burst: 3 }"),
            with("", "rate_limit: { limit: 10/s, burst: 30 }"),
            "rate_limit.limit: 10/s with a burst of 3 → 10/s with a burst of 30; counts from nothing",
        ),
        (jwt(", require: { scope: a }"), jwt(""), "require: scope (1) → none"),
        (
            with("", "concurrency: 9"),
            with("", "concurrency: { limit: 9, queue: 1000 }"),
            "concurrency.queue: as many (9) → 1000",
        ),
        (
            headers("x-a: b, x-frame-options: DENY"),
            headers("x-a: b"),
            "~ 2 routes: r, s  headers.response.set.x-frame-options: DENY → none",
        ),
    ] {
        let diff = between(&old, &new);
        assert!(diff.to_string().contains(line), "{line}\n{diff}");
    }
}

#[test]
fn thousands_of_routes_that_take_less_are_compared_in_a_moment() {
    let all = |tail: &str| {
        let one = |at: usize| format!("  r{at}: {{ match: /a{at}{tail}, to: u, auth: keys }}\n");
        (0..2_000).map(one).collect::<String>()
    };
    let start = tokio::time::Instant::now();
    let diff = changed(&all("/**"), &all("/x/**"));
    let told = diff.changes.iter().filter(|it| it.key == "takes").count();
    assert_eq!(told, 2_000);
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}
