//! Tests.

use super::*;

const TESTS: &[Case] = &[
    ("tests: [{ request: GET https://a/x, route: app }]", &[]),
    ("tests: []", &[]),
    (
        "tests: { request: GET https://a/x }",
        &["4:8: `tests` at the top level must be a list, not a map"],
    ),
    ("tests: [{ route: app }]", &["4:9: `tests` has no `request`"]),
    (
        "tests: [{ request: GET https://a/x, rote: app }]",
        &[
            "4:9: a test that expects nothing (`route: NAME` or `status: 404`, for example)",
            "4:37: unknown key `rote` in `tests` (did you mean `route`?)",
        ],
    ),
    (
        "tests: [{ request: GET https://a/x, location: /, status: 301 }]",
        &["4:37: unknown key `location` in `tests` (did you mean `redirect`?)"],
    ),
    (
        "tests: [{ request: https://a/x, route: app }]",
        &[
            "4:20: `request` in `tests` must be a method and a URL, not `https://a/x` (did you mean `GET https://a/x`?)",
        ],
    ),
    (
        "tests: [{ request: get https://a/x, route: app }]",
        &["4:20: `get` is not a method in `tests` (did you mean `GET`?)"],
    ),
    (
        "tests: [{ request: GTE https://a/x, route: app }]",
        &["4:20: `GTE` is not a method in `tests` (did you mean `GET`?)"],
    ),
    (
        "tests: [{ request: GET a.com/x, route: app }]",
        &["4:24: `a.com/x` has no scheme (did you mean `https://a.com/x`?)"],
    ),
    (
        "tests: [{ request: GET ftp://a/x, route: app }]",
        &[
            "4:24: `ftp://a/x` is not a URL like https://host/path: only http and https are served here",
        ],
    ),
    (
        "tests: [{ request: \"GET https://a/x y\", route: app }]",
        &["4:25: `https://a/x y` is not a URL like https://host/path"],
    ),
    (
        "tests: [{ request: GET https://a/x, headers: { a b: c, d: [e] }, route: app }]",
        &[
            "4:48: `a b` is not the name of a header",
            "4:59: the value of `d` in `tests` must be text",
        ],
    ),
    (
        "tests: [{ request: GET https://a/x, client_ip: 10.0.0.0/8, route: app }]",
        &[
            "4:48: `client_ip` in `tests` must be an address, not `10.0.0.0/8` (like `192.0.2.7` or `2001:db8::7`)",
        ],
    ),
    (
        "tests: [{ request: GET https://a/x, claims: x, route: app }]",
        &["4:45: `claims` in `tests` must be a map of claims, not `x`"],
    ),
    (
        "tests: [{ request: GET https://a/x, listener: htp, route: app }]",
        &[
            "4:20: test `GET https://a/x` comes through an unknown listener `htp` (did you mean `http`?)",
        ],
    ),
    (
        "tests: [{ request: GET https://a/x, route: ap }]",
        &["4:44: test `GET https://a/x` expects an unknown route `ap` (did you mean `app`?)"],
    ),
    (
        "tests: [{ name: first, request: GET https://a/x, upstream: [\"http://a:1\", ordrs] }]\nupstreams: { orders: \"http://o:1\" }",
        &[
            "4:75: test `first` expects an unknown upstream `ordrs` (did you mean `orders`?)",
            "5:14: no route uses the upstream `orders`",
        ],
    ),
    (
        "tests: [{ request: GET https://a/x, auth: staf, rate_limit: [fast] }]\npolicies: { auth: { staff: { basic: { users: { a: \"$2y$10$FEu3a.qMZWWBJvqo/iVt6OiK4m89UNhsE9sXN/Agxl1hawFaVJAnW\" } } } } }",
        &[
            "4:43: test `GET https://a/x` expects an unknown policy of `auth` `staf` (did you mean `staff`?)",
            "4:62: test `GET https://a/x` expects an unknown policy of `rate_limit` `fast`",
            "5:21: nothing uses the policy `staff`",
        ],
    ),
    (
        "tests: [{ request: GET https://a/x, path: x, status: 99, reason: no_rout, redirect: x.com }]",
        &[
            "4:43: `path` in `tests` must be a path that starts with `/`, not `x` (did you mean `/x`?)",
            "4:54: `status` in `tests` must be a whole number from 100 to 599, not `99`",
            "4:66: `reason` in `tests` must be the word of a reason, not `no_rout` (did you mean `no_route`?)",
            "4:85: `redirect` in `tests` must be a URL, not `x.com` (did you mean `https://x.com`?)",
        ],
    ),
    (
        "tests: [{ request: GET https://a/x, route: none, path: /x, auth: none, upstream: none }]",
        &["4:56: `route: none` and `path`: no route, nothing of one"],
    ),
];

#[test]
fn tests() {
    check(TESTS);
}
