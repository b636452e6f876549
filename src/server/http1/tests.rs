//! Answers as they are written.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Frame;

use super::{request::Asked, response};
use crate::{
    body::{Body, BoxError},
    http1::Outbox,
};

const ASKED: Asked = Asked { head: false, close: false, trailers: false };

/// The text of an answer with these frames; `None` when it must be cut.
fn written(
    response: Response<Body>,
    mut asked: Asked,
    frames: Vec<Frame<Bytes>>,
) -> Option<String> {
    let (mut head, body) = response.into_parts();
    head.headers.insert("date", HeaderValue::from_static("now"));
    let mut outbox = Outbox::default();
    let mut framing = response::begin(&mut outbox, &head, &body, &mut asked);
    let mut ended = framing.is_end();
    for frame in frames {
        if ended {
            break;
        }
        ended = framing.add(frame, &mut outbox).ok()?;
    }
    if !ended {
        framing.end(&mut outbox).ok()?;
    }
    Some(String::from_utf8(outbox.text().clone()).expect("text"))
}

fn answer(status: u16, fields: &[(&'static str, &'static str)], body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    for (name, value) in fields {
        response.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    response
}

/// A body whose length nobody knows.
fn unknown() -> Body {
    let frames = futures_util::stream::empty::<Result<Frame<Bytes>, BoxError>>();
    Body::wrap(http_body_util::StreamBody::new(frames))
}

fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

#[test]
fn the_head_says_where_the_body_ends() {
    let head = Asked { head: true, ..ASKED };
    let length = [("content-length", "5")];
    let cases = [
        (answer(200, &[], Body::from("hello")), ASKED, "content-length: 5\r\n\r\nhello"),
        (answer(200, &length, unknown()), ASKED, "content-length: 5\r\ndate: now\r\n\r\nhello"),
        (
            answer(200, &[], unknown()),
            ASKED,
            "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
        (answer(404, &[], Body::empty()), ASKED, "content-length: 0\r\n\r\n"),
        (answer(204, &[], Body::empty()), ASKED, "date: now\r\n\r\n"),
        (
            answer(304, &length, Body::empty()),
            ASKED,
            "HTTP/1.1 304 Not Modified\r\ndate: now\r\n\r\n",
        ),
        (answer(200, &length, Body::empty()), head, "content-length: 5\r\ndate: now\r\n\r\n"),
        (answer(200, &[], Body::from("hello")), head, "content-length: 5\r\n\r\n"),
        (answer(200, &[], Body::empty()), head, "HTTP/1.1 200 OK\r\ndate: now\r\n\r\n"),
    ];
    for (response, asked, end) in cases {
        let text = written(response, asked, vec![data("hello")]).expect("whole");
        assert!(text.ends_with(end), "{text:?} should end with {end:?}");
    }
}

#[test]
fn what_belongs_to_the_connection_is_said_once_and_by_us() {
    let fields =
        [("connection", "close, x"), ("transfer-encoding", "gzip"), ("connection", "keep-alive")];
    let text = written(answer(200, &fields, Body::empty()), ASKED, vec![]).expect("whole");
    let wanted = "HTTP/1.1 200 OK\r\ndate: now\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(text, wanted);
}

#[test]
fn a_body_of_another_length_than_announced_is_cut() {
    let length = [("content-length", "5")];
    assert_eq!(written(answer(200, &length, unknown()), ASKED, vec![data("hell")]), None);
    assert_eq!(written(answer(200, &length, unknown()), ASKED, vec![data("hello!")]), None);
}

#[test]
fn trailers_go_to_those_who_read_them_and_only_announced_ones() {
    let mut fields = HeaderMap::new();
    fields.insert("sum", HeaderValue::from_static("7"));
    fields.insert("secret", HeaderValue::from_static("8"));
    let frames = || vec![data("hi"), Frame::trailers(fields.clone())];
    let announced = || answer(200, &[("trailer", "Sum")], unknown());
    let reads = Asked { trailers: true, ..ASKED };
    let text = written(announced(), reads, frames()).expect("whole");
    assert!(text.ends_with("2\r\nhi\r\n0\r\nsum: 7\r\n\r\n"), "{text}");
    let text = written(announced(), ASKED, frames()).expect("whole");
    assert!(text.ends_with("2\r\nhi\r\n0\r\n\r\n"), "{text}");
}
