//! What is shown of files is what they say: it loads, and is the same configuration.

use std::fs;

use super::{
    super::{Input, load, model::Config, show},
    env,
};
use crate::runtime::diff::Diff;

fn inputs(text: &str) -> Vec<Input> {
    vec![Input::Text { name: "routes.yaml".to_owned(), text: text.to_owned() }]
}

fn config(text: &str) -> Config {
    let loaded = load(&inputs(text), &env);
    assert!(loaded.config.is_some(), "{}\n{text}", loaded.render(false));
    loaded.config.unwrap()
}

fn shown(text: &str, effective: bool) -> String {
    show(&inputs(text), &env, effective, None).yaml()
}

/// The same but for where things stand, and the tests, whose headers are not shown.
#[track_caller]
fn same(a: &Config, b: &Config) {
    assert_eq!(Diff::between(a, b).lines(), [""; 0]);
    assert_eq!(a.tests.len(), b.tests.len());
}

/// Levels that merge and levels that replace, all short forms, none everywhere.
const LEVELS: &str = "\
version: 1
defaults:
  timeouts: { request: 20s, idle: 50s }
  retry: { times: 2, when: [connect, 503], backoff: 50ms }
  body: none
  headers:
    request: { set: { X-A: a, X-B: b }, remove: [X-Gone, X-Kept] }
    response: { add: { X-C: [c, d] } }
  auth: team
  rate_limit: [10/s, many]
  priority_class: { by: consumer, classes: { ann: high }, default: low }
  upstream:
    connect_timeout: 3s
    health: /up
    breaker: { errors: 20% }
    lb: hash
    hash_on: path
    limits: { requests: 9 }
