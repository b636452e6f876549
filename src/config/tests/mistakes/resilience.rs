//! What upstreams say about endpoints that fail, and the choice between endpoints.

use super::*;

const HEALTH: &[Case] = &[
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], health: healthz } }",
        &[
            "5:68: `health` in upstream `x` must be a path that starts with `/`, not `healthz` (did you mean `/healthz`?)",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], health: \"http://a/healthz\" } }",
        &[
            "5:68: `health` in upstream `x` must be a path that starts with `/`, not `http://a/healthz`",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], health: [/a] } }",
        &["5:68: `health` of upstream `x` must be a map, not a list"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], health: } }",
        &["5:60: `health` of upstream `x` is empty"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], health: true } }",
        &["5:68: `health` in upstream `x` must be a path that starts with `/`, not `true`"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], health: {} } }",
        &["5:68: `health` of upstream `x` has no `path` or `grpc`"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], health: { every: 5s } } }",
        &["5:68: `health` of upstream `x` has no `path` or `grpc`"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], health: { path: /a, grpc: a } } }",
        &["5:86: `health` of upstream `x` has both `path` and `grpc` (take one of them out)"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], health: { grpc: [a] } } }",
        &["5:76: `grpc` in `health` of upstream `x` must be the name of a service, not a list"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], health: { path: /a, evry: 5s } } }",
        &["5:80: unknown key `evry` in `health` of upstream `x` (did you mean `every`?)"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], health: { path: /a, every: 5 } } }",
        &["5:87: `every` in `health` of upstream `x` has no unit: `5` (did you mean `5s`?)"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], health: { path: /a, every: 400ms } } }",
        &["5:87: `every` in `health` of upstream `x` must be at least 500ms"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], health: { path: /a, every: 1s } } }",
        &[
            "5:87: `timeout` is longer than `every` in `health` of upstream `x` (`timeout` is 2000ms here, `every` 1000ms)",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], health: { path: /a, every: 2s, timeout: 3s } } }",
        &[
            "5:100: `timeout` is longer than `every` in `health` of upstream `x` (`timeout` is 3000ms here, `every` 2000ms)",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], health: { path: /a, expect: 2xx } } }",
        &[
            "5:88: `expect` in `health` of upstream `x` must be a status or a range of them, not `2xx` (like `404` or `400-599`)",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], health: { path: /a, expect: [] } } }",
        &["5:88: `expect` in `health` of upstream `x` is an empty list"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], health: { path: /a, expect: 299-200 } } }",
        &[
            "5:88: `expect` in `health` of upstream `x` must be a status or a range of them, not `299-200` (like `404` or `400-599`)",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], health: { path: /a, healthy_after: 0, unhealthy_after: 21 } } }",
        &[
            "5:95: `healthy_after` in `health` of upstream `x` must be a whole number from 1 to 20, not `0`",
            "5:115: `unhealthy_after` in `health` of upstream `x` must be a whole number from 1 to 20, not `21`",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], health: { path: /a, host: \"a b\" } } }",
        &["5:86: `host` in `health` of upstream `x` must be a host, not `a b`"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], health: { path: /a, initial: unhealthi } } }",
        &[
            "5:89: `initial` in `health` of upstream `x` must be one of `healthy`, `unhealthy`, not `unhealthi` (did you mean `unhealthy`?)",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], health: { path: /a, on_none_healthy: useall } } }",
        &[
            "5:97: `on_none_healthy` in `health` of upstream `x` must be one of `fail`, `use_all`, not `useall` (did you mean `use_all`?)",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], health: { grpc: a }, protocol: h1 } }",
        &["5:68: `health` in upstream `x` speaks gRPC, `protocol: h1` cannot (gRPC needs HTTP/2)"],
    ),
    (
        "  b: { to: x }\ndefaults: { upstream: { health: { grpc: a } } }\nupstreams: { x: { endpoints: \"http://a:1\", protocol: h1 } }",
        &["6:54: `health` in upstream `x` speaks gRPC, `protocol: h1` cannot (gRPC needs HTTP/2)"],
    ),
    (
        "  b: { to: x }\ndefaults: { upstream: { health: { path: /a, timeout: 5s } } }\nupstreams: { x: { endpoints: \"http://a:1\", health: { every: 3s } } }",
        &[
            "6:61: `timeout` is longer than `every` in `health` of upstream `x` (`timeout` is 5000ms here, `every` 3000ms)",
        ],
    ),
];

#[test]
fn health() {
    check(HEALTH);
}

