//! How often: `rate_limit`.

use super::*;

/// What a route says.
const LIMITS: &[Case] = &[
    ("often", &["4:38: `rate_limit` in route `b` names an unknown policy `often`"]),
    (
        "100",
        &["4:38: `rate_limit` in route `b` must be a rate, not `100` (did you mean `100/min`?)"],
    ),
    (
        "100/minute",
        &[
            "4:38: `rate_limit` in route `b` must be a rate, not `100/minute` (like `100/min`, `10/s`, `1000/h`, `5/30s`, `10000/day` or `1000000/month`)",
        ],
    ),
    (
        "0/s",
        &[
            "4:38: `rate_limit` in route `b` must be a rate, not `0/s` (like `100/min`, `10/s`, `1000/h`, `5/30s`, `10000/day` or `1000000/month`)",
        ],
    ),
    (
        "+5/s",
        &[
            "4:38: `rate_limit` in route `b` must be a rate, not `+5/s` (like `100/min`, `10/s`, `1000/h`, `5/30s`, `10000/day` or `1000000/month`)",
        ],
    ),
    ("20000000/s", &["4:38: `rate_limit` in route `b` is more than 10000000 in a second"]),
    ("1/1000d", &["4:38: `rate_limit` in route `b` takes longer than a year to come back"]),
    ("[]", &["4:38: `rate_limit` in route `b` is an empty list"]),
    ("{}", &["4:38: `rate_limit` of route `b` has no `limit`"]),
    ("{ limit: [] }", &["4:47: `limit` in `rate_limit` of route `b` is an empty list"]),
    (
        "{ limit: [1/s, 2/s] }",
        &["4:53: `limit` in `rate_limit` of route `b` has two rates of the same time"],
    ),
    (
        "{ limit: [1/s, 1/2s, 1/3s, 1/4s, 1/5s] }",
        &["4:47: `limit` in `rate_limit` of route `b` has more than 4 rates"],
    ),
    (
        "{ limit: 5/day, burst: 2 }",
        &[
            "4:61: `burst` in `rate_limit` of route `b` has no effect: a day or month gives all at once",
        ],
    ),
    (
        "{ limit: 5/s, burst: 0 }",
        &[
            "4:59: `burst` in `rate_limit` of route `b` must be a whole number from 1 to 1000000000, not `0`",
        ],
    ),
    (
        "{ limit: 5/s, key: clientip }",
        &[
            "4:57: `key` in `rate_limit` of route `b` must be one of `client_ip`, `consumer`, `route`, claim:NAME, header:NAME, cookie:NAME or query:NAME, not `clientip` (did you mean `client_ip`?)",
        ],
    ),
    (
        "{ limit: 5/s, key: [client_ip, \"header:a b\"] }",
        &[
            "4:69: `key` in `rate_limit` of route `b` must be one of `client_ip`, `consumer`, `route`, claim:NAME, header:NAME, cookie:NAME or query:NAME, not `header:a b`",
        ],
    ),
    (
        "{ limit: 5/s, key: consumer }",
        &[
            "4:38: a `rate_limit` of route `b` goes by who a request is from (without `auth` on the route nobody knows that)",
        ],
    ),
    (
        "[1/s, { limit: 5/s, key: [client_ip, \"claim:plan\"] }]",
        &[
            "4:38: a `rate_limit` of route `b` goes by who a request is from (without `auth` on the route nobody knows that)",
        ],
    ),
    (
        "{ limit: 5/s, ipv6_prefix: 16 }",
        &[
            "4:65: `ipv6_prefix` in `rate_limit` of route `b` must be a whole number from 32 to 128, not `16`",
        ],
    ),
    (
        "{ limit: 5/s, keys: 5 }",
        &[
            "4:58: `keys` in `rate_limit` of route `b` must be a whole number from 1000 to 100000000, not `5`",
        ],
    ),
    (
        "{ limit: 50/s, cost: { POST: 6, GET: 5 } }",
        &[
            "4:67: `cost` in `rate_limit` of route `b` is more than may come at once (that is 5 here; `burst` says how many)",
        ],
    ),
    (
        "{ limit: [50/s, 3/day], cost: 4 }",
        &[
            "4:68: `cost` in `rate_limit` of route `b` is more than may come at once (that is 3 here; `burst` says how many)",
        ],
    ),
    (
        "{ limit: 50/s, cost: { post: 2 } }",
        &["4:61: `post` is not a method in `rate_limit` of route `b` (did you mean `POST`?)"],
    ),
    (
        "{ limit: 50/s, cost: answer }",
        &[
            "4:59: `cost` in `rate_limit` of route `b` must be a number, a map of methods or `header:NAME`, not `answer`",
        ],
    ),
    (
        "{ limit: 50/s, headers: new }",
        &[
            "4:62: `headers` in `rate_limit` of route `b` must be one of `draft`, `legacy`, `both`, `none`, not `new`",
        ],
    ),
    (
        "{ limit: 50/s, exempt: [example.com] }",
        &[
            "4:62: `exempt` in `rate_limit` of route `b` must be made of networks, not `example.com` (like `10.0.0.0/8`)",
        ],
    ),
    (
        "{ rate: 5/s }",
        &[
            "4:38: `rate_limit` of route `b` has no `limit`",
            "4:40: unknown key `rate` in `rate_limit` of route `b` (known keys: `limit`, `burst`, `key`, `ipv6_prefix`, `keys`, `cost`, `store`, `sync`, `batch`, `on_store_error`, `headers`, `exempt`, `mode`)",
        ],
    ),
];

#[test]
fn rate_limits() {
    compare(LIMITS, |limit| with(&format!("  b: {{ to: \"http://b:1\", rate_limit: {limit} }}")));
}

/// Judged where they are defined, and once.
#[test]
fn named_rate_limits() {
    let policies = |limit: &str| {
        with(&format!(
            "  b: {{ to: \"http://b:1\", rate_limit: [p, p] }}\npolicies: {{ rate_limit: {{ p: {limit} }} }}"
        ))
    };
    compare(
        &[
            (
                "100",
                &[
                    "5:30: `limit` in rate_limit policy `p` must be a rate, not `100` (did you mean `100/min`?)",
                ],
            ),
            (
                "{ limit: 1/1000d }",
                &["5:39: `limit` in rate_limit policy `p` takes longer than a year to come back"],
            ),
            (
                "{ limit: 5/s, key: consumer }",
                &[
                    "4:38: a `rate_limit` of route `b` goes by who a request is from (without `auth` on the route nobody knows that)",
                ],
            ),
        ],
        policies,
    );
    assert!(read(&policies("100/min")).config.is_some());
}

/// What all routes inherit is held against those that cannot use it.
#[test]
fn inherited_rate_limits() {
    let found = findings(&read(&with("defaults: { rate_limit: { limit: 1/s, key: consumer } }")));
    let expected = "3:3: a `rate_limit` of route `app` goes by who a request is from (without `auth` on the route nobody knows that)";
    assert_eq!(found, [expected]);
    let none = with("defaults: { rate_limit: { limit: 1/s, key: consumer } }")
        .replace("\"http://a:1\"", "\"http://a:1\", rate_limit: none");
    assert!(read(&none).config.is_some());
}
