//! Rows 1 to 28: where one HTTP/1 request ends and the next begins.

use bytes::Bytes;
use h2::ext::Protocol;
use http::{HeaderMap, HeaderValue, Method, Request};

use crate::support::{
    gateway::SHORT,
    h2client::H2,
    http::head,
    prelude::*,
    raw::Peer,
    recorder::{Recorder, Seen},
};

/// What an attacker hopes to have read as a request of its own.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\nX-Id: smuggled\r\n\r\n";

/// How much of a refused request an upstream may have seen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Not a byte.
    Nothing,
    /// Its head and what of its body was right, and then the end of the connection.
    Part,
}

/// A gateway before an upstream that records, and a neighbour whose requests are clean.
struct Bench {
    recorder: Recorder,
    gateway: Gateway,
    neighbour: Client,
    cleans: usize,
    refusals: usize,
    complaints: Vec<String>,
}

// === impl Bench ===

impl Bench {
    fn start() -> Self {
        Self::with(|url| format!("routes: {{ app: {{ to: \"{url}\" }} }}\n"))
    }

    /// With a file made of the upstream's URL.
    fn with(yaml: impl FnOnce(&str) -> String) -> Self {
        let recorder = Recorder::start();
        let gateway = Gateway::start(&yaml(&recorder.url()));
        let neighbour = gateway.client();
        Self { recorder, gateway, neighbour, cleans: 0, refusals: 0, complaints: Vec::new() }
    }

    /// A clean request on another connection, answered right.
    #[track_caller]
    fn clean(&mut self, after: &str) {
        self.cleans += 1;
        let id = format!("clean-{}", self.cleans);
        let answer = self.neighbour.exchange("GET", "a", "/clean", &[&format!("X-Id: {id}")]);
        assert_eq!(answer.header("x-id"), Some(id.as_str()), "after {after}: {}", answer.text());
        assert!(answer.text().starts_with(&format!("recorded id={id} method=GET length=0 ")));
    }

    /// Sends the bytes with a second request behind them: one of these statuses and reasons must
    /// come back, and then the end of the connection.
    #[track_caller]
    fn refuses(&mut self, name: &str, bytes: impl AsRef<[u8]>, status: &[u16], reasons: &[&str]) {
        self.refuses_after(0, name, bytes, status, reasons);
    }

    /// The same for what comes after so many good requests in the same bytes.
    #[track_caller]
    fn refuses_after(
        &mut self,
        good: usize,
        name: &str,
        bytes: impl AsRef<[u8]>,
        status: &[u16],
        reasons: &[&str],
    ) {
        let verdict = self.judge(good, bytes.as_ref(), status, reasons);
        self.refusals += 1;
        self.clean(name);
        self.complaints.extend(verdict.err().map(|complaint| format!("{name}: {complaint}")));
    }

    fn judge(
        &self,
        good: usize,
        bytes: &[u8],
        status: &[u16],
        reasons: &[&str],
    ) -> Result<(), String> {
        let mut client = self.gateway.client();
        client.send([bytes, SMUGGLED.as_bytes()].concat());
        for _ in 0..good {
            let (answer, _) = client.try_response("GET").ok_or("no answer to the good one")?;
            if answer.status != 200 {
                return Err(format!("the good one: {} {}", answer.status, answer.text()));
            }
        }
        let (answer, _) = client.try_response("GET").ok_or("closed without an answer")?;
        if !status.contains(&answer.status) {
            return Err(format!("status {} {}", answer.status, answer.text()));
        }
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if !body["reason"].as_str().is_some_and(|word| reasons.contains(&word)) {
            return Err(format!("reason {:?} {:?}", answer.head, answer.text()));
        }
        let rest = client.wire().rest();
        if !rest.is_empty() {
            return Err(format!("went on with {:?}", String::from_utf8_lossy(&rest)));
        }
        Ok(())
    }

    /// What the upstream saw of others than the neighbour.
    fn others(&self) -> Vec<Seen> {
        let mut seen = self.recorder.requests();
        seen.retain(|seen| !seen.request.id().starts_with("clean-"));
        seen
    }

    /// Nothing was wrong, nothing was smuggled, and no more than this reached the upstream.
    #[track_caller]
    fn finish(self, reach: Reach) {
        let count = self.complaints.len();
        assert!(count == 0, "{count} of {}:\n{}", self.refusals, self.complaints.join("\n"));
        self.recorder.assert_clean();
        let others = self.others();
        let harmless = |seen: &Seen| reach == Reach::Part && seen.cut && seen.request.id() == "bad";
        assert!(others.iter().all(harmless), "reached the upstream: {others:#?}");
        // One line for each refusal and one for each clean request.
        let lines = self.gateway.access_log(self.refusals + self.cleans);
        let refused = lines.iter().filter(|line| line["reason"].is_string()).count();
        assert_eq!((refused, lines.len()), (self.refusals, self.refusals + self.cleans), "logged");
    }
}

/// A request with these fields (each with its CRLF) and this body.
fn post(fields: &str, body: &str) -> Vec<u8> {
    format!("POST /bad HTTP/1.1\r\nHost: a\r\nX-Id: bad\r\n{fields}\r\n{body}").into_bytes()
}

/// A request with a chunked body of these bytes.
fn chunked(body: impl AsRef<[u8]>) -> Vec<u8> {
    [&post("Transfer-Encoding: chunked\r\n", ""), body.as_ref()].concat()
}

const BAD: &[u16] = &[400];
const FRAMING: &[&str] = &["bad_framing"];
const ANY_HEAD: &[&str] = &["bad_framing", "bad_request"];
/// A stray CR may end the version, too.
const LINE: &[&str] = &["bad_framing", "bad_request", "unsupported_version"];
const BODY: &[&str] = &["bad_body"];

// === lengths and codings ===

#[test]
fn row_01_content_length_and_then_chunks() {
    let mut bench = Bench::start();
    let body = format!("0\r\n\r\n{SMUGGLED}");
    for coding in
        ["Transfer-Encoding: chunked", "transfer-encoding: CHUNKED", "TRANSFER-ENCODING:chunked"]
    {
        for length in ["Content-Length", "content-length", "CONTENT-LENGTH"] {
            for number in [0, 5, body.len()] {
                let fields = [format!("{length}: {number}\r\n"), format!("{coding}\r\n")];
                bench.refuses(&fields.concat(), post(&fields.concat(), &body), BAD, FRAMING);
                let apart = format!("{}X-Between: 1\r\n{}", fields[0], fields[1]);
                bench.refuses(&apart, post(&apart, &body), BAD, FRAMING);
            }
        }
    }
    bench.finish(Reach::Nothing);
}

#[test]
fn row_02_chunks_and_then_a_content_length() {
    let mut bench = Bench::start();
    let body = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    for number in ["0", "4", "5", "999", "abc", ""] {
        for between in ["", "X-Between: 1\r\n"] {
            let fields =
                format!("Transfer-Encoding: chunked\r\n{between}Content-Length: {number}\r\n");
            bench.refuses(&fields, post(&fields, &body), BAD, FRAMING);
        }
    }
    bench.finish(Reach::Nothing);
}

