//! Where several gateways count together: `stores`, and limits that name one.

use super::*;

/// What a store says.
const STORES: &[Case] = &[
    ("{}", &["5:17: store `main` has neither `redis` nor `rls`"]),
    (
        "{ redis: \"redis://r:1\", rls: \"h2c://r:1\" }",
        &["5:46: store `main` has both `redis` and `rls`"],
    ),
    (
        "{ rls: \"http://r:1\" }",
        &[
            "5:24: `rls` in store `main` must be h2c://, https:// or an upstream, not `http://r:1` (gRPC is HTTP/2)",
        ],
    ),
    (
        "{ rls: \"h2c://r:1\", tls: { ca: /ca.pem } }",
        &[
            "5:42: `tls` in store `main` has no effect with `rls` (an upstream with `tls`, named in `rls`, says how it is reached)",
        ],
    ),
    ("{ rls: limiter }", &["5:24: store `main` asks an unknown upstream `limiter`"]),
    (
        "{ redis: \"redis://r:1\", domain: x }",
        &["5:49: `domain` in store `main` has no effect without `rls`"],
    ),
    ("7", &["5:17: store `main` must be a map, not «redacted»"]),
    (
        "{ redis: \"http://r:1\" }",
        &[
            "5:26: `redis` in store `main` must be a URL of Redis, not `http://r:1` (like `redis://10.0.0.5:6379`, `rediss://redis.internal:6380` or `unix:/run/redis.sock`)",
        ],
    ),
    (
        "{ redis: \"rediss://r:1#insecure\" }",
        &[
            "5:26: `redis` in store `main` must be a URL of Redis, not `rediss://r:1#insecure` (like `redis://10.0.0.5:6379`, `rediss://redis.internal:6380` or `unix:/run/redis.sock`)",
        ],
    ),
    (
        "{ redis: \"redis://u:hunter2@\" }",
        &[
            "5:26: `redis` in store `main` must be a URL of Redis, not «redacted» (like `redis://10.0.0.5:6379`, `rediss://redis.internal:6380` or `unix:/run/redis.sock`)",
        ],
    ),
    ("{ redis: [] }", &["5:26: `redis` in store `main` is an empty list"]),
    (
        "{ redis: [\"redis://a:1\", \"rediss://b:1\"] }",
        &["5:26: `redis` in store `main` has nodes with TLS and others without"],
    ),
    (
        "{ redis: [\"redis://:a@a:1\", \"redis://:b@b:1\"] }",
        &[
            "5:26: `redis` in store `main` has several users or passwords (write `user` and `password` beside it, once)",
        ],
    ),
    (
        "{ redis: \"redis://:a@r:1\", password: b }",
        &["5:54: `password` in store `main` is in the URL, too (say it in one of them)"],
    ),
    ("{ redis: \"redis://r:1\", user: ann }", &["5:47: store `main` has a user and no `password`"]),
    (
        "{ redis: \"redis://r:1/2\", database: 3 }",
        &["5:53: `database` in store `main` is in the URL, too (say it in one of them)"],
    ),
    (
        "{ redis: [\"redis://r:1\"], database: 3 }",
        &["5:26: store `main` is a cluster, which has only database 0"],
    ),
    (
        "{ redis: \"redis://r:1\", tls: { ca: /ca.pem } }",
        &["5:46: `tls` in store `main` has no effect without TLS (write `rediss://`)"],
    ),
    (
        "{ redis: [\"rediss://r:1\"], tls: { server_name: r } }",
        &[
            "5:64: `server_name` in `tls` of store `main` has no effect with a cluster (its nodes are verified by the names they are known by)",
        ],
    ),
    (
        "{ redis: \"redis://r:1\", prefix: \"a{b\" }",
        &[
            "5:49: `prefix` in store `main` must be at most 64 letters, digits and signs, without `{` and `}`, not `a{b`",
        ],
    ),
    (
        "{ redis: \"redis://r:1\", timeout: 2s }",
        &[
            "5:50: `timeout` in store `main` is more than 1s (every request that is counted waits so long when the store hangs)",
        ],
    ),
    (
        "{ redis: \"redis://r:1\", gateways: 0 }",
        &["5:51: `gateways` in store `main` must be a whole number from 1 to 10000, not `0`"],
    ),
    (
        "{ redis: \"redis://r:1\", pasword: x }",
        &["5:41: unknown key `pasword` in store `main` (did you mean `password`?)"],
    ),
];

