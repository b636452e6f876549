//! Rows 29 and 31 to 35 over HTTP/2 to the upstream: malformed heads, lengths that are not true, cuts.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::Request;

use super::{FRONT, ask_h2};
use crate::support::{
    h2upstream::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, H2Peer, HEADERS, RST_STREAM, field,
        frame,
    },
    prelude::*,
    wire::Cut,
};

/// Makes the frames of an answer on a stream.
type Answer = Box<dyn Fn(u32) -> Vec<u8> + Send + Sync>;

struct Case {
    name: String,
    answer: Answer,
}

fn case(name: &str, answer: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) -> Case {
    Case { name: name.to_owned(), answer: Box::new(answer) }
}

/// An answer of one head, and POISON as its body.
fn head(name: &str, fields: &[(&[u8], &[u8])]) -> Case {
    let block: Vec<u8> = fields.iter().flat_map(|(name, value)| field(name, value)).collect();
    case(name, move |stream| {
        let head = frame(HEADERS, END_HEADERS, stream, &block);
        [head, frame(DATA, END_STREAM, stream, b"POISON")].concat()
    })
}

/// A good status and one more field.
fn with(name: &[u8], value: &[u8]) -> Case {
    let text = format!("{:?}: {:?}", String::from_utf8_lossy(name), String::from_utf8_lossy(value));
    head(&text, &[(b":status", b"200"), (name, value)])
}

/// A good head without a length or with one, then these frames.
fn body(name: &str, length: Option<&str>, rest: fn(u32) -> Vec<u8>) -> Case {
    let length = length.map(|length| field("content-length", length));
    let block = [field(":status", "200"), length.unwrap_or_default()].concat();
    case(name, move |stream| [frame(HEADERS, END_HEADERS, stream, &block), rest(stream)].concat())
}

/// An upstream that answers with the case of the moment, or well beyond them, and a gateway.
struct Bench {
    upstream: Raw,
    gateway: Gateway,
    now: Arc<AtomicUsize>,
    cases: Arc<Vec<Case>>,
    logged: usize,
}

const CLEAN: usize = usize::MAX;

impl Bench {
    fn new(cases: Vec<Case>) -> Self {
        let (now, cases) = (Arc::new(AtomicUsize::new(CLEAN)), Arc::new(cases));
        let script = (Arc::clone(&now), Arc::clone(&cases));
        let upstream = Raw::serve(move |peer| {
            let Some(mut h2) = H2Peer::accept(peer) else { return };
            while let Some(stream) = h2.request() {
                match script.1.get(script.0.load(Ordering::SeqCst)) {
                    Some(case) => h2.bytes(&(case.answer)(stream)),
                    None => h2.ok(stream, b"clean"),
                };
            }
        });
        let gateway = Gateway::start(&format!(
            "{FRONT}upstreams: {{ app: {{ endpoints: [\"h2c://{}\"] }} }}\n\
             routes: {{ app: {{ to: app, timeouts: {{ per_try: 15s }} }} }}\n",
            upstream.address()
        ));
        Self { upstream, gateway, now, cases, logged: 0 }
    }

    fn set(&mut self, number: usize) {
        self.now.store(number, Ordering::SeqCst);
        self.logged += 1;
    }

    #[track_caller]
    fn clean(&mut self, after: &str) {
        self.set(CLEAN);
        let answer = self.gateway.get("h", "/");
        assert_eq!(answer.text(), "clean", "after {after}: {:?}", answer.head);
    }

    /// All are a 502 with this reason.
    #[track_caller]
    fn refuses(cases: Vec<Case>, reason: &str) {
        let mut bench = Self::new(cases);
        for (number, case) in Arc::clone(&bench.cases).iter().enumerate() {
            let name = &case.name;
            bench.set(number);
            let answer = bench.gateway.get("h", "/");
            assert_eq!(answer.status, 502, "{name}: {:?} {}", answer.head, answer.text());
            assert_eq!(answer.reason(), reason, "{name}");
            assert!(!answer.text().contains("POISON"), "{name}: {}", answer.text());
            let line = bench.gateway.last_access(bench.logged);
            assert_eq!(line["reason"], reason, "{name}: {line}");
            bench.clean(name);
        }
        assert!(bench.upstream.connections() >= 1);
    }
}

