//! Row 34: interim answers without end, heads without end, heads that take for ever.

use super::{Bench, FRONT, case, ok};
use crate::support::prelude::*;

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";

#[test]
fn row_34_the_number_of_interim_answers_is_limited() {
    let poison = ok("Content-Length: 6\r\n", "POISON");
    let continues = "HTTP/1.1 100 Continue\r\n\r\n".repeat(17);
    let cases = [
        case("17 hints", HINTS.repeat(17) + &poison),
        case("17 times 100", continues + &poison),
        case("5000 hints", HINTS.repeat(5000) + &poison),
    ];
    Bench::refuses(&cases, "bad_response");
}

#[test]
fn row_34_a_few_interim_answers_pass() {
    let upstream = Raw::always(HINTS.repeat(16) + &ok("Content-Length: 2\r\n", "ok"));
    let gateway =
        Gateway::start(&format!("{FRONT}routes: {{ app: {{ to: \"{}\" }} }}\n", upstream.url()));
    let mut client = gateway.client();
    for _ in 0..2 {
        let answer = client.get("h", "/");
        assert_eq!((answer.text().as_str(), answer.interim.len()), ("ok", 16));
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn row_34_interim_answers_without_end() {
    let upstream = Raw::serve(|peer| {
        while let Some(request) = peer.request() {
            if request.head.word(1) == "/clean" {
                peer.ok(peer.index.to_string().as_bytes());
            } else {
                while peer.send(HINTS) {}
            }
        }
    });
    // The limit on the head is far away: the count is what ends it.
    let gateway = Gateway::start(&format!(
        "{FRONT}routes: {{ app: {{ to: \"{}\", timeouts: {{ first_byte: 10m, request: 10m }} }} }}\n",
        upstream.url()
    ));
    let mut client = gateway.client();
    for connection in 0..3 {
        let answer = client.get("h", "/endless");
        assert_eq!((answer.status, answer.reason().as_str()), (502, "bad_response"));
        assert!(answer.interim.len() <= 16, "{}", answer.interim.len());
        let line = gateway.last_access(2 * connection + 1);
        assert_eq!(line["detail"], "too many interim answers", "{line}");
        assert_eq!(client.get("h", "/clean").text(), (connection + 1).to_string());
    }
}

#[test]
fn row_34_heads_without_end() {
    let fields = |count: usize| "X: y\r\n".repeat(count);
    let long = |length: usize| format!("X: {}\r\n", "y".repeat(length));
    let hints = format!("HTTP/1.1 103 Early Hints\r\n{}\r\n", long(10_000));
    let cases = [
        case("1 MB of value", ok(&long(1 << 20), "")),
        case("1 MB of fields", ok(&fields(200_000), "")),
        case("1 MB of name", ok(&format!("{}: y\r\n", "X".repeat(1 << 20)), "")),
        case("1 MB of reason", format!("HTTP/1.1 200 {}\r\n\r\n", "x".repeat(1 << 20))),
        case("101 fields", ok(&fields(101), "")),
        case("a 103 of 1 MB", format!("HTTP/1.1 103 Early Hints\r\n{}\r\n", long(1 << 20))),
    ];
    Bench::refuses(&cases, "response_too_large");
    // These count for who they are passed on to.
    let upstream = Raw::always(hints.repeat(10) + &ok("Content-Length: 6\r\n", "POISON"));
    let gateway = Gateway::to(&upstream.url());
    let answer = gateway.get("h", "/");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "response_too_large"));
}

#[test]
fn row_34_a_head_that_drips() {
    let upstream = Raw::serve(|peer| {
        let Some(request) = peer.request() else { return };
        if request.head.word(1) == "/clean" {
            peer.ok(peer.index.to_string().as_bytes());
            return;
        }
        let drops: &[u8] = match request.head.word(1) {
            "/hints" => HINTS.as_bytes(),
            _ => b"HTTP/1.1 200 OK\r\nX: ",
        };
        peer.send(&drops[..1]);
        for drop in drops[1..].iter().cycle() {
            pause(Duration::from_millis(20)); // time itself is what is tested
            if !peer.send([*drop]) {
                return;
            }
        }
    });
    let gateway = Gateway::start(&format!(
        "{FRONT}routes: {{ app: {{ to: \"{}\", timeouts: {{ per_try: 600ms }} }} }}\n",
        upstream.url()
    ));
    for (count, target) in [(1, "/fields"), (3, "/hints")] {
        let start = tokio::time::Instant::now();
        let answer = gateway.get("h", target);
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (504, "upstream_timeout"),
            "{target}"
        );
        assert!(start.elapsed() < DEADLINE / 2, "{target}: {:?}", start.elapsed());
        assert_eq!(gateway.last_access(count)["reason"], "upstream_timeout", "{target}");
        assert_eq!(gateway.get("h", "/clean").text(), count.to_string());
    }
}
