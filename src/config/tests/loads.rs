//! Good files: what they mean.

use std::{fs, path::Path, time::Duration};

use http::{Method, StatusCode};

use super::{
    super::{Input, Loaded, load, model::*},
    env, findings, read,
};

fn good(text: &str) -> Config {
    let loaded = read(text);
    assert!(loaded.config.is_some(), "{}", loaded.render(false));
    loaded.config.unwrap()
}

fn with(lines: &str) -> Config {
    good(&format!("version: 1\n{lines}\n"))
}

fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

fn main_of(directory: &Path) -> Loaded {
    load(&[Input::File(directory.join("routes.yaml"))], &env)
}

#[test]
fn the_smallest_file_listens_on_8080_and_has_every_default() {
    let config = with("routes: { app: { to: \"http://127.0.0.1:3000\" } }");
    let listener = &config.listeners["http"];
    assert_eq!(listener.address.value, Address::Tcp { host: None, port: 8080 });
    assert_eq!(listener.protocols, Protocols { h1: true, h2: true, h2c: false });
    let route = &config.routes["app"];
    assert_eq!(route.matches.len(), 1);
    assert!(route.matches[0].hosts.is_empty() && route.matches[0].paths.is_empty());
    let timeouts = route.timeouts;
    assert_eq!((timeouts.request, timeouts.idle_written), (None, false));
    assert_eq!(timeouts.first_byte, Some(Duration::from_secs(30)));
    assert_eq!((timeouts.per_try, timeouts.connect), (None, None));
    assert_eq!(timeouts.idle, Some(Duration::from_secs(60)));
    assert_eq!(route.body, BodyRule { max: Some(10 << 20), buffer: false });
    assert_eq!(route.upgrade, ["websocket"]);
    let upstream = &config.upstreams["http://127.0.0.1:3000"];
    assert_eq!(upstream.connect_timeout, Duration::from_secs(1));
    assert_eq!(config.admin.address.unwrap().value, address("127.0.0.1:9900"));
    assert_eq!(config.logs.access.unwrap().format, AccessFormat::Json);
    assert!(!config.server.name.is_empty());
}

fn address(text: &str) -> Address {
    let socket: std::net::SocketAddr = text.parse().unwrap();
    Address::Tcp { host: Some(socket.ip()), port: socket.port() }
}

#[test]
fn matches_in_their_short_form() {
    let config = with(
        "routes:\n  a: { to: \"http://a\", match: GET shop.example.com/orders/** }\n  \
         b: { to: \"http://a\", match: [shop.example.com, /x, { path: { regex: ^/y } }] }",
    );
    let a = &config.routes["a"].matches[0];
    assert_eq!(a.methods, [Method::GET]);
    assert_eq!(a.hosts[0].value, "shop.example.com");
    assert_eq!(a.paths[0].value, PathMatch::Pattern("/orders/**".to_owned()));
    // The places of the parts, for messages of the table.
    assert_eq!((a.hosts[0].place.start, a.hosts[0].place.end), (53, 69));
    assert_eq!((a.paths[0].place.start, a.paths[0].place.end), (69, 79));
    let b = &config.routes["b"].matches;
    assert!(b[0].paths.is_empty() && b[1].hosts.is_empty());
    assert_eq!(b[2].paths[0].value, PathMatch::Regex("^/y".to_owned()));
}

#[test]
fn matches_in_full() {
    let config = with(
        "routes:\n  a:\n    to: \"http://a\"\n    match:\n      host: [a, \"*.b\"]\n      method: POST\n      \
         headers: { X-A: \"1\", X-B: present, X-C: absent, X-D: { regex: ^2 }, X-E: { prefix: p } }\n      \
         query: { v: 2, on: on }\n      client_ip: [10.1.2.3/8, \"::1\"]\n      listener: http",
    );
    let branch = &config.routes["a"].matches[0];
    let values: Vec<_> = branch.headers.iter().map(|(_, value)| value.value.clone()).collect();
    assert_eq!(
        values,
        [
            ValueMatch::Exact("1".to_owned()),
            ValueMatch::Present,
            ValueMatch::Absent,
            ValueMatch::Regex("^2".to_owned()),
            ValueMatch::Prefix("p".to_owned()),
        ]
    );
    // Text stays as written: no numbers, no booleans.
    assert_eq!(branch.query[0].1.value, ValueMatch::Exact("2".to_owned()));
    assert_eq!(branch.query[1].1.value, ValueMatch::Exact("on".to_owned()));
    let networks: Vec<_> = branch.client_ip.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "::1/128"]);
}

