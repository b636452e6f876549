//! Rows 46 to 54: fields that claim, override, hide or flood.

use std::fmt::Write as _;

use super::targets::Stand;
use crate::support::{
    frames::{END_STREAM, Field, Frames, Outcome, get, headers, replaced},
    gateway::BINARY,
    http::Client,
    prelude::*,
    wire::{Cut, Head},
};

fn request(fields: &[&str]) -> String {
    let mut text = "GET /x HTTP/1.1\r\nHost: a\r\n".to_owned();
    for field in fields {
        let _ = write!(text, "{field}\r\n");
    }
    text + "\r\n"
}

fn split(field: &str) -> (String, String) {
    let (name, value) = field.split_once(": ").expect("name and value");
    (name.to_lowercase(), value.to_owned())
}

/// What the upstream received of these fields, by either protocol.
#[track_caller]
fn received(stand: &Stand, fields: &[&str]) -> [Head; 2] {
    let pairs: Vec<_> = fields.iter().map(|field| split(field)).collect();
    let more: Vec<Field<'_>> = pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let one = stand.forwards(request(fields)).1;
    [one, stand.forwards_h2(&get("/x", &more))]
}

/// Refused by either protocol.
#[track_caller]
fn refused(stand: &Stand, fields: &[&str], status: u16, reason: &str) {
    stand.refuses(request(fields), status, reason);
    let pairs: Vec<_> = fields.iter().map(|field| split(field)).collect();
    let more: Vec<Field<'_>> = pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    stand.refuses_h2(&get("/x", &more), status, reason);
}

const OVERRIDES: [&str; 5] = [
    "X-Original-URL: /admin",
    "X-Rewrite-URL: /admin",
    "X-HTTP-Method-Override: DELETE",
    "X-HTTP-Method: DELETE",
    "X-Method-Override: DELETE",
];

#[test]
fn row_46_no_field_overrides_path_or_method() {
    let stand = Stand::new();
    for head in received(&stand, &OVERRIDES) {
        assert_eq!((head.word(0), head.word(1)), ("GET", "/x"));
        for field in OVERRIDES {
            assert!(!head.has(&split(field).0), "{field} went through: {head:?}");
        }
    }
    // Whoever needs one says so; a trusted proxy does not take them from its clients either.
    let stand = Stand::with(
        "listeners: { http: { address: \"127.0.0.1:0\", protocols: [h1, h2c], trusted_proxies: [127.0.0.0/8] } }\n\
         server: { name: edge, pass_headers: [X-HTTP-Method-Override] }\n\
         routes: { app: { to: \"UPSTREAM\" } }\n",
    );
    for head in received(&stand, &OVERRIDES) {
        let there: Vec<_> = OVERRIDES.iter().filter(|field| head.has(&split(field).0)).collect();
        assert_eq!(there, [&OVERRIDES[2]]);
    }
}