const OUTLIER_AND_BREAKER: &[Case] = &[
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], outlier: true } }",
        &[
            "5:69: `outlier` in upstream `x` must be a map or none, not `true` (`{}` takes all defaults)",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], outlier: 5 } }",
        &["5:69: `outlier` of upstream `x` must be a map, not `5`"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], outlier: { after: 0 } } }",
        &[
            "5:78: `after` in `outlier` of upstream `x` must be a whole number from 1 to 1000000, not `0`",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], outlier: { aftr: 1 } } }",
        &["5:71: unknown key `aftr` in `outlier` of upstream `x` (did you mean `after`?)"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], outlier: { eject_for: 30, max_ejected: 50 } } }",
        &[
            "5:82: `eject_for` in `outlier` of upstream `x` has no unit: `30` (did you mean `30s`?)",
            "5:99: `max_ejected` in `outlier` of upstream `x` has no unit: `50` (did you mean `50%`?)",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], outlier: { max_ejected: 101% } } }",
        &[
            "5:84: `max_ejected` in `outlier` of upstream `x` must be a percentage, not `101%` (like `0%`, `2.5%`, `100%`)",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], breaker: on } }",
        &["5:69: `breaker` of upstream `x` must be a map, not `on`"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], breaker: { errors: 0% } } }",
        &["5:79: `errors` in `breaker` of upstream `x` must be from 1% to 100%, not `0%`"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], breaker: { errors: 50 } } }",
        &["5:79: `errors` in `breaker` of upstream `x` has no unit: `50` (did you mean `50%`?)"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], breaker: { count: [conect] } } }",
        &[
            "5:79: `count` in `breaker` of upstream `x` must be one of `connect`, `reset`, `timeout`, `5xx` or a status, not `conect` (did you mean `connect`?)",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], breaker: { count: [4xx, 999] } } }",
        &[
            "5:79: `count` in `breaker` of upstream `x` must be a status or a range of them, not `4xx` (like `404` or `400-599`)",
            "5:84: `count` in `breaker` of upstream `x` must be a status or a range of them, not `999` (like `404` or `400-599`)",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], breaker: { count: none } } }",
        &[
            "5:78: `count` in `breaker` of upstream `x` must be one of `connect`, `reset`, `timeout`, `5xx` or a status, not `none`",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], breaker: { count: [] } } }",
        &["5:78: `count` in `breaker` of upstream `x` is an empty list"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], breaker: { min_requests: 0, window: 0s, open_for: 5, probes: many } } }",
        &[
            "5:85: `min_requests` in `breaker` of upstream `x` must be a whole number from 1 to 1000000, not `0`",
            "5:96: `window` in `breaker` of upstream `x` must be at least 1ms",
            "5:110: `open_for` in `breaker` of upstream `x` has no unit: `5` (did you mean `5s`?)",
            "5:121: `probes` in `breaker` of upstream `x` must be a whole number from 1 to 1000000, not `many`",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], breaker: { threshold: 5 } } }",
        &[
            "5:71: unknown key `threshold` in `breaker` of upstream `x` (known keys: `errors`, `count`, `min_requests`, `window`, `open_for`, `probes`)",
        ],
    ),
];

#[test]
fn outlier_and_breaker() {
    check(OUTLIER_AND_BREAKER);
}

