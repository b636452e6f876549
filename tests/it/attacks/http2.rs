//! Rows 55 to 68: malformed and flooding HTTP/2.

use std::net::SocketAddr;

use crate::support::{
    frames::{
        self, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Field, Frames,
        HEADERS, INITIAL_WINDOW, Outcome, PING, PRIORITY, PROTOCOL_ERROR, REFUSED_STREAM, SETTINGS,
        UNKNOWN, block, frame, get, headers, reset, settings, window,
    },
    prelude::*,
};

const LISTENERS: &str = "listeners: { http: { address: \"127.0.0.1:0\", protocols: [h1, h2c] } }\n";

/// A gateway that speaks HTTP/2 in plain text, in front of this upstream.
fn before(upstream: &Raw) -> Gateway {
    Gateway::start(&format!("{LISTENERS}routes: {{ app: {{ to: \"{}\" }} }}\n", upstream.url()))
}

/// A clean request on a connection of its own is answered as if nothing had happened.
#[track_caller]
fn clean(address: SocketAddr) {
    let mut client = Frames::connect(address, &[]);
    let body = b"fine".to_vec();
    assert_eq!(client.exchange(1, &get("/clean", &[])), Outcome::Answer { status: 200, body });
}

/// Sends each of these heads on a connection of its own. Each must be refused, by a reset, an answer
/// of 4xx or the end of the connection; the upstream must hear of none.
#[track_caller]
fn refused(heads: &[(&str, Vec<Field<'_>>)]) {
    let upstream = Raw::text("fine");
    let gateway = before(&upstream);
    let address = gateway.addr("http");
    for (name, fields) in heads {
        let mut client = Frames::connect(address, &[]);
        match client.exchange(1, fields) {
            Outcome::Reset(PROTOCOL_ERROR) | Outcome::Ended(PROTOCOL_ERROR) => {}
            Outcome::Answer { status: 400..=499, body } => {
                let text = String::from_utf8_lossy(&body);
                assert!(text.contains("\"reason\""), "{name}: {text}");
            }
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(upstream.requests().len(), 0, "{name} came through");
    }
    clean(address);
    assert_eq!(upstream.requests().len(), 1);
}

/// A GET with one field that should not be.
fn with<'f>(name: &'f [u8], value: &'f [u8]) -> Vec<Field<'f>> {
    get("/", &[(name, value)])
}

/// A GET with one pseudo-header field replaced.
fn replaced<'f>(name: &[u8], value: &'f [u8]) -> Vec<Field<'f>> {
    frames::replaced(get("/", &[]), name, value)
}

// === malformed heads ===

#[test]
fn row_55_line_breaks_and_odd_bytes_in_names_and_values() {
    refused(&[
        ("CRLF in a value", with(b"x", b"a\r\nx-evil: 1")),
        ("LF in a value", with(b"x", b"a\nb")),
        ("CR in a value", with(b"x", b"a\rb")),
        ("NUL in a value", with(b"x", b"a\0b")),
        ("DEL in a value", with(b"x", b"a\x7fb")),
        ("8-bit value", with(b"x", b"caf\xe9")),
        ("CRLF in a name", with(b"x\r\nx-evil", b"1")),
        ("colon in a name", with(b"x:y", b"1")),
        ("space in a name", with(b"x y", b"1")),
        ("upper case in a name", with(b"X-Up", b"1")),
        ("empty name", with(b"", b"1")),
        ("8-bit name", with(b"x\xe9", b"1")),
        ("chunked in a name", with(b"transfer-encoding: chunked\r\nx", b"1")),
    ]);
}

#[test]
fn row_56_line_breaks_and_spaces_in_pseudo_headers() {
    refused(&[
        ("CRLF in :path", replaced(b":path", b"/ HTTP/1.1\r\nHost: evil\r\n\r\nGET /x")),
        ("space in :path", replaced(b":path", b"/a b")),
        ("8-bit :path", replaced(b":path", b"/\xe9")),
        ("relative :path", replaced(b":path", b"a")),
        ("absolute :path", replaced(b":path", b"http://evil/")),
        ("empty :path", replaced(b":path", b"")),
        ("asterisk for GET", replaced(b":path", b"*")),
        ("CRLF in :method", replaced(b":method", b"GET / HTTP/1.1\r\nx: y")),
        ("space in :method", replaced(b":method", b"GET /admin")),
        ("empty :method", replaced(b":method", b"")),
        ("lower case :method", replaced(b":method", b"get")),
        ("CONNECT", replaced(b":method", b"CONNECT")),
        ("CRLF in :authority", replaced(b":authority", b"a\r\nx: y")),
        ("user-info in :authority", replaced(b":authority", b"evil@a")),
        ("path in :authority", replaced(b":authority", b"a/b")),
        ("space in :authority", replaced(b":authority", b"a b")),
        ("empty :authority", replaced(b":authority", b"")),
        ("space in :scheme", replaced(b":scheme", b"http ://x")),
    ]);
}

#[test]
fn row_56_a_fragment_in_the_path_goes_no_further() {
    let upstream = Raw::text("fine");
    let gateway = before(&upstream);
    let mut client = Frames::connect(gateway.addr("http"), &[]);
    let outcome = client.exchange(1, &replaced(b":path", b"/a#/../b"));
    assert!(matches!(outcome, Outcome::Answer { status: 200 | 400, .. }), "{outcome:?}");
    assert!(upstream.requests().iter().all(|head| head.word(1) == "/a"));
    clean(gateway.addr("http"));
}

#[test]
fn row_57_pseudo_headers_missing_twice_late_or_unknown() {
    let without = |name: &[u8]| get("/", &[]).into_iter().filter(|f| f.0 != name).collect();
    let mut late = get("/", &[]);
    late.insert(0, (b"x", b"1"));
    refused(&[
        ("no :method", without(b":method")),
        ("no :path", without(b":path")),
        ("no :authority and no host", without(b":authority")),
        ("two :path", with(b":path", b"/other")),
        ("two :authority", with(b":authority", b"b")),
        ("two :method", with(b":method", b"POST")),
        ("late", late),
        ("unknown", with(b":evil", b"1")),
        (":status", with(b":status", b"200")),
        ("host differs", with(b"host", b"b")),
        ("two hosts", get("/", &[(b"host", b"a"), (b"host", b"a")])),
    ]);
}

#[test]
fn row_57_pseudo_headers_in_trailers_stay_out_of_the_head() {
    let upstream = Raw::text("fine");
    let gateway = before(&upstream);
    let address = gateway.addr("http");
    let mut client = Frames::connect(address, &[]);
    let mut post = replaced(b":method", b"POST");
    post.push((b"x", b"1"));
    client.send(headers(1, 0, &post));
    client.send(frame(DATA, 0, 1, b"hello"));
    client.send(headers(1, END_STREAM, &[(b":path", b"/admin"), (b"x-late", b"1")]));
    let outcome = client.outcome(1);
    assert!(!matches!(outcome, Outcome::Closed), "{outcome:?}");
    for head in upstream.requests() {
        assert_eq!(head.word(1), "/", "{head:?}");
        assert!(!head.has("x-late"), "{head:?}");
    }
    clean(address);
}

#[test]
fn row_58_connection_specific_fields() {
    refused(&[
        ("connection", with(b"connection", b"close")),
        ("keep-alive", with(b"keep-alive", b"timeout=5")),
        ("proxy-connection", with(b"proxy-connection", b"keep-alive")),
        ("transfer-encoding", with(b"transfer-encoding", b"chunked")),
        ("upgrade", with(b"upgrade", b"websocket")),
        ("te: gzip", with(b"te", b"gzip")),
    ]);
}

// === bodies ===

/// An upstream that answers only to whole requests, and tells which came whole.
fn whole_bodies() -> (Raw, std::sync::mpsc::Receiver<Vec<u8>>) {
    let (send, seen) = std::sync::mpsc::channel();
    let send = parking_lot::Mutex::new(send);
    let upstream = Raw::serve(move |peer| {
        while let Some(request) = peer.request() {
            if request.head.word(0) == "POST" {
                let _ = send.lock().send(request.body);
            }
            peer.ok(b"fine");
        }
    });
    (upstream, seen)
}

#[test]
fn row_59_a_body_that_is_not_as_long_as_it_said() {
    let (upstream, seen) = whole_bodies();
    let gateway = before(&upstream);
    let address = gateway.addr("http");
    for (name, length, body) in [
        ("shorter", "10", b"hello".as_slice()),
        ("longer", "3", b"hello"),
        ("none at all", "5", b""),
        ("a request behind the end", "3", b"abcGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"),
    ] {
        let mut client = Frames::connect(address, &[]);
        let mut post = replaced(b":method", b"POST");
        post.push((b"content-length", length.as_bytes()));
        client.send(headers(1, 0, &post));
        client.send(frame(DATA, END_STREAM, 1, body));
        match client.outcome(1) {
            Outcome::Reset(_) | Outcome::Ended(_) | Outcome::Answer { status: 400, .. } => {}
            other => panic!("{name}: {other:?}"),
        }
        clean(address);
    }
    assert!(seen.try_recv().is_err(), "no such request is whole");
    assert!(upstream.requests().iter().all(|head| head.word(1) != "/smuggled"));
}

#[test]
fn row_59_no_length_may_be_given_twice() {
    refused(&[
        ("two", get("/", &[(b"content-length", b"0"), (b"content-length", b"0")])),
        ("+5", with(b"content-length", b"+5")),
        ("a list", with(b"content-length", b"5, 5")),
        ("empty", with(b"content-length", b"")),
    ]);
}

#[test]
fn row_68_frames_for_streams_that_are_gone() {
    let upstream = Raw::text("fine");
    let gateway = before(&upstream);
    let address = gateway.addr("http");
    for frames in [
        // DATA after a reset, and after the end.
        [headers(1, 0, &replaced(b":method", b"POST")), reset(1), frame(DATA, 1, 1, b"x")].concat(),
        [headers(1, END_STREAM, &get("/", &[])), frame(DATA, 1, 1, b"x")].concat(),
        // Headers after the end, a reset twice, a window for nobody, the same stream again.
        [headers(1, END_STREAM, &get("/", &[])), headers(1, END_STREAM, &[(b"x", b"y")])].concat(),
        [headers(1, END_STREAM, &get("/", &[])), reset(1), reset(1)].concat(),
        [headers(5, END_STREAM, &get("/", &[])), headers(3, END_STREAM, &get("/", &[]))].concat(),
        [window(99, 1), headers(1, END_STREAM, &get("/", &[]))].concat(),
        headers(2, END_STREAM, &get("/", &[])),
        headers(0, END_STREAM, &get("/", &[])),
        frame(DATA, 0, 0, b"x"),
        frame(HEADERS, 0, 1, b"\x82"), // never continued
    ] {
        let mut client = Frames::connect(address, &[]);
        client.send(frames);
        // A PING tells that all of it was read, if the connection has survived.
        client.send(frame(PING, 0, 0, b"question"));
        while client.next().is_some_and(|frame| frame.kind != PING) {}
        clean(address);
    }
}

// === floods ===

/// What is sent again and again, for a number that grows.
type Flood = fn(u32) -> Vec<u8>;

/// Sends `flood(n)` for n = 0, 1, ... until the gateway has had enough, at most `most` times, and
/// returns the code it ended the connection with.
fn flooded(client: &mut Frames, most: u32, mut flood: impl FnMut(u32) -> Vec<u8>) -> Option<u32> {
    const BATCH: u32 = 50;
    for batch in 0..most / BATCH {
        let frames: Vec<u8> = (batch * BATCH..(batch + 1) * BATCH).flat_map(&mut flood).collect();
        if !client.send(frames) {
            break;
        }
    }
    client.end()
}

#[test]
fn row_60_rapid_reset_ends_in_goaway_and_leaves_no_work() {
    let (send, gone) = std::sync::mpsc::channel();
    let send = parking_lot::Mutex::new(send);
    let upstream = Raw::serve(move |peer| {
        while let Some(head) = peer.head() {
            if head.word(1) == "/clean" {
                peer.ok(b"fine");
            } else {
                // Never answered: only a cancelled request ends.
                peer.gone();
                let _ = send.lock().send(());
            }
        }
    });
    let gateway = before(&upstream);
    let mut client = Frames::connect(gateway.addr("http"), &[]);
    let code = flooded(&mut client, 5000, |n| {
        [headers(2 * n + 1, END_STREAM, &get("/slow", &[])), reset(2 * n + 1)].concat()
    });
    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
    let slow = || upstream.requests().iter().filter(|head| head.word(1) == "/slow").count();
    assert!(slow() < 1200, "{} requests were sent on", slow());
    for _ in 0..slow() {
        gone.recv_timeout(DEADLINE).expect("the upstream is told that nobody waits");
    }
    clean(gateway.addr("http"));
}

#[test]
fn row_60_slow_resets_are_counted_as_well() {
    // Each request is accepted and sent on before it is reset, so `h2` has nothing to object to.
    let upstream = Raw::serve(|peer| {
        while let Some(head) = peer.head() {
            if head.word(1) == "/clean" {
                peer.ok(b"fine");
            } else {
                peer.gone();
            }
        }
    });
    let gateway = before(&upstream);
    let mut client = Frames::connect(gateway.addr("http"), &[]);
    let mut ended = false;
    for n in 0..1500 {
        let stream = 2 * n + 1;
        client.send(headers(stream, END_STREAM, &get("/slow", &[])));
        client.send(frame(PING, 0, 0, b"accepted"));
        let mut next = client.next();
        while next.as_ref().is_some_and(|frame| frame.kind == SETTINGS) {
            next = client.next();
        }
        ended = !matches!(next, Some(frame) if frame.kind == PING) || !client.send(reset(stream));
        if ended {
            break;
        }
    }
    assert!(ended, "1500 resets are too many");
    clean(gateway.addr("http"));
}

#[test]
fn row_61_resets_the_gateway_is_made_to_send() {
    let upstream = Raw::serve(|peer| {
        while let Some(head) = peer.head() {
            if head.word(1) == "/clean" {
                peer.ok(b"fine");
            } else {
                peer.gone();
            }
        }
    });
    let gateway = before(&upstream);
    let address = gateway.addr("http");
    let slow = get("/slow", &[]);
    let open = |stream| headers(stream, END_STREAM, &slow);
    let triggers: [(&str, Flood); 4] = [
        ("a window of nothing", |stream| window(stream, 0)),
        ("a window too large", |stream| window(stream, 0x7fff_ffff)),
        ("DATA after the end", |stream| frame(DATA, END_STREAM, stream, b"x")),
        ("HEADERS after the end", |stream| headers(stream, END_STREAM, &[(b"x", b"y")])),
    ];
    for (name, trigger) in triggers {
        let mut client = Frames::connect(address, &[]);
        let code = flooded(&mut client, 5000, |n| [open(2 * n + 1), trigger(2 * n + 1)].concat());
        assert!(code.is_some_and(|code| code != 0), "{name}: {code:?}");
        clean(address);
    }
    assert!(upstream.requests().len() < 3000);
}

#[test]
fn row_62_continuation_without_end() {
    let upstream = Raw::text("fine");
    let gateway = before(&upstream);
    for piece in [b"".as_slice(), &block(&[(b"x", b"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy")])] {
        let mut client = Frames::connect(gateway.addr("http"), &[]);
        client.send(frame(HEADERS, END_STREAM, 1, &block(&get("/", &[]))));
        let code = flooded(&mut client, 20_000, |_| frame(CONTINUATION, 0, 1, piece));
        assert!(code.is_some_and(|code| code != 0), "{code:?}");
    }
    assert_eq!(upstream.requests().len(), 0);
    clean(gateway.addr("http"));
}

#[test]
fn row_63_a_header_block_that_unpacks_to_megabytes() {
    let upstream = Raw::text("fine");
    let gateway = before(&upstream);
    let mut client = Frames::connect(gateway.addr("http"), &[]);
    // One large entry for the dynamic table, then thousands of references of one byte.
    let mut bomb = block(&get("/", &[]));
    bomb.push(0x40);
    let mut entry = block(&[(b"x", &[b'y'; 3000])]);
    entry.remove(0);
    bomb.extend(entry);
    bomb.extend(std::iter::repeat_n(0xbe, 8000));
    client.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &bomb));
    match client.outcome(1) {
        Outcome::Answer { status: 431, .. } | Outcome::Reset(_) | Outcome::Ended(_) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(upstream.requests().len(), 0);
    clean(gateway.addr("http"));
}