policies:
  auth:
    team: { api_key: { keys: { ann: \"${PARTNER_A_KEY}\" } } }
  rate_limit: { many: 100/min }
  timeouts: { slow: { request: 90s, idle: none } }
  headers: { clean: { request: { remove: [x-a] }, response: { set: { x-c: e } } } }
  retry: { once: { times: 1, methods: any } }
  body: { small: { max: 1KiB } }
upstreams:
  one: http://127.0.0.1:1
  two: [http://127.0.0.1:2, { url: http://127.0.0.1:3, weight: 2 }]
  three: { endpoints: http://127.0.0.1:4, health: { grpc: a.B, every: 9s }, breaker: none, lb: random, limits: { queue: 1 } }
routes:
  plain: { match: /plain, to: one }
  named: { match: /named, to: { two: 1, three: 2 }, timeouts: slow, headers: clean, retry: once, body: small }
  short: { match: /short, to: \"http://127.0.0.1:5\", retry: 3, body: 2MiB, mirror: two }
  off: { match: /off, to: one, retry: none, headers: none, auth: none, rate_limit: none, body: { buffer: true } }
  here: { match: \"GET /here\", respond: 204, auth: none, rate_limit: none }
  away: { match: [a.example.com, { host: b.example.com, path: \"/x/{id:[0-9]+}/**\" }], redirect: /, auth: none, rate_limit: none }
";

/// Nothing is inherited, and all is said again.
const NOTHING: &str = "\
version: 1
defaults:
  retry: none
  headers: none
  body: 1MiB
  auth: none
  upstream: { health: none, breaker: none, slow_start: none, limits: { adaptive: true } }
upstreams:
  u: { endpoints: \"http://127.0.0.1:1\", health: { path: /, every: 9s }, breaker: { probes: 1 }, limits: { adaptive: none } }
  v: { endpoints: [\"http://127.0.0.1:2\"], health: /up }
routes:
  a: { match: /a, to: u, retry: { times: 1 }, headers: { response: { set: { X-A: b } } }, body: { buffer: true } }
  b: { match: /b, to: v, retry: 1, body: none }
  c: { match: /c, to: { u: 1, \"http://127.0.0.1:3\": 1 } }
";

#[test]
fn what_is_shown_loads_and_is_the_same() {
    let built = include_str!("corpus/built.yaml");
    let shop = include_str!("../../explain/tests/shop.yaml");
    for text in [
        LEVELS,
        NOTHING,
        built,
        shop,
        include_str!("../../../routes.yaml"),
        include_str!("corpus/hello.yaml"),
        include_str!("../../../examples/limits.yaml"),
        include_str!("../../../examples/overload.yaml"),
        include_str!("../../../examples/resilient.yaml"),
        include_str!("../../../examples/global-limits.yaml"),
        include_str!("../../../examples/authorize.yaml"),
    ] {
        let config = config(text);
        for effective in [false, true] {
            let shown = shown(text, effective);
            let loaded = load(&inputs(&shown), &env);
            assert!(loaded.config.is_some(), "{}\n{shown}", loaded.render(false));
            if !shown.contains("redacted") {
                same(&config, &loaded.config.unwrap());
            }
        }
    }
    assert!(!shown(LEVELS, true).contains("redacted") && shown(shop, true).contains("redacted"));
}

#[test]
fn each_value_says_where_it_comes_from() {
    let said = shown(LEVELS, true);
    let line = |part: &str| {
        let route = said.split("\n  named:\n").nth(1).unwrap();
        let line = route.lines().find(|line| line.trim_start().starts_with(part));
        line.unwrap_or_else(|| panic!("no {part} in:\n{route}"))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    for expected in [
        "request: 90s # policies routes.yaml:23",
        "idle: none # policies routes.yaml:23",
        "times: 1 # policies routes.yaml:25",
        "backoff: 50ms # defaults routes.yaml:4",
        "# budget: 20% # built in",
        "max: 1KiB # policies routes.yaml:26",
        "auth: team # defaults routes.yaml:9",
        "two: 1 # routes.yaml:33",
        "# errors: auto # built in",
    ] {
        assert_eq!(
            line(
                expected
                    .split(' ')
                    .take(if expected.starts_with('#') { 2 } else { 1 })
                    .collect::<Vec<_>>()
                    .join(" ")
                    .as_str()
            ),
            expected
        );
    }
    assert!(said.contains("ann: \"${PARTNER_A_KEY}\""), "{said}");
}

#[test]
fn nothing_secret_is_shown() {
    let text = "version: 1\npolicies:\n  auth:\n    \
        a: { api_key: { keys: { ann: \"${SECRET}-planted-here\", bob: planted-literal-1, cy: \"${UNSET_X:-planted-default-0123}\" } } }\n    \
        b: { oidc: { issuer: \"https://i.example.com\", client_id: c, client_secret: planted-client, secrets: [planted-0123456789-0123456789-01] } }\n\
        routes:\n  a:\n    match: /a\n    to: http://127.0.0.1:1\n    auth: { any: [a, b] }\n    \
        headers: { request: { set: { Authorization: Bearer planted-bearer, X-Token: planted-token, X-Plain: seen, X-Author: me } } }\n  \
        b: { match: { path: /b, headers: { X-Api-Key: planted-match } }, redirect: \"https://user:planted-user@x.example.com/\" }\n\
        tests: [{ request: GET http://a/a, headers: { X-Api-Key: planted-test }, route: a }]\n";
    config(text);
    for effective in [false, true] {
        for route in [None, Some("a"), Some("b")] {
            let shown = show(&inputs(text), &env, effective, route);
            let all = format!("{}{:#}", shown.yaml(), shown.json());
            assert!(!all.contains("planted") && !all.contains("hunter2"), "{all}");
            assert!(
                all.starts_with("# Secrets that are written in the files are not shown"),
                "{all}"
            );
            config(&shown.yaml());
            config(&shown.json()["config"].to_string());
        }
    }
    let said = shown(text, false);
    assert!(
        said.contains("cy: \"${UNSET_X:-redacted-")
            && said.contains("X-Plain: seen")
            && said.contains("X-Author: me"),
        "{said}"
    );
}

/// Every place of a secret, each with a form of its own.
const SECRETS: &str = "\
version: 1
stores:
  one: { redis: \"redis://:planted-redis@127.0.0.1:1\" }
  two: { redis: \"redis://me:${SECRET}@127.0.0.1:2\" }
  three: { redis: \"redis://127.0.0.1:3\", password: planted-store }
policies:
  auth:
    plain: { api_key: { keys: { ann: [planted-key-0123456789, planted-key-9876543210], bob: planted-key-bob-012345 } } }
    hashed: { api_key: { hash: sha256, keys: { ann: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa } } }
    users: { basic: { users: { ann: \"$2b$12$aaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.\" } } }
    signed: { signature: { keys: { ann: [{ id: first, secret: planted-0123456789-0123456789-01, algorithm: hmac-sha256 }] } } }
    login: { oidc: { issuer: \"https://i.example.com\", client_id: c, client_secret: planted-client, secrets: [planted-0123456789-0123456789-01, planted-0123456789-0123456789-02] } }
  rate_limit:
    many: { limit: 10/s, store: one }
    more: { limit: 10/s, store: two }
    most: { limit: 10/s, store: three }
upstreams:
  u: { endpoints: [\"http://127.0.0.1:1\"], sticky: { cookie: c, secret: planted-0123456789 } }
routes:
  a: { match: /a, to: u, auth: { any: [plain, hashed, users] }, rate_limit: [many, more, most] }
  b: { match: /b, to: u, auth: signed, headers: { request: { set: { Authorization: \"Bearer ${SECRET}\", X-Say: \"$${this}\" } } } }
  c: { match: /c, to: u, auth: login }
tests:
  - { request: GET http://a/a, headers: { X-Api-Key: planted-key }, consumer: ann, claims: { n: 0x1F }, route: a }
";

#[test]
fn words_that_stand_for_secrets_have_the_form_that_is_asked_for() {
    let written = config(SECRETS);
    let yaml = shown(SECRETS, false);
    for hidden in ["planted", "hunter2", "aaaaaa"] {
        assert!(!yaml.contains(hidden), "{hidden}:\n{yaml}");
    }
    for seen in [
        "redis: \"redis://:redacted@127.0.0.1:1\"",
        "redis: \"redis://redacted:${SECRET}@127.0.0.1:2\"",
        "id: \"first\"",
        "algorithm: \"hmac-sha256\"",
        "Authorization: \"Bearer ${SECRET}\"",
        "X-Say: \"$${this}\"",
    ] {
        assert!(yaml.contains(seen), "no {seen} in:\n{yaml}");
    }
    let json = show(&inputs(SECRETS), &env, false, None).json()["config"].to_string();
    for text in [yaml, json] {
        let shown = config(&text);
        assert_eq!(shown.routes.len(), 3);
        assert_eq!(shown.tests[0].asked.caller, written.tests[0].asked.caller);
        // Nothing but the secrets is another.
        let changed = Diff::between(&written, &shown).lines();
        let secret =
            |line: &String| line.starts_with("~ policy auth.") || line.contains("user or password");
        let rest: Vec<_> = changed.iter().filter(|line| !secret(line)).collect();
        assert!(
            rest.iter().all(|line| line.starts_with("= ") || line.contains("sticky")),
            "{rest:#?}"
        );
    }
}

#[test]
fn text_that_looks_like_a_number_stays_as_it_was_written() {
    let text = "version: 1\nroutes: { a: { respond: 200, labels: { a: 0x1F, b: 1e3, c: +5, d: 1.50, e: 7 } } }\n";
    let json = show(&inputs(text), &env, false, None).json()["config"].clone();
    assert_eq!(
        json["routes"]["a"]["labels"].to_string(),
        r#"{"a":"0x1F","b":"1e3","c":"+5","d":"1.50","e":7}"#
    );
    same(&config(text), &config(&json.to_string()));
}

/// A main file and `team/team.yaml`.
fn two(home: &std::path::Path, main: &str, team: &str) -> Vec<Input> {
    fs::create_dir_all(home.join("team")).unwrap();
    fs::write(home.join("routes.yaml"), format!("version: 1\ninclude: [team/*.yaml]\n{main}"))
        .unwrap();
    fs::write(home.join("team/team.yaml"), team).unwrap();
    vec![Input::File(home.join("routes.yaml"))]
}

#[test]
fn urls_of_included_files_keep_the_settings_of_their_file() {
    let home = tempfile::tempdir().unwrap();
    let main = "defaults: { upstream: { connect_timeout: 3s } }\nroutes: { m: { match: /m, to: \"http://127.0.0.1:9\" } }\n";
    let team = |one: &str, two: &str, more: &str| {
        format!(
            "defaults: {{ upstream: {{ lb: random }} }}\nupstreams: {{ b-to1: \"http://127.0.0.1:8\"{more} }}\nroutes:\n  \
             a: {{ match: /a, to: b-to1, mirror: \"{one}\" }}\n  b: {{ match: /b, to: {{ \"{one}\": 1, \"{two}\": 2 }} }}\n"
        )
    };
    let inputs = two(home.path(), main, &team("http://127.0.0.1:1", "http://127.0.0.1:2", ""));
    let shown = show(&inputs, &env, false, None).yaml();
    // In one file they need names: this is what somebody would write who gave them.
    let more = ", a-to1: \"http://127.0.0.1:1\", b-to2: \"http://127.0.0.1:2\"";
    let inputs = two(home.path(), main, &team("a-to1", "b-to2", more));
    let loaded = load(&inputs, &env);
    let named = loaded.config.as_ref().unwrap_or_else(|| panic!("{}", loaded.render(false)));
    same(named, &config(&shown));
    assert!(
        shown.contains("http://127.0.0.1:9") && shown.contains("connect_timeout: 3s"),
        "{shown}"
    );
}

#[test]
fn files_named_beside_an_included_file_are_still_found() {
    let home = tempfile::tempdir().unwrap();
    let main = "routes: { m: { match: \"/${file:name}\", respond: 200 } }\n";
    let inputs = two(
        home.path(),
        main,
        "routes: { t: { match: \"/${file:name}\", respond: 200, labels: { a: \"$${file:name}\" } } }\n",
    );
    fs::write(home.path().join("name"), "main\n").unwrap();
    fs::write(home.path().join("team/name"), "team\n").unwrap();
    let loaded = load(&inputs, &env).config.unwrap();
    let shown = show(&inputs, &env, false, None).yaml();
    assert!(shown.contains("\"$${file:name}\""), "{shown}");
    same(&loaded, &config(&shown));
}

#[test]
fn names_of_the_operator_are_no_secrets() {
    let text = "version: 1\nupstreams: { basic: \"http://127.0.0.1:1\", tests: \"http://127.0.0.1:2\" }\n\
                policies: { rate_limit: { oidc: 100/min } }\n\
                routes: { a: { to: { basic: 1, tests: 2 }, rate_limit: oidc, labels: { etcd: x } } }\n";
    let said = shown(text, true);
    assert!(!said.contains("redacted"), "{said}");
    same(&config(text), &config(&said));
}

#[test]
fn one_route_comes_with_what_it_names() {
    let shown = show(&inputs(LEVELS), &env, false, Some("named")).yaml();
    for part in ["  named:\n", "  two:\n", "  three:\n", "    team:\n", "    many: 100/min"] {
        assert!(shown.contains(part), "no {part:?} in:\n{shown}");
    }
    for part in ["  plain:", "  one:", "listeners:", "slow:"] {
        assert!(!shown.contains(part), "{part:?} in:\n{shown}");
    }
    let mut whole = config(LEVELS);
    whole.routes.retain(|name, _| &**name == "named");
    whole.upstreams.retain(|name, _| ["two", "three"].contains(&&**name));
    same(&whole, &config(&shown));
}

#[test]
fn included_files_are_taken_in_with_their_own_defaults() {
    let home = tempfile::tempdir().unwrap();
    let main = home.path().join("routes.yaml");
    fs::write(&main, "version: 1\ninclude: [team.yaml]\ndefaults: { timeouts: { request: 10s, idle: 5s } }\nroutes: { a: { match: /a, respond: 200 } }\n").unwrap();
    fs::write(home.path().join("team.yaml"), "defaults: { timeouts: { request: 20s }, upstream: { lb: random } }\nupstreams: { u: \"http://127.0.0.1:1\" }\nroutes: { b: { match: /b, to: u } }\n").unwrap();
    let inputs = [Input::File(main)];
    let loaded = load(&inputs, &env).config.unwrap();
    let shown = show(&inputs, &env, false, None).yaml();
    assert!(
        shown.contains("request: 20s")
            && shown.contains("team.yaml:1")
            && !shown.contains("include"),
        "{shown}"
    );
    same(&loaded, &config(&shown));
}

#[test]
fn programs_get_origins_by_pointer() {
    let all = show(&inputs(LEVELS), &env, true, None).json();
    assert_eq!(all["config"]["routes"]["named"]["timeouts"]["request"], "90s");
    assert_eq!(all["origins"]["/routes/named/timeouts/request"], "policies routes.yaml:23");
    assert_eq!(all["built_in"]["/routes/named/errors"], "auto");
    // JSON is YAML: it loads as well.
    let text = all["config"].to_string();
    same(&config(LEVELS), &config(&text));
}