/// What is nearly `chunked`.
#[rustfmt::skip]
const CODINGS: &[&str] = &[
    "", " ", "chunk", "xchunked", "chunkedx", "1chunked", "chun ked", "chunked x", "x chunked", "chunked,",
    ",chunked", "chunked ,", ", chunked", ",", "chunked;", "chunked;q=1", "chunked; a=b", "\"chunked\"",
    "'chunked'", "\"chunked", "chunked\"", "[chunked]", "(chunked)", "chunked(x)", "<chunked>", "=chunked",
    ":chunked", "chunked:", "identity", "cow", "gzip", "deflate", "x-chunked", "%63hunked", "chu\\nked",
    "chunked\\", "chunKEd\u{130}", "ch\u{fc}nked", "chunked\u{a0}", "\u{feff}chunked", "\r\n chunked",
    "\r\n\tchunked", "chunked\r\n ", "chunked\r\n x", "\rchunked", "chunked\r", "chunked\r\r", "\nchunked",
    "chunked\n", "\0chunked", "chunked\0", "chun\0ked", "\x0bchunked", "chunked\x0b", "\x0cchunked",
    "chunked\x0c", "\x7fchunked", "\x1bchunked", "\x08chunked",
];

/// What is nearly the name of the field, up to the value.
#[rustfmt::skip]
const CODING_NAMES: &[&str] = &[
    "Transfer-Encoding :", "Transfer-Encoding\t:", " Transfer-Encoding:", "\tTransfer-Encoding:",
    "Transfer-Encoding\0:", "Transfer-Encoding\x0b:", "Transfer-Encoding\r:", "Transfer Encoding:",
    "Transfer_Encoding:", "transfer_encoding:", "Transfer-Encoding\u{a0}:", "\u{feff}Transfer-Encoding:",
    "\"Transfer-Encoding\":", "Transfer-Encoding;:", "Transfer-Encoding", "Transfer-Encoding=",
    "\0Transfer-Encoding:", "Transfer/Encoding:", "(Transfer-Encoding):", "X: y\nTransfer-Encoding:",
    "X: y\rTransfer-Encoding:", "Transfer\u{ad}-Encoding:", ":Transfer-Encoding:",
];

#[test]
fn row_03_obfuscated_transfer_encoding() {
    let mut bench = Bench::start();
    let body = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    for value in CODINGS {
        for length in ["", "Content-Length: 5\r\n"] {
            let fields = format!("{length}Transfer-Encoding: {value}\r\n");
            bench.refuses(&fields, post(&fields, &body), BAD, ANY_HEAD);
        }
    }
    for name in CODING_NAMES {
        for length in ["", "Content-Length: 5\r\n"] {
            let fields = format!("{length}{name} chunked\r\n");
            bench.refuses(&fields, post(&fields, &body), BAD, ANY_HEAD);
        }
    }
    bench.finish(Reach::Nothing);
}

#[test]
fn row_03_no_byte_beside_the_coding_is_overlooked() {
    let mut bench = Bench::start();
    for byte in (0..=255_u8).filter(|byte| !matches!(byte, b' ' | b'\t')) {
        for (before, after) in [(Some(byte), None), (None, Some(byte))] {
            let mut bytes = post("", "");
            bytes.truncate(bytes.len() - 2);
            bytes.extend_from_slice(b"Transfer-Encoding: ");
            bytes.extend(before);
            bytes.extend_from_slice(b"chunked");
            bytes.extend(after);
            bytes.extend_from_slice(b"\r\n\r\n0\r\n\r\n");
            bench.refuses(&format!("{before:?} {after:?}"), bytes, BAD, ANY_HEAD);
        }
    }
    bench.finish(Reach::Nothing);
}

#[test]
fn row_03_case_and_blanks_change_nothing() {
    let bench = Bench::start();
    for (number, coding) in [
        "Transfer-Encoding: chunked",
        "tRANSFER-eNCODING:ChUnKeD",
        "transfer-encoding: \t chunked \t",
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("good-{number}");
        let mut client = bench.gateway.client();
        client.request("POST", "a", "/", &[&format!("X-Id: {id}"), coding]);
        client.send("3\r\nabc\r\n0\r\n\r\n");
        assert_eq!(client.response().header("x-id"), Some(id.as_str()), "{coding}");
        assert_eq!(bench.recorder.by_id(&id)[0].request.body, b"abc");
    }
    bench.recorder.assert_clean();
}

#[test]
fn row_04_chunked_twice_or_not_last() {
    let mut bench = Bench::start();
    #[rustfmt::skip]
    let codings = [
        "chunked, chunked", "chunked,chunked", "chunked, identity", "identity, chunked", "gzip, chunked",
        "chunked, gzip", "x, chunked", "chunked\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: identity", "identity\r\nTransfer-Encoding: chunked",
        "chunked\r\nX: y\r\ntransfer-encoding: gzip", "gzip\r\nTransfer-Encoding: chunked",
        "\r\nTransfer-Encoding: chunked", "chunked\r\nTransfer-Encoding:",
    ];
    for coding in codings {
        let fields = format!("Transfer-Encoding: {coding}\r\n");
        bench.refuses(coding, post(&fields, "0\r\n\r\n"), BAD, FRAMING);
    }
    bench.finish(Reach::Nothing);
}

#[test]
fn row_05_transfer_encoding_in_http_1_0() {
    let mut bench = Bench::start();
    for more in ["", "Connection: keep-alive\r\n", "Content-Length: 5\r\n", "Host: a\r\n"] {
        for coding in ["chunked", "identity", "gzip"] {
            let bytes = format!(
                "POST /bad HTTP/1.0\r\nX-Id: bad\r\n{more}Transfer-Encoding: {coding}\r\n\r\n0\r\n\r\n"
            );
            bench.refuses(&bytes.clone(), bytes, BAD, FRAMING);
        }
    }
    bench.finish(Reach::Nothing);
}

#[test]
fn row_06_two_lengths() {
    let mut bench = Bench::start();
    #[rustfmt::skip]
    let lengths = [
        "5\r\nContent-Length: 5", "5\r\nContent-Length: 6", "0\r\nContent-Length: 5", "5\r\ncontent-length: 0",
        "5\r\nX: y\r\nCONTENT-LENGTH: 5", "5, 5", "5,5", "5, 6", "5,", ",5", "5 , 5", "5;5",
        "5\r\nContent-Length:", "5\r\nContent-Length: 5\r\nContent-Length: 5",
    ];
    for length in lengths {
        let fields = format!("Content-Length: {length}\r\n");
        bench.refuses(length, post(&fields, "hello"), BAD, FRAMING);
        bench.refuses(length, post(&fields, &format!("hello{SMUGGLED}")), BAD, FRAMING);
    }
    bench.finish(Reach::Nothing);
}

#[test]
fn row_07_lengths_that_are_no_numbers() {
    let mut bench = Bench::start();
    #[rustfmt::skip]
    let lengths = [
        "+5", "-5", "-1", "-0", "0x5", "5h", "5 5", "5\t5", "1_0", "5.0", "5e0", "5\u{b2}", "\u{665}", "five",
        "'5'", "\"5\"", "5;", "5 bytes", "0b101", "0o5", "NaN", "5\0", "\x005", "5\x0b", "\x0b5", "5\r\n 5",
        "(5)", "%35", "18446744073709551615", "18446744073709551616", "18446744073709551621",
        "99999999999999999999", "340282366920938463463374607431768211456",
        "9999999999999999999999999999999999999999999", "00000000000000000000000000000000000005",
    ];
    for length in lengths {
        let fields = format!("Content-Length: {length}\r\n");
        bench.refuses(length, post(&fields, "hello"), BAD, ANY_HEAD);
    }
    for name in [
        "Content-Length :",
        "Content_Length:",
        "Content-Length\0:",
        " Content-Length:",
        "Content Length:",
    ] {
        let fields = format!("{name} 5\r\n");
        bench.refuses(name, post(&fields, "hello"), BAD, ANY_HEAD);
    }
    bench.finish(Reach::Nothing);
}