#[test]
fn row_29_two_framings_over_http2() {
    let cl: &[u8] = b"content-length";
    let two = |name: &str, first: &'static [u8], second: &'static [u8]| {
        head(name, &[(b":status", b"200"), (cl, first), (cl, second)])
    };
    let mut cases = vec![
        two("two lengths", b"6", b"7"),
        two("two equal lengths", b"6", b"6"),
        head("length in a 204", &[(b":status", b"204"), (cl, b"6")]),
        with(b"transfer-encoding", b"chunked"),
        with(b"transfer-encoding", b"gzip"),
    ];
    for value in ["6, 6", "+6", "-6", "", "0x6", "18446744073709551616"] {
        cases.push(with(cl, value.as_bytes()));
    }
    Bench::refuses(cases, "bad_response");
}

#[test]
fn row_31_and_32_malformed_heads_over_http2() {
    let status = |value: &'static [u8]| head(&format!("status {value:?}"), &[(b":status", value)]);
    let good: (&[u8], &[u8]) = (b":status", b"200");
    let mut cases = vec![
        head("no status", &[(b"x", b"y")]),
        head("two statuses", &[good, good]),
        head("late status", &[(b"x", b"y"), good]),
        head("unknown pseudo-header", &[good, (b":x", b"y")]),
        case("a body before the head", |stream| frame(DATA, END_STREAM, stream, b"POISON")),
        case("a head that is no HPACK", |stream| frame(HEADERS, END_HEADERS, stream, &[0xff; 20])),
        case("HTTP/1", |_| b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON".to_vec()),
        case("a stream nobody opened", |stream| {
            frame(HEADERS, END_HEADERS | END_STREAM, stream + 100, &field(":status", "200"))
        }),
        case("a push", |stream| {
            let block = [2_u32.to_be_bytes().to_vec(), field(":status", "200")].concat();
            frame(5, END_HEADERS, stream, &block)
        }),
        with(b"X-Upper", b"a"),
        with(b"connection", b"close"),
        with(b"keep-alive", b"a"),
        with(b"proxy-connection", b"a"),
        with(b"upgrade", b"websocket"),
        with(b"", b"a"),
        with(b"a b", b"a"),
        with(b"a:b", b"a"),
        with(b"a\r\nb", b"a"),
    ];
    for value in [&b"2000"[..], b"20", b"2x0", b"", b"600", b"999", b"099", b"000", b"-20"] {
        cases.push(status(value));
    }
    for byte in (0..=31).chain([127]).filter(|byte| *byte != b'\t') {
        cases.push(with(b"x-value", &[b'a', byte, b'b']));
    }
    Bench::refuses(cases, "bad_response");
}

#[test]
fn row_33_cut_and_untrue_bodies_over_http2() {
    let cases = vec![
        body("shorter than its length", Some("10"), |s| frame(DATA, END_STREAM, s, b"half")),
        body("longer than its length", Some("6"), |s| {
            [frame(DATA, 0, s, b"half"), frame(DATA, END_STREAM, s, b"POISON")].concat()
        }),
        body("trailers before its length", Some("10"), |s| {
            let trailers = frame(HEADERS, END_HEADERS | END_STREAM, s, &field("x", "y"));
            [frame(DATA, 0, s, b"half"), trailers].concat()
        }),
        body("a second head", None, |s| {
            let again = frame(HEADERS, END_HEADERS, s, &field(":status", "200"));
            [frame(DATA, 0, s, b"half"), again, frame(DATA, END_STREAM, s, b"POISON")].concat()
        }),
        body("reset", Some("10"), |s| {
            [frame(DATA, 0, s, b"half"), frame(RST_STREAM, 0, s, &2_u32.to_be_bytes())].concat()
        }),
        body("reset without an error", None, |s| {
            [frame(DATA, 0, s, b"half"), frame(RST_STREAM, 0, s, &0_u32.to_be_bytes())].concat()
        }),
    ];
    let remote = ["reset", "reset without an error"];
    let mut bench = Bench::new(cases);
    for (number, case) in Arc::clone(&bench.cases).iter().enumerate() {
        let name = &case.name;
        let reason = if remote.contains(&&**name) { "upstream_reset" } else { "bad_response" };
        bench.set(number);
        let mut client = bench.gateway.client();
        client.request("GET", "h", "/", &[]);
        // What came before the fault was noticed may or may not have been passed on, head included.
        if let Some((answer, cut)) = client.try_response("GET") {
            let part = cut.map(|Cut(part)| part);
            match answer.status {
                200 => assert!(part.is_some_and(|part| b"half".starts_with(&part)), "{name}"),
                status => assert_eq!((status, answer.reason().as_str()), (502, reason), "{name}"),
            }
        }
        let line = bench.gateway.last_access(bench.logged);
        assert_eq!(line["reason"], reason, "{name}: {line}");
        bench.set(number);
        let answer = ask_h2(&bench.gateway, Request::get("http://h/").body(()).unwrap());
        assert!(answer.status == 502 || answer.body.is_none(), "{name} over HTTP/2");
        bench.clean(name);
    }
}

#[test]
fn row_33_a_body_under_way_outlives_goaway() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = parking_lot::Mutex::new(wait);
    let upstream = Raw::serve(move |peer| {
        let Some(mut h2) = H2Peer::accept(peer) else { return };
        while let Some(stream) = h2.request() {
            if h2.index() > 0 {
                h2.ok(stream, b"clean");
                continue;
            }
            h2.send(HEADERS, END_HEADERS, stream, &field(":status", "200"));
            h2.send(DATA, 0, stream, b"first ");
            let last = [stream.to_be_bytes(), 0_u32.to_be_bytes()].concat();
            h2.send(GOAWAY, 0, 0, &last);
            wait.lock().recv().unwrap();
            h2.send(DATA, END_STREAM, stream, b"second");
        }
    });
    let gateway = Gateway::start(&format!(
        "{FRONT}upstreams: {{ app: {{ endpoints: [\"h2c://{}\"] }} }}\nroutes: {{ app: {{ to: app }} }}\n",
        upstream.address()
    ));
    let mut client = gateway.client();
    client.request("GET", "h", "/", &[]);
    let (_, head) = client.head().unwrap();
    assert_eq!(head.word(1), "200");
    assert_eq!(client.wire().chunk().unwrap(), b"first ");
    assert_eq!(gateway.get("h", "/").text(), "clean", "over a new connection");
    go.send(()).unwrap();
    assert_eq!(client.wire().chunk().unwrap(), b"second");
    assert_eq!(client.wire().chunk().unwrap(), b"");
}