#[test]
fn row_64_many_tiny_fields_are_too_many() {
    let upstream = Raw::text("fine");
    let gateway = before(&upstream);
    let address = gateway.addr("http");
    for name in [b"x".as_slice(), b"cookie"] {
        let mut client = Frames::connect(address, &[(INITIAL_WINDOW, 0)]);
        let fields = get("/", &vec![(name, b"".as_slice()); 400]);
        let code = flooded(&mut client, 500, |n| headers(2 * n + 1, END_STREAM, &fields));
        assert_eq!(code, Some(ENHANCE_YOUR_CALM));
        assert_eq!(upstream.requests().len(), 0);
    }
    // Two looks, between which the last of them may be counted.
    until("every refusal has this reason", || {
        gateway.metric("tidegate_gateway_errors_total", &[("reason", "header_too_large")])
            == gateway.metric("tidegate_gateway_errors_total", &[])
    });
    clean(address);
}

#[test]
fn row_65_frames_that_ask_for_nothing() {
    let upstream = Raw::text("fine");
    let gateway = before(&upstream);
    let floods: [(&str, Flood); 6] = [
        ("PING", |_| frame(PING, 0, 0, &[0; 8])),
        ("SETTINGS", |_| settings(&[])),
        ("PRIORITY", |n| frame(PRIORITY, 0, 2 * n + 1, &[0, 0, 0, 0, 1])),
        ("WINDOW_UPDATE", |_| window(0, 1)),
        ("unknown", |_| frame(UNKNOWN, 0, 0, b"")),
        ("unknown with a payload", |n| frame(UNKNOWN, 0, n, &[0; 100])),
    ];
    for (name, flood) in floods {
        let mut client = Frames::connect(gateway.addr("http"), &[]);
        let code = flooded(&mut client, 20_000, flood);
        assert_eq!(code, Some(ENHANCE_YOUR_CALM), "{name}");
    }
    clean(gateway.addr("http"));
}

