//! Tests of what is copied and compared.

use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt;
use parking_lot::Mutex;

use super::{
    body::{Copied, Copying, Digesting},
    compare::{Answer, Difference, difference},
    *,
};

/// A body in these pieces, which may be cut.
fn pieces(pieces: &[&'static str], cut: bool) -> Body {
    let end = cut.then(|| Err(std::io::Error::other("cut")));
    let frames: Vec<_> = pieces
        .iter()
        .map(|piece| Ok(http_body::Frame::data(Bytes::from_static(piece.as_bytes()))))
        .chain(end)
        .collect();
    Body::wrap(http_body_util::StreamBody::new(futures_util::stream::iter(frames)))
}

/// What passes, and what is copied of it.
async fn copied(body: Body, limit: usize) -> (Option<Bytes>, String) {
    let result = Arc::new(Mutex::new(String::from("nothing")));
    let told = Arc::clone(&result);
    let copying = Copying::new(body, limit, move |copied| {
        *told.lock() = match copied {
            Copied::Whole(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            Copied::TooLarge => "too large".to_owned(),
            Copied::Cut => "cut".to_owned(),
        };
    });
    let passed = copying.collect().await.ok().map(|all| all.to_bytes());
    let result = result.lock().clone();
    (passed, result)
}

#[tokio::test]
async fn a_body_passes_whatever_becomes_of_its_copy() {
    let (passed, copy) = copied(pieces(&["ab", "cd"], false), 4).await;
    assert_eq!((passed, &*copy), (Some("abcd".into()), "abcd"));
    let (passed, copy) = copied(pieces(&["ab", "cd", "e"], false), 4).await;
    assert_eq!((passed, &*copy), (Some("abcde".into()), "too large"));
    let (passed, copy) = copied(pieces(&["ab"], true), 4).await;
    assert_eq!((passed, &*copy), (None, "cut"));
    let (passed, copy) = copied(Body::full("whole"), 5).await;
    assert_eq!((passed, &*copy), (Some("whole".into()), "whole"));
}

#[tokio::test]
async fn a_body_nobody_reads_to_its_end_is_no_copy() {
    let result = Arc::new(Mutex::new(None));
    let told = Arc::clone(&result);
    let copying = Copying::new(pieces(&["ab", "cd"], false), 9, move |copied| {
        *told.lock() = Some(matches!(copied, Copied::Cut));
    });
    drop(copying);
    assert_eq!(*result.lock(), Some(true));
}

async fn answer(status: u16, tag: &'static str, body: &'static str) -> Answer {
    let mut digesting = Digesting::new(pieces(&[body], false), true);
    while digesting.frame().await.is_some() {}
    let headers = [(http::header::ETAG, HeaderValue::from_static(tag))].into_iter().collect();
    let status = StatusCode::from_u16(status).unwrap();
    Answer { status, headers, digest: digesting.digest() }
}

#[tokio::test]
async fn only_what_is_asked_for_is_compared() {
    let by = |status, header, body| Compare {
        status,
        headers: if header { vec![http::header::ETAG] } else { Vec::new() },
        body,
    };
    let one = answer(200, "a", "x").await;
    let other = answer(500, "b", "y").await;
    let status = Difference::Status(StatusCode::OK, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(status.to_string(), "status 500 instead of 200");
    assert_eq!(difference(&by(true, true, true), &one, &other), Some(status));
    let header = Some(Difference::Header(http::header::ETAG));
    assert_eq!(difference(&by(false, true, true), &one, &other), header);
    assert_eq!(difference(&by(false, false, true), &one, &other), Some(Difference::Body));
    assert_eq!(difference(&by(false, false, false), &one, &other), None);
    let same = answer(200, "a", "x").await;
    assert_eq!(difference(&by(true, true, true), &one, &same), None);
}
