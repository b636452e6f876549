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
    case("bare LF", b"GET / HTTP/1.1\nHost: a\n\n", BAD),
    case("one bare LF", b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", BAD),
    case("bare CR", b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n", BAD),
    case("folded line", b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", BAD),
    case("space before colon", b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", BAD),
    case("empty field name", b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", BAD),
    case("NUL in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n", BAD),
    case("HTTP/0.9", b"GET /\r\n\r\n", BAD),
    case("HTTP/9.9", b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", &[400, 505]),
];

/// Requests whose end is ambiguous.
const FRAMINGS: &[Case] = &[
    case("CL and TE", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    case("gzip, chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", &[400, 501]),
    case("chunked, chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", BAD),
    case("two TE lines", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    case("chunked, identity", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", &[400, 501]),
    case("xchunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", &[400, 501]),
    case("VT before chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", &[400, 501]),
    case("TE on HTTP/1.0", b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    case("two lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", BAD),
    case("a list of lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello", BAD),
    case("+5", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", BAD),
    case("-1", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nhello", BAD),
    case("hexadecimal length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello", BAD),
    case("empty length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nhello", BAD),
    case("2^64", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n", BAD),
    case("Content_Length", b"POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\n", BAD),
    case("Transfer_Encoding", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\n\r\n", BAD),
];

/// Requests whose body goes wrong after a good head: the upstream may have seen the head.
const BODIES: &[Case] = &[
    case("space after the chunk size", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n", BAD),
    case("+5 as chunk size", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n", BAD),
    case("0x5 as chunk size", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", BAD),
    case("empty chunk size", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n", BAD),
    case("chunk data too long", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n", BAD),
    case("bare LF after the size", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", BAD),
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
fn refuses_all(cases: &[Case], head_may_pass: bool) {
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
    if !head_may_pass {
        let other: Vec<_> = reached.iter().filter(|head| head.word(1) != "/clean").collect();
        assert!(other.is_empty(), "reached the upstream: {other:?}");
    }
    // One line for each refusal and one for each clean request.
    let lines = gateway.access_log(2 * cases.len());
    let refused = lines.iter().filter(|line| line["reason"].is_string()).count();
    assert_eq!((refused, lines.len()), (cases.len(), 2 * cases.len()), "in the access log");
}

#[test]
fn malformed_heads_are_refused() {
    refuses_all(HEADS, false);
}

#[test]
fn ambiguous_framing_is_refused() {
    refuses_all(FRAMINGS, false);
}

#[test]
fn a_body_gone_wrong_is_the_clients_fault() {
    refuses_all(BODIES, true);
}
