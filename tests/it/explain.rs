//! `tidegate explain`, on a file and on the running gateway: what it says is what then happens.

use std::fs;

use serde_json::Value;

use crate::support::{
    gateway::{everything, temporary, tidegate},
    prelude::*,
};

const FILE: &str = "\
version: 1
listeners:
  http: { address: \"127.0.0.1:8080\" }
defaults:
  timeouts: { request: 10s }
routes:
  app:
    match: a.example.com/app/**
    strip_prefix: /app
    to: http://127.0.0.1:1
    auth: { api_key: { from: \"header:x-key\", keys: { me: 0123456789abcdef } } }
  hello:
    match: \"GET /hello\"
    respond: 200
";

/// Exit code and both streams.
#[track_caller]
fn explain(file: &str, arguments: &[&str]) -> (i32, String) {
    let home = temporary();
    fs::write(home.path().join("routes.yaml"), file).unwrap();
    let all: Vec<&str> = ["explain"].iter().chain(arguments).copied().collect();
    let output = tidegate(home.path(), &all);
    (output.status.code().unwrap_or(-1), everything(&output))
}

#[test]
fn a_file_is_explained_without_touching_anything() {
    let (code, said) = explain(FILE, &["GET", "http://a.example.com/app/x"]);
    assert_eq!(code, 0, "{said}");
    for part in [
        "→ route app",
        "routes.yaml:7\n",
        "401 unauthenticated (no_credentials for `inline`)",
        "/app/x → /x",
        "defaults routes.yaml:5",
        "→ http://127.0.0.1:1 100 %, 1 endpoint",
        "with credentials: forwarded to http://127.0.0.1:1",
    ] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
    let key = ["-H", "X-Key: 0123456789abcdef"];
    let (code, said) = explain(FILE, &["GET", "a.example.com/app/x", key[0], key[1]]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("it is from `me`") && !said.contains("0123456789abcdef"), "{said}");
}

#[test]
fn the_exit_code_says_who_answers() {
    for (arguments, code, part) in [
        (&["GET", "http://b/hello"][..], 0, "200 from the gateway"),
        (&["POST", "http://b/hello"], 4, "405 method_not_allowed"),
        (&["GET", "http://b/none"], 4, "near    hello"),
        (&["GET", "http://b/%2e%2e%2f"], 4, "400 bad_path"),
        (&["GET", "ftp://b/"], 2, "only http and https"),
        (&["GET", "http://b/", "-H", "no-colon"], 2, "`name: value`"),
        (&["GET", "http://b/", "--listener", "x"], 2, "there are: http"),
        (&["GET", "http://b/", "--client-ip", "x"], 2, "client-ip"),
        (&["GET", "http://b/", "--live", "--socket", "none.sock"], 3, "no gateway answers"),
    ] {
        let (got, said) = explain(FILE, arguments);
        assert_eq!(got, code, "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: no {part:?} in:\n{said}");
    }
    let (code, said) = explain("version: 1\nroutes: { a: { respnd: 200 } }\n", &["GET", "a/"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("did you mean `respond`?"), "{said}");
}

#[track_caller]
fn json(gateway: &Gateway, arguments: &[&str]) -> Value {
    let all: Vec<&str> =
        ["explain", "--live", "--format", "json"].iter().chain(arguments).copied().collect();
    let output = gateway.verb(&all);
    let said = everything(&output);
    assert!(matches!(output.status.code(), Some(0 | 4)), "{said}");
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[test]
fn the_running_gateway_knows_its_breaker_and_its_endpoints() {
    let sick = Raw::serve(|peer| {
        while peer.request().is_some() {
            peer.send("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let well = Raw::serve(|peer| {
        while peer.request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = Gateway::start(&format!(
        "upstreams:\n  \
           breaks: {{ endpoints: [\"{}\"], breaker: {{ min_requests: 2, open_for: 60s }} }}\n  \
           half: {{ endpoints: [\"{}\", \"http://{gone}\"], health: {{ path: /, every: 1s, timeout: 900ms, unhealthy_after: 1 }} }}\n\
         routes:\n  \
           breaks: {{ match: /breaks, to: breaks }}\n  \
           half: {{ match: /half, to: half }}\n",
        sick.url(),
        well.url(),
    ));
    let closed = json(&gateway, &["GET", "http://h/breaks"]);
    assert_eq!(closed["to"][0]["now"]["breaker"], "closed", "{closed:#}");
    assert_eq!(closed["answers"]["this_request"]["text"], "forwarded to breaks");
    assert!(closed["live"]["hash"].is_string() && closed["live"]["last_reload_error"].is_null());
    let mut client = gateway.client();
    for _ in 0..2 {
        assert_eq!(client.get("h", "/breaks").status, 500);
    }
    let open = json(&gateway, &["GET", "http://h/breaks"]);
    assert_eq!(open["to"][0]["now"]["breaker"], "open", "{open:#}");
    assert!(open["to"][0]["now"]["open_ms"].as_u64().unwrap() > 30_000, "{open:#}");
    let told = &open["answers"]["this_request"];
    let real = gateway.get("h", "/breaks");
    assert_eq!(told["status"], real.status);
    assert_eq!(told["reason"].as_str(), Some(real.reason().as_str()));
    let human = everything(&gateway.verb(&["explain", "--live", "GET", "http://h/breaks"]));
    assert!(human.contains("· breaker open for "), "{human}");
    assert!(human.contains("result  503 breaker_open"), "{human}");

    until("the endpoint that is gone is out", || {
        let half = json(&gateway, &["GET", "http://h/half"]);
        half["to"][0]["usable"] == 1
    });
    let half = json(&gateway, &["GET", "http://h/half"]);
    let states: Vec<&Value> =
        half["to"][0]["candidates"].as_array().unwrap().iter().map(|it| &it["now"]).collect();
    assert_eq!((&states[1]["health"], &states[1]["usable"]), (&"unhealthy".into(), &false.into()));
    assert_eq!(states[0]["usable"], true);
    assert_eq!(half["answers"]["this_request"]["text"], "forwarded to half");
    // Asking is no request: nothing was sent, and nothing counted.
    assert_eq!(sick.requests().len(), 2);
    let counted = gateway.metric("tidegate_http_requests_total", &[("route", "breaks")]);
    assert_eq!(counted, Some(3.0));
}

#[test]
fn it_is_the_table_that_runs_and_not_the_file() {
    let mut gateway = Gateway::start("routes: { old: { match: /x, respond: 200 } }\n");
    gateway.write("routes: { old: { match: /x, respnd: 200 } }\n");
    gateway.wait_log(&["configuration refused"]);
    let found = json(&gateway, &["GET", "http://h/x"]);
    assert_eq!(found["route"]["name"], "old", "{found:#}");
    let at = found["route"]["at"].as_str().unwrap();
    assert!(at.ends_with("routes.yaml:7"), "{at}");
    assert!(found["live"]["last_reload_error"].as_str().unwrap().contains("respnd"), "{found:#}");
    let human = everything(&gateway.verb(&["explain", "--live", "GET", "http://h/x"]));
    assert!(human.contains("the last reload was refused: the file is not what runs"), "{human}");
    gateway.reload("routes: { new: { match: /x, respond: 204 } }\n");
    let found = json(&gateway, &["GET", "http://h/x"]);
    assert_eq!(found["route"]["name"], "new", "{found:#}");
}

#[test]
fn a_password_is_verified_as_any_other_and_leaves_no_trace() {
    let home = temporary();
    let hash = {
        let mut child = std::process::Command::new(crate::support::gateway::BINARY)
            .args(["hash", "--bcrypt", "10"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"open sesame").unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    let gateway = Gateway::builder().home(&home).start(&format!(
        "routes: {{ app: {{ respond: 200, auth: {{ basic: {{ users: {{ ali: \"{}\" }} }} }} }} }}\n",
        hash.trim()
    ));
    // ali:open sesame
    let good = ["GET", "http://h/", "-H", "Authorization: Basic YWxpOm9wZW4gc2VzYW1l"];
    let found = json(&gateway, &good);
    assert_eq!(found["answers"]["this_request"]["status"], 200, "{found:#}");
    assert_eq!(found["answers"]["without_credentials"]["status"], 401, "{found:#}");
    let all = format!("{found} {}", gateway.logs());
    assert!(!all.contains("YWxpOm9wZW4gc2VzYW1l") && !all.contains("sesame"), "{all}");
    assert_eq!(gateway.metric("tidegate_policy_decisions_total", &[("route", "app")]), None);
}

#[test]
fn what_is_left_of_a_limit_is_told_and_not_taken() {
    let gateway = Gateway::start(
        "routes: { app: { match: /x, respond: 200, rate_limit: { limit: 3/h, burst: 3, key: \"header:x-who\" } } }\n",
    );
    let ask = |who: &str| json(&gateway, &["GET", "http://h/x", "-H", &format!("x-who: {who}")]);
    let left = |found: &Value| {
        let steps = found["steps"].as_array().unwrap();
        let step = steps.iter().find(|step| step["kind"] == "rate_limit").unwrap();
        step["says"][0].as_str().unwrap().to_owned()
    };
    let mut client = gateway.client();
    for used in 0..3 {
        for _ in 0..3 {
            assert_eq!(left(&ask("me")), format!("this request: {} left at once", 3 - used));
        }
        let answer = client.exchange("GET", "h", "/x", &["X-Who: me"]);
        assert_eq!(answer.status, 200);
    }
    let over = ask("me");
    assert_eq!(over["answers"]["this_request"]["reason"], "rate_limited", "{over:#}");
    let answer = client.exchange("GET", "h", "/x", &["X-Who: me"]);
    assert_eq!(over["answers"]["this_request"]["status"], answer.status);
    assert_eq!(left(&ask("you")), "this request: 3 left at once");
}