#[test]
fn row_08_an_empty_length() {
    let mut bench = Bench::start();
    for length in ["", " ", "\t", " \t "] {
        for version in ["1.1", "1.0"] {
            let bytes = format!(
                "POST /bad HTTP/{version}\r\nHost: a\r\nX-Id: bad\r\nContent-Length:{length}\r\n\r\nhello"
            );
            bench.refuses(&bytes.clone(), bytes, BAD, FRAMING);
        }
    }
    bench.finish(Reach::Nothing);
}

// === answers that come before the body has been read ===

/// Targets whose answer does not wait for a body, and its status.
const SHORT_PATHS: [(&str, u16); 6] = [
    ("/respond", 200),
    ("/redirect", 308),
    ("/nowhere", 404),
    ("/only-get", 405),
    ("/small", 413),
    ("/%2e%2f", 400),
];

fn short_paths(url: &str) -> String {
    format!(
        "routes:\n  respond: {{ match: /respond, respond: {{ status: 200, body: here }} }}\n\
         \x20 redirect: {{ match: /redirect, redirect: \"https://new.example/\" }}\n\
         \x20 get: {{ match: {{ path: /only-get, method: GET }}, to: \"{url}\" }}\n\
         \x20 small: {{ match: /small, to: \"{url}\", body: 1B }}\n\
         \x20 app: {{ match: \"/clean/**\", to: \"{url}\" }}\n\
         \x20 clean: {{ match: /clean, to: \"{url}\" }}\n"
    )
}

/// The body of an early-answered request, whole, and the fields that announce it.
fn bodies(body: &str) -> [(String, String); 2] {
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    [
        (format!("Content-Length: {}", body.len()), body.to_owned()),
        ("Transfer-Encoding: chunked".to_owned(), chunks),
    ]
}

#[test]
fn row_09_a_body_that_is_not_wanted_is_never_read_as_a_request() {
    let mut bench = Bench::with(short_paths);
    let next = "GET /clean/next HTTP/1.1\r\nHost: a\r\nX-Id: next\r\n\r\n";
    for (target, status) in SHORT_PATHS {
        for (times, late) in [(1, false), (1, true), (3_000, false), (3_000, true)] {
            for (announced, body) in bodies(&SMUGGLED.repeat(times)) {
                let name = format!("{target} {announced} late: {late}");
                let mut client = bench.gateway.client();
                let head = head("POST", "a", target, &["X-Id: bad", &announced]);
                let mut answer = None;
                if late {
                    client.send(head);
                    // 413 waits for chunks: how long the body is shows only then.
                    if target != "/small" || !announced.starts_with("Transfer") {
                        answer = client.try_response("GET");
                    }
                    client.send(body + next);
                } else {
                    client.send(head + &body + next);
                }
                let answer = answer.or_else(|| client.try_response("GET"));
                assert_eq!(answer.map(|(answer, _)| answer.status), Some(status), "{name}");
                // Drained and in step, or closed.
                if let Some((answer, _)) = client.try_response("GET") {
                    assert_eq!(answer.header("x-id"), Some("next"), "{name}: {}", answer.text());
                    drop(client);
                }
                bench.clean(&name);
            }
        }
    }
    bench.recorder.assert_clean();
    let others = bench.others();
    let harmless =
        |seen: &Seen| seen.request.id() == "next" || (seen.cut && seen.request.id() == "bad");
    assert!(others.iter().all(harmless), "{others:#?}");
}

#[test]
fn row_09_a_body_without_end_is_not_drained_for_ever() {
    let mut bench = Bench::with(short_paths);
    for (target, status) in SHORT_PATHS {
        for announced in ["Content-Length: 1000000000000", "Transfer-Encoding: chunked"] {
            let mut client = bench.gateway.client();
            client.request("POST", "a", target, &["X-Id: bad", announced]);
            let chunked = announced.starts_with("Transfer");
            if chunked {
                client.send("40000000\r\n");
            }
            let piece = SMUGGLED.repeat(1_000);
            // Until the gateway closes: bounded, as it must not read on for ever.
            let sent = (0..2_000).take_while(|_| client.send(&piece)).count();
            assert!(
                sent < 2_000,
                "{target} {announced}: {sent} pieces of {} were taken",
                piece.len()
            );
            // A reset may have overtaken the answer; what came of it is the right one.
            if let Some((answer, _)) = client.try_response("GET") {
                // Such a length is refused before a route's own answer.
                assert!([status, 413].contains(&answer.status), "{target} {announced}");
                assert!(client.wire().rest().is_empty());
            }
            bench.clean(target);
        }
    }
    bench.recorder.assert_clean();
    assert!(bench.others().iter().all(|seen| seen.cut), "{:#?}", bench.others());
}

// === Expect ===

#[test]
fn row_10_one_request_one_final_answer_whatever_is_expected() {
    let mut bench = Bench::start();
    let expectations = [
        ("Expect: 100-continue", true),
        ("expect:100-Continue", true),
        ("Expect: 100-continue, 100-continue", false),
        ("Expect: 100-continue\r\nExpect: 100-continue", true),
        ("Expect: x\r\nExpect: 100-continue", false),
        ("Expect: 200-ok", false),
        ("Expect: 100", false),
        ("Expect: 100-continuex", false),
        ("Expect: 100-continue;x", false),
        ("Expect: \"100-continue\"", false),
        ("Expect: y=1", false),
        ("Expect:", false),
        ("Expect: 100 -continue", false),
        ("Expect-: 100-continue", false),
        ("X-Expect: 100-continue", false),
    ];
    for (number, (expect, passes)) in expectations.into_iter().enumerate() {
        let id = format!("expect-{number}");
        let mut client = bench.gateway.client();
        let fields = [format!("X-Id: {id}"), "Content-Length: 4".to_owned(), expect.to_owned()];
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        client.request("POST", "a", "/", &fields);
        client.send("body");
        let answer = client.response();
        assert_eq!((answer.status, answer.header("x-id")), (200, Some(id.as_str())), "{expect}");
        assert!(answer.interim.len() <= 1, "{expect}: {:?}", answer.interim);
        assert_eq!(client.get("a", "/clean").status, 200, "{expect}: still in step");
        let seen = bench.recorder.by_id(&id);
        assert_eq!((seen.len(), &seen[0].request.body[..]), (1, &b"body"[..]), "{expect}");
        assert_eq!(!seen[0].request.get("expect").is_empty(), passes, "{expect}");
        bench.clean(expect);
    }
    bench.recorder.assert_clean();
}

#[test]
fn row_10_obfuscated_expect_is_refused() {
    let mut bench = Bench::start();
    #[rustfmt::skip]
    let all = [
        "Expect : 100-continue", " Expect: 100-continue", "Expect\0: 100-continue", "Expect: 100-continue\0",
        "Expect: \r\n 100-continue", "Expect: 100-continue\r\n ", "Expect\x0b: 100-continue",
        "Expect: \x0b100-continue", "Expect: 100-continue\x0c", "Expect: 100-continue\r",
        "Expect: 100-continu\u{e9}",
    ];
    for expect in all {
        let fields = format!("{expect}\r\nContent-Length: 4\r\n");
        bench.refuses(expect, post(&fields, "body"), BAD, ANY_HEAD);
    }
    bench.finish(Reach::Nothing);
}