#[test]
fn row_65_empty_data() {
    let upstream = Raw::serve(|peer| {
        while let Some(request) = peer.head() {
            if request.word(1) == "/clean" {
                peer.ok(b"fine");
            } else {
                peer.gone();
            }
        }
    });
    let gateway = before(&upstream);
    let mut client = Frames::connect(gateway.addr("http"), &[]);
    client.send(headers(1, 0, &replaced(b":method", b"POST")));
    let code = flooded(&mut client, 20_000, |_| frame(DATA, 0, 1, b""));
    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
    clean(gateway.addr("http"));
}

#[test]
fn row_65_a_busy_client_is_no_flood() {
    let upstream = Raw::text("fine");
    let gateway = before(&upstream);
    let mut client = Frames::connect(gateway.addr("http"), &[]);
    // As gRPC does it: every answer is followed by a PING and two WINDOW_UPDATEs.
    for n in 0..1000 {
        let outcome = client.exchange(2 * n + 1, &get("/", &[]));
        assert!(matches!(outcome, Outcome::Answer { status: 200, .. }), "{n}: {outcome:?}");
        client.send([frame(PING, 0, 0, &[0; 8]), window(0, 4), window(0, 5)].concat());
    }
}

#[test]
fn row_67_more_streams_than_allowed_are_refused() {
    let upstream = Raw::serve(|peer| {
        while let Some(head) = peer.head() {
            if head.word(1) == "/clean" {
                peer.ok(b"fine");
            } else {
                peer.gone();
            }
        }
    });
    let gateway = before(&upstream);
    let mut client = Frames::connect(gateway.addr("http"), &[]);
    let many: Vec<u8> =
        (0..200).flat_map(|n| headers(2 * n + 1, END_STREAM, &get("/", &[]))).collect();
    client.send(many);
    for n in 128..200 {
        assert_eq!(client.outcome(2 * n + 1), Outcome::Reset(REFUSED_STREAM), "{n}");
    }
    assert!(upstream.requests().len() <= 128);
    clean(gateway.addr("http"));
}

