//! `discover`.

use super::*;

/// Settings of an upstream that a route uses.
const DISCOVERY: &[Case] = &[
    (
        "endpoints: \"http://a:1\", discover: { file: e.yaml }",
        &[
            "5:54: upstream `x` has both `endpoints` and `discover` (one of them says where it answers)",
        ],
    ),
    (
        "discover: {}",
        &["5:29: `discover` in upstream `x` takes one source (`dns`, `file` or `etcd`)"],
    ),
    ("discover: dns", &["5:29: `discover` of upstream `x` must be a map, not `dns`"]),
    (
        "discover: { dns: { port: 1 } }",
        &["5:36: `dns` of `discover` of upstream `x` has no `name`"],
    ),
    (
        "discover: { dns: { name: a } }",
        &["5:36: `dns` of `discover` of upstream `x` has no `port`"],
    ),
    (
        "discover: { dns: { name: a, type: srv, port: 1 } }",
        &[
            "5:64: `port` in `dns` of `discover` of upstream `x` has no meaning with `type: srv` (SRV records say the port of each endpoint)",
        ],
    ),
    (
        "discover: { dns: { name: \"a..b\", port: 1 } }",
        &[
            "5:44: `name` in `dns` of `discover` of upstream `x` must be a name DNS can be asked for, not `a..b`",
        ],
    ),
    (
        "discover: { dns: { name: 10.0.0.1, port: 1 } }",
        &[
            "5:44: `name` in `dns` of `discover` of upstream `x` must be a name DNS can be asked for, not `10.0.0.1`",
        ],
    ),
    (
        "discover: { dns: { name: a, port: 0 } }",
        &[
            "5:53: `port` in `dns` of `discover` of upstream `x` must be a whole number from 1 to 65535, not `0`",
        ],
    ),
    (
        "discover: { dns: { name: a, type: mx, port: 1 } }",
        &[
            "5:53: `type` in `dns` of `discover` of upstream `x` must be one of `a`, `aaaa`, `srv`, not `mx`",
        ],
    ),
    (
        "discover: { dns: { name: a, port: 1, server: ns.example.com } }",
        &[
            "5:64: `server` in `dns` of `discover` of upstream `x` must be the IP address of a name server, not `ns.example.com` (like `10.0.0.2:53`)",
        ],
    ),
    (
        "discover: { dns: { name: a, port: 1, refresh: 10ms } }",
        &["5:65: `refresh` in `dns` of `discover` of upstream `x` must be at least 1000ms"],
    ),
    (
        "discover: { dns: { name: a, port: 1 }, file: e.yaml }",
        &["5:29: `discover` in upstream `x` takes one source (`dns`, `file` or `etcd`)"],
    ),
    (
        "discover: { consul: { service: a } }",
        &["5:31: `consul` is part of the language, but this build cannot do it yet"],
    ),
    (
        "discover: { kubernetes: { service: a } }",
        &["5:31: `kubernetes` is part of the language, but this build cannot do it yet"],
    ),
    (
        "discover: { eureka: {} }",
        &[
            "5:31: unknown key `eureka` in `discover` of upstream `x` (known keys: `dns`, `file`, `etcd`, `consul`, `kubernetes`)",
        ],
    ),
    ("discover: { file: \"\" }", &["5:37: `file` in `discover` of upstream `x` is empty"]),
    (
        "discover: { etcd: { prefix: /a/ } }",
        &["5:37: `etcd` of `discover` of upstream `x` has no `endpoints`"],
    ),
    (
        "discover: { etcd: { endpoints: [], prefix: /a/ } }",
        &["5:50: `endpoints` in `etcd` of `discover` of upstream `x` is an empty list"],
    ),
    (
        "discover: { etcd: { endpoints: \"http://a:1\" } }",
        &["5:37: `etcd` of `discover` of upstream `x` has no `prefix`"],
    ),
    (
        "discover: { etcd: { endpoints: [\"h2c://a:1\"], prefix: /a/ } }",
        &[
            "5:51: `endpoints` in `etcd` of `discover` of upstream `x` must be http:// or https://, not `h2c://a:1`",
        ],
    ),
    (
        "discover: { etcd: { endpoints: \"a:1\", prefix: /a/ } }",
        &["5:50: `a:1` is not a URL (did you mean `http://a:1`?)"],
    ),
    (
        "discover: { etcd: { endpoints: \"http://a:1\", prefix: /a/, user: root } }",
        &["5:83: `user` in `etcd` of `discover` of upstream `x` needs `password` beside it"],
    ),
    (
        "discover: { etcd: { endpoints: \"http://a:1\", prefix: /a/, password: root } }",
        &["5:87: `password` in `etcd` of `discover` of upstream `x` needs `user` beside it"],
    ),
    (
        "discover: { dns: { name: a, port: 1 } }, tls: { verify: true }",
        &["5:60: upstream `x` has `tls`, but no endpoint with `https://`"],
    ),
];

#[test]
fn discovery() {
    compare(DISCOVERY, |settings| {
        with(&format!("  b: {{ to: x }}\nupstreams: {{ x: {{ {settings} }} }}"))
    });
}