#[test]
fn actions_and_their_short_forms() {
    let config = with(
        "routes:\n  a: { redirect: \"https://x{path}\" }\n  b: { redirect: { to: /x, status: 302, keep_query: false } }\n  \
         c: { respond: 204 }\n  d: { respond: { body: hi, headers: { Content-Type: text/plain } } }\n  \
         e: { to: { x: 90, \"http://B:1\": 10 }, strip_prefix: true }\n  f: { to: x, rewrite: \"/v2/{**}\" }\n\
         upstreams: { x: [\"http://a:1\", { url: \"https://b\", weight: 2, backup: true }, \"h2c://[::1]:5\", \"unix:/run/x\"] }",
    );
    let Action::Redirect { status, keep_query, .. } = &config.routes["a"].action else { panic!() };
    assert_eq!((*status, *keep_query), (StatusCode::PERMANENT_REDIRECT, true));
    let Action::Redirect { status, keep_query, .. } = &config.routes["b"].action else { panic!() };
    assert_eq!((*status, *keep_query), (StatusCode::FOUND, false));
    let Action::Respond { status, .. } = &config.routes["c"].action else { panic!() };
    assert_eq!(*status, StatusCode::NO_CONTENT);
    let Action::Respond { body, headers, .. } = &config.routes["d"].action else { panic!() };
    assert_eq!((body.as_str(), headers.len()), ("hi", 1));
    let Action::Forward(targets) = &config.routes["e"].action else { panic!() };
    let targets: Vec<_> = targets.iter().map(|(name, weight)| (&*name.value, *weight)).collect();
    assert_eq!(targets, [("x", 90), ("http://b:1", 10)]);
    let endpoints: Vec<_> =
        config.upstreams["x"].endpoints.iter().map(|one| (&*one.url.value, one.weight)).collect();
    assert_eq!(
        endpoints,
        [("http://a:1", 1), ("https://b:443", 2), ("h2c://[::1]:5", 1), ("unix:/run/x", 1)]
    );
    let x = &config.upstreams["x"].endpoints;
    assert!(x[1].tls && x[1].backup && x[2].h2c && !x[0].tls);
    assert_eq!(x[2].target, Target::Tcp { host: "::1".to_owned(), port: 5 });
}

