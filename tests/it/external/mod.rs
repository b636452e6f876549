//! Schemes of `auth` that ask a service: a real Flask service for `external`, a tonic server for
//! `ext_authz`, and services that are down, slow or lying.

mod grpc;
mod introspection;
mod kept;
mod sick;

use serde_json::Value;
use tokio::time::Instant;

use crate::support::prelude::*;

/// An upstream that shows what it got, a service, and a gateway that asks it.
struct Parts {
    gateway: Gateway,
    upstream: Raw,
    service: Flask,
}

/// A gateway whose route `app` asks the service. `SERVICE` and `UP` are URLs.
fn start(policy: &str, more: &str) -> Parts {
    let (upstream, service) = (Raw::echo(), Flask::auth());
    let yaml = file(policy, more, &upstream.url(), &service.url());
    Parts { gateway: Gateway::start(&yaml), upstream, service }
}

/// A thousand that waited for one answer go to the upstream at once: each finds a place and the time to connect.
fn file(policy: &str, more: &str, upstream: &str, service: &str) -> String {
    let text = format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h1, h2c] }} }}\n\
         defaults: {{ upstream: {{ connect_timeout: 20s, limits: {{ queue: 2000 }} }} }}\n\
         policies:\n  auth:\n    asked: {policy}\n\
         routes:\n  app: {{ match: /app/**, to: UP, auth: asked }}\n  open: {{ match: /open, to: UP }}\n{more}"
    );
    text.replace("UP", &format!("\"{upstream}\"")).replace("SERVICE", service)
}

impl Parts {
    fn get(&self, target: &str, fields: &[&str]) -> crate::support::http::Response {
        let fields = [fields, &["Connection: close"]].concat();
        self.gateway.client().exchange("GET", "shop.example:80", target, &fields)
    }

    /// What the service was asked.
    fn seen(&self) -> Vec<Value> {
        let mut client = Client::connect(self.service.address());
        let seen = client.exchange("GET", "x", "/seen", &["Connection: close"]).json();
        seen.as_array().unwrap().clone()
    }

    fn questions(&self, result: &str) -> f64 {
        let labels = [("policy", "asked"), ("result", result)];
        self.gateway.metric("tidegate_auth_questions_total", &labels).unwrap_or_default()
    }
}

/// A field of a question.
fn field<'v>(question: &'v Value, name: &str) -> Vec<&'v str> {
    let all = question["headers"].as_array().unwrap().iter();
    all.filter(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap()).collect()
}

const EXTERNAL: &str = "{ external: { url: \"SERVICE/verify?a=1\", timeout: 5s, consumer: X-User, \
     request_headers: [authorization, cookie, accept], response_headers: [x-user, x-role], answer_headers: [x-number] } }";

#[test]
fn the_service_says_who_may_pass_and_the_upstream_hears_who_it_is() {
    let parts = start(EXTERNAL, "");
    let good = parts.get(
        "/app//a/../b%7e?q=%31",
        &[
            "Authorization: Bearer good",
            "X-Secret: 1",
            "X-Forwarded-Method: DELETE",
            "x-forwarded-uri: /z",
        ],
    );
    assert_eq!(good.status, 200, "{}", good.text());
    assert_eq!(good.echoed("x-user").as_deref(), Some("ann"));
    assert_eq!(good.echoed("x-role").as_deref(), Some("reader|writer"));
    assert_eq!(good.echoed("x-not-asked-for"), None);
    assert_eq!(good.echoed("authorization").as_deref(), Some("Bearer good"));
    assert_eq!(good.header("x-number"), Some("1"), "for the client");
    assert_eq!(good.header("x-user"), None);
    let seen = parts.seen();
    let question = &seen[0];
    assert_eq!((&question["method"], &question["target"]), (&"GET".into(), &"/verify?a=1".into()));
    let target = good.echoed_target();
    assert_eq!(field(question, "x-forwarded-uri"), [&*target], "what the upstream gets");
    assert_eq!(field(question, "x-forwarded-method"), ["GET"]);
    assert_eq!(field(question, "x-forwarded-proto"), ["http"]);
    assert_eq!(field(question, "x-forwarded-host"), ["shop.example:80"]);
    assert_eq!(field(question, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(field(question, "host"), [parts.service.address().to_string()]);
    assert_eq!(field(question, "x-request-id").len(), 1);
    assert!(field(question, "x-secret").is_empty() && field(question, "connection").is_empty());
    assert_eq!(parts.gateway.last_access(1)["consumer"], "ann");
}

#[test]
fn who_may_not_is_answered_as_the_service_says() {
    let parts = start(EXTERNAL, "");
    let nobody = parts.get("/app", &[]);
    assert_eq!((nobody.status, &*nobody.text()), (401, "who?"));
    assert_eq!(nobody.header("www-authenticate"), Some("Bearer realm=\"x\""));
    let forbidden = parts.get("/app", &["Authorization: Bearer forbidden"]);
    assert_eq!((forbidden.status, forbidden.header("x-why")), (403, Some("rules")));
    let browser = parts.get("/app?x=1", &["Accept: text/html"]);
    assert_eq!(browser.status, 302);
    assert_eq!(browser.header("location"), Some("https://login.example/?from=/app?x=1"));
    assert!(browser.header("set-cookie").is_some_and(|cookie| cookie.starts_with("state=of-")));
    let head = parts.gateway.client().exchange("HEAD", "x", "/app", &["Connection: close"]);
    assert_eq!(head.status, 401);
    for what in ["broken", "odd"] {
        let broken = parts.get("/app", &[&format!("Authorization: Bearer {what}")]);
        assert_eq!((broken.status, broken.reason().as_str()), (503, "auth_unavailable"));
        assert_eq!(broken.header("retry-after"), Some("1"));
    }
    assert_eq!(parts.upstream.requests().len(), 0, "none of these cost the upstream anything");
    assert_eq!((parts.questions("answered"), parts.questions("failed")), (4.0, 2.0));
    let why = |reason| {
        let labels = [("policy", "asked"), ("reason", reason)];
        parts.gateway.metric("tidegate_policy_refusals_total", &labels)
    };
    assert_eq!((why("refused_by_service"), why("service_bad_answer")), (Some(3.0), Some(2.0)));
    // To be sent to a login is no refusal.
    assert_eq!(why("no_credentials"), None);
    let login = [("policy", "asked"), ("result", "login")];
    assert_eq!(parts.gateway.metric("tidegate_policy_decisions_total", &login), Some(1.0));
    // A gRPC client is answered in its own words.
    let url = format!("{}/app/x.Y/Z", parts.gateway.url("http"));
    let grpc = curl(&[
        "--http2-prior-knowledge",
        "-H",
        "content-type: application/grpc",
        "-H",
        "te: trailers",
        &url,
    ]);
    assert!(grpc.status == 200 && grpc.head.contains("grpc-status: 16"), "{}", grpc.head);
}

#[test]
fn nobody_but_the_service_says_who_it_is() {
    let parts = start(EXTERNAL, "");
    let spelled = [
        vec!["x-user: root"],
        vec!["X-USER: root", "x-User: admin"],
        vec!["X-User: root", "Connection: X-User"],
        vec!["X-Role: root", "Connection: x-role, X-User"],
        vec!["x-user:root", "x-role:"],
    ];
    for fields in spelled {
        let answer = parts.gateway.client().exchange(
            "GET",
            "x",
            "/app",
            &[&["Authorization: Bearer good"], &*fields].concat(),
        );
        assert_eq!(answer.status, 200, "{fields:?}");
        let (user, role) = (answer.echoed("x-user"), answer.echoed("x-role"));
        assert_eq!(
            (user.as_deref(), role.as_deref()),
            (Some("ann"), Some("reader|writer")),
            "{fields:?}"
        );
        assert!(!answer.text().contains("root") && !answer.text().contains("admin"));
    }
    // Many applications read `_` as `-`.
    for alias in ["X_User: root", "x_user: root", "X_Role: root"] {
        assert_eq!(
            parts.get("/app", &["Authorization: Bearer good", alias]).status,
            400,
            "{alias}"
        );
    }
    let h2 = |fields: &[&str]| {
        let fields: Vec<&str> = fields.iter().flat_map(|field| ["-H", field]).collect();
        let url = format!("{}/app", parts.gateway.url("http"));
        curl(&[&["--http2-prior-knowledge", &*url], &*fields].concat())
    };
    let answer =
        h2(&["authorization: Bearer good", "x-user: root", "X-User: admin", "x-role: root"]);
    assert_eq!((answer.status, &*answer.version), (200, "2"));
    let text = answer.text();
    assert!(!text.contains("root") && !text.contains("admin"), "{text}");
    assert!(text.to_ascii_lowercase().contains("x-user: ann"), "{text}");
    assert_eq!(h2(&["authorization: Bearer good", "x_user: root"]).status, 400);
    assert_eq!(h2(&["x-user: root"]).status, 401);
}

#[test]
fn a_service_that_sees_the_body_sees_all_of_it_and_so_does_the_upstream() {
    let policy = "{ external: { url: \"SERVICE/verify\", timeout: 5s, body: { max: 10KiB } } }";
    let parts = start(policy, "");
    let post = |body: &[u8], fields: &[&str]| {
        let length = format!("Content-Length: {}", body.len());
        let mut client = parts.gateway.client();
        let fields =
            [&["Authorization: Bearer good", "Content-Type: a/b", &length], fields].concat();
        client.request("POST", "x", "/app", &fields);
        client.send(body);
        client.response()
    };
    let answer = post(b"hello body", &[]);
    assert!(answer.status == 200 && answer.text().ends_with("\n\nhello body"), "{}", answer.text());
    assert_eq!(answer.echoed("content-length").as_deref(), Some("10"));
    let seen = parts.seen();
    assert_eq!((&seen[0]["method"], &seen[0]["body"]), (&"POST".into(), &"hello body".into()));
    assert_eq!(field(&seen[0], "content-type"), ["a/b"]);
    let whole = vec![b'x'; 10 << 10];
    let answer = post(&whole, &["Expect: 100-continue"]);
    assert!(answer.status == 200 && answer.body.ends_with(&whole));
    let large = post(&vec![b'x'; (10 << 10) + 1], &["Connection: close"]);
    assert_eq!((large.status, large.reason().as_str()), (413, "body_too_large"));
    // In chunks, with what follows them.
    let mut client = parts.gateway.client();
    let chunked = ["Authorization: Bearer good", "Transfer-Encoding: chunked", "Trailer: x-t"];
    client.request("POST", "x", "/app", &chunked);
    client.send("5\r\nhello\r\n");
    pause(Duration::from_millis(50));
    client.send("4\r\n you\r\n0\r\nx-t: 1\r\n\r\n");
    let answer = client.response();
    assert!(answer.status == 200 && answer.text().ends_with("hello you"), "{}", answer.text());
    assert_eq!(parts.seen().last().unwrap()["body"], "hello you");
    let mut client = parts.gateway.client();
    client.request("POST", "x", "/app", &chunked[..2]);
    let piece = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    client.send(piece.repeat(3));
    assert_eq!(client.response().status, 413, "before it has sent the rest");
    assert_eq!(parts.seen().len(), 3);
    // Nobody who leaves in the middle is taken for somebody who has sent all.
    let mut client = parts.gateway.client();
    client.request("POST", "x", "/app", &["Authorization: Bearer good", "Content-Length: 9"]);
    client.send("half");
    drop(client);
    parts.gateway.access_log(6);
    assert_eq!((parts.seen().len(), parts.upstream.requests().len()), (3, 3));
}

#[test]
fn policies_that_only_watch_and_several_of_them() {
    let key = "keys: { api_key: { keys: { bob: bob-key-0123456789 } }, pass_consumer: X-User }\n";
    let watch = EXTERNAL.replace("} }", "}, mode: shadow }");
    let policy = format!("{EXTERNAL}\n    watch: {watch}\n    {key}");
    let parts = start(
        &policy,
        "  any: { match: /any, to: UP, auth: { any: [asked, keys] } }\n  \
         yna: { match: /yna, to: UP, auth: { any: [keys, asked] } }\n  \
         all: { match: /all, to: UP, auth: { all: [asked, keys] } }\n  \
         watch: { match: /watch, to: UP, auth: watch }\n",
    );
    let (good, bob) = ("Authorization: Bearer good", "X-Api-Key: bob-key-0123456789");
    assert_eq!(parts.get("/any", &[]).status, 401);
    assert_eq!(parts.get("/any", &[good]).echoed("x-user").as_deref(), Some("ann"));
    assert_eq!(parts.get("/any", &[bob]).echoed("x-user").as_deref(), Some("bob"));
    let before = parts.seen().len();
    assert_eq!(parts.get("/yna", &[bob]).status, 200);
    assert_eq!(parts.seen().len(), before, "nobody asks in vain");
    assert_eq!(parts.get("/yna", &["Accept: text/html"]).status, 302);
    assert_eq!(parts.get("/all", &[good]).status, 401);
    assert_eq!(parts.get("/all", &[bob]).status, 401);
    assert_eq!(parts.get("/all", &[good, bob]).status, 200);
    for (fields, who) in [(&["X-User: root"][..], None), (&[good, "X-User: root"], Some("ann"))] {
        let answer = parts.get("/watch", fields);
        assert_eq!((answer.status, answer.echoed("x-user").as_deref()), (200, who));
    }
    assert_eq!(parts.get("/watch", &["Authorization: Bearer broken"]).status, 200);
    let labels = [("route", "watch"), ("result", "shadow")];
    assert_eq!(parts.gateway.metric("tidegate_policy_decisions_total", &labels), Some(2.0));
}

#[test]
fn a_named_upstream_is_asked_through_its_own_settings_and_a_loop_ends() {
    let policy = "{ external: { to: guard, path: /verify, timeout: 5s } }";
    let parts = start(
        policy,
        "upstreams: { guard: { endpoints: [\"SERVICE\"], host_header: guard.internal } }\n",
    );
    assert_eq!(parts.get("/app", &["Authorization: Bearer good"]).status, 200);
    assert_eq!(field(&parts.seen()[0], "host"), ["guard.internal"]);
    // A gateway that asks itself must not go round for ever.
    let address = parts.gateway.addr("http");
    let yaml = file(
        &format!("{{ external: {{ url: \"http://{address}/app\", timeout: 2s }} }}"),
        "",
        &parts.upstream.url(),
        &parts.service.url(),
    );
    parts.gateway.reload(&yaml);
    let begun = Instant::now();
    let answer = parts.get("/app", &[]);
    assert_eq!((answer.status, answer.reason().as_str()), (503, "auth_unavailable"));
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(parts.get("/open", &[]).status, 200);
}
