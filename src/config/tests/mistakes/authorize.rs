//! What those who are known may do: `authorize`.

use super::*;

/// Settings of a route.
const AUTHORIZE: &[Case] = &[
    (
        "authorize: {}",
        &[
            "4:37: `authorize` of route `b` has neither `allow` nor `deny` (`{ allow: \"request.method == 'GET'\" }`)",
        ],
    ),
    ("authorize: { allow: [] }", &["4:46: `allow` in `authorize` of route `b` is an empty list"]),
    ("authorize: readers", &["4:37: `authorize` in route `b` names an unknown policy `readers`"]),
    (
        "authorize: \"request.method == 'GET'\"",
        &[
            "4:37: `authorize` in route `b` names an unknown policy `request.method == 'GET'` (a rule in its place is a map: `{ allow: \"…\" }`)",
        ],
    ),
    (
        "authorize: [a]",
        &[
            "4:37: `authorize` in route `b` must be a name, a map or none, not a list (`{ all: [a, b] }` for several)",
        ],
    ),
    ("authorize: { all: [] }", &["4:44: `all` in `authorize` of route `b` is empty"]),
    (
        "authorize: { all: [a], allow: \"true\" }",
        &["4:37: `all` in `authorize` of route `b` stands alone"],
    ),
    (
        "authorize: { any: [a] }",
        &[
            "4:37: `authorize` of route `b` has neither `allow` nor `deny` (`{ allow: \"request.method == 'GET'\" }`)",
            "4:39: unknown key `any` in `authorize` of route `b` (known keys: `allow`, `deny`, `message`, `mode`)",
        ],
    ),
    // The mark stands where it is wrong inside the rule.
    (
        "authorize: { allow: \"request.methd == 'GET'\" }",
        &[
            "4:47: `allow` in `authorize` of route `b`: `request` has no `methd` (did you mean `method`?)",
        ],
    ),
    (
        "authorize: { allow: \"client.tls && request.path\" }",
        &["4:61: `allow` in `authorize` of route `b`: this must be true or false, and is text"],
    ),
    (
        "authorize: { allow: [\"true\", \"request.method =\"], deny: \"1\" }",
        &[
            "4:71: `allow` in `authorize` of route `b`: it is no expression: token recognition error at: '=' (`==` compares)",
            "4:83: `deny` in `authorize` of route `b`: a rule is true or false, and this is a whole number",
        ],
    ),
    (
        "authorize: { allow: \"true\", mode: watch }",
        &[
            "4:60: `mode` in `authorize` of route `b` must be one of `enforce`, `shadow`, not `watch`",
        ],
    ),
    (
        "authorize: { allow: \"true\", message: \"a\\nb\" }",
        &["4:63: `message` in `authorize` of route `b` is one line of at most 200 bytes"],
    ),
    // Nobody would ever pass.
    (
        "authorize: { deny: \"'admin' in claims.groups\" }",
        &[
            "4:37: `authorize` of route `b` asks for `consumer` or `claims`, and the route has no `auth` (nobody knows who its requests are from: the rule would refuse all of them)",
        ],
    ),
    (
        "authorize: { allow: [client.tls, \"consumer == 'ann'\"] }",
        &[
            "4:37: `authorize` of route `b` asks for `consumer` or `claims`, and the route has no `auth` (nobody knows who its requests are from: the rule would refuse all of them)",
        ],
    ),
];

#[test]
fn authorize() {
    compare(AUTHORIZE, |settings| with(&format!("  b: {{ to: \"http://b:1\", {settings} }}")));
}

#[test]
fn a_policy_is_judged_once_where_it_stands_and_is_of_no_use_where_nobody_is_known() {
    let file = |policy: &str, route: &str| {
        format!(
            "version: 1\npolicies: {{ authorize: {{ a: {policy} }} }}\nroutes:\n  \
             b: {{ match: /b, to: \"http://b:1\", {route} }}\n  \
             c: {{ match: /c, to: \"http://b:1\", authorize: a }}\nlisteners: {{ a: \"[::1]:80\" }}\n"
        )
    };
    let found = |policy: &str, route: &str| findings(&read(&file(policy, route)));
    assert_eq!(
        found("{ allow: \"requst\" }", "authorize: a"),
        ["2:39: `allow` in authorize policy `a`: there is no `requst` (did you mean `request`?)"]
    );
    assert_eq!(found("{ allow: client.tls }", "authorize: { all: [a] }"), [""; 0]);
    let who = "asks for `consumer` or `claims`, and the route has no `auth`";
    let both = found("{ allow: \"consumer == 'x'\" }", "authorize: a");
    assert_eq!(both.len(), 2);
    assert!(both.iter().all(|found| found.contains(who)), "{both:?}");
    let key = "auth: { api_key: { keys: { x: 0123456789abcdef } } }, authorize: a";
    assert_eq!(found("{ allow: \"consumer == 'x'\" }", key).len(), 1, "only the other one");
}

#[test]
fn what_a_rule_from_a_variable_says_is_not_shown() {
    let text = with("  b: { to: \"http://b:1\", authorize: { allow: \"${RULE:-s3cret == 1}\" } }");
    let found = findings(&read(&text));
    assert_eq!(
        found,
        ["4:46: `allow` in `authorize` of route `b` is no rule that can be evaluated"]
    );
}
