//! Keys, YAML itself, whole files.

use super::*;

const KEYS: &[Case] = &[
    (
        "  b: { to: app, strip_prefx: /a }",
        &[
            "4:12: route `b` sends traffic to an unknown upstream `app`",
            "4:17: unknown key `strip_prefx` in route `b` (did you mean `strip_prefix`?)",
        ],
    ),
    ("rotes: {}", &["4:1: unknown key `rotes` at the top level (did you mean `routes`?)"]),
    (
        "  b: { to: \"http://a:1\", frobnicate: 1 }",
        &[
            "4:26: unknown key `frobnicate` in route `b` (known keys: `match`, `to`, `redirect`, `respond`, `strip_prefix`, `rewrite`, `mirror`, `priority`, `enabled`, `upgrade`, `auth`, `authorize`, `ip`, `rate_limit`, `bandwidth`, `concurrency`, `priority_class`, `cors`, `headers`, `cache`, `compress`, `body`, `timeouts`, `retry`, `errors`, `access_log`, `layers`, `labels`)",
        ],
    ),
    (
        "  b: { to: \"http://a:1\", compress: text }",
        &["4:26: `compress` is part of the language, but this build cannot do it yet"],
    ),
    (
        "  b: { to: \"http://a:1\", timeout: 3s }",
        &["4:26: unknown key `timeout` in route `b` (did you mean `timeouts`?)"],
    ),
    (
        "listeners: { http: { port: 80 } }",
        &[
            "4:20: listener `http` has no `address`",
            "4:22: unknown key `port` in listener `http` (did you mean `address: \":8080\"`?)",
        ],
    ),
    (
        "  app: { to: \"http://b:1\" }",
        &["4:3: the key `app` is written twice (take one of them out)"],
    ),
    ("version: 1", &["4:1: the key `version` is written twice (take one of them out)"]),
    (
        "  Shop: { to: \"http://b:1\" }",
        &[
            "4:3: `Shop` cannot be a name (names are a-z, 0-9, `-` and `_`, start with a letter or digit, at most 63 characters)",
        ],
    ),
    (
        "  none: { to: \"http://b:1\" }",
        &["4:3: `none` cannot be a name (it has a meaning of its own in the language)"],
    ),
    ("  b:", &["4:3: route `b` is empty"]),
    ("  b: 7", &["4:6: route `b` must be a map, not `7`"]),
    ("  ? [a]\n  : 1", &["4:5: a key must be text, not a list (is a `\"` missing around it?)"]),
    (
        "include: [../x.yaml]",
        &[
            "4:11: `../x.yaml` leaves the directory of the main file (take out `..`, or write an absolute path)",
        ],
    ),
    ("include: { file: x }", &["4:10: `include` takes a list of files, not a map"]),
    (
        "include: [{ file: x, hosts: [a] }]",
        &["4:11: a map in `include` is part of the language, but this build cannot do it yet"],
    ),
];

#[test]
fn keys() {
    check(KEYS);
}

const YAML: &[Case] = &[
    ("\tb: 1", &["4:1: a tab in the indentation (YAML indents with spaces only)"]),
    ("  b: { to: \"http://a:1\"", &["4:6: not YAML: unclosed bracket '{'"]),
    ("  b: \"unfinished", &["4:17: not YAML: invalid indentation in multiline quoted scalar"]),
    ("   c: 1", &["4:4: not YAML: while parsing a block mapping, did not find expected key"]),
    (
        "---\nversion: 1",
        &["4:1: a second document in one file (put it into a file of its own and `include` it)"],
    ),
    ("x: *nowhere", &["4:4: not YAML: while parsing node, found unknown anchor"]),
    ("  b: &x { to: *x }", &["4:15: this alias stands inside its own anchor"]),
    (
        "  b: !!python/object { to: \"http://a:1\" }",
        &["4:6: the tag `!!python/object` means nothing here (take it away)"],
    ),
    ("  b: { <<: 1, to: \"http://a:1\" }", &["4:12: `<<` takes a map, or a list of maps"]),
    (
        "a: 1\na: 2\nb: 1\nb: 2",
        &[
            "4:1: unknown key `a` at the top level (known keys: `version`, `include`, `listeners`, `tls`, `defaults`, `upstreams`, `policies`, `routes`, `stores`, `logs`, `metrics`, `tracing`, `admin`, `server`, `tests`)",
            "5:1: the key `a` is written twice (take one of them out)",
            "6:1: unknown key `b` at the top level (known keys: `version`, `include`, `listeners`, `tls`, `defaults`, `upstreams`, `policies`, `routes`, `stores`, `logs`, `metrics`, `tracing`, `admin`, `server`, `tests`)",
            "7:1: the key `b` is written twice (take one of them out)",
        ],
    ),
    ("@", &["4:1: not YAML: unexpected character: `@'"]),
];

#[test]
fn yaml() {
    check(YAML);
}

const WHOLE_FILES: &[Case] = &[
    ("", &["1:1: the file is empty (the least is `version: 1` and one entry in `routes`)"]),
    (
        "# nothing\n",
        &["1:1: the file is empty (the least is `version: 1` and one entry in `routes`)"],
    ),
    ("just text", &["1:1: the file must be a map, not text"]),
    ("[1, 2]", &["1:1: the file must be a map, not a list"]),
    (
        "routes: { a: { to: \"http://a\" } }",
        &["1:1: the file has no `version` (write `version: 1` at its top)"],
    ),
    (
        "version: 2\nroutes: { a: { to: \"http://a\" } }",
        &["1:10: `version: 2` needs a newer Tidegate (this one reads `version: 1`)"],
    ),
    (
        "version: one\nroutes: { a: { to: \"http://a\" } }",
        &["1:10: `version` at the top level must be 1, not `one`"],
    ),
    (
        "version: 1",
        &["1:1: no file has a route (`routes: { app: { to: \"http://127.0.0.1:3000\" } }`)"],
    ),
    ("version: 1\nroutes:", &["2:1: `routes` is empty"]),
    (
        "version: 1\nroutes: {}",
        &["1:1: no file has a route (`routes: { app: { to: \"http://127.0.0.1:3000\" } }`)"],
    ),
    ("version: 1\nroutes: [a]", &["2:9: `routes` must be a map of names, not a list"]),
    ("version: 1\nroutes:\n  a:\n    to: \"http://a", &["4:9: not YAML: unclosed quote"]),
];

#[test]
fn whole_files() {
    compare(WHOLE_FILES, str::to_owned);
}