#[test]
fn row_34_heads_without_end_over_http2() {
    let fields: Vec<_> = (0..101).flat_map(|_| field("x", "y")).collect();
    let block = [field(":status", "200"), fields].concat();
    let many = case("101 fields", move |stream| {
        let head = frame(HEADERS, END_HEADERS, stream, &block);
        [head, frame(DATA, END_STREAM, stream, b"POISON")].concat()
    });
    Bench::refuses(vec![many], "response_too_large");
    let long = |name: &str, size: usize| {
        case(name, move |stream| {
            let block = [field(":status", "200"), field("x", vec![b'y'; size])].concat();
            let mut pieces = block.chunks(16_000);
            let mut bytes = frame(HEADERS, 0, stream, pieces.next().unwrap());
            for piece in pieces {
                bytes.extend(frame(CONTINUATION, 0, stream, piece));
            }
            bytes.extend(frame(CONTINUATION, END_HEADERS, stream, &[]));
            bytes
        })
    };
    let empty = case("CONTINUATION without end", |stream| {
        let mut bytes = frame(HEADERS, 0, stream, &field(":status", "200"));
        for _ in 0..10_000 {
            bytes.extend(frame(CONTINUATION, 0, stream, &[]));
        }
        bytes
    });
    Bench::refuses(vec![long("80 KB", 80_000), long("1 MB", 1 << 20), empty], "bad_response");
}