#[test]
fn stores() {
    compare(STORES, |store| {
        with(&format!(
            "  b: {{ to: \"http://b:1\", rate_limit: {{ limit: 5/s, store: main }} }}\nstores: {{ main: {store} }}"
        ))
    });
}

/// What a limit says of one.
const STORED: &[Case] = &[
    ("store: man", &["4:59: `store` names an unknown store `man` (did you mean `main`?)"]),
    (
        "store: \"redis:main\"",
        &["4:59: `store` names an unknown store `redis:main` (did you mean `main`?)"],
    ),
    ("store: lokal", &["4:59: `store` names an unknown store `lokal` (did you mean `local`?)"]),
    (
        "sync: exact",
        &[
            "4:58: `sync` in `rate_limit` of route `b` has no effect without a `store` (`store: NAME`, one of `stores`)",
        ],
    ),
    ("store: local, on_store_error: deny", &[]),
    (
        "store: main, sync: lease",
        &[
            "4:71: `sync` in `rate_limit` of route `b` must be one of `exact`, `leased`, not `lease` (did you mean `leased`?)",
        ],
    ),
    (
        "store: main, batch: 2",
        &["4:72: `batch` in `rate_limit` of route `b` has no effect without `sync: leased`"],
    ),
    (
        "store: main, sync: leased, batch: 2",
        &[
            "4:86: `batch` in `rate_limit` of route `b` is more than may come at once (that is 1 here; `burst` says how many)",
        ],
    ),
    (
        "store: main, on_store_error: open",
        &[
            "4:81: `on_store_error` in `rate_limit` of route `b` must be one of `local`, `allow`, `deny`, not `open`",
        ],
    ),
];

#[test]
fn limits_that_name_a_store() {
    compare(STORED, |limit| {
        with(&format!(
            "  b: {{ to: \"http://b:1\", rate_limit: {{ limit: 5/s, {limit} }} }}\n  \
             c: {{ to: \"http://b:1\", match: /c, rate_limit: {{ limit: 5/s, store: main }} }}\n\
             stores: {{ main: {{ redis: \"redis://r:1\" }} }}"
        ))
    });
}

#[test]
fn stores_that_do_not_fit() {
    let route = "  b: { to: \"http://b:1\", rate_limit: { limit: 5/s, store: main }, timeouts: { request: 50ms } }\n";
    check(&[
        (
            "stores: { local: { redis: \"redis://r:1\" } }",
            &[
                "4:11: `local` cannot be the name of a store (`store: local` of a limit means this process)",
            ],
        ),
        ("stores: { main: { redis: \"redis://r:1\" } }", &["4:11: nothing uses the store `main`"]),
    ]);
    let found = findings(&read(&with(&format!(
        "{route}stores: {{ main: {{ redis: \"redis://r:1\", timeout: 100ms }} }}"
    ))));
    assert_eq!(
        found,
        [
            "4:3: route `b` ends after 50ms, and `timeout` of store `main` is 100ms (a store that hangs would take all of its time)",
        ]
    );
    let good =
        read(&with(&format!("{route}stores: {{ main: {{ redis: \"redis://:hunter2@r:1\" }} }}")));
    assert!(good.diagnostics.items.is_empty(), "{:?}", good.diagnostics);
    let shown = format!("{:?}", good.config.expect("it is good"));
    assert!(shown.contains("RedisStore") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_service_gives_all_or_none() {
    check(&[(
        "  b: { to: \"http://b:1\", rate_limit: { limit: 500/s, store: main, sync: leased } }\nstores: { main: { rls: \"h2c://r:1\" } }",
        &[
            "4:61: `sync: leased` is not for store `main`, which is asked by `rls` (it gives all that is asked for, or none)",
        ],
    )]);
}
