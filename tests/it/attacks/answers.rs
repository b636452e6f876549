//! Rows 22 to 24 and 29 to 36: what a hostile upstream answers.

mod http2;
mod repeats;
mod time;
mod upgrades;

use bytes::Bytes;
use http::Request;

use crate::support::{h2client::H2, http::Response, prelude::*, wire::Cut};

/// An upstream that answers `/case/<n>` with the bytes of that case and anything else with the number
/// of its connection, and a gateway before it.
struct Bench {
    upstream: Raw,
    gateway: Gateway,
    /// Access log lines that must be there.
    logged: usize,
}

/// What an upstream does when it is asked for a case.
struct Case {
    name: String,
    method: &'static str,
    answer: Vec<u8>,
    /// It closes afterwards, instead of waiting for the gateway to do so.
    closes: bool,
}

fn case(name: &str, answer: impl AsRef<[u8]>) -> Case {
    let answer = answer.as_ref().to_vec();
    Case { name: name.to_owned(), method: "GET", answer, closes: false }
}

/// A 200 with these fields and bytes after it, by whatever they say.
fn ok(fields: &str, rest: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n{rest}")
}

/// Listeners, and a single worker: all requests share the upstream connections.
const FRONT: &str = "listeners: { http: { address: \"127.0.0.1:0\", protocols: [h1, h2c] } }\n\
     server: { name: edge, workers: 1, drain: { delay: 100ms, timeout: 10s } }\n";

impl Case {
    fn asked_with(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    fn closing(self) -> Self {
        Self { closes: true, ..self }
    }
}

impl Bench {
    fn new(cases: &[Case]) -> Self {
        let answers: Vec<_> = cases.iter().map(|case| (case.answer.clone(), case.closes)).collect();
        let upstream = Raw::serve(move |peer| {
            while let Some(request) = peer.request() {
                let target = request.head.word(1);
                let Some(number) = target.strip_prefix("/case/") else {
                    peer.ok(peer.index.to_string().as_bytes());
                    continue;
                };
                let (answer, closes) = &answers[number.parse::<usize>().unwrap()];
                peer.send(answer);
                let again = if *closes { None } else { peer.head() };
                assert!(again.is_none(), "{target}: the connection was used again: {again:?}");
                return;
            }
        });
        let gateway = Gateway::start(&format!(
            "{FRONT}routes: {{ app: {{ to: \"{}\", timeouts: {{ per_try: 15s }} }} }}\n",
            upstream.url()
        ));
        Self { upstream, gateway, logged: 0 }
    }

    /// A clean request is answered right; returns the connection it went over.
    #[track_caller]
    fn clean(&mut self, after: &str) -> usize {
        let answer = self.gateway.get("h", "/clean");
        self.logged += 1;
        assert_eq!(answer.status, 200, "after {after}: {}", answer.text());
        answer.text().parse().unwrap_or_else(|_| panic!("after {after}: {:?}", answer.text()))
    }

    /// Asks for a case over HTTP/1.1.
    #[track_caller]
    fn ask(&mut self, number: usize, case: &Case) -> (Response, Option<Cut>) {
        let mut client = self.gateway.client();
        client.request(case.method, "h", &format!("/case/{number}"), &["Connection: close"]);
        self.logged += 1;
        client.try_response(case.method).unwrap_or_else(|| panic!("{}: no answer", case.name))
    }

    /// Asks for a case over HTTP/2: status, header fields, and the body or that the stream was reset.
    fn ask_h2(&mut self, number: usize, case: &Case) -> H2Answer {
        self.logged += 1;
        let uri = format!("http://h/case/{number}");
        ask_h2(&self.gateway, Request::builder().method(case.method).uri(uri).body(()).unwrap())
    }

    /// What the log says of the last request.
    #[track_caller]
    fn logged(&self) -> serde_json::Value {
        self.gateway.last_access(self.logged)
    }