#[test]
fn row_10_an_expectation_without_a_body_is_not_passed_on() {
    let mut bench = Bench::start();
    let mut client = bench.gateway.client();
    for (number, (method, more)) in
        [("GET", None), ("POST", Some("Content-Length: 0")), ("POST", None), ("DELETE", None)]
            .into_iter()
            .enumerate()
    {
        let id = format!("X-Id: {number}");
        let fields: Vec<&str> = ["Expect: 100-continue", &id].into_iter().chain(more).collect();
        let answer = client.exchange(method, "a", "/", &fields);
        assert_eq!((answer.status, answer.interim.len()), (200, 0), "{method}");
        assert_eq!(answer.header("x-id"), Some(number.to_string().as_str()));
        assert_eq!(bench.recorder.by_id(&number.to_string()).len(), 1);
    }
    bench.clean("an expectation without a body");
    bench.recorder.assert_clean();
}

#[test]
fn row_10_a_final_answer_instead_of_100_is_the_only_one() {
    let mut bench = Bench::start();
    let next = "GET /clean HTTP/1.1\r\nHost: a\r\nX-Id: next\r\n\r\n";
    for early in [417, 413, 200, 302] {
        let early_field = format!("X-Early: {early}");
        for expect in ["Expect: 100-continue", "Expect: odd"] {
            // What the client sends once it has its answer: the body, no body but the next request
            // (which is the body then), or nothing more.
            for (body, length) in [(SMUGGLED, SMUGGLED.len()), (next, next.len()), ("", 9)] {
                let name = format!("{early} {expect} {body:?}");
                let mut client = bench.gateway.client();
                let length = format!("Content-Length: {length}");
                client.request("POST", "a", "/", &["X-Id: bad", &early_field, expect, &length]);
                let answer = client.response();
                assert_eq!((answer.status, answer.interim.len()), (early, 0), "{name}");
                client.send(body);
                if body == SMUGGLED {
                    client.send(next);
                    // In step, or closed; no second answer to the first.
                    if let Some((answer, _)) = client.try_response("GET") {
                        assert_eq!(answer.header("x-id"), Some("next"), "{name}");
                    }
                }
                for _ in 0..4 {
                    bench.clean(&name);
                }
            }
        }
    }
    bench.recorder.assert_clean();
    assert!(bench.recorder.by_id("smuggled").is_empty());
}

#[test]
fn row_10_nothing_follows_a_final_answer_when_patience_ends() {
    let mut bench = Bench::start();
    let mut client = bench.gateway.client();
    let fields = ["X-Id: bad", "X-Early: 417", "Expect: 100-continue", "Content-Length: 9"];
    client.request("POST", "a", "/", &fields);
    assert_eq!(client.response().status, 417);
    // After a second a held body would be asked for.
    pause(Duration::from_millis(1_500));
    client.send("123456789");
    client.send("GET /clean HTTP/1.1\r\nHost: a\r\nX-Id: next\r\nConnection: close\r\n\r\n");
    let rest = String::from_utf8_lossy(&client.wire().rest()).into_owned();
    assert!(!rest.contains("100 Continue") && !rest.contains("id=bad"), "{rest}");
    bench.clean("an early answer");
    bench.recorder.assert_clean();
}

// === chunks ===

#[test]
fn row_11_chunk_sizes_that_are_no_numbers() {
    let mut bench = Bench::start();
    #[rustfmt::skip]
    let sizes = [
        "+5", "-5", "0x5", "0X5", "_5", "5_", " 5", "5 ", "\t5", "5\t", "", "g", "5g", "5.0", "5,", "'5'",
        "\"5\"", "5\0", "\x005", "5\x0b", "5\r", "\r5", "5h", "x", "%35", "5\u{a0}", "\u{ff15}", "#5", "5:",
        "=5", "(5)", "10000000000000005", "fffffffffffffffff", "00000000000000005", "ffffffffffffffff0", "-1",
        "--5",
    ];
    for size in sizes {
        let body = format!("{size}\r\nhello\r\n0\r\n\r\n");
        bench.refuses(size, chunked(body), BAD, BODY);
        let second = format!("1\r\nx\r\n{size}\r\nhello\r\n0\r\n\r\n");
        bench.refuses(size, chunked(second), BAD, BODY);
    }
    for end in ["+0", "-0", "0x0", " 0", "0 ", "00000000000000000", "O", ""] {
        bench.refuses(end, chunked(format!("5\r\nhello\r\n{end}\r\n\r\n")), BAD, BODY);
    }
    bench.finish(Reach::Part);
}

#[test]
fn row_11_good_chunk_sizes_pass_however_they_are_written() {
    let bench = Bench::start();
    for (number, size) in ["a", "A", "0a", "000000000000000A"].into_iter().enumerate() {
        let mut client = bench.gateway.client();
        let id = format!("good-{number}");
        client.request("POST", "a", "/", &[&format!("X-Id: {id}"), "Transfer-Encoding: chunked"]);
        client.send(format!("{size}\r\n0123456789\r\n000\r\n\r\n"));
        assert_eq!(client.response().header("x-id"), Some(id.as_str()), "{size}");
        assert_eq!(bench.recorder.by_id(&id)[0].request.body, b"0123456789");
    }
    bench.recorder.assert_clean();
}

#[test]
fn row_12_chunk_extensions() {
    let mut bench = Bench::start();
    let long = format!(";{}", "x".repeat(65_536));
    let extensions = [
        ";",
        ";;",
        "; ",
        ";\t",
        ";;a",
        ";a;",
        ";a;;b",
        ";=",
        ";=b",
        ";a=",
        ";a=;b",
        ";a==b",
        ";a=b=c",
        ";a b",
        ";a=b c",
        ";\"a\"",
        ";a=\"b",
        ";a=\"b\"c",
        ";a=b\"c\"",
        ";a=\"b\\\"",
        ";\0",
        ";a\0",
        ";a=\0",
        ";a\r",
        ";a\rb",
        ";\rb",
        ";a\n",
        ";\n",
        ";a\nb",
        ";a=\"\r\n\"",
        ";a=\"\n\"",
        ";a=\"\0\"",
        ";\x7f",
        ";a\u{e9}",
        ";a=\"\u{e9}\"",
        ";a,b",
        ";a=(b)",
        ";a@b",
        " ;a",
        "\t;a",
        ",a",
        ":a",
        "a;",
        "g;a",
        &long,
    ];
    for extension in extensions {
        let name = &extension[..extension.len().min(20)];
        bench.refuses(name, chunked(format!("5{extension}\r\nhello\r\n0\r\n\r\n")), BAD, BODY);
        bench.refuses(name, chunked(format!("5\r\nhello\r\n0{extension}\r\n\r\n")), BAD, BODY);
    }
    // Each is small; all of them are not.
    let many = format!("1;{}\r\nx\r\n", "y".repeat(200)).repeat(400);
    bench.refuses("many", chunked(format!("{many}0\r\n\r\n")), BAD, BODY);
    bench.finish(Reach::Part);
}