#[test]
fn row_47_nothing_of_ours_can_be_named_away() {
    let stand = Stand::with(
        "routes:\n  beta: { match: { headers: { x-beta: present } }, respond: 418 }\n\
         \x20 chat: { match: { headers: { upgrade: chat } }, respond: 418, priority: 1 }\n\
         \x20 app: { to: \"UPSTREAM\", headers: { request: { set: { X-Set: ours } } } }\n",
    );
    let ours = [
        "host",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-real-ip",
        "x-request-id",
        "via",
        "x-set",
    ];
    let connection = format!(
        "Connection: close, {}, Forwarded, Content-Length, Transfer-Encoding, Connection, X-Mine, \
         Authorization, cookie, X-Beta, bad name, , TE",
        ours.join(", ")
    );
    let (_, head) = stand.forwards(format!(
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n{connection}\r\nVia: 1.1 before\r\n\
         X-Mine: 1\r\nAuthorization: Basic eA==\r\nCookie: a=b\r\nX-Kept: 1\r\nX-Beta: 1\r\n\r\nhello"
    ));
    for name in ours {
        assert!(head.has(name), "{name} is missing: {head:?}");
    }
    assert_eq!(head.all("via"), ["1.1 before", "1.1 edge"], "the chain stays whole");
    assert_eq!(head.get("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!((head.get("content-length"), head.get("host")), (Some("5"), Some("a")));
    assert!(head.has("x-kept"));
    // What the client names is its own: gone, and gone before routes and policies look.
    for name in ["x-mine", "authorization", "cookie", "x-beta", "connection"] {
        assert!(!head.has(name), "{name} went through: {head:?}");
    }
    let decides =
        |fields: &[&str]| stand.gateway.client().exchange("GET", "a", "/x", fields).status;
    assert_eq!(decides(&["X-Beta: 1"]), 418, "unnamed it decides");
    assert_eq!(
        decides(&["Connection: upgrade", "Upgrade: chat"]),
        418,
        "a route may ask for these"
    );
    // Over HTTP/2 the field itself is malformed.
    stand.refuses_h2(&get("/", &[(b"connection", b"x-real-ip")]), 400, "-");
    // A careless proxy in front passes its client's `Connection` on.
    let trusting = Stand::with(
        "listeners: { http: { address: \"127.0.0.1:0\", protocols: [h1, h2c], trusted_proxies: [127.0.0.0/8] } }\n\
         routes: { app: { to: \"UPSTREAM\" } }\n",
    );
    let (_, head) = trusting.forwards(request(&[
        "Connection: X-Forwarded-For, X-Forwarded-Proto, Forwarded, X-Auth-Request-User",
        "X-Forwarded-For: 203.0.113.9",
        "X-Forwarded-Proto: https",
        "Forwarded: for=203.0.113.9",
        "X-Auth-Request-User: alice",
    ]));
    assert_eq!(head.get("x-forwarded-for"), Some("203.0.113.9, 127.0.0.1"));
    assert_eq!(head.get("x-forwarded-proto"), Some("https"));
    assert_eq!(head.get("forwarded"), Some("for=203.0.113.9"));
    assert_eq!(head.get("x-auth-request-user"), Some("alice"));
}

#[test]
fn row_48_underscores_are_no_way_around_dashes() {
    let stand = Stand::with(
        "listeners: { http: { address: \"127.0.0.1:0\", protocols: [h1, h2c], client_ip_from: X-Edge-Client } }\n\
         server: { name: edge, request_id: { header: X-Trace-Id } }\n\
         routes:\n  beta: { match: { headers: { x-be-ta: present } }, respond: 418 }\n\
         \x20 app:\n    to: \"UPSTREAM\"\n    headers: { request: { set: { X-User: nobody, my_key: \"1\" }, \
         add: { X-Added-By: edge }, remove: [X-Secret-Key] } }\n",
    );
    for name in [
        "Content_Length",
        "Transfer_Encoding",
        "X_Forwarded_For",
        "X-Forwarded_Proto",
        "X_Real_IP",
        "X_Original_URL",
        "X_HTTP_Method-Override",
        "SSL_Client_Verify",
        "X_SSL_Client_Cert",
        "Client_Cert",
        "Remote_User",
        "X_Auth_Request_User",
        "Proxy_Connection",
        // What this file speaks of.
        "X_Edge_Client",
        "X_Trace_Id",
        "x_be_ta",
        "x-be_ta",
        "X_User",
        "X_Added_By",
        "X_Secret_Key",
    ] {
        refused(&stand, &[&format!("{name}: 1")], 400, "bad_request");
    }
    for head in received(&stand, &["My_Header: 1", "my_key: 2", "X-User: root"]) {
        assert_eq!(head.get("my_header"), Some("1"), "nobody speaks of it");
        assert_eq!(head.get("my_key"), Some("1"), "the file itself spells it so");
        assert_eq!(head.get("x-user"), Some("nobody"));
    }
}

const CLAIMS: [&str; 7] = [
    "X-Forwarded-For: 1.2.3.4",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Prefix: /admin",
    "X-Real-IP: 1.2.3.4",
    "X-Client-IP: 1.2.3.4",
    "Forwarded: for=1.2.3.4;proto=https",
];

#[test]
fn row_49_strangers_are_not_believed_and_routes_do_not_see_what_they_claim() {
    let routes = "routes:\n  secure: { match: { headers: { x-forwarded-proto: https } }, respond: 418 }\n\
         \x20 app: { to: \"UPSTREAM\" }\n";
    let stand = Stand::with(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h1, h2c], client_ip_from: X-Edge-Client }} }}\n{routes}"
    ));
    let fields = [&CLAIMS[..], &["X-Edge-Client: 1.2.3.4"]].concat();
    for head in received(&stand, &fields) {
        for lie in ["1.2.3.4", "evil.example", "https", "/admin"] {
            assert!(head.fields.iter().all(|(_, v)| !v.contains(lie)), "{lie} in {head:?}");
        }
        assert_eq!(head.all("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(head.all("x-real-ip"), ["127.0.0.1"]);
    }
    let trusting = Stand::with(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h1, h2c], trusted_proxies: [127.0.0.0/8] }} }}\n{routes}"
    ));
    let fields: Vec<_> = CLAIMS.into_iter().filter(|field| !field.contains("Proto")).collect();
    for head in received(&trusting, &fields) {
        assert_eq!(head.all("x-forwarded-for"), ["1.2.3.4, 127.0.0.1"]);
        assert_eq!(head.get("x-forwarded-prefix"), Some("/admin"));
        assert_eq!(head.get("x-client-ip"), Some("1.2.3.4"));
    }
    let secure = trusting.gateway.client().exchange("GET", "a", "/x", &[CLAIMS[1]]);
    assert_eq!(secure.status, 418, "a proxy that is trusted decides");
}

