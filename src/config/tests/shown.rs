//! What is shown of files in several directories, of queries, and of very many routes.

use std::{fs, path::Path, time::Duration};

use tokio::time::Instant;

use super::{
    super::{Input, load, model::Config, show},
    env,
};
use crate::runtime::diff::Diff;

fn text(text: &str) -> Vec<Input> {
    vec![Input::Text { name: "routes.yaml".to_owned(), text: text.to_owned() }]
}

fn config(inputs: &[Input]) -> Config {
    let loaded = load(inputs, &env);
    loaded.config.as_ref().unwrap_or_else(|| panic!("{}", loaded.render(false)));
    loaded.config.unwrap()
}

/// Every kind of path there is, in a main file and in one that is included.
const MAIN: &str = "\
version: 1
include: [team/*.yaml]
listeners: { https: { address: \":8443\", tls: { client_auth: { ca: m-ca, crl: m-crl } } } }
tls: { certificates: [{ cert: m-cert, key: m-key }] }
logs: { access: { to: logs/m-access } }
admin: { socket: m-socket }
routes: { m: { match: /m, respond: 200 } }
";
const TEAM: &str = "\
upstreams:
  a: { endpoints: \"https://a:1\", tls: { ca: t-ca, cert: \"t-${PORT}\", key: t-key } }
  b: { discover: { file: t-eps } }
  c: { endpoints: \"https://c:1\", tls: { ca: system } }
  d: { endpoints: \"https://d:1\", tls: { ca: /etc/there } }
policies:
  auth:
    keys: { api_key: { keys_file: t-keys } }
    users: { basic: { users_file: t-users } }
    tokens: { jwt: { issuer: \"https://i.example.com\", audience: a, jwks: t-jwks } }
    signed: { signature: { keys: { ann: { id: a, public_key: t-public } } } }
    lines: { signature: { keys_file: t-lines } }
routes:
  t: { match: /t, to: { a: 1, b: 1, c: 1, d: 1 }, auth: { any: [keys, users, tokens, signed, lines] } }
";
const OF_MAIN: [&str; 6] = ["m-ca", "m-crl", "m-cert", "m-key", "logs/m-access", "m-socket"];
const OF_TEAM: [&str; 9] =
    ["t-ca", "t-9000", "t-key", "t-eps", "t-keys", "t-users", "t-jwks", "t-public", "t-lines"];

fn two(home: &Path) -> Vec<Input> {
    fs::create_dir_all(home.join("team")).unwrap();
    fs::write(home.join("routes.yaml"), MAIN).unwrap();
    fs::write(home.join("team/team.yaml"), TEAM).unwrap();
    vec![Input::File(home.join("routes.yaml"))]
}

#[test]
fn paths_begin_where_the_file_that_says_them_stands() {
    let home = tempfile::tempdir().unwrap();
    let read = format!("{:?}", config(&two(home.path())));
    for name in OF_MAIN {
        let path = home.path().join(name);
        assert!(read.contains(&format!("{path:?}")), "{name}: {read}");
    }
    for name in OF_TEAM {
        let path = home.path().join("team").join(name);
        assert!(read.contains(&format!("{path:?}")), "{name}: {read}");
    }
    assert!(read.contains("\"/etc/there\"") && !read.contains("system\""), "{read}");
    // What is no file stands where the program runs.
    let read = format!("{:?}", config(&text(&MAIN.replace("include: [team/*.yaml]\n", ""))));
    assert!(OF_MAIN.iter().all(|name| read.contains(&format!("{name:?}"))), "{read}");
}

#[test]
fn paths_of_what_is_shown_are_found_from_anywhere() {
    let home = tempfile::tempdir().unwrap();
    let inputs = two(home.path());
    let shown = show(&inputs, &env, false, None);
    for made in [shown.yaml(), shown.json()["config"].to_string()] {
        assert_eq!(Diff::between(&config(&inputs), &config(&text(&made))).lines(), [""; 0]);
        for path in ["team/t-${PORT}", "team/t-eps", "logs/m-access"] {
            let path = home.path().join(path).display().to_string();
            assert!(made.contains(&path), "{path}: {made}");
        }
    }
    let shown =
        show(&text(&MAIN.replace("include: [team/*.yaml]\n", "")), &env, false, None).yaml();
    assert!(shown.contains("ca: m-ca "), "{shown}");
}

#[test]
fn credentials_in_queries_are_not_shown() {
    let written = "version: 1\nlisteners: { http: \"127.0.0.1:8080\" }\npolicies:\n  auth:\n    \
        q: { api_key: { from: \"query:key\", keys: { ann: \"${PARTNER_A_KEY}\" } } }\n\
        routes: { a: { match: /a, respond: 200, auth: q } }\n\
        tests:\n  - { request: \"GET http://a/a?key=planted-1&page=2\", route: a }\n  \
        - { request: GET http://a/a?page=3&key=planted-2#x, route: a }\n  \
        - { request: \"GET http://a/a?ke\\x79=planted-3\", route: a }\n  \
        - { request: \"GET http://a/a?key=${SECRET}\", name: n, route: a }\n";
    let loaded = load(&text(written), &env);
    let read = loaded.config.as_ref().unwrap_or_else(|| panic!("{}", loaded.render(false)));
    assert!(!loaded.sources.files[0].1.contains("planted"), "{}", loaded.sources.files[0].1);
    assert!(loaded.sources.files[0].1.contains("page=2"), "{}", loaded.sources.files[0].1);
    let names: Vec<&str> = read.tests.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(
        names[..3],
        ["GET http://a/a?key=…&page=2", "GET http://a/a?page=3&key=…", "GET http://a/a?key=…"]
    );
    assert!(read.tests[0].asked.url.contains("planted-1"), "it is asked with all of it");
    let shown = show(&text(written), &env, false, None);
    let all = format!("{}{:#}", shown.yaml(), shown.json());
    assert!(!all.contains("planted") && !all.contains("hunter2"), "{all}");
    assert!(all.contains("&page=2") && all.contains("key=${SECRET}"), "{all}");
    for made in [shown.yaml(), shown.json()["config"].to_string()] {
        assert_eq!(config(&text(&made)).tests.len(), 4);
    }
}

/// A main file, and an included one with so many routes.
fn many(home: &Path, routes: usize) -> Vec<Input> {
    fs::write(home.join("routes.yaml"), "version: 1\ninclude: [many.yaml]\n").unwrap();
    let mut all = "defaults: { upstream: { lb: random } }\npolicies:\n  timeouts:\n".to_owned();
    for number in 0..routes {
        all += &format!("    p{number}: {{ request: 9s }}\n");
    }
    all += "routes:\n";
    for number in 0..routes {
        all += &format!(
            "  r{number}: {{ match: /{number}, to: \"http://127.0.0.1:{}\", timeouts: p{number} }}\n",
            number + 1
        );
    }
    fs::write(home.join("many.yaml"), all).unwrap();
    vec![Input::File(home.join("routes.yaml"))]
}

#[test]
fn four_times_the_routes_take_about_four_times_as_long() {
    let home = tempfile::tempdir().unwrap();
    let least = |routes| {
        let inputs = many(home.path(), routes);
        let one = |_| {
            let start = Instant::now();
            let shown = show(&inputs, &env, false, None);
            assert!(shown.yaml().contains(&format!("r{}-to1", routes - 1)));
            assert!(!shown.json().is_null());
            start.elapsed()
        };
        (0..3).map(one).min().unwrap_or(Duration::MAX)
    };
    let (few, many) = (least(1000), least(4000));
    // It would be sixteen times.
    assert!(many < few * 9, "{few:?} and {many:?}");
}