    /// Every case is a 502 with this reason for both kinds of client, carries nothing of what the
    /// upstream sent, and ends the connection it came on.
    #[track_caller]
    fn refuses(cases: &[Case], reason: &str) {
        let mut bench = Self::new(cases);
        for (number, case) in cases.iter().enumerate() {
            let name = &case.name;
            let before = bench.clean(name);
            let (answer, cut) = bench.ask(number, case);
            assert_eq!((answer.status, cut), (502, None), "{name}: {:?}", answer.head);
            let (line, from) = (bench.logged(), bench.upstream.connections());
            assert_eq!(line["reason"], reason, "{name}: {line}");
            assert_ne!(line["detail"], serde_json::Value::Null, "{name}: {line}");
            if case.method != "HEAD" {
                assert_eq!(answer.reason(), reason, "{name}");
                assert!(!answer.text().contains("POISON"), "{name}: {}", answer.text());
            }
            assert!(!format!("{:?}", answer.head).contains("POISON"), "{name}: {:?}", answer.head);
            let after = bench.clean(name);
            assert!(after >= from && after > before, "{name}: connection {after} after {before}");
            let answer = bench.ask_h2(number, case);
            assert_eq!(answer.status, 502, "{name} over HTTP/2");
            assert_eq!(bench.logged()["reason"], reason, "{name} over HTTP/2");
            assert!(bench.clean(name) > after, "{name} over HTTP/2");
        }
    }
}

/// An answer as an HTTP/2 client saw it.
struct H2Answer {
    /// 0 if the stream was reset before there was one.
    status: u16,
    head: http::HeaderMap,
    /// The body, or nothing if the stream was reset.
    body: Option<Vec<u8>>,
}

fn ask_h2(gateway: &Gateway, request: Request<()>) -> H2Answer {
    let address = gateway.addr("http");
    block_on(async {
        let mut h2 = H2::plain(address).await;
        let (response, _) = h2.send.send_request(request, true).unwrap();
        let Ok(response) = response.await else {
            return H2Answer { status: 0, head: http::HeaderMap::new(), body: None };
        };
        let (head, mut stream) = response.into_parts();
        let mut body = Some(Vec::new());
        while let Some(piece) = stream.data().await {
            let piece: Option<Bytes> = piece.ok();
            let Some((piece, so_far)) = piece.zip(body.as_mut()) else {
                body = None;
                break;
            };
            so_far.extend_from_slice(&piece);
            let _ = stream.flow_control().release_capacity(piece.len());
        }
        H2Answer { status: head.status.as_u16(), head: head.headers, body }
    })
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn row_29_two_framings_in_an_answer() {
    let chunks = "6\r\nPOISON\r\n0\r\n\r\n";
    let te = |value: &str| ok(&format!("Transfer-Encoding: {value}\r\n"), chunks);
    let cl = |value: &str| ok(&format!("Content-Length: {value}\r\n"), "POISON");
    let both = "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n";
    let mut cases = vec![
        case("length and chunks", ok(both, chunks)),
        case(
            "chunks and length",
            ok("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", chunks),
        ),
        case(
            "length 0 and chunks",
            ok("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", chunks),
        ),
        case("both, to HEAD", ok(both, "")).asked_with("HEAD"),
        case("both, in a 304", format!("HTTP/1.1 304 Not Modified\r\n{both}\r\n")),
        case("two lengths", ok("Content-Length: 6\r\nContent-Length: 7\r\n", "POISON!")),
        case("two equal lengths", ok("Content-Length: 6\r\nContent-Length: 6\r\n", "POISON")),
        case("two lengths, to HEAD", ok("Content-Length: 6\r\nContent-Length: 7\r\n", ""))
            .asked_with("HEAD"),
        case("negative length, to HEAD", ok("Content-Length: -1\r\n", "")).asked_with("HEAD"),
        case(
            "two TE lines",
            ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunks),
        ),
        case(
            "gzip, then chunked",
            ok("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", chunks),
        ),
        case("TE, HTTP/1.0", te("chunked").replace("HTTP/1.1", "HTTP/1.0")),
        case(
            "TE, HTTP/1.0, to HEAD",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n",
        )
        .asked_with("HEAD"),
        case("TE in a 204", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"),
        case("length in a 204", "HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\nPOISON"),
        case(
            "length in a 103",
            "HTTP/1.1 103 Early Hints\r\nContent-Length: 6\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON",
        ),
        case(
            "TE in a 100",
            "HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON",
        ),
        case(
            "space before the colon",
            ok("Content-Length: 6\r\nTransfer-Encoding : chunked\r\n", chunks),
        ),
        case("folded TE", ok("Content-Length: 6\r\nTransfer-Encoding:\r\n chunked\r\n", chunks)),
    ];
    for value in [
        "gzip, chunked",
        "chunked, chunked",
        "chunked, identity",
        "chunked, gzip",
        "gzip",
        "identity",
        "xchunked",
        "chunked;q=1",
        "\"chunked\"",
        "",
        ",chunked",
        "\x0bchunked",
        "\0chunked",
    ] {
        cases.push(case(&format!("Transfer-Encoding: {value:?}"), te(value)));
    }
    for value in ["6, 6", "6,7", "+6", "-6", "0x6", "6 6", "6;", "", " ", "18446744073709551616"] {
        cases.push(case(&format!("Content-Length: {value:?}"), cl(value)));
    }
    Bench::refuses(&cases, "bad_response");
}

#[test]
fn row_29_what_many_servers_send_passes() {
    let cases = [
        (case("Chunked", ok("Transfer-Encoding: Chunked\r\n", "2\r\nok\r\n0\r\n\r\n")), "ok", None),
        (case("spaces around a length", ok("Content-Length:  2 \r\n", "ok")), "ok", Some("2")),
        (
            case("0 bytes in a 204", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
            "",
            None,
        ),
        (
            case("a length in a 304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
            "",
            None,
        ),
        (
            case("a length to HEAD", ok("Content-Length: 9\r\n", "")).asked_with("HEAD"),
            "",
            Some("9"),
        ),
        (case("no framing", ok("", "ok")).closing(), "ok", None),
    ];
    for (case, body, length) in cases {
        // The connection may be used again here.
        let (answer, closes) = (case.answer.clone(), case.closes);
        let upstream =
            Raw::serve(
                move |peer| {
                    while peer.request().is_some() && peer.send(&answer) && !closes {}
                },
            );
        let gateway = Gateway::start(&format!(
            "{FRONT}routes: {{ app: {{ to: \"{}\" }} }}\n",
            upstream.url()
        ));
        let mut client = gateway.client();
        for _ in 0..2 {
            let answer = client.exchange(case.method, "h", "/", &[]);
            assert_eq!(answer.text(), body, "{}: {:?}", case.name, answer.head);
            assert_eq!(answer.header("content-length"), length, "{}", case.name);
        }
        assert_eq!(upstream.connections(), if closes { 2 } else { 1 }, "{}", case.name);
    }
}

#[test]
fn row_30_bytes_after_an_answer() {
    const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON";
    let answers = [
        ("GET", ok("Content-Length: 2\r\n", "ok"), "ok"),
        ("GET", ok("Transfer-Encoding: chunked\r\n", "2\r\nok\r\n0\r\n\r\n"), "ok"),
        ("GET", ok("Content-Length: 0\r\n", ""), ""),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n".to_owned(), ""),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n".to_owned(), ""),
        ("HEAD", ok("Content-Length: 6\r\n", ""), ""),
    ];
    let extras = ["\r\n", "x", "POISON", POISON, "HTTP/1.1 103 Early Hints\r\n\r\n"];
    let mut cases = Vec::new();
    for (method, answer, body) in &answers {
        for extra in extras {
            let name = format!("{method} {answer:?} and {extra:?}");
            cases.push((case(&name, format!("{answer}{extra}")).asked_with(method), *body));
        }
    }
    let (cases, bodies): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let mut bench = Bench::new(&cases);
    for (number, (case, body)) in cases.iter().zip(bodies).enumerate() {
        let before = bench.clean(&case.name);
        let (answer, cut) = bench.ask(number, case);
        assert_eq!((answer.text().as_str(), cut), (body, None), "{}", case.name);
        let after = bench.clean(&case.name);
        assert!(after > before, "{}: {after} after {before}", case.name);
        let answer = bench.ask_h2(number, case);
        assert_eq!(answer.body.as_deref(), Some(body.as_bytes()), "{} over HTTP/2", case.name);
        assert!(bench.clean(&case.name) > after, "{} over HTTP/2", case.name);
    }
}

#[test]
fn row_30_bytes_on_an_idle_connection_and_before_tls() {
    const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON";
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (done, end) = std::sync::mpsc::channel();
    let wait = parking_lot::Mutex::new(wait);
    let upstream = Raw::serve(move |peer| {
        while peer.request().is_some() {
            peer.ok(peer.index.to_string().as_bytes());
            if peer.index == 0 {
                // The client has had its answer: the connection is idle.
                wait.lock().recv().unwrap();
                peer.send(POISON);
                assert!(peer.head().is_none(), "the connection was used again");
                done.send(()).unwrap();
            }
        }
    });
    let gateway =
        Gateway::start(&format!("{FRONT}routes: {{ app: {{ to: \"{}\" }} }}\n", upstream.url()));
    let mut client = gateway.client();
    assert_eq!(client.get("h", "/").text(), "0");
    go.send(()).unwrap();
    end.recv_timeout(DEADLINE).expect("the gateway closes the poisoned connection");
    assert_eq!(client.get("h", "/").text(), "1");

    let upstream = Raw::serve(|peer| {
        peer.send(POISON);
        peer.gone();
    });
    let gateway = Gateway::start(&format!(
        "upstreams: {{ app: {{ endpoints: [\"https://{}\"], tls: {{ verify: false }} }} }}\n\
         routes: {{ app: {{ to: app }} }}\n",
        upstream.address()
    ));
    let answer = gateway.get("h", "/");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_tls"));
    assert!(!answer.text().contains("POISON"));
}

#[test]
fn row_31_control_bytes_in_the_head_of_an_answer() {
    let mut cases = vec![
        case("CR in the reason", "HTTP/1.1 200 O\rPOISON\r\nContent-Length: 0\r\n\r\n"),
        case("NUL in the reason", "HTTP/1.1 200 O\0POISON\r\nContent-Length: 0\r\n\r\n"),
        case("ESC in the reason", "HTTP/1.1 200 \x1b[31mPOISON\r\nContent-Length: 0\r\n\r\n"),
        case("NUL in a name", ok("X\0POISON: a\r\nContent-Length: 0\r\n", "")),
        case("space in a name", ok("X POISON: a\r\nContent-Length: 0\r\n", "")),
        case("empty name", ok(": POISON\r\nContent-Length: 0\r\n", "")),
        case("no colon", ok("POISON\r\nContent-Length: 0\r\n", "")),
        case("folded line", ok("X: a\r\n POISON\r\nContent-Length: 0\r\n", "")),
        case("space before the first name", ok(" X: POISON\r\nContent-Length: 0\r\n", "")),
        case("NUL in a 103", "HTTP/1.1 103 Early Hints\r\nX: a\0POISON\r\n\r\n"),
    ];
    for byte in (0..=31).chain([127]).filter(|byte| !b"\t\n".contains(byte)) {
        let answer =
            [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: a", &[byte][..], b"POISON: b\r\n\r\n"];
        cases.push(case(&format!("byte {byte} in a value"), answer.concat()));
    }
    Bench::refuses(&cases, "bad_response");
}

#[test]
fn row_31_a_reason_phrase_is_ours_or_readable() {
    let phrases: [(&[u8], &str); 4] = [
        (b"Fine", "HTTP/1.1 200 Fine"),
        (b"", "HTTP/1.1 200 "),
        (b"\xff\xfePOISON", "HTTP/1.1 200 "),
        (b"caf\xc3\xa9", "HTTP/1.1 200 "),
    ];
    for (phrase, line) in phrases {
        let upstream =
            Raw::always([b"HTTP/1.1 200 ", phrase, b"\r\nContent-Length: 2\r\n\r\nok"].concat());
        let answer = Gateway::to(&upstream.url()).get("h", "/");
        assert_eq!((answer.text().as_str(), answer.head.first.as_str()), ("ok", line));
    }
}

#[test]
fn row_32_garbage_for_an_answer() {
    let status = |code: &str| format!("HTTP/1.1 {code} POISON\r\nContent-Length: 0\r\n\r\n");
    let mut cases = vec![
        case("garbage", "POISON are not the droids\r\n\r\n"),
        case("HTTP/0.9", "<html>POISON</html>"),
        case("HTTP/2 in HTTP/1", b"\0\0\0\x04\0\0\0\0\0"),
        case("SSH", "SSH-2.0-POISON\r\n"),
        case("no version", "200 OK\r\nContent-Length: 0\r\n\r\n"),
        case("lower case", "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        case("tab", "HTTP/1.1\t200 OK\r\nContent-Length: 0\r\n\r\n"),
        case("a request", "GET /POISON HTTP/1.1\r\nHost: h\r\n\r\n"),
    ];
    for version in ["HTTP/9.9", "HTTP/2.0", "HTTP/1.2", "HTTP/01.1", "HTTP/1.1.1", "ICY"] {
        cases.push(case(version, format!("{version} 200 OK\r\nContent-Length: 0\r\n\r\n")));
    }
    for code in ["2000", "20", "099", "000", "600", "999", "2x0", "-20", "+200", "2OO", ""] {
        cases.push(case(&format!("status {code:?}"), status(code)));
    }
    Bench::refuses(&cases, "bad_response");
}

#[test]
fn row_33_half_a_body_is_shown_as_cut() {
    let chunked = |rest: &str| ok("Transfer-Encoding: chunked\r\n", rest);
    let reset = [
        case("sized", ok("Content-Length: 10\r\n", "half")).closing(),
        case("after a chunk", chunked("4\r\nhalf\r\n")).closing(),
        case("in a chunk", chunked("8\r\nhalf")).closing(),
        case("before the last CRLF", chunked("4\r\nhalf\r\n0\r\n")).closing(),
        case("in the trailers", chunked("4\r\nhalf\r\n0\r\nX: y\r\n")).closing(),
    ];
    let broken = [
        case("chunk data too long", chunked("4\r\nhalfPOISON\r\n0\r\n\r\n")),
        case("chunk size +4", chunked("4\r\nhalf\r\n+4\r\nPOISON\r\n0\r\n\r\n")),
        case("chunk size 0x4", chunked("4\r\nhalf\r\n0x4\r\nPOISON\r\n0\r\n\r\n")),
        case("empty chunk size", chunked("4\r\nhalf\r\n\r\nPOISON\r\n0\r\n\r\n")),
        case("huge chunk size", chunked("4\r\nhalf\r\nfffffffffffffffff\r\nPOISON\r\n0\r\n\r\n")),
        case("bare LF in an extension", chunked("4\r\nhalf\r\n6;a\nPOISON\r\n0\r\n\r\n")),
        case("NUL in a trailer", chunked("4\r\nhalf\r\n0\r\nX: \0POISON\r\n\r\n")),
        case("endless extension", chunked(&format!("4\r\nhalf\r\n6;{}", "x".repeat(20_000)))),
    ];
    for (cases, reason) in [(&reset[..], "upstream_reset"), (&broken[..], "bad_response")] {
        let mut bench = Bench::new(cases);
        for (number, case) in cases.iter().enumerate() {
            let name = &case.name;
            let before = bench.clean(name);
            let (answer, cut) = bench.ask(number, case);
            assert_eq!((answer.status, cut), (200, Some(Cut(b"half".to_vec()))), "{name}");
            assert_eq!(bench.logged()["reason"], reason, "{name}: {}", bench.logged());
            let after = bench.clean(name);
            assert!(after > before, "{name}");
            let answer = bench.ask_h2(number, case);
            assert_eq!((answer.status, answer.body), (200, None), "{name} over HTTP/2");
            assert_eq!(bench.logged()["reason"], reason, "{name} over HTTP/2");
            assert!(bench.clean(name) > after, "{name} over HTTP/2");
        }
    }
}

#[test]
fn row_35_what_belongs_to_the_upstreams_hop() {
    const FIELDS: &str = "Connection: X-Internal, keep-alive\r\nConnection: X-Second\r\n\
        X-Internal: secret\r\nx-internal: secret\r\nX-Second: secret\r\nKeep-Alive: timeout=secret\r\n\
        Proxy-Connection: secret\r\nProxy-Authenticate: secret\r\n\
        Proxy-Authentication-Info: secret\r\nUpgrade: secret\r\nX-Kept: kept\r\n";
    let answer = format!(
        "HTTP/1.1 103 Early Hints\r\n{FIELDS}Link: </a>\r\n\r\nHTTP/1.1 200 OK\r\n{FIELDS}Content-Length: 2\r\n\r\nok"
    );
    let upstream = Raw::always(answer);
    let gateway =
        Gateway::start(&format!("{FRONT}routes: {{ app: {{ to: \"{}\" }} }}\n", upstream.url()));
    let answer = gateway.client().get("h", "/");
    assert_eq!((answer.text().as_str(), answer.interim.len()), ("ok", 1));
    for head in [&answer.head, &answer.interim[0]] {
        assert!(!format!("{head:?}").to_lowercase().contains("secret"), "{head:?}");
        assert!(!head.has("connection"), "{head:?}");
        assert_eq!(head.get("x-kept"), Some("kept"), "{head:?}");
    }
    let answer = ask_h2(&gateway, Request::get("http://h/").body(()).unwrap());
    assert_eq!(answer.body.as_deref(), Some(&b"ok"[..]));
    assert!(!format!("{:?}", answer.head).contains("secret"), "{:?}", answer.head);
    assert_eq!(answer.head["x-kept"], "kept");
}