const CHOICE: &[Case] = &[
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], lb: hash } }",
        &["5:64: `lb: hash` in upstream `x` needs `hash_on` (like `hash_on: client_ip`)"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], hash_on: client_ip } }",
        &["5:69: `hash_on` in upstream `x` needs `lb: hash`"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], lb: hash, hash_on: clientip } }",
        &[
            "5:79: `hash_on` in upstream `x` must be client_ip, path, header:NAME, cookie:NAME or query:NAME, not `clientip` (did you mean `client_ip`?)",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], lb: hash, hash_on: header } }",
        &[
            "5:79: `hash_on` in upstream `x` must be client_ip, path, header:NAME, cookie:NAME or query:NAME, not `header` (did you mean `header:NAME`?)",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], lb: hash, hash_on: \"header:a b\" } }",
        &[
            "5:79: `hash_on` in upstream `x` must be client_ip, path, header:NAME, cookie:NAME or query:NAME, not `header:a b`",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], lb: hash, hash_on: \"cookie:a;b\" } }",
        &[
            "5:79: `hash_on` in upstream `x` must be client_ip, path, header:NAME, cookie:NAME or query:NAME, not `cookie:a;b`",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], lb: hash, hash_on: \"query:\" } }",
        &[
            "5:79: `hash_on` in upstream `x` must be client_ip, path, header:NAME, cookie:NAME or query:NAME, not `query:` (did you mean `query:NAME`?)",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], lb: peak_emwa } }",
        &[
            "5:64: `lb` in upstream `x` must be one of `round_robin`, `least_requests`, `random`, `peak_ewma`, `hash`, not `peak_emwa` (did you mean `peak_ewma`?)",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], lb: hash, hash_on: path, sticky: { cookie: c } } }",
        &[
            "5:93: `sticky` and `lb: hash` in upstream `x`: the cookie wins (the hash chooses only for clients without the cookie)",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], lb: hash, hash_on: path, slow_start: 30s } }",
        &[
            "5:97: `slow_start` in upstream `x` has no effect with `lb: hash` (a key stays with its endpoint, warm or not)",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], lb: hsh, hash_on: path } }",
        &[
            "5:64: `lb` in upstream `x` must be one of `round_robin`, `least_requests`, `random`, `peak_ewma`, `hash`, not `hsh` (did you mean `hash`?)",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], slow_start: 30 } }",
        &["5:72: `slow_start` in upstream `x` has no unit: `30` (did you mean `30s`?)"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], slow_start: soon } }",
        &[
            "5:72: `slow_start` in upstream `x` must be a duration, not `soon` (like `250ms`, `10s`, `5m`)",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], sticky: tg } }",
        &["5:68: `sticky` of upstream `x` must be a map, not «redacted»"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], sticky: {} } }",
        &["5:68: `sticky` of upstream `x` has no `cookie`"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], sticky: { cookie: \"a b\" } } }",
        &["5:78: `cookie` in `sticky` of upstream `x` must be a name a cookie can have, not `a b`"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], sticky: { cookie: c, ttl: 0s } } }",
        &["5:86: `ttl` in `sticky` of upstream `x` must be at least 1000ms"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], sticky: { cookie: c, ttl: 1 } } }",
        &["5:86: `ttl` in `sticky` of upstream `x` has no unit: `1` (did you mean `1s`?)"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], sticky: { cookie: c, secret: hunter2 } } }",
        &["5:89: `secret` in `sticky` of upstream `x` must have at least 16 characters"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], sticky: { cookie: c, secret: [hunter2] } } }",
        &["5:89: `secret` in `sticky` of upstream `x` must be text, not a list"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [\"http://a:1\", \"http://b:1\"], sticky: { coki: c } } }",
        &[
            "5:68: `sticky` of upstream `x` has no `cookie`",
            "5:70: unknown key `coki` in `sticky` of upstream `x` (known keys: `cookie`, `ttl`, `secret`)",
        ],
    ),
    (
        "  b: { to: x }\ndefaults: { upstream: { lb: hash } }\nupstreams: { x: \"http://a:1\" }",
        &["5:29: `lb: hash` in upstream of `defaults` needs `hash_on` (like `hash_on: client_ip`)"],
    ),
    (
        "  b: { to: x }\ndefaults: { upstream: { lb: hash, hash_on: path, slow_start: 5s, sticky: { cookie: c } } }\nupstreams: { x: \"http://a:1\" }",
        &[
            "5:62: `slow_start` in upstream of `defaults` has no effect with `lb: hash` (a key stays with its endpoint, warm or not)",
            "5:74: `sticky` and `lb: hash` in upstream of `defaults`: the cookie wins (the hash chooses only for clients without the cookie)",
        ],
    ),
    (
        "  b: { to: x }\ndefaults: { upstream: { sticky: { cookie: c } } }\nupstreams: { x: { endpoints: \"http://a:1\", lb: hash, hash_on: path } }",
        &[
            "6:48: `sticky` and `lb: hash` in upstream `x`: the cookie wins (the hash chooses only for clients without the cookie)",
        ],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [{ url: \"http://a:1\", backup: true, priority: 1 }] } }",
        &["5:60: `endpoints` of upstream `x` is both backup and has a priority"],
    ),
    (
        "  b: { to: x }\nupstreams: { x: { endpoints: [{ url: \"http://a:1\", priority: 101 }, { url: \"http://b:1\", bakup: true }] } }",
        &[
            "5:62: `priority` in `endpoints` of upstream `x` must be a whole number from 0 to 100, not `101`",
            "5:90: unknown key `bakup` in `endpoints` of upstream `x` (did you mean `backup`?)",
        ],
    ),
];

#[test]
fn choice() {
    check(CHOICE);
}

const MIRROR: &[Case] = &[
    (
        "  b: { to: \"http://a:1\", mirror: nowhere }",
        &["4:34: route `b` sends traffic to an unknown upstream `nowhere`"],
    ),
    (
        "  b: { to: \"http://a:1\", mirror: { percent: 5% } }",
        &["4:34: `mirror` of route `b` has no `to`"],
    ),
    (
        "  b: { redirect: \"/x\", mirror: \"http://a:1\" }",
        &["4:32: `mirror` in route `b` has no effect: the route forwards nothing"],
    ),
    (
        "  b: { to: \"http://a:1\", mirror: { to: \"http://b:1\", percent: 5 } }",
        &["4:63: `percent` in `mirror` of route `b` has no unit: `5` (did you mean `5%`?)"],
    ),
];

#[test]
fn mirror() {
    check(MIRROR);
}
