//! `tidegate test`: its exit codes and forms, and that what a test says is what traffic gets.

use std::fs;

use serde_json::Value;

use crate::support::{
    gateway::{everything, temporary, tidegate},
    prelude::*,
    recorder::Recorder,
};

const FILE: &str = "\
version: 1
routes:
  app:
    match: a.example.com/app/**
    strip_prefix: /app
    to: http://127.0.0.1:1
    auth: { api_key: { keys: { me: 0123456789abcdef } } }
  hello:
    match: \"GET /hello\"
    respond: 200
tests:
  - { request: GET http://a.example.com/app/x, route: app, path: /x, status: 401 }
  - { name: with a key, request: GET http://a.example.com/app/x, consumer: me, status: none }
  - { request: POST http://b/hello, status: 405 }
";

/// Exit code and both streams.
#[track_caller]
fn test(file: &str, arguments: &[&str]) -> (i32, String) {
    let home = temporary();
    fs::write(home.path().join("routes.yaml"), file).unwrap();
    let all: Vec<&str> = ["test"].iter().chain(arguments).copied().collect();
    let output = tidegate(home.path(), &all);
    (output.status.code().unwrap_or(-1), everything(&output))
}

#[test]
fn the_exit_code_says_whether_all_holds() {
    let wrong = FILE.replace("status: 405", "status: 200");
    let untested = FILE.replace("tests:\n", "  more: { match: /more, respond: 204 }\ntests:\n");
    for (file, arguments, code, part) in [
        (FILE, &[][..], 4, "without a test: hello"),
        (FILE, &["--coverage-min", "50%"], 0, "3 passed, 0 failed"),
        (FILE, &["--coverage-min", "51"], 4, "tests get to 50 % of the routes, 51 % are wanted"),
        (&wrong, &[], 4, "routes.yaml:14:45"),
        (&wrong, &["--filter", "with a key"], 0, "1 passed, 0 failed, 2 not run"),
        (&wrong, &["--filter", "POST http://b"], 4, "0 passed, 1 failed"),
        (FILE, &["--filter", "nothing"], 4, "none of 3 tests has `nothing`"),
        (FILE, &["--filter", "x", "--coverage-min", "1"], 2, "cannot be used with"),
        (FILE, &["--coverage-min", "101%"], 2, "from 0% to 100%"),
        (&untested, &["--coverage-min", "34%"], 4, "33 %"),
        ("version: 1\nroutes: { a: { respond: 200 } }\n", &[], 4, "there are no tests"),
        ("version: 1\nroutes: { a: { respnd: 200 } }\n", &[], 1, "did you mean `respond`?"),
    ] {
        let code = if arguments.is_empty() && file == FILE { 0 } else { code };
        let (got, said) = test(file, arguments);
        assert_eq!(got, code, "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: no {part:?} in:\n{said}");
    }
}

#[test]
fn programs_get_json_or_junit() {
    let (code, said) = test(FILE, &["--format", "json"]);
    let parsed: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (code, &parsed["passed"], &parsed["coverage"]["percent"]),
        (0, &3.into(), &50.into())
    );
    let (code, said) = test(FILE, &["--format", "junit"]);
    assert!(
        code == 0 && said.starts_with("<?xml") && said.contains("tests=\"3\" failures=\"0\""),
        "{said}"
    );
}

#[test]
fn check_says_how_many_there_are_and_what_is_wrong_with_them() {
    let check = |file: &str| {
        let home = temporary();
        fs::write(home.path().join("routes.yaml"), file).unwrap();
        let output = tidegate(home.path(), &["check"]);
        (output.status.code(), everything(&output))
    };
    let (code, said) = check(FILE);
    assert!(code == Some(0) && said.contains("3 tests (`tidegate test` runs them)"), "{said}");
    let (code, said) = check(&FILE.replace("route: app", "route: apq"));
    assert!(code == Some(1) && said.contains("did you mean `app`?"), "{said}");
}

#[test]
fn tests_of_included_files_are_run_with_their_places() {
    let home = temporary();
    let main = "version: 1\ninclude: [team.yaml]\nroutes: { a: { match: /a, respond: 200 } }\n\
                tests: [{ request: GET http://x/a, route: a }]\n";
    fs::write(home.path().join("routes.yaml"), main).unwrap();
    let team = "version: 1\nroutes: { b: { match: /b, respond: 200 } }\ntests:\n  - { request: GET http://x/b, route: a }\n";
    fs::write(home.path().join("team.yaml"), team).unwrap();
    let output = tidegate(home.path(), &["test"]);
    let said = everything(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    for part in ["1 passed, 1 failed", "team.yaml:4:39", "routes tested: 2 of 2 (100 %)"] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
}

#[test]
fn the_tests_of_the_demo_hold() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/routes.yaml");
    let (code, said) = test(FILE, &["-c", file, "--coverage-min", "100%"]);
    assert_eq!(code, 0, "{said}");
}

/// What tests say of statuses, a gateway with the same file answers.
#[test]
fn traffic_gets_what_tests_say() {
    let upstream = Recorder::start();
    let routes = format!(
        "routes:\n  \
           app: {{ match: \"a.test/app/**\", strip_prefix: /app, to: \"{}\", auth: {{ api_key: {{ keys: {{ me: 0123456789abcdef }} }} }} }}\n  \
           old: {{ match: a.test/old, redirect: \"https://b.test{{path}}\" }}\n  \
           here: {{ match: \"GET a.test/here\", respond: 203 }}\n",
        upstream.url(),
    );
    let gateway = Gateway::start(&routes);
    for (method, path, key) in [
        ("GET", "/app/x", false),
        ("GET", "/app/x", true),
        ("GET", "/old", false),
        ("GET", "/here", false),
        ("POST", "/here", false),
        ("GET", "/none", false),
        ("GET", "/app/..%2fx", false),
    ] {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n");
        if key {
            request.push_str("X-Api-Key: 0123456789abcdef\r\n");
        }
        let mut client = gateway.client();
        client.send(format!("{request}\r\n"));
        let status = client.response().status;
        let expected = if key { "none".to_owned() } else { status.to_string() };
        let field = if key { "headers: { x-api-key: 0123456789abcdef }, " } else { "" };
        let file = format!(
            "version: 1\n{routes}tests: [{{ request: {method} http://a.test{path}, {field}status: {expected} }}]\n"
        );
        let (code, said) = test(&file, &[]);
        assert_eq!(code, 0, "{method} {path} {status}: {said}");
    }
}
