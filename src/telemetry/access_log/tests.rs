//! Tests of lines, of what is written and of the way to the file.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use http::Uri;
use tempfile::tempdir;

use super::*;
use crate::{
    config::model::AccessTarget,
    error::Reason,
    telemetry::{
        exchange::{Exchange, Head, Outcome},
        testing,
    },
};

const SECOND: Duration = Duration::from_secs(1);

fn settings(to: &Path) -> model::AccessLog {
    model::AccessLog {
        format: AccessFormat::Json,
        to: AccessTarget::File(to.to_owned()),
        only_status: Vec::new(),
        only_slower_than: None,
        sample: 1.0,
        request_headers: Vec::new(),
        response_headers: Vec::new(),
        query: QueryLog::Keep,
    }
}

fn forwarded() -> Outcome {
    Outcome {
        upstream: Some("orders".into()),
        endpoint: Some("http://10.0.0.7:8080".into()),
        tries: 1,
        upstream_time: Some(Duration::from_micros(31_200)),
        ..Outcome::default()
    }
}

fn record<'a>(exchange: &'a Exchange, outcome: &'a Outcome) -> Record<'a> {
    Record {
        exchange,
        outcome,
        status: 200,
        bytes_in: 0,
        bytes_out: 1234,
        started: 1_795_250_026_000_450, // 2026-11-21 08:33:46.000450
        total: Duration::from_micros(40_007),
        gateway: Duration::from_micros(412),
        request_headers: &[],
        response_headers: &[],
    }
}

fn json(record: &Record<'_>, query: QueryLog) -> String {
    let mut out = Vec::new();
    line::json(&mut out, record, query);
    String::from_utf8(out).unwrap()
}

fn clf(record: &Record<'_>, query: QueryLog, combined: bool) -> String {
    let mut out = Vec::new();
    line::clf(&mut out, record, query, combined);
    String::from_utf8(out).unwrap()
}

// === lines ===

#[test]
fn a_json_line_has_every_field_in_its_place() {
    let exchange = Exchange::new(testing::head());
    let expected = concat!(
        r#"{"ts":"2026-11-21T08:33:46.000450Z","request_id":"017f22e2-79b0-7cc3-98c4-dc0c0c07398f","#,
        r#""listener":"web","client_ip":"203.0.113.9","method":"GET","host":"shop.example.com","#,
        r#""path":"/orders/7","query":"token=s3cret&page=2","protocol":"HTTP/2","status":200,"#,
        r#""reason":null,"route":"orders","upstream":"orders","endpoint":"http://10.0.0.7:8080","#,
        r#""tries":1,"bytes_in":0,"bytes_out":1234,"dur_ms":40.007,"gateway_ms":0.412,"#,
        r#""upstream_ms":31.200,"tls":{"version":"TLSv1.3","cipher":"TLS_AES_128_GCM_SHA256","#,
        r#""sni":"shop.example.com"},"user_agent":"curl/8.5.0","labels":{"team":"checkout"}}"#,
        "\n"
    );
    assert_eq!(json(&record(&exchange, &forwarded()), QueryLog::Keep), expected);
}

#[test]
fn what_is_not_known_is_null() {
    let mut head = testing::head();
    head.route = testing::route("", crate::config::model::ErrorFormat::Auto);
    head.client_ip = None;
    head.user_agent = None;
    head.uri = Uri::from_static("/");
    let exchange = Exchange::new(head);
    let outcome = Outcome {
        reason: Some(Reason::NoRoute),
        detail: Some("nearest: \"orders\"".into()),
        ..Outcome::default()
    };
    let value: serde_json::Value =
        serde_json::from_str(&json(&record(&exchange, &outcome), QueryLog::Keep)).unwrap();
    for field in ["client_ip", "query", "route", "upstream", "endpoint", "upstream_ms"] {
        assert_eq!(value[field], serde_json::Value::Null, "{field}");
        assert!(value.get(field).is_some(), "{field}");
    }
    assert_eq!(value["reason"], "no_route");
    assert_eq!(value["detail"], "nearest: \"orders\"");
}