#[test]
fn row_12_good_extensions_are_dropped() {
    let bench = Bench::start();
    let mut client = bench.gateway.client();
    client.request("POST", "a", "/", &["X-Id: good", "Transfer-Encoding: chunked"]);
    client.send("3;a\r\nabc\r\n3;a=b;c=\"d; \\\" e\"\r\ndef\r\n1; a = b\r\ng\r\n0;end=1\r\n\r\n");
    assert_eq!(client.response().header("x-id"), Some("good"));
    assert_eq!(bench.recorder.by_id("good")[0].request.body, b"abcdefg");
    bench.recorder.assert_clean();
    assert!(
        bench.recorder.raw().iter().all(|raw| !raw.contains(&b';')),
        "{:?}",
        bench.recorder.raw()
    );
}

#[test]
fn row_13_chunk_data_longer_or_shorter_than_its_size() {
    let mut bench = Bench::start();
    #[rustfmt::skip]
    let bodies = [
        "5\r\nhelloX\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "5\r\nhelloSPILL\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n", "5\r\nhello\r0\r\n\r\n", "5\r\nhello\n\r0\r\n\r\n",
        "5\r\nhello\r\r\n0\r\n\r\n", "5\r\nhello \r\n0\r\n\r\n", "5\r\nhell\r\n0\r\n\r\n",
        "5\r\nhello\0\r\n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\r\n\r\n", "5\r\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n\r\n0\r\n\r\n", "0\r\n\rX",
        "0\r\n\n", "5\r\nhello\r\nGET / HTTP/1.1\r\n\r\n",
    ];
    for body in bodies {
        bench.refuses(body, chunked(body), BAD, BODY);
    }
    bench.finish(Reach::Part);
}

#[test]
fn row_14_trailers_never_become_fields() {
    let mut bench = Bench::start();
    #[rustfmt::skip]
    let claims = [
        "Content-Length: 5", "Transfer-Encoding: chunked", "Host: evil", "Authorization: Basic eA==",
        "Connection: close", "TE: x", "Trailer: y", "Forwarded: for=1.2.3.4", "X-Forwarded-For: 1.2.3.4",
        "X-Forwarded-Host: evil", "X-Real-IP: 1.2.3.4", "X_Forwarded_For: 1.2.3.4", "Content_Length: 5",
        "Transfer_Encoding: chunked",
    ];
    for (number, claim) in claims.into_iter().enumerate() {
        let name = claim.split(':').next().unwrap();
        let id = format!("X-Id: trailer-{number}");
        let announced = format!("Trailer: X-Check, {name}");
        let fields = [&id, "Transfer-Encoding: chunked", "TE: trailers", &announced];
        let mut client = bench.gateway.client();
        client.request("POST", "a", "/", &fields);
        client.send(format!("2\r\nhi\r\n0\r\nX-Check: ok\r\n{claim}\r\n\r\n"));
        let (answer, _) = client.try_response("GET").expect("an answer");
        let seen = bench.recorder.by_id(&id[6..]);
        if answer.status == 400 {
            assert_eq!(answer.reason(), "bad_body", "{claim}");
            assert!(seen.iter().all(|seen| seen.cut), "{claim}");
        } else {
            assert_eq!(seen.len(), 1, "{claim}: {:?}", bench.recorder.violations());
            let seen = &seen[0].request;
            assert_eq!(seen.trailers.len(), 1, "{claim}: {:?}", seen.trailers);
            assert!(seen.trailers[0].0.eq_ignore_ascii_case("x-check"), "{:?}", seen.trailers);
            let value = claim.split_once(": ").unwrap().1;
            let merged = seen.all(name).contains(&value) && name != "Transfer-Encoding";
            assert!(!merged, "{claim}: {seen:?}");
        }
        bench.clean(claim);
    }
    bench.recorder.assert_clean();
}

#[test]
fn row_14_malformed_trailers_are_refused() {
    let mut bench = Bench::start();
    #[rustfmt::skip]
    let trailers = [
        "X : y", ": y", "no colon", "X: a\0b", "X: a\x1bb", "X: a\rb", "X: a\nb", "X: y\r\n folded", " X: y",
        "X\0: y", "X: \u{e9}", "X\u{e9}: y", "X: \x7f", "(X): y", "X y: z",
    ];
    for trailer in trailers {
        let fields = "Transfer-Encoding: chunked\r\nTrailer: X\r\nTE: trailers\r\n";
        let body = format!("2\r\nhi\r\n0\r\n{trailer}\r\n\r\n");
        bench.refuses(trailer, post(fields, &body), BAD, BODY);
    }
    let many = "X: y\r\n".repeat(1_000);
    bench.refuses("many", chunked(format!("0\r\n{many}\r\n")), BAD, BODY);
    bench.refuses("long", chunked(format!("0\r\nX: {}\r\n\r\n", "y".repeat(70_000))), BAD, BODY);
    bench.finish(Reach::Part);
}

#[test]
fn row_14_eight_bit_trailers_over_http2_are_refused() {
    let recorder = Recorder::start();
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h1, h2c] }} }}\n\
         routes: {{ app: {{ to: \"{}\" }} }}\n",
        recorder.url()
    ));
    let address = gateway.addr("http");
    let ask = |value: &'static [u8]| {
        block_on(async {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-check", HeaderValue::from_bytes(value).unwrap());
            let request = Request::post("http://a/").header("te", "trailers");
            let request = request.header("trailer", "x-check").header("x-id", "bad");
            let request = request.body(()).unwrap();
            let answer = H2::plain(address).await.exchange(request, b"hi", Some(trailers)).await;
            answer.map(|answer| answer.head.status().as_u16())
        })
    };
    assert_eq!(ask(b"\xe9").ok(), Some(400));
    assert_eq!(gateway.last_access(1)["reason"], "bad_body");
    assert!(recorder.requests().iter().all(|seen| seen.cut));
    assert_eq!(ask(b"ok").ok(), Some(200));
    recorder.assert_clean();
    assert_eq!(recorder.by_id("bad").last().unwrap().request.trailers.len(), 1);
}

// === lines ===

#[test]
fn row_15_bare_line_ends() {
    let mut bench = Bench::start();
    let good =
        "POST /bad HTTP/1.1\r\nHost: a\r\nX-Id: bad\r\nContent-Length: 5\r\nX: y\r\n\r\nhello";
    let ends: Vec<usize> = good.match_indices("\r\n").map(|(at, _)| at).collect();
    for end in ends {
        for other in ["\n", "\r", "\r\r\n", "\n\r", "\r\r", "\n\n", "\r \n", "\u{85}", "\u{2028}"] {
            let bytes = format!("{}{other}{}", &good[..end], &good[end + 2..]);
            bench.refuses(&bytes.clone(), bytes, &[400, 505], LINE);
        }
    }
    for value in ["a\rb", "a\nb", "\r", "\n", "a\r", "a\n", "a\r\nb", "\r\r\n"] {
        let fields = format!("X: {value}\r\n");
        bench.refuses(&fields, post(&fields, ""), BAD, ANY_HEAD);
    }
    bench.refuses("all bare", "GET / HTTP/1.1\nHost: a\n\n", BAD, ANY_HEAD);
    bench.refuses("empty line", format!("\n{good}"), BAD, ANY_HEAD);
    bench.refuses("empty lines", format!("{}{good}", "\r\n".repeat(20)), BAD, ANY_HEAD);
    bench.finish(Reach::Nothing);
}