const IDENTITY: [&str; 17] = [
    "X-Forwarded-Client-Cert: By=x",
    "X-Forwarded-User: root",
    "X-Forwarded-Email: root@a",
    "X-Forwarded-Groups: wheel",
    "X-Forwarded-Access-Token: t",
    "X-Forwarded-Preferred-Username: root",
    "Client-Cert: :AAAA:",
    "Client-Cert-Chain: :AAAA:",
    "X-Client-Cert: x",
    "X-Client-Certificate: x",
    "X-Client-Verify: SUCCESS",
    "X-Client-DN: CN=root",
    "X-SSL-Client-Verify: SUCCESS",
    "SSL-Client-Cert: x",
    "X-Auth-Request-User: root",
    "Remote-User: root",
    "X-Remote-User: root",
];

#[test]
fn row_50_identity_comes_from_no_client_on_no_route() {
    let yaml = |more: &str, server: &str| {
        format!(
            "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h1, h2c]{more} }} }}\n\
             server: {{ name: edge{server} }}\nroutes:\n\
             \x20 known: {{ match: {{ headers: {{ x-client-verify: SUCCESS }} }}, respond: 418 }}\n\
             \x20 app: {{ to: \"UPSTREAM\" }}\n"
        )
    };
    let there = |head: &Head| {
        let there = IDENTITY.iter().filter(|field| head.has(&split(field).0));
        there.map(|field| split(field).0).collect::<Vec<_>>()
    };
    let stand = Stand::with(&yaml("", ""));
    for head in received(&stand, &IDENTITY) {
        assert_eq!(there(&head), [""; 0]);
    }
    // `X-User` belongs to whichever policy sets it; nothing here does.
    assert_eq!(received(&stand, &["X-User: me"])[0].get("x-user"), Some("me"));
    let some = Stand::with(&yaml("", ", pass_headers: [remote-user, x-forwarded-user]"));
    for head in received(&some, &IDENTITY) {
        assert_eq!(there(&head), ["x-forwarded-user", "remote-user"]);
    }
    let trusting = Stand::with(&yaml(", trusted_proxies: [127.0.0.0/8]", ""));
    let others: Vec<_> = IDENTITY.into_iter().filter(|f| !f.contains("X-Client-Verify")).collect();
    for head in received(&trusting, &others) {
        assert_eq!(there(&head).len(), others.len());
    }
    let known = trusting.gateway.client().exchange("GET", "a", "/x", &[IDENTITY[10]]);
    assert_eq!(known.status, 418);
}

