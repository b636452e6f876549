//! Requests that mean different things to different readers: refused with a reason, the connection closed,
//! nothing of them upstream, and the next clean request answered as if nothing had happened.

use crate::support::prelude::*;

struct Case {
    name: &'static str,
    bytes: &'static [u8],
    /// Statuses that are right.
    status: &'static [u16],
}

const fn case(name: &'static str, bytes: &'static [u8], status: &'static [u16]) -> Case {
    Case { name, bytes, status }
}

const BAD: &[u16] = &[400];

/// Requests whose head is wrong.
const HEADS: &[Case] = &[
    case("no Host", b"GET / HTTP/1.1\r\n\r\n", BAD),
    case("two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", BAD),
    case("two equal Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", BAD),
    case("empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", BAD),
    case("user-info in Host", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", BAD),
    case("path in Host", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", BAD),
    case("user-info and path in Host", b"GET / HTTP/1.1\r\nHost: u@a/b\r\n\r\n", BAD),
    case("space in Host", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", BAD),
    case("comma in Host", b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", BAD),
    case("junk port in Host", b"GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n", BAD),
    case("two authorities", b"GET http://evil/ HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    case("user-info in the target", b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    case("lower-case method", b"get / HTTP/1.1\r\nHost: a\r\n\r\n", &[400, 405, 501]),
    case("8-bit target", b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    case("fragment in the target", b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    case("backslash in the target", b"GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    case("target without slash", b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    case("asterisk for GET", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    case("space in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
];

const CLEAN: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// Sends the request with a second one behind it, and returns the complaint if anything is wrong.
fn judge(gateway: &Gateway, case: &Case) -> Result<(), String> {
    let mut client = gateway.client();
    client.send([case.bytes, CLEAN].concat());
    let Some((answer, _)) = client.try_response("GET") else {
        return Err("closed without an answer".to_owned());
    };
    if !case.status.contains(&answer.status) {
        return Err(format!("status {} {}", answer.status, answer.text()));
    }
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if body["reason"].as_str().is_none_or(str::is_empty) {
        return Err(format!("no reason in {:?} {:?}", answer.head, answer.text()));
    }
    let rest = client.wire().rest();
    if !rest.is_empty() {
        return Err(format!("went on with {:?}", String::from_utf8_lossy(&rest)));
    }
    Ok(())
}

#[track_caller]
fn refuses_all(cases: &[Case]) {
    let upstream = Raw::serve(|peer| {
        while let Some(request) = peer.request() {
            peer.ok(request.head.word(1).as_bytes());
        }
    });
    let gateway = Gateway::to(&upstream.url());
    let mut neighbour = gateway.client();
    let complaints: Vec<_> = cases
        .iter()
        .filter_map(|case| {
            let verdict = judge(&gateway, case);
            let clean = neighbour.get("a", "/clean");
            assert_eq!(clean.text(), "/clean", "after {}", case.name);
            verdict.err().map(|complaint| format!("{}: {complaint}", case.name))
        })
        .collect();
    assert!(
        complaints.is_empty(),
        "{} of {}:\n{}",
        complaints.len(),
        cases.len(),
        complaints.join("\n")
    );
    let reached = upstream.requests();
    assert!(reached.iter().all(|head| head.word(1) != "/smuggled"), "{reached:?}");
    let other: Vec<_> = reached.iter().filter(|head| head.word(1) != "/clean").collect();
    assert!(other.is_empty(), "reached the upstream: {other:?}");
    // One line for each refusal and one for each clean request.
    let lines = gateway.access_log(2 * cases.len());
    let refused = lines.iter().filter(|line| line["reason"].is_string()).count();
    assert_eq!((refused, lines.len()), (cases.len(), 2 * cases.len()), "in the access log");
}

#[test]
fn malformed_heads_are_refused() {
    refuses_all(HEADS);
}

#[test]
fn too_much_of_a_head_is_refused() {
    let upstream = Raw::text("x");
    let gateway = Gateway::to(&upstream.url());
    let fields = |count: usize| "X-Field: 1\r\n".repeat(count);
    let cases = [
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", fields(200)), 431, "header_too_large"),
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(40_000)),
            431,
            "header_too_large",
        ),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9_000)), 414, "uri_too_long"),
    ];
    for (request, status, reason) in cases {
        let mut client = gateway.client();
        client.send(request);
        let answer = client.response();
        assert_eq!((answer.status, answer.reason().as_str()), (status, reason));
        assert!(client.closed());
    }
    assert_eq!(upstream.connections(), 0);
    assert_eq!(gateway.get("a", "/").status, 200);
}

#[test]
fn a_sensible_absolute_form_is_understood() {
    let upstream = Raw::echo();
    let gateway = Gateway::to(&upstream.url());
    let answer = gateway.get("a.example", "http://a.example/x?y");
    assert_eq!((answer.status, answer.echoed_target().as_str()), (200, "/x?y"));
    assert_eq!(answer.echoed("host").as_deref(), Some("a.example"));
}