#[test]
fn row_16_folded_lines() {
    let mut bench = Bench::start();
    #[rustfmt::skip]
    let all = [
        "X: a\r\n b", "X: a\r\n\tb", "X:\r\n a", "X: a\r\n ", "X: a\r\n \r\n b", "Content-Length: 5\r\n 0",
        "Content-Length:\r\n 5", "Transfer-Encoding:\r\n chunked", "X: a\r\n Transfer-Encoding: chunked",
        "X: a\r\n Content-Length: 5", "X: a\r\n : b",
    ];
    for fold in all {
        let fields = format!("{fold}\r\n");
        bench.refuses(fold, post(&fields, "hello"), BAD, FRAMING);
    }
    for head in [
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        "GET /\r\n HTTP/1.1\r\nHost: a\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\tGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        bench.refuses(head, head, BAD, ANY_HEAD);
    }
    bench.finish(Reach::Nothing);
}

#[test]
fn row_17_odd_field_names() {
    let mut bench = Bench::start();
    #[rustfmt::skip]
    let all = [
        "X : y", "X\t: y", ": y", ":", " : y", "\t: y", "no colon", "X", "X y: z", "X(y): z", "X,y: z",
        "X;y: z", "X/y: z", "X[y]: z", "\"X\": z", "X=y: z", "X@y: z", "{X}: z", "X\\y: z", "<X>: z", "X?: z",
        "Content-Length : 5", "Content-Length\t: 5", "Host : b", "Connection : close", "\u{e9}: z",
        "X\u{e9}: z",
    ];
    for line in all {
        let fields = format!("{line}\r\n");
        bench.refuses(line, post(&fields, ""), BAD, &["bad_request", "bad_framing"]);
    }
    bench.finish(Reach::Nothing);
}

#[test]
fn row_18_long_field_names_are_one_name_or_refused() {
    let mut bench = Bench::start();
    for length in [255, 256] {
        // HAProxy's header index kept eight bits of a length: the rest became another field.
        let name = format!("Content-Length{}", "a".repeat(length - 14));
        let mut client = bench.gateway.client();
        let id = format!("name-{length}");
        let (id_field, field) = (format!("X-Id: {id}"), format!("{name}: 0"));
        client.request("POST", "a", "/", &[&id_field, &field, "Content-Length: 5"]);
        client.send("hello");
        assert_eq!(client.response().header("x-id"), Some(id.as_str()), "{length}");
        let seen = &bench.recorder.by_id(&id)[0].request;
        assert_eq!((seen.get(&name), seen.get("content-length")), ("0", "5"));
        assert_eq!(seen.body, b"hello");
        bench.clean(&id);
    }
    bench.recorder.assert_clean();
    let mut bench = Bench::start();
    for length in [257, 270, 4_096, 20_000, 40_000, 65_535, 65_536, 65_550, 131_072] {
        let fields =
            format!("Content-Length{}: 0\r\nContent-Length: 5\r\n", "a".repeat(length - 14));
        bench.refuses(&length.to_string(), post(&fields, "hello"), &[431], &["header_too_large"]);
    }
    bench.finish(Reach::Nothing);
}

#[test]
fn row_19_control_bytes() {
    let mut bench = Bench::start();
    let controls = (0..32_u8).chain([127]).filter(|byte| !matches!(byte, b'\t' | b'\n' | b'\r'));
    for byte in controls {
        let odd = char::from(byte);
        for text in [
            format!("POST /bad HTTP/1.1\r\nHost: a\r\nX: a{odd}b\r\n\r\n"),
            format!("POST /bad HTTP/1.1\r\nHost: a\r\nX: {odd}\r\n\r\n"),
            format!("POST /bad HTTP/1.1\r\nHost: a\r\nX{odd}: b\r\n\r\n"),
            format!("POST /bad HTTP/1.1\r\nHost: a{odd}\r\n\r\n"),
            format!("POST /b{odd}ad HTTP/1.1\r\nHost: a\r\n\r\n"),
            format!("PO{odd}ST /bad HTTP/1.1\r\nHost: a\r\n\r\n"),
            format!("POST /bad HTTP/1.1{odd}\r\nHost: a\r\n\r\n"),
            format!("{odd}POST /bad HTTP/1.1\r\nHost: a\r\n\r\n"),
            format!("\r\n{odd}\r\nPOST /bad HTTP/1.1\r\nHost: a\r\n\r\n"),
        ] {
            bench.refuses(
                &text.escape_debug().to_string(),
                &text,
                &[400, 505],
                &["bad_request", "unsupported_version"],
            );
        }
    }
    bench.finish(Reach::Nothing);
}

#[test]
fn row_19_bytes_between_messages() {
    let mut bench = Bench::start();
    let good = "GET /clean HTTP/1.1\r\nHost: a\r\nX-Id: clean-x\r\n\r\n";
    let sized = "POST /clean HTTP/1.1\r\nHost: a\r\nX-Id: clean-x\r\nContent-Length: 2\r\n\r\nhi";
    #[rustfmt::skip]
    let between = [
        "\0", "\0\0\r\n", "\x1b", "x", "xx\r\n\r\n", " ", "\n", "\r\r\n", "\t\r\n", "0\r\n\r\n",
        "\u{fe}\u{ff}",
    ];
    for first in [good, sized] {
        for junk in between {
            let bytes = format!("{first}{junk}");
            bench.refuses_after(1, &bytes.clone(), bytes, BAD, ANY_HEAD);
            bench.cleans += 1; // the good one is in the log too
        }
    }
    bench.finish(Reach::Nothing);
}

#[test]
fn row_20_other_versions() {
    let mut bench = Bench::start();
    #[rustfmt::skip]
    let all = [
        "GET /", "GET / ", "GET / HTTP", "GET / HTTP/", "GET / HTTP/1", "GET / HTTP/1.", "GET / HTTP/.1",
        "GET / HTTP/0.9", "GET / HTTP/1.2", "GET / HTTP/1.10", "GET / HTTP/1.1.1", "GET / HTTP/01.1",
        "GET / HTTP/1.01", "GET / HTTP/2", "GET / HTTP/2.0", "GET / HTTP/3.0", "GET / HTTP/9.9",
        "GET / HTTP/11", "GET / http/1.1", "GET / Http/1.1", "GET / HTTPS/1.1", "GET / HTTP/1.1 ",
        "GET / HTTP /1.1", "GET / HTTP/ 1.1", "GET / HTTP/1 .1", "GET / HTTP/1,1", "GET / HTTP-1.1",
        "GET / HTTP/1.1x", "GET / HTTP/+1.1", "GET / HTTP/-1.1", "GET / XTTP/1.1", "GET / HTTP/1.\u{b9}",
        "GET / ICY", "GET / SIP/2.0", "PRI * HTTP/2.0", "GET  / HTTP/1.1", "GET /  HTTP/1.1",
        "GET\t/ HTTP/1.1", "GET /\tHTTP/1.1", "GET / HTTP/1.1 HTTP/1.1", "/ HTTP/1.1", "GET HTTP/1.1", "GET",
    ];
    for line in all {
        let bytes = format!("{line}\r\nHost: a\r\n\r\n");
        bench.refuses(
            line,
            bytes,
            &[400, 505],
            &["bad_request", "bad_path", "unsupported_version"],
        );
    }
    bench.finish(Reach::Nothing);
}

// === other protocols ===

const UPGRADE: [&str; 3] = ["X-Id: upgrade", "Connection: Upgrade", "Upgrade: echo/1"];

fn upgrading(url: &str) -> Gateway {
    Gateway::start(&format!("routes: {{ app: {{ to: \"{url}\", upgrade: [echo/1] }} }}\n"))
}