#[test]
fn hostile_values_stay_inside_their_fields() {
    let mut head = testing::head();
    head.user_agent = Some(HeaderValue::from_bytes(b"\"},{\"status\":200 \xff\t\\").unwrap());
    head.host = "a\"\r\n{\"status\":1}\u{1b}[2J\u{9b}".into();
    let exchange = Exchange::new(head);
    let line = json(&record(&exchange, &forwarded()), QueryLog::Keep);
    assert_eq!(line.matches('\n').count(), 1);
    assert!(line.bytes().all(|b| b == b'\n' || (0x20..0x7f).contains(&b)), "{line}");
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["host"], "a\"\r\n{\"status\":1}\u{1b}[2J\u{9b}");
    assert_eq!(value["user_agent"], "\"},{\"status\":200 ÿ\t\\");
    assert_eq!(value["status"], 200);

    let line = clf(&record(&exchange, &forwarded()), QueryLog::Keep, true);
    assert!(line.ends_with(" \"-\" \"\\\"},{\\\"status\\\":200 \\xff\\x09\\\\\"\n"), "{line}");
}

#[test]
fn a_query_is_kept_redacted_or_dropped() {
    let mut head = testing::head();
    head.uri = Uri::from_static("/a?token=s3cret&flag&x=1=2&=v&");
    let exchange = Exchange::new(head);
    let outcome = forwarded();
    let record = record(&exchange, &outcome);
    assert!(json(&record, QueryLog::Keep).contains(r#""query":"token=s3cret&flag&x=1=2&=v&","#));
    assert!(json(&record, QueryLog::Redact).contains(r#""query":"token=***&flag&x=***&=***&","#));
    assert!(json(&record, QueryLog::Drop).contains(r#""query":null,"#));
    assert!(clf(&record, QueryLog::Redact, false).contains("\"GET /a?token=***&flag&x=***&=***& "));
    assert!(clf(&record, QueryLog::Drop, false).contains("\"GET /a HTTP/2\""));
}

#[test]
fn the_combined_format_is_what_other_tools_read() {
    let exchange = Exchange::new(testing::head());
    let outcome = forwarded();
    let referer = [(header::REFERER, HeaderValue::from_static("https://example.com/\"x"))];
    let record = Record { request_headers: &referer, ..record(&exchange, &outcome) };
    let common = "203.0.113.9 - - [21/Nov/2026:08:33:46 +0000] \
                  \"GET /orders/7?token=s3cret&page=2 HTTP/2\" 200 1234";
    assert_eq!(clf(&record, QueryLog::Keep, false), format!("{common}\n"));
    let combined = format!("{common} \"https://example.com/\\\"x\" \"curl/8.5.0\"\n");
    assert_eq!(clf(&record, QueryLog::Keep, true), combined);
}

#[test]
fn days_are_those_of_the_calendar() {
    for (second, date) in [
        (0, "01/Jan/1970:00:00:00"),
        (951_782_399, "28/Feb/2000:23:59:59"),
        (951_782_400, "29/Feb/2000:00:00:00"),
        (1_709_251_199, "29/Feb/2024:23:59:59"),
        (4_107_542_400, "01/Mar/2100:00:00:00"),
        (4_102_444_799, "31/Dec/2099:23:59:59"),
    ] {
        let exchange = Exchange::new(testing::head());
        let outcome = forwarded();
        let record = Record { started: second * 1_000_000, ..record(&exchange, &outcome) };
        let line = clf(&record, QueryLog::Drop, false);
        assert!(line.contains(&format!("[{date} +0000]")), "{line}");
    }
}

// === what is written ===

fn open(settings: &model::AccessLog) -> AccessLog {
    AccessLog::open(settings, None, Arc::default()).unwrap()
}

#[test]
fn secrets_are_never_shown_and_repeated_headers_are_joined() {
    let dir = tempdir().unwrap();
    let mut settings = settings(&dir.path().join("log"));
    settings.query = QueryLog::Redact;
    settings.request_headers =
        ["authorization", "cookie", "referer", "x-a", "proxy-authorization", "x-none"]
            .map(HeaderName::from_static)
            .to_vec();
    settings.response_headers = vec![header::SET_COOKIE, header::CONTENT_TYPE];
    let log = open(&settings);
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("authorization", "Basic s3cret"),
        ("proxy-authorization", "Basic s3cret"),
        ("cookie", "sid=s3cret"),
        ("set-cookie", "sid=s3cret"),
        ("referer", "https://a/b?token=s3cret"),
        ("x-a", "1"),
        ("x-a", "2\""),
        ("content-type", "text/plain"),
    ] {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let exchange = Exchange::new(Head { uri: Uri::from_static("/"), ..testing::head() });
    let outcome = forwarded();
    let record = Record {
        request_headers: &log.of_request(&headers),
        response_headers: &log.of_response(&headers),
        ..record(&exchange, &outcome)
    };
    let line = json(&record, QueryLog::Redact);
    assert!(!line.contains("s3cret"), "{line}");
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    let expected = serde_json::json!({
        "authorization": "[redacted]", "cookie": "[redacted]", "referer": "https://a/b",
        "x-a": "1, 2\"", "proxy-authorization": "[redacted]",
    });
    assert_eq!(value["request_headers"], expected);
    let expected = serde_json::json!({"set-cookie": "[redacted]", "content-type": "text/plain"});
    assert_eq!(value["response_headers"], expected);
}

#[test]
fn only_keeps_what_meets_any_condition() {
    let dir = tempdir().unwrap();
    let mut settings = settings(&dir.path().join("log"));
    settings.only_status = vec![(400, 599)];
    settings.only_slower_than = Some(SECOND);
    let log = open(&settings);
    let exchange = Exchange::new(testing::head());
    let outcome = forwarded();
    let wants = |status, total| log.wants(&Record { status, total, ..record(&exchange, &outcome) });
    assert!(!wants(200, SECOND));
    assert!(!wants(399, SECOND / 2));
    assert!(wants(200, SECOND * 2));
    assert!(wants(400, SECOND / 2));
    assert!(wants(599, SECOND / 2));
}

#[test]
fn a_sample_thins_out_successes_only() {
    let dir = tempdir().unwrap();
    let exchange = Exchange::new(testing::head());
    let fine = forwarded();
    let gone = Outcome { reason: Some(Reason::ClientGone), ..forwarded() };
    let kept = |sample, status, outcome: &Outcome| {
        let log = open(&model::AccessLog { sample, ..settings(&dir.path().join("log")) });
        let record = Record { status, ..record(&exchange, outcome) };
        (0..10_000).filter(|_| log.wants(&record)).count()
    };
    assert_eq!(kept(0.0, 200, &fine), 0);
    assert_eq!(kept(0.0, 399, &fine), 0);
    assert_eq!(kept(0.0, 101, &fine), 10_000);
    assert_eq!(kept(0.0, 404, &fine), 10_000);
    assert_eq!(kept(0.0, 200, &gone), 10_000);
    assert_eq!(kept(1.0, 200, &fine), 10_000);
    assert!((800..1200).contains(&kept(0.1, 200, &fine)));
}

// === the way to the file ===

fn write(log: &AccessLog, path: &str) {
    let head = Head { uri: path.parse().unwrap(), ..testing::head() };
    log.write(&record(&Exchange::new(head), &forwarded()));
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap().lines().count()
}

#[test]
fn lines_are_written_by_themselves_after_a_tick() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("log");
    let log = open(&settings(&path));
    write(&log, "/a");
    for _ in 0..500 {
        if lines(&path) == 1 {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("nothing was written");
}

#[test]
fn lines_of_all_threads_arrive_whole_and_once() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("log");
    let log = open(&settings(&path));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let log = &log;
            scope.spawn(move || (0..1000).for_each(|i| write(log, &format!("/{thread}/{i}"))));
        }
    });
    assert!(log.flush(SECOND * 30));
    let text = fs::read_to_string(&path).unwrap();
    let paths: std::collections::BTreeSet<_> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["path"].to_string())
        .collect();
    assert_eq!((text.lines().count(), paths.len()), (4000, 4000));
}

#[test]
fn lines_left_in_buffers_are_written_at_the_end() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("log");
    let log = open(&settings(&path));
    write(&log, "/a");
    drop(log);
    for _ in 0..500 {
        if lines(&path) == 1 {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the line is lost");
}

#[test]
fn a_moved_file_is_opened_again() {
    let dir = tempdir().unwrap();
    let (path, moved) = (dir.path().join("log"), dir.path().join("log.1"));
    let log = open(&settings(&path));
    write(&log, "/before");
    assert!(log.flush(SECOND * 30));
    fs::rename(&path, &moved).unwrap();
    write(&log, "/between");
    assert!(log.flush(SECOND * 30));
    log.reopen().unwrap();
    write(&log, "/after");
    assert!(log.flush(SECOND * 30));
    assert_eq!((lines(&moved), lines(&path)), (2, 1));
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("missing").join("log");
    let error = AccessLog::open(&settings(&path), None, Arc::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn the_writer_is_kept_for_the_same_target() {
    let dir = tempdir().unwrap();
    let first = open(&settings(&dir.path().join("log")));
    let other = model::AccessLog { sample: 0.5, ..settings(&dir.path().join("log")) };
    let second = AccessLog::open(&other, Some(&first), Arc::default()).unwrap();
    assert!(Arc::ptr_eq(&first.sink, &second.sink));
    let moved = settings(&dir.path().join("other"));
    let third = AccessLog::open(&moved, Some(&second), Arc::default()).unwrap();
    assert!(!Arc::ptr_eq(&first.sink, &third.sink));
}

/// A log into a pipe that nobody reads yet.
fn into_pipe() -> (AccessLog, io::PipeReader, Arc<AtomicU64>) {
    let (reader, writer) = io::pipe().unwrap();
    let dropped = Arc::new(AtomicU64::new(0));
    let file = fs::File::from(OwnedFd::from(writer));
    let mut log = open(&settings(Path::new("/dev/null")));
    log.sink = Arc::new(Sink::start(&AccessTarget::Stdout, file, Arc::clone(&dropped)).unwrap());
    (log, reader, dropped)
}

#[test]
fn what_does_not_fit_into_the_queue_is_dropped_and_counted() {
    let (log, mut reader, dropped) = into_pipe();
    let lines = 40_000;
    (0..lines).for_each(|_| write(&log, "/a"));
    let lost = dropped.load(Ordering::Relaxed);
    assert!(lost > 0 && lost < lines, "{lost}");
    assert!(!log.flush(Duration::from_millis(50)), "nobody reads");
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        io::Read::read_to_string(&mut reader, &mut text).unwrap();
        text.lines().filter(|line| line.ends_with('}')).count() as u64
    });
    assert!(log.flush(SECOND * 30));
    drop(log);
    assert_eq!(reading.join().unwrap(), lines - lost);
}

#[test]
fn a_full_disk_loses_lines_and_nothing_else() {
    let dropped = Arc::new(AtomicU64::new(0));
    let log =
        AccessLog::open(&settings(Path::new("/dev/full")), None, Arc::clone(&dropped)).unwrap();
    (0..100).for_each(|_| write(&log, "/a"));
    assert!(log.flush(SECOND * 30));
    assert_eq!(dropped.load(Ordering::Relaxed), 100);
}

#[test]
fn a_reader_that_left_loses_lines_and_nothing_else() {
    let (log, reader, dropped) = into_pipe();
    drop(reader);
    (0..100).for_each(|_| write(&log, "/a"));
    assert!(log.flush(SECOND * 30));
    assert_eq!(dropped.load(Ordering::Relaxed), 100);
}