const LAYERED: &str = "version: 1
include: [routes.d/*.yaml]
defaults:
  timeouts: { request: 30s, per_try: 10s }
  headers: { response: { set: { X-A: main, X-B: main }, remove: [Server] } }
  body: 1MiB
  upstream: { connect_timeout: 2s, pool: { max_idle: 5 } }
policies: { timeouts: { long: { request: 5m, per_try: none } }, headers: { api: { response: { set: { X-A: api } } } } }
upstreams: { one: \"http://one\" }
routes:
  plain: { to: one }
  named: { to: two, timeouts: long, headers: api, body: none }
  off: { to: one, headers: none, timeouts: { idle: 1s } }
";

const INCLUDED: &str = "defaults:
  timeouts: { per_try: 3s }
  headers: { response: { add: { x-b: [team, b] } } }
  upstream: { pool: { idle: 1s } }
upstreams: { two: { endpoints: \"http://two\", connect_timeout: 9s } }
routes: { team: { to: two, timeouts: { request: 4s } } }
";

#[test]
fn inheritance_merges_records_field_by_field() {
    let directory = directory(&[("routes.yaml", LAYERED), ("routes.d/team.yaml", INCLUDED)]);
    let loaded = main_of(directory.path());
    let config = loaded.config.as_ref().unwrap_or_else(|| panic!("{}", loaded.render(false)));
    let of = |name: &str| config.routes[name].timeouts;
    let seconds = |n| Some(Duration::from_secs(n));
    assert_eq!((of("plain").request, of("plain").per_try), (seconds(30), seconds(10)));
    assert_eq!((of("named").request, of("named").per_try), (seconds(300), None));
    assert_eq!((of("team").request, of("team").per_try), (seconds(4), seconds(3)));
    assert!(of("off").idle_written && !of("plain").idle_written);
    let set = |name: &str| -> Vec<(String, String)> {
        let edits = &config.routes[name].headers.response;
        let show = |(n, v): &(http::HeaderName, http::HeaderValue)| {
            (n.to_string(), v.to_str().unwrap().to_owned())
        };
        edits.set.iter().chain(&edits.add).map(show).collect()
    };
    let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
    assert_eq!(set("plain"), [pair("x-a", "main"), pair("x-b", "main")]);
    assert_eq!(set("named"), [pair("x-b", "main"), pair("x-a", "api")]);
    // The team says something about X-B, so nothing of the main file about it is left.
    assert_eq!(set("team"), [pair("x-a", "main"), pair("x-b", "team"), pair("x-b", "b")]);
    assert_eq!(config.routes["team"].headers.response.remove.len(), 1);
    assert_eq!(config.routes["off"].headers, Headers::default());
    assert_eq!(config.routes["plain"].body.max, Some(1 << 20));
    assert_eq!(config.routes["named"].body.max, None);
    let (one, two) = (&config.upstreams["one"], &config.upstreams["two"]);
    assert_eq!(
        (one.connect_timeout, two.connect_timeout),
        (Duration::from_secs(2), Duration::from_secs(9))
    );
    assert_eq!((one.pool.idle, two.pool.idle), (Duration::from_secs(60), Duration::from_secs(1)));
    assert_eq!((one.pool.max_idle, two.pool.max_idle), (5, 5));
}

#[test]
fn included_files_are_sorted_watched_and_kept_in_their_bounds() {
    let directory = directory(&[
        (
            "routes.yaml",
            "version: 1\ninclude: [\"*.d/*.yaml\", missing.yaml]\nroutes: { a: { respond: 200 } }\n",
        ),
        ("x.d/b.yaml", "routes: { a: { respond: 200 } }\nlisteners: { x: \":1\" }\n"),
        ("x.d/a.yaml", "include: [z]\nadmin: {}\n"),
        ("x.d/c.yaml", "routes: [\n"),
    ]);
    let loaded = main_of(directory.path());
    assert!(loaded.config.is_none());
    let path = directory.path().display().to_string();
    let found: Vec<String> = findings(&loaded).iter().map(|line| line.replace(&path, "")).collect();
    assert_eq!(
        found,
        [
            "2:25: cannot read `/missing.yaml`: there is no such file",
            "1:1: an included file cannot have `include` (it may hold `version`, `upstreams`, `policies`, `defaults`, `routes`, `tests`)",
            "2:1: an included file cannot have `admin` (it may hold `version`, `upstreams`, `policies`, `defaults`, `routes`, `tests`)",
            "1:11: the route `a` is defined twice (give one of them another name)",
            "2:1: an included file cannot have `listeners` (it may hold `version`, `upstreams`, `policies`, `defaults`, `routes`, `tests`)",
            "1:9: not YAML: unclosed bracket '['",
        ]
    );
    let watched: Vec<String> =
        loaded.files.iter().map(|file| file.display().to_string().replace(&path, "")).collect();
    for file in ["", "/routes.yaml", "/missing.yaml", "/x.d/a.yaml", "/x.d/b.yaml", "/x.d/c.yaml"] {
        assert!(watched.iter().any(|watched| watched == file), "{file} in {watched:?}");
    }
    let shown = loaded.render(false);
    assert!(shown.contains("::: "), "both places:\n{shown}");
    assert!(shown.ends_with("6 errors in 4 files\n"), "{shown}");
}

#[test]
fn a_file_that_includes_itself_is_told_so() {
    let routes = "routes: { a: { respond: 200 } }\n";
    let main = format!("version: 1\ninclude: ./routes.yaml\n{routes}");
    let directory = directory(&[
        ("routes.yaml", &main),
        ("b.yaml", "include: [c.yaml]\n"),
        ("c.yaml", "include: [b.yaml]\n"),
        ("d.yaml", "version: 1\ninclude: routes.yaml\n"),
    ]);
    let home = directory.path();
    let path = format!("{}/", home.display());
    let said = |files: &[&str]| -> Vec<String> {
        let inputs: Vec<Input> = files.iter().map(|name| Input::File(home.join(name))).collect();
        findings(&load(&inputs, &env)).iter().map(|line| line.replace(&path, "")).collect()
    };
    assert_eq!(
        said(&["routes.yaml"]),
        ["2:10: `./routes.yaml` includes itself (take it out of `include`)"]
    );
    // Who is included includes nobody.
    fs::write(home.join("routes.yaml"), main.replace("./routes.yaml", "[b.yaml, c.yaml]")).unwrap();
    let found = said(&["routes.yaml"]);
    assert!(found.len() == 2 && found[1].contains("cannot have `include`"), "{found:?}");
    fs::write(home.join("routes.yaml"), format!("version: 1\n{routes}")).unwrap();
    assert_eq!(
        said(&["routes.yaml", "d.yaml"]),
        [
            "2:10: `routes.yaml` is included, and is one of the `-c` files (take it out of `include`)"
        ]
    );
}

#[test]
fn nobody_waits_for_a_pipe_that_is_included() {
    let directory = directory(&[
        ("routes.yaml", "version: 1\ninclude: [\"inc/*.yaml\"]\nroutes: { a: { respond: 200 } }\n"),
        ("inc/a.yaml", "routes: { b: { match: /b, respond: 200 } }\n"),
        ("link.yaml", "routes: { c: { match: /c, respond: 200 } }\n"),
    ]);
    let home = directory.path().to_owned();
    std::os::unix::fs::symlink(home.join("link.yaml"), home.join("inc/c.yaml")).unwrap();
    assert_eq!(main_of(&home).config.map(|it| it.routes.len()), Some(3), "links are followed");
    for made in ["inc/pipe.yaml", "pipe"] {
        let made = std::process::Command::new("mkfifo").arg(home.join(made)).status();
        assert!(made.unwrap().success());
    }
    std::os::unix::fs::symlink(home.join("pipe"), home.join("inc/to-pipe.yaml")).unwrap();
    let (done, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(findings(&main_of(&home))));
    let found = told.recv_timeout(Duration::from_secs(20)).expect("nobody writes into it");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|line| line.ends_with("it is not a regular file")), "{found:?}");
}

#[test]
fn several_inputs_are_merged_and_nothing_is_said_twice() {
    let text =
        |name: &str, text: &str| Input::Text { name: name.to_owned(), text: text.to_owned() };
    let a = text(
        "a",
        "version: 1\nlisteners: { x: \":1\" }\nroutes: { a: { respond: 200 } }\nserver: { via: false }",
    );
    let b = text("b", "listeners: { y: \":2\" }\nroutes: { b: { respond: 200 } }");
    let loaded = load(&[a.clone(), b.clone()], &env);
    let config = loaded.config.as_ref().unwrap_or_else(|| panic!("{}", loaded.render(false)));
    assert_eq!((config.listeners.len(), config.routes.len()), (2, 2));
    let c = text("c", "routes: { b: { respond: 200 } }\nserver: { via: true }");
    let loaded = load(&[a, b, c], &env);
    assert_eq!(
        findings(&loaded),
        [
            "1:11: the route `b` is defined twice (give one of them another name)",
            "2:1: `server` is written in two files"
        ]
    );
}

#[test]
fn variables_are_filled_in_after_parsing() {
    let directory = directory(&[("secret", "s3cret\n")]);
    let text = format!(
        "version: 1\nroutes:\n  a:\n    respond:\n      body: \"${{PORT}} ${{NO:-d${{PORT}}}} ${{EMPTY:-e}} $${{PORT}} $x {{}} ${{file:{}}}\"\n",
        directory.path().join("secret").display()
    );
    let loaded = read(&text);
    let config = loaded.config.as_ref().unwrap_or_else(|| panic!("{}", loaded.render(false)));
    let Action::Respond { body, .. } = &config.routes["a"].action else { panic!() };
    assert_eq!(body, "9000 d9000 e ${PORT} $x {} s3cret");
    assert!(loaded.files.contains(&directory.path().join("secret")));
    fs::write(directory.path().join("secret"), "other").unwrap();
    let changed = read(&text);
    assert_ne!(loaded.hash, changed.hash);
    assert_eq!((changed.hash.len(), &changed.hash), (12, &read(&text).hash));
}

#[test]
fn marks_of_other_systems_do_not_matter() {
    let loaded =
        read("\u{feff}version: 1\r\nroutes:\r\n  é: { respond: 200 }\r\n  b: { to: x }\r\n");
    assert_eq!(
        findings(&loaded),
        [
            "3:3: `é` cannot be a name (names are a-z, 0-9, `-` and `_`, start with a letter or digit, at most 63 characters)",
            "4:12: route `b` sends traffic to an unknown upstream `x`",
        ]
    );
    assert!(loaded.render(false).contains("4 |   b: { to: x }\n  |            ^"));
    let directory = directory(&[
        ("routes.yaml", "version: 1\ninclude: [\"*.yaml\"]\nroutes: { a: { respond: 200 } }"),
        (".#x.yaml", "["),
    ]);
    let loaded = main_of(directory.path());
    assert!(loaded.config.is_some(), "{}", loaded.render(false));
    fs::write(directory.path().join("routes.yaml"), b"version: 1\nserver: { name: \xff }\n")
        .unwrap();
    assert_eq!(
        findings(&main_of(directory.path())),
        ["2:17: not UTF-8 text (save the file as UTF-8)"]
    );
}

#[test]
fn a_contradiction_all_routes_inherit_is_said_once() {
    let loaded = read(
        "version: 1\ndefaults: { timeouts: { request: 1s, per_try: 2s } }\nroutes: { a: { respond: 200 }, b: { respond: 200 }, c: { respond: 200, timeouts: { per_try: 3s } } }",
    );
    assert_eq!(
        findings(&loaded),
        [
            "2:47: `per_try` is longer than `request` in what routes inherit",
            "3:93: `per_try` is longer than `request` in route `c`"
        ]
    );
}

#[test]
fn aliases_and_merge_keys() {
    let config = with(
        "routes:\n  a: &a { to: \"http://a\", labels: { team: x }, priority: 1 }\n  \
         b: { <<: *a, priority: 2 }\n  c: *a\n  d: { <<: [{ priority: 3 }, *a] }",
    );
    let priority = |name: &str| config.routes[name].priority;
    assert_eq!([priority("a"), priority("b"), priority("c"), priority("d")], [1, 2, 1, 3]);
    assert_eq!(config.routes["d"].labels["team"], "x");
}

#[test]
fn the_process() {
    let config = with(
        "routes: { a: { respond: 200, layers: [{ name: audit, at: start, config: { n: 1, s: \"1\", f: [1.5, no, true, ~] } }] } }\n\
         logs: { level: debug, access: { format: combined, to: /var/log/x, only: { status: [404, 500-599], slower_than: 1s }, sample: 2.5%, query: drop } }\n\
         metrics: { path: /m, buckets: [5ms, 1s] }\nadmin: { address: none, socket: /run/x }\n\
         server: { name: edge-1, drain: { delay: 0s }, request_id: { header: X-Id, accept_from: none }, normalize: { encoded_slash: keep }, pass_headers: [X-HTTP-Method], workers: 4 }",
    );
    let access = config.logs.access.unwrap();
    assert_eq!(access.only_status, [(404, 404), (500, 599)]);
    assert_eq!((access.sample, access.query), (0.025, QueryLog::Drop));
    assert_eq!(access.to, AccessTarget::File("/var/log/x".into()));
    assert_eq!(config.metrics.buckets, [0.005, 1.0]);
    assert!(config.admin.address.is_none());
    assert_eq!(config.server.drain_delay, Duration::ZERO);
    assert!(config.server.keep_encoded_slash && config.server.workers == 4);
    assert_eq!(config.server.pass_headers, ["x-http-method"]);
    let layer = &config.routes["a"].layers[0];
    let expected = serde_json::json!({ "n": 1, "s": "1", "f": [1.5, "no", true, null] });
    assert_eq!((layer.at, &layer.config.value), (LayerPosition::Start, &expected));
}