/// The upstream has got nothing beyond the head within a moment.
fn nothing_early(peer: &mut Peer) {
    use std::io::Read;
    let stream = peer.wire().stream().try_clone().unwrap();
    stream.set_read_timeout(Some(SHORT)).unwrap();
    let error = (&stream).read(&mut [0; 64]).expect_err("bytes came before the 101");
    assert!(matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut));
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
}

#[test]
fn row_21_no_byte_passes_before_the_101() {
    let upstream = Raw::serve(|peer| {
        let Some(head) = peer.head() else { return };
        if head.word(1) == "/clean" {
            peer.ok(b"clean");
            return;
        }
        nothing_early(peer);
        peer.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n",
        );
        let early = peer.wire().take(SMUGGLED.len()).expect("they are the tunnel's now");
        peer.send(early);
        peer.gone();
    });
    let gateway = upgrading(&upstream.url());
    let mut client = gateway.client();
    client.send(head("GET", "a", "/tunnel", &UPGRADE) + SMUGGLED);
    assert_eq!(client.head().unwrap().1.word(1), "101");
    assert_eq!(client.wire().take(SMUGGLED.len()).unwrap(), SMUGGLED.as_bytes());
    assert_eq!(gateway.get("a", "/clean").text(), "clean");
    assert_eq!(upstream.requests().len(), 2, "bytes of a tunnel are no request");
}

#[test]
fn row_22_and_24_without_a_101_what_follows_is_the_next_request() {
    for status in [200, 400, 403, 426, 503] {
        let upstream = Raw::serve(move |peer| {
            let Some(first) = peer.head() else { return };
            if first.word(1) != "/tunnel" {
                peer.ok(first.word(1).as_bytes());
                return;
            }
            nothing_early(peer);
            peer.send(format!("HTTP/1.1 {status} x\r\nContent-Length: 1\r\n\r\nx"));
            peer.gone();
        });
        let gateway = upgrading(&upstream.url());
        let ask = |following: &str| {
            let mut client = gateway.client();
            client.send(head("GET", "a", "/tunnel", &UPGRADE) + following);
            assert_eq!(client.response().status, status);
            client
        };
        let mut client = ask("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().text(), "/next", "after {status}");
        let mut client = ask("\u{81}\u{85}frame of another protocol\r\n");
        let answer = client.response();
        assert_eq!((answer.status, client.closed()), (400, true), "after {status}");
        assert_eq!(gateway.get("a", "/clean").text(), "/clean");
    }
}

#[test]
fn row_21_an_upgrade_with_a_body_keeps_its_body_or_is_refused() {
    let mut bench = Bench::with(|url| {
        format!("routes: {{ app: {{ to: \"{url}\", upgrade: [websocket, echo/1] }} }}\n")
    });
    for (number, protocol) in ["websocket", "echo/1", "h2c", "unheard/1"].into_iter().enumerate() {
        for (announced, body) in bodies(SMUGGLED) {
            let id = format!("body-{number}-{}", announced.len());
            let upgrade = format!("Upgrade: {protocol}");
            let id_field = format!("X-Id: {id}");
            let mut client = bench.gateway.client();
            let fields = [&id_field, "Connection: Upgrade", &upgrade, &announced];
            client.send(head("POST", "a", "/", &fields) + &body);
            client.send("GET /clean HTTP/1.1\r\nHost: a\r\nX-Id: next\r\n\r\n");
            let (answer, _) = client.try_response("GET").expect("an answer");
            if answer.status == 200 {
                let seen = &bench.recorder.by_id(&id)[0].request;
                assert_eq!(
                    (&seen.method[..], &seen.body[..]),
                    ("POST", SMUGGLED.as_bytes()),
                    "{id}"
                );
                assert_eq!(client.response().header("x-id"), Some("next"), "{id}");
            } else {
                assert!((400..500).contains(&answer.status), "{protocol}: {}", answer.text());
            }
            bench.clean(protocol);
        }
    }
    bench.recorder.assert_clean();
    assert!(bench.recorder.by_id("smuggled").is_empty());
}

#[test]
fn row_21_an_upgrade_is_the_only_thing_its_connection_names() {
    let mut bench = Bench::start();
    for method in ["GET", "POST", "DELETE"] {
        let id = format!("X-Id: {method}");
        let fields = [&id, "Connection: Upgrade, TE", "Upgrade: websocket", "TE: trailers"];
        let answer = bench.gateway.client().exchange(method, "a", "/", &fields);
        assert_eq!((answer.status, answer.header("x-id")), (200, Some(method)));
        let seen = &bench.recorder.by_id(method)[0].request;
        assert_eq!(
            (&seen.method[..], seen.get("connection"), seen.get("te")),
            (method, "upgrade", "")
        );
        bench.clean(method);
    }
    bench.recorder.assert_clean();
}

#[test]
fn row_23_an_offer_of_h2c_ends_here() {
    let mut bench = Bench::start();
    let settings = "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA";
    for (number, connection) in [
        "Upgrade, HTTP2-Settings",
        "Upgrade",
        "upgrade,http2-settings,x",
        "HTTP2-Settings",
        "close",
    ]
    .into_iter()
    .enumerate()
    {
        for upgrade in [
            "Upgrade: h2c",
            "Upgrade: H2C",
            "Upgrade: h2c, websocket",
            "Upgrade: HTTP/2.0",
            "Upgrade:",
        ] {
            let id = format!("X-Id: h2c-{number}");
            let connection = format!("Connection: {connection}");
            let mut client = bench.gateway.client();
            let fields = [&id, connection.as_str(), upgrade, settings];
            client.send(head("GET", "a", "/", &fields) + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
            let answer = client.response();
            assert_eq!((answer.status, answer.header("x-id")), (200, Some(&id[6..])), "{upgrade}");
            assert!(!answer.head.has("upgrade"));
            // The preface that follows is no request.
            if let Some((answer, _)) = client.try_response("GET") {
                assert!(matches!(answer.status, 400 | 505), "{upgrade}: {}", answer.text());
                assert!(client.closed());
            }
            bench.clean(upgrade);
        }
    }
    // The strict upstream calls `Upgrade` without its option, and `HTTP2-Settings`, a violation.
    bench.recorder.assert_clean();
    assert!(bench.others().iter().all(|seen| seen.request.get("upgrade").is_empty()));
}

#[test]
fn row_25_connect_is_refused_with_what_follows_it() {
    let mut bench = Bench::start();
    for target in ["a:443", "a", "/", "http://a/", "*", "127.0.0.1:22", "[::1]:80", "a:443/x"] {
        for more in [
            "",
            "Content-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Connection: Upgrade\r\nUpgrade: websocket\r\n",
        ] {
            let bytes = format!("CONNECT {target} HTTP/1.1\r\nHost: a\r\nX-Id: bad\r\n{more}\r\n");
            bench.refuses(
                &bytes.clone(),
                bytes,
                &[405, 400],
                &["unsupported_method", "bad_framing"],
            );
        }
    }
    bench.finish(Reach::Nothing);
}

#[test]
fn row_25_extended_connect_passes_no_byte_before_the_upstream_agreed() {
    let upstream = Raw::serve(|peer| {
        let Some(head) = peer.head() else { return };
        if head.word(1) == "/clean" {
            peer.ok(b"clean");
            return;
        }
        assert_eq!(head.all("content-length"), [] as [&str; 0]);
        nothing_early(peer);
        if head.word(1) == "/no" {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
            peer.gone();
            return;
        }
        peer.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n",
        );
        let early = peer.wire().take(5).expect("they are the tunnel's now");
        peer.send(early);
        peer.gone();
    });
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h2c] }} }}\n\
         routes: {{ app: {{ to: \"{}\", upgrade: [echo/1] }} }}\n",
        upstream.url()
    ));
    let address = gateway.addr("http");
    block_on(async {
        let clean = || Request::get("http://a/clean").body(()).unwrap();
        let mut h2 = H2::plain(address).await;
        assert_eq!(h2.exchange(clean(), b"", None).await.unwrap().body, b"clean");
        let mut connect = async |path: &str| {
            let request = Request::builder().method(Method::CONNECT).uri(format!("http://a{path}"));
            let mut request = request.body(()).unwrap();
            request.extensions_mut().insert(Protocol::from_static("echo/1"));
            h2.send = h2.send.clone().ready().await.unwrap();
            let (answer, mut send) = h2.send.send_request(request, false).unwrap();
            send.send_data(Bytes::from_static(b"early"), false).unwrap();
            (answer.await.unwrap(), send)
        };
        let (answer, _send) = connect("/tunnel").await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.into_body().data().await.unwrap().unwrap(), "early");
        let (answer, _send) = connect("/no").await;
        assert_eq!(answer.status(), 502, "a 200 does not open a tunnel");
        let mut other = H2::plain(address).await;
        assert_eq!(other.exchange(clean(), b"", None).await.unwrap().body, b"clean");
    });
}

