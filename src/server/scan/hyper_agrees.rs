//! Every head the scan lets pass is one hyper can read: what hyper refuses it answers by itself,
//! without a reason, a log line or a metric.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Limits, Next, Scanner};

const LIMITS: Limits = Limits { header_size: 256 << 10, header_count: 100, uri_length: 128 << 10 };

/// Whether the scan passes all of this.
fn scan_passes(head: &[u8]) -> bool {
    let scan = Scanner::new(LIMITS).scan(head);
    scan.pass == head.len() && matches!(scan.next, Next::More | Next::Hold)
}

/// Whether hyper hands a request to its service, and what it answered.
fn hyper_reads(head: &[u8]) -> (bool, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(512 << 10);
        let seen = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&seen);
        let service = service_fn(move |_: http::Request<Incoming>| {
            count.fetch_add(1, Ordering::Relaxed);
            async { Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::new()))) }
        });
        let mut builder = http1::Builder::new();
        builder.max_buf_size(512 << 10);
        let connection = builder.serve_connection(TokioIo::new(server), service);
        client.write_all(head).await.expect("the pipe is wide");
        client.shutdown().await.expect("a pipe");
        let mut answer = String::new();
        let (_, read) = tokio::join!(connection, client.read_to_string(&mut answer));
        read.expect("an answer is text");
        (seen.load(Ordering::Relaxed) == 1, answer)
    })
}

#[track_caller]
fn agree(head: &[u8]) {
    if scan_passes(head) {
        let (read, answer) = hyper_reads(head);
        assert!(read, "{:?} got {answer:?}", String::from_utf8_lossy(head));
    }
}

#[test]
fn on_every_byte_of_every_place() {
    for byte in 0..=255_u8 {
        for (before, after) in [
            ("GET /", " HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("GET /a?b", "c HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("GET http://a", "b/c HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("GET http://", " HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("G", "T / HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("GET / HTTP/1.1\r\nHost: a\r\nx", "y: z\r\n\r\n"),
            ("GET / HTTP/1.1\r\nHost: a\r\nx:", "\r\n\r\n"),
            ("GET / HTTP/1.1\r\nHost: a\r\nx: y", "z\r\n\r\n"),
            ("GET / HTTP/1.1\r\nHost: a", "\r\n\r\n"),
        ] {
            agree(&[before.as_bytes(), &[byte], after.as_bytes()].concat());
        }
    }
}

#[test]
fn on_what_is_long() {
    for length in [255, 256, 257, 8_000, 65_533, 65_534, 65_535, 65_536, 100_000] {
        let long = "x".repeat(length);
        agree(format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        agree(format!("GET http://{long}/ HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        agree(format!("GET / HTTP/1.1\r\nHost: a\r\nx: {long}\r\n\r\n").as_bytes());
        agree(format!("GET / HTTP/1.1\r\nHost: a\r\n{long}: x\r\n\r\n").as_bytes());
        agree(format!("{long} / HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    }
    let fields = "x: y\r\n".repeat(LIMITS.header_count);
    agree(format!("GET / HTTP/1.1\r\n{fields}\r\n").as_bytes());
}

fn target() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/",
        "http://",
        "https://",
        "HTTP://",
        "a",
        "b.c",
        "[::1]",
        "[",
        "]",
        ":",
        "80",
        "99999",
        "@",
        "?",
        "%",
        "%41",
        "*",
        "|",
        "{",
        "\\",
        "`",
        "^",
        "~",
        "!",
        "$&'()*+,;=",
        "..",
        "//",
    ]);
    prop::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat())
}

fn field() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "x",
        "Connection",
        "Upgrade",
        "Expect",
        "TE",
        "Content-Length",
        "Transfer-Encoding",
        "Trailer",
        "X_y",
        "!#$%&'*+-.^_`|~",
        "",
    ]);
    let value = prop::sample::select(vec![
        "",
        "0",
        " 1",
        "close",
        "upgrade",
        "h2c",
        "100-continue",
        "chunked",
        "\t",
        "a\tb ",
        "\"",
        ",",
    ]);
    (name, value).prop_map(|(name, value)| format!("{name}: {value}\r\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn on_heads_of_any_make(
        method in prop::sample::select(vec!["GET", "OPTIONS", "PUT", "M-X_1", "HEAD"]),
        target in target(),
        version in prop::sample::select(vec!["1.1", "1.1", "1.0"]),
        fields in prop::collection::vec(field(), 0..5),
    ) {
        let head = format!("{method} {target} HTTP/{version}\r\n{}\r\n", fields.concat());
        agree(head.as_bytes());
    }
}
