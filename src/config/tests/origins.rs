//! Where what holds was written: the level that said it last, and the policy it was said in.

use super::{super::model::*, read};

const FILE: &str = "\
version: 1
defaults:
  timeouts: { request: 10s, per_try: 5s }
  retry: 2
  ip: { allow: [10.0.0.0/8] }
  headers: { response: { set: { X-Served-By: edge, X-Old: a } } }
  upstream:
    connect_timeout: 1s
    health: { path: /healthz, every: 5s }
policies:
  timeouts:
    slow: { request: 60s }
  ip:
    office: { allow: [192.0.2.0/24] }
  auth:
    one: { api_key: { from: \"header:x-key\", keys: { a: \"${SECRET}-0123456789\" } } }
    two: { basic: { users: { u: \"{SHA}x\" } } }
upstreams:
  app:
    endpoints: [http://127.0.0.1:1]
    health: { every: 9s }
  plain: http://127.0.0.1:2
routes:
  a:
    match: /a
    to: app
    timeouts: slow
    retry: { times: 3 }
    ip: office
    headers:
      response: { remove: [x-old] }
  b:
    match: /b
    to: plain
    retry: none
    ip: none
    strip_prefix: /b
";

fn config(text: &str) -> Config {
    let text =
        text.replace("{SHA}x", "$2y$12$Lnq8JFo4x0QeKlP.bPmA5OhiO9tYcQEjHkRBWHvFvPwY8u7kGV4uC");
    let loaded = read(&text);
    assert!(loaded.config.is_some(), "{}", loaded.render(false));
    loaded.config.unwrap()
}

/// `key line`, or `key line via line`.
fn told(config: &Config, origins: &Origins, key: &str) -> Vec<String> {
    let line = |place| config.lines.show(place).unwrap().rsplit(':').next().unwrap().to_owned();
    let one = |origin: &&Origin| match origin.via {
        Some(via) => format!("{} {} via {}", origin.key, line(origin.place), line(via)),
        None => format!("{} {}", origin.key, line(origin.place)),
    };
    origins.of(key).iter().map(one).collect()
}

#[test]
fn the_last_level_that_said_it_counts() {
    let config = config(FILE);
    let [a, b] = ["a", "b"].map(|name| &config.routes[name].origins);
    let all: [(&Origins, &str, &[&str]); 12] = [
        (a, "match", &["match 25"]),
        (a, "timeouts", &["timeouts.per_try 3", "timeouts.request 12 via 27"]),
        (a, "retry", &["retry.times 28"]),
        (a, "ip", &["ip 14 via 29", "ip.office 14 via 29"]),
        (
            a,
            "headers.response",
            &[
                "headers.response.set.x-served-by 6",
                "headers.response.set.x-old 6",
                "headers.response.remove.x-old 31",
            ],
        ),
        (b, "timeouts", &["timeouts.request 3", "timeouts.per_try 3"]),
        (b, "retry", &["retry 35"]),
        (b, "ip", &["ip 36"]),
        (b, "strip_prefix", &["strip_prefix 37"]),
        (b, "body", &[]),
        (a, "to", &["to 26"]),
        (a, "priority", &[]),
    ];
    for (origins, key, expected) in all {
        assert_eq!(told(&config, origins, key), expected, "{key}");
    }
    assert_eq!(b.at("timeouts.request").map(|it| it.via), Some(None));
    assert!(b.at("ip.office").is_none() && b.at("retry.times").is_none());
}

#[test]
fn upstreams_have_theirs_too() {
    let config = config(FILE);
    let of = |name: &str, key| told(&config, &config.upstreams[name].origins, key);
    assert_eq!(of("app", "health"), ["health.path 9", "health.every 21"]);
    assert_eq!(of("plain", "health"), ["health.path 9", "health.every 9"]);
    assert_eq!(of("plain", "connect_timeout"), ["connect_timeout 8"]);
}

#[test]
fn each_of_several_policies_is_told() {
    let all = FILE.replace("ip: office", "auth: { any: [one, two] }");
    let config = config(&all);
    let auth = told(&config, &config.routes["a"].origins, "auth");
    assert_eq!(auth, ["auth 29", "auth.one 16 via 29", "auth.two 17 via 29"]);
    let inherited = told(&config, &config.routes["a"].origins, "ip");
    assert_eq!(inherited, ["ip 5"]);
}
