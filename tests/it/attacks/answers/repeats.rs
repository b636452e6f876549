//! Row 36: which requests are sent twice, and when.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{FRONT, ok};
use crate::support::{
    h2upstream::{DATA, END_HEADERS, GOAWAY, H2Peer, HEADERS, RST_STREAM, field},
    prelude::*,
};

/// Long enough on the pool for a connection to count as idle.
const IDLE: Duration = Duration::from_millis(80);

/// Answers with the number of the connection, but does this with the second request of the first one.
fn once(then: impl Fn(&mut crate::support::raw::Peer) + Send + Sync + 'static) -> (Raw, Gateway) {
    let upstream = Raw::serve(move |peer| {
        let mut first = true;
        while peer.request().is_some() {
            if peer.index == 0 && !first {
                return then(peer);
            }
            first = false;
            peer.ok(peer.index.to_string().as_bytes());
        }
    });
    let gateway =
        Gateway::start(&format!("{FRONT}routes: {{ app: {{ to: \"{}\" }} }}\n", upstream.url()));
    (upstream, gateway)
}

/// How often the upstream saw this target.
fn seen(upstream: &Raw, target: &str) -> usize {
    upstream.requests().iter().filter(|head| head.word(1) == target).count()
}

#[test]
fn row_36_only_what_may_be_repeated_is() {
    // A connection that closes under its second request.
    let repeats = [("GET", 2), ("HEAD", 2), ("OPTIONS", 2), ("PUT", 2), ("DELETE", 2)];
    let never = [("POST", 1), ("PATCH", 1), ("MYOWN", 1)];
    for (method, times) in repeats.into_iter().chain(never) {
        let (upstream, gateway) = once(|_| {});
        let mut client = gateway.client();
        assert_eq!(client.get("h", "/first").text(), "0");
        pause(IDLE);
        let answer = client.exchange(method, "h", "/second", &["Content-Length: 0"]);
        let line = gateway.last_access(2);
        assert_eq!(seen(&upstream, "/second"), times, "{method}: {line}");
        let (status, reason) = if times == 2 { (200, None) } else { (502, Some("upstream_reset")) };
        assert_eq!(answer.status, status, "{method}: {line}");
        assert_eq!(line["reason"].as_str(), reason, "{method}");
        assert_eq!(gateway.get("h", "/clean").status, 200, "{method}");
    }
}

#[test]
fn row_36_a_request_with_a_body_is_sent_once() {
    for method in ["GET", "PUT", "POST"] {
        let (upstream, gateway) = once(|_| {});
        let mut client = gateway.client();
        assert_eq!(client.get("h", "/first").text(), "0");
        pause(IDLE);
        client.request(method, "h", "/second", &["Content-Length: 4"]);
        client.send("body");
        let answer = client.response();
        assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_reset"), "{method}");
        assert_eq!(seen(&upstream, "/second"), 1, "{method}");
    }
}

#[test]
fn row_36_whoever_answered_is_not_asked_again() {
    let answers = [
        ("garbage", "garbage\r\n\r\n".to_owned(), "bad_response"),
        (
            "two framings",
            ok("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", ""),
            "bad_response",
        ),
        ("a switch", "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned(), "bad_response"),
        ("too large", ok(&"X: y\r\n".repeat(101), ""), "response_too_large"),
    ];
    for (name, answer, reason) in answers {
        let (upstream, gateway) = once(move |peer| {
            peer.send(&answer);
            peer.gone();
        });
        let mut client = gateway.client();
        assert_eq!(client.get("h", "/first").text(), "0");
        pause(IDLE);
        let answer = client.get("h", "/second");
        assert_eq!((answer.status, answer.reason().as_str()), (502, reason), "{name}");
        assert_eq!(seen(&upstream, "/second"), 1, "{name}");
        assert_eq!(client.get("h", "/clean").text(), "1", "{name}");
    }
}

/// An HTTP/2 upstream that does this with its first requests, so many in all, and answers the rest.
fn h2(times: usize, then: impl Fn(&mut H2Peer<'_>, u32) + Send + Sync + 'static) -> (Raw, Gateway) {
    let count = AtomicUsize::new(0);
    let upstream = Raw::serve(move |peer| {
        let Some(mut h2) = H2Peer::accept(peer) else { return };
        while let Some(stream) = h2.request() {
            let number = count.fetch_add(1, Ordering::SeqCst);
            if number < times {
                then(&mut h2, stream);
            } else {
                h2.ok(stream, number.to_string().as_bytes());
            }
        }
    });
    let gateway = Gateway::start(&format!(
        "{FRONT}upstreams: {{ app: {{ endpoints: [\"h2c://{}\"] }} }}\nroutes: {{ app: {{ to: app }} }}\n",
        upstream.address()
    ));
    (upstream, gateway)
}

fn reset(h2: &mut H2Peer<'_>, stream: u32, code: u32) {
    h2.send(RST_STREAM, 0, stream, &code.to_be_bytes());
}

const REFUSED_STREAM: u32 = 7;

#[test]
fn row_36_a_stream_the_upstream_refused_is_tried_again() {
    let (upstream, gateway) = h2(1, |h2, stream| reset(h2, stream, REFUSED_STREAM));
    let answer = gateway.get("h", "/");
    assert_eq!((answer.status, answer.text().as_str()), (200, "1"), "the second one");
    assert_eq!(gateway.last_access(1)["tries"], 2);
    assert_eq!(upstream.connections(), 1, "the connection is good");
    // Once, not for ever.
    let (_upstream, gateway) = h2(2, |h2, stream| reset(h2, stream, REFUSED_STREAM));
    let answer = gateway.get("h", "/");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_reset"));
    assert_eq!(gateway.get("h", "/").text(), "2", "two requests were seen before");
}

#[test]
fn row_36_a_stream_goaway_leaves_out_is_tried_again() {
    let (upstream, gateway) = h2(1, |h2, _| {
        // The last stream acted on is none.
        h2.send(GOAWAY, 0, 0, &[0; 8]);
        while h2.frame().is_some() {}
    });
    let answer = gateway.get("h", "/");
    assert_eq!((answer.status, answer.text().as_str()), (200, "1"));
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn row_36_other_ends_of_a_stream_are_final() {
    // INTERNAL_ERROR, CANCEL, HTTP_1_1_REQUIRED: it may have been acted on.
    for code in [2, 8, 13] {
        let (_upstream, gateway) = h2(1, move |h2, stream| reset(h2, stream, code));
        let answer = gateway.get("h", "/");
        assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_reset"), "{code}");
        assert_eq!(gateway.get("h", "/").text(), "1", "{code}: one request was seen before");
    }
    let (_upstream, gateway) = h2(1, |h2, stream| reset(h2, stream, REFUSED_STREAM));
    let answer = gateway.client().post("h", "/", b"body");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_reset"));
    assert_eq!(gateway.get("h", "/").text(), "1", "one request was seen before");
    // A head has been seen: whatever comes then, there is no second try.
    let (_upstream, gateway) = h2(1, |h2, stream| {
        h2.send(HEADERS, END_HEADERS, stream, &field(":status", "200"));
        h2.send(DATA, 0, stream, b"half");
        reset(h2, stream, REFUSED_STREAM);
    });
    let mut client = gateway.client();
    client.request("GET", "h", "/", &[]);
    if let Some((answer, cut)) = client.try_response("GET") {
        assert!(cut.is_some() || answer.status == 502, "{answer:?}");
    }
    assert_eq!(gateway.get("h", "/").text(), "1", "one request was seen before");
}
