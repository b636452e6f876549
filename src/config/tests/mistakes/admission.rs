//! How many at once, and who goes first: `concurrency`, `priority_class`, `limits.adaptive`.

use super::*;

/// Settings of a route.
const ROUTE: &[Case] = &[
    ("concurrency: {}", &["4:39: `concurrency` of route `b` has neither `limit` nor `adaptive`"]),
    ("concurrency: few", &["4:39: `concurrency` in route `b` names an unknown policy `few`"]),
    ("concurrency: []", &["4:39: `concurrency` in route `b` is an empty list"]),
    (
        "concurrency: 0",
        &["4:39: `concurrency` in route `b` must be a whole number from 1 to 1000000, not `0`"],
    ),
    (
        "concurrency: { limit: 5, adaptive: true }",
        &[
            "4:48: `concurrency` of route `b` has both `limit` and `adaptive` (`adaptive: { max: … }` bounds what is found)",
        ],
    ),
    (
        "concurrency: { limit: 5, queue: { timeout: 5 } }",
        &[
            "4:69: `timeout` in `queue` of `concurrency` of route `b` has no unit: `5` (did you mean `5s`?)",
        ],
    ),
    (
        "concurrency: { limit: 5, queue: many }",
        &[
            "4:58: `queue` in `concurrency` of route `b` must be a whole number from 0 to 1000000, not `many`",
        ],
    ),
    (
        "concurrency: { adaptive: 5 }",
        &["4:51: `adaptive` in `concurrency` of route `b` must be true, a map or none, not `5`"],
    ),
    (
        "concurrency: { adaptive: { min: 9, max: 8 } }",
        &["4:51: `adaptive` of `concurrency` of route `b` has a `min` of 9 above its `max` of 8"],
    ),
    (
        "concurrency: { adaptive: { tolerance: 1% } }",
        &["4:64: `tolerance` in `adaptive` of `concurrency` of route `b` must be at least 5%"],
    ),
    (
        "concurrency: { adaptive: true, key: client_ip }",
        &[
            "4:62: `concurrency` of route `b` cannot be `adaptive` with a `key` (one client says too little of a service)",
        ],
    ),
    (
        "concurrency: { limit: 5, key: consumer }",
        &[
            "4:39: a `concurrency` of route `b` goes by who a request is from (without `auth` on the route nobody knows that)",
        ],
    ),
    (
        "concurrency: { limit: 5, mode: watch }",
        &[
            "4:57: `mode` in `concurrency` of route `b` must be one of `enforce`, `shadow`, not `watch`",
        ],
    ),
    (
        "bandwidth: {}",
        &[
            "4:37: `bandwidth` of route `b` limits nothing (like `{ connection: { response: 5MiB/s } }`)",
        ],
    ),
    ("bandwidth: much", &["4:37: `bandwidth` in route `b` names an unknown policy `much`"]),
    (
        "bandwidth: 5MiB",
        &[
            "4:37: `bandwidth` in route `b` must be bytes a second, not `5MiB` (did you mean `5MiB/s`?)",
        ],
    ),
    (
        "bandwidth: 5/min",
        &["4:37: `bandwidth` in route `b` must be bytes a second, not `5/min` (like `10MiB/s`)"],
    ),
    (
        "bandwidth: { total: { request: 5B/s } }",
        &["4:57: `request` in rates of `bandwidth` of route `b` must be at least 1KiB/s"],
    ),
    (
        "priority_class: urgent",
        &[
            "4:42: `priority_class` in route `b` must be one of `high`, `normal`, `low`, not `urgent`",
        ],
    ),
    (
        "priority_class: {}",
        &[
            "4:42: `priority_class` of route `b` has no `by`",
            "4:42: `priority_class` of route `b` has no `classes`",
        ],
    ),
    (
        "priority_class: { by: plan, classes: { paid: high } }",
        &[
            "4:48: `by` in `priority_class` of route `b` must be consumer, claim:NAME or header:NAME, not `plan`",
        ],
    ),
    (
        "priority_class: { by: header:x-plan, classes: {} }",
        &["4:72: `classes` in `priority_class` of route `b` is empty"],
    ),
    (
        "priority_class: { by: header:x-plan, classes: high }",
        &[
            "4:72: `classes` in `priority_class` of route `b` must be a map of values and classes, not `high` (like `{ paid: high }`)",
        ],
    ),
    (
        "priority_class: { by: header:x-plan, classes: { paid: hihg } }",
        &[
            "4:80: `classes` in `priority_class` of route `b` must be one of `high`, `normal`, `low`, not `hihg` (did you mean `high`?)",
        ],
    ),
    (
        "priority_class: { by: consumer, classes: { ann: high } }",
        &["4:42: `priority_class` in route `b` goes by who it is, but the route has no `auth`"],
    ),
];

#[test]
fn of_a_route() {
    compare(ROUTE, |settings| with(&format!("  b: {{ to: \"http://b:1\", {settings} }}")));
}

#[test]
fn of_policies_and_upstreams() {
    check(&[
        (
            "policies: { concurrency: { few: many } }",
            &[
                "4:33: `limit` in concurrency policy `few` must be a whole number from 1 to 1000000, not `many`",
            ],
        ),
        ("policies: { concurrency: { few: 5 } }", &["4:28: nothing uses the policy `few`"]),
        (
            "upstreams: { b: { endpoints: \"http://b:1\", limits: { adaptive: { least: 1 } } } }",
            &[
                "4:66: unknown key `least` in `adaptive` of `limits` of upstream `b` (known keys: `min`, `max`, `tolerance`, `probe`)",
            ],
        ),
    ]);
}

#[test]
fn of_the_process() {
    check(&[
        (
            "server: { overload: { memory: 1GiB, shrink: 90% } }",
            &["4:21: `shed_low` in `overload` of `server` must be more than `shrink`"],
        ),
        (
            "server: { overload: { shrink: 0% } }",
            &["4:31: `shrink` in `overload` of `server` must be more than 0%"],
        ),
        ("server: { overload: true }", &["4:21: `overload` of `server` must be a map, not `true`"]),
        (
            "server: { overload: { memory: 80% } }",
            &[
                "4:31: `memory` in `overload` of `server` must be a size, not `80%` (like `512B`, `64KiB`, `10MiB`)",
            ],
        ),
    ]);
}

/// What is inherited is for those who have it.
#[test]
fn a_class_by_identity_is_no_mistake_where_it_is_inherited() {
    let text = with(
        "defaults: { priority_class: { by: consumer, classes: { ann: high }, default: low } }",
    );
    let loaded = read(&text);
    assert!(findings(&loaded).is_empty(), "{:?}", findings(&loaded));
    let config = loaded.config.expect("no error");
    let class = &config.routes["app"].priority_class;
    assert!(!class.is_looked_up() && class.at_first().word() == "low", "{class:?}");
}