// === answers nobody takes ===

#[test]
fn row_66_answers_nobody_takes_hold_up_only_their_own_connection() {
    let upstream = Raw::serve(|peer| {
        let large = vec![b'x'; 300_000];
        while let Some(request) = peer.head() {
            peer.ok(if request.word(1) == "/clean" { b"fine" } else { &large });
        }
    });
    let gateway = before(&upstream);
    let address = gateway.addr("http");
    // With room for a piece of each answer it depends on when answers come how many are sent on before the
    // connection has room for none; all of them would be without the limit.
    for (window, most) in [(0, 4), (1, 4), (4095, 4), (5000, 80)] {
        let before = upstream.requests().len();
        let mut client = Frames::connect(address, &[(INITIAL_WINDOW, window)]);
        for n in 0..100 {
            client.send(headers(2 * n + 1, END_STREAM, &get("/", &[])));
            // One by one, as an attacker would who knows that requests in one go are let in.
            client.send(frame(PING, 0, 0, b"question"));
            while client.next().is_some_and(|frame| frame.kind != PING) {}
        }
        let heard = upstream.requests().len() - before;
        assert!(heard <= most, "window {window}: {heard} requests were sent on");
        assert!(heard >= 4, "window {window}: {heard}");
        clean(address);
        // As soon as it takes them, all are answered.
        client.send(settings(&[(INITIAL_WINDOW, 1 << 20)]));
        client.send(frames::window(0, 1 << 30));
        let mut ends = 0;
        while ends < 100 {
            let frame = client.next().expect("the connection stays");
            ends += usize::from(frame.kind == DATA && frame.flags & END_STREAM != 0);
        }
    }
}

#[test]
fn row_66_requests_that_wait_too_are_bounded() {
    let upstream = Raw::text("fine");
    let gateway = before(&upstream);
    let mut client = Frames::connect(gateway.addr("http"), &[(INITIAL_WINDOW, 0)]);
    let large = [b'x'; 4000];
    let fields = get("/", &[(b"x", &large)]);
    let code = flooded(&mut client, 100, |n| headers(2 * n + 1, END_STREAM, &fields));
    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
    assert!(upstream.requests().len() <= 100);
    clean(gateway.addr("http"));
}