// === bodies that do not arrive ===

#[test]
fn row_26_an_http2_body_that_is_not_as_long_as_it_says() {
    let bench = Bench::with(|url| {
        format!(
            "listeners:\n  http: {{ address: \"127.0.0.1:0\", protocols: [h1] }}\n  two: {{ address: \"127.0.0.1:0\", protocols: [h2c] }}\n\
             routes: {{ app: {{ to: \"{url}\" }} }}\n"
        )
    });
    let mut bench = bench;
    let address = bench.gateway.addr("two");
    #[rustfmt::skip]
    let cases = [
        ("10", "short"), ("5", "longer than that"), ("1", ""), ("0", "x"), ("+5", "hello"), ("5, 5", "hello"),
        ("", "hello"), ("-1", "hello"), ("0x5", "hello"), ("18446744073709551621", "hello"), ("five", "hello"),
    ];
    for (length, body) in cases {
        let outcome = block_on(async {
            let mut h2 = H2::plain(address).await;
            let request =
                Request::post("http://a/").header("x-id", "bad").header("content-length", length);
            h2.exchange(request.body(()).unwrap(), body.as_bytes(), None).await
        });
        match outcome {
            // Refused by its head, before the client has sent the rest.
            Err(error) if error.to_string().contains("inactive stream") => {}
            Err(error) => {
                assert_eq!(error.reason(), Some(h2::Reason::PROTOCOL_ERROR), "{length:?} {error}")
            }
            // Without a body the request is whole, and may be answered before more comes.
            Ok(answer) if length == "0" => assert_eq!(answer.head.status(), 200),
            Ok(answer) => assert_eq!(answer.head.status(), 400, "{length:?} {body:?}"),
        }
        for _ in 0..3 {
            bench.clean(length);
        }
    }
    let right = block_on(async {
        let mut h2 = H2::plain(address).await;
        let request =
            Request::post("http://a/").header("x-id", "right").header("content-length", "5");
        h2.exchange(request.body(()).unwrap(), b"hello", None).await.unwrap().body
    });
    assert!(right.starts_with(b"recorded id=right method=POST length=5 "));
    bench.recorder.assert_clean();
    let others = bench.others();
    // A length of 0 is all an upstream needs to know: what comes after that reaches nobody.
    let empty = |seen: &Seen| seen.request.get("content-length") == "0";
    let harmless = |seen: &Seen| seen.cut || empty(seen) || seen.request.id() == "right";
    assert!(others.iter().all(harmless), "{others:#?}");
}

#[test]
fn row_27_a_connection_with_half_a_request_on_it_is_not_used_again() {
    let mut bench = Bench::start();
    bench.clean("nothing"); // so that there is a pooled connection
    let halves = [
        ("Content-Length: 1000", SMUGGLED.to_owned()),
        ("Content-Length: 1000", "x".to_owned()),
        ("Transfer-Encoding: chunked", "5".to_owned()),
        ("Transfer-Encoding: chunked", "5\r\nhel".to_owned()),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n".to_owned()),
        ("Transfer-Encoding: chunked", format!("{:x}\r\n{SMUGGLED}\r\n", SMUGGLED.len())),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n".to_owned()),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\nX-Trailer: ha".to_owned()),
    ];
    for (number, (announced, half)) in halves.into_iter().enumerate() {
        let head = head("POST", "a", "/", &["X-Id: bad", announced]);
        let before = bench.recorder.raw().concat().len();
        let mut client = bench.gateway.client();
        client.send(head + &half);
        until("the upstream has the head", || bench.recorder.raw().concat().len() > before);
        drop(client);
        until("the upstream's connection is cut", || {
            bench.others().iter().filter(|seen| seen.cut).count() == number + 1
        });
        for _ in 0..5 {
            bench.clean(announced);
        }
    }
    bench.recorder.assert_clean();
    let cut: Vec<usize> =
        bench.others().iter().filter(|seen| seen.cut).map(|s| s.connection).collect();
    let distinct: std::collections::HashSet<_> = cut.iter().collect();
    assert_eq!((cut.len(), distinct.len()), (8, 8), "each on a connection of its own");
}

#[test]
fn row_28_pipelined_requests_are_answered_in_order_and_number() {
    let bench = Bench::start();
    let mut script = String::new();
    let mut expected = Vec::new();
    for number in 0..60 {
        let body = format!("{number}{}", SMUGGLED.repeat(number % 4));
        let id = format!("X-Id: pipe-{number}");
        let (length, chunks) = (body.len(), format!("{:x};e=1\r\n{body}\r\n0\r\n\r\n", body.len()));
        let length_field = format!("Content-Length: {length}");
        let (text, body) = match number % 4 {
            0 => (head("GET", "a", "/", &[&id]), String::new()),
            1 => (head("POST", "a", "/", &[&id, &length_field]) + &body, body),
            2 => (head("PUT", "a", "/", &[&id, "Transfer-Encoding: chunked"]) + &chunks, body),
            _ => (head("DELETE", "a", "/", &[&id, "Content-Length: 0"]), String::new()),
        };
        script += &text;
        expected.push((format!("pipe-{number}"), body));
    }
    for piece in [script.len(), 1_000, 97, 7] {
        bench.recorder.take();
        let mut client = bench.gateway.client();
        for part in script.as_bytes().chunks(piece) {
            assert!(client.send(part));
        }
        for (id, body) in &expected {
            let answer = client.response();
            assert_eq!(answer.header("x-id"), Some(id.as_str()), "in pieces of {piece}");
            assert!(
                answer.text().contains(&format!(" length={} ", body.len())),
                "{}",
                answer.text()
            );
            let seen = bench.recorder.by_id(id);
            assert_eq!((seen.len(), &seen[0].request.body[..]), (1, body.as_bytes()));
        }
        let last = client.exchange("GET", "a", "/", &["X-Id: last", "Connection: close"]);
        assert_eq!(last.header("x-id"), Some("last"));
        assert!(client.closed(), "no answer too many");
        assert_eq!(bench.recorder.requests().len(), expected.len() + 1);
    }
    bench.recorder.assert_clean();
}