#[test]
fn row_51_one_authorization() {
    let stand = Stand::new();
    let twice = ["Authorization: Basic eA==", "Authorization: Bearer x"];
    refused(&stand, &twice, 400, "bad_request");
    refused(
        &stand,
        &["authorization: Basic eA==", "AUTHORIZATION: Basic eA=="],
        400,
        "bad_request",
    );
    for head in received(&stand, &twice[..1]) {
        assert_eq!(head.all("authorization"), ["Basic eA=="]);
    }
}

#[test]
fn row_52_too_much_of_a_head() {
    let stand = Stand::new();
    let refuses_h2 = |more: &[Field<'_>]| {
        stand.refuses_h2(&get("/", more), 431, "header_too_large");
    };
    let many = vec!["X-Field: 1"; 200];
    stand.refuses(request(&many), 431, "header_too_large");
    refuses_h2(&[(&b"x-field"[..], &b"1"[..]); 200]);
    refuses_h2(&[(&b"cookie"[..], &b"a=1"[..]); 101]);
    let name = "x".repeat(257);
    stand.refuses(request(&[&format!("{name}: 1")]), 431, "header_too_large");
    refuses_h2(&[(name.as_bytes(), b"1")]);
    stand.refuses(request(&[&format!("X: {}", "x".repeat(100_000))]), 431, "header_too_large");
    let long = "x".repeat(9_000);
    stand.refuses(format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414, "uri_too_long");
    stand.refuses_h2(&get(&format!("/{long}"), &[]), 414, "uri_too_long");
    let method = "M".repeat(33);
    stand.refuses(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"), 400, "bad_request");
    let fields = replaced(get("/", &[]), b":method", method.as_bytes());
    stand.refuses_h2(&fields, 400, "bad_request");
    let method = "M".repeat(100_000);
    stand.refuses(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"), 414, "uri_too_long");
    // What is large and within the limits passes.
    let value = format!("X: {}", "x".repeat(10_000));
    for head in received(&stand, &[&value, &format!("{}: 1", "y".repeat(256))]) {
        assert_eq!(head.get("x").map(str::len), Some(10_000));
    }
}

#[test]
fn row_53_a_log_line_is_one_line() {
    let stand = Stand::new();
    let agent = r#""},{"status":200} \n \" \u000a"#;
    let line = "GET /a%22b%5b%3c?q=%0d%0a{\\x HTTP/1.1";
    let (_, head) = stand.forwards(format!("{line}\r\nHost: a\r\nUser-Agent: {agent}\r\n\r\n"));
    assert_eq!(head.get("user-agent"), Some(agent));
    for bytes in [
        &b"GET /\x1b[31m HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: a\x1b[2Jb\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: a\xe2\x80\xa8b\r\n\r\n",
    ] {
        stand.refuses(bytes, 400, "bad_request");
    }
    stand.refuses("GET / HTTP/1.1\r\nHost: a\"\x7d\r\n\r\n", 400, "bad_host");
    let values =
        [&b"a\r\nb"[..], b"a\nb", b"a\0b", b"a\x1bb", b"\xe2\x80\xa8", b"\xff", b" a", b"a\t"];
    for value in values {
        for name in [&b"user-agent"[..], b"x-any"] {
            stand.refuses_h2(&get("/", &[(name, value)]), 400, "bad_request");
        }
    }
    // Every line was read as one JSON object on the way here; what was sent is inside of strings.
    let path = stand.gateway.home().join("access.log");
    let lines = stand.gateway.access_log(10);
    assert!(lines.iter().all(|line| line["status"].is_u64() && line["ts"].is_string()));
    let text = std::fs::read(path).unwrap();
    assert!(text.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n')), "plain ASCII");
    until("the line of the first request", || {
        stand.gateway.access_log(1).iter().any(|line| line["user_agent"] == agent)
    });
}

#[test]
fn row_54_a_head_with_nothing_in_it_is_logged_too() {
    for format in ["json", "clf", "combined"] {
        let stand = Stand::with(&format!(
            "logs: {{ format: json, level: debug, access: {{ format: {format}, to: ./access.log, headers: {{ request: [host, referer, x-none] }} }} }}\n\
             routes: {{ app: {{ to: \"UPSTREAM\" }} }}\n"
        ));
        let (_, head) = stand.forwards("GET /x HTTP/1.0\r\n\r\n");
        assert!(!head.has("x-forwarded-host"), "{head:?}");
        stand.refuses("GET / HTTP/1.1\r\n\r\n", 400, "bad_host");
        stand.refuses("\r\n\r\n\r\n\r\n\r\n\r\n\r\n", 400, "bad_request");
        stand.refuses("GET /%00 HTTP/1.0\r\n\r\n", 400, "bad_path");
        let bare: [Field<'_>; 3] = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")];
        stand.refuses_h2(&bare, 400, "bad_host");
        let mut client = Frames::connect(stand.gateway.addr("http"), &[]);
        let outcome = client.exchange(1, &get("/clean", &[]));
        assert!(matches!(outcome, Outcome::Answer { status: 200, .. }));
        let read = || {
            let text = std::fs::read_to_string(stand.gateway.home().join("access.log"));
            text.unwrap_or_default().lines().count()
        };
        until(&format!("all lines of {format}"), || read() >= 7);
        assert!(!stand.gateway.logs().contains("panic"), "{}", stand.gateway.logs());
    }
}

/// The gateway with a layer that panics; `cargo test` builds it beside the binary.
fn panicking(upstream: &Raw) -> Gateway {
    let binary = std::path::Path::new(BINARY).with_file_name("examples").join("panicking");
    assert!(binary.exists(), "{}: `cargo build --examples` makes it", binary.display());
    let shell = format!("exec {} \"$@\"", binary.display());
    Gateway::builder().wrapper(&["sh", "-c", &shell]).start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h1, h2c] }} }}\n\
         routes: {{ app: {{ to: \"{}\", layers: [{{ name: panic, at: start }}] }} }}\n",
        upstream.url()
    ))
}

#[test]
fn row_54_a_panic_ends_its_own_request_only() {
    let upstream = Raw::echo();
    let gateway = panicking(&upstream);
    let mut client: Client = gateway.client();
    for target in ["/call", "/future", "/call"] {
        let answer = client.get("a", target);
        assert_eq!((answer.status, answer.reason().as_str()), (500, "internal"), "{target}");
        assert!(!answer.text().contains("layer"), "nothing is told of it: {}", answer.text());
    }
    assert_eq!(client.get("a", "/x").echoed_target(), "/x");
    client.request("GET", "a", "/body", &[]);
    let (answer, cut) = client.try_response("GET").unwrap();
    assert_eq!((answer.status, cut), (200, Some(Cut(b"half".to_vec()))), "no last chunk");

    let mut frames = Frames::connect(gateway.addr("http"), &[]);
    for (stream, path) in [(1, "/x"), (3, "/call"), (5, "/future"), (7, "/body"), (9, "/y")] {
        frames.send(headers(stream, END_STREAM, &get(path, &[])));
    }
    let [x, call, future, body, y] = [1, 3, 5, 7, 9].map(|stream| frames.outcome(stream));
    for outcome in [call, future] {
        assert_eq!(outcome.reason(), (500, "internal".to_owned()), "{outcome:?}");
    }
    assert!(matches!(body, Outcome::Reset(_)), "{body:?}");
    for outcome in [x, y] {
        assert!(matches!(outcome, Outcome::Answer { status: 200, .. }), "{outcome:?}");
    }
    let lines = gateway.access_log(10);
    let internal = lines.iter().filter(|line| line["reason"] == "internal").count();
    assert_eq!((internal, lines.len()), (7, 10), "{lines:#?}");
    assert!(lines.iter().any(|line| line["detail"] == "panic: in the call\nof a layer"));
    // Each is one line of the log, with its place, and nothing else is written anywhere.
    let said = gateway.logs();
    let panics = said.lines().filter(|line| line.contains("\"message\":\"panic\""));
    let panics: Vec<serde_json::Value> =
        panics.map(|line| serde_json::from_str(line).expect("one JSON line")).collect();
    assert_eq!(panics.len(), 7, "{said}");
    assert!(panics.iter().all(|line| line["location"].as_str().unwrap().contains("panicking.rs")));
    assert!(!said.contains("thread '"), "{said}");
    assert_eq!(upstream.requests().len(), 3);
    assert_eq!(gateway.get("a", "/clean").status, 200);
}
