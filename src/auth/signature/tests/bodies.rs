//! Bodies that are the ones that were signed, and others.

use std::{convert::Infallible, task::Poll};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use super::*;
use crate::body::{Body, BoxError};

/// A body of these pieces, of which nobody knows the length.
fn pieces(of: &[&'static [u8]]) -> Body {
    let frames: Vec<_> =
        of.iter().map(|it| Ok::<_, Infallible>(Frame::data(Bytes::from_static(it)))).collect();
    let mut frames = frames.into_iter();
    Body::wrap(StreamBody::new(futures_util::stream::poll_fn(move |_| Poll::Ready(frames.next()))))
}

fn expected(field: &str) -> Result<Expected, Denied> {
    Expected::read(&Sent::new().with_digest(field).headers)
}

impl Sent {
    fn with_digest(mut self, field: &str) -> Self {
        self.headers.insert("content-digest", field.parse().unwrap());
        self
    }
}

/// What comes of it: what was let through, and whether it ended well.
async fn read(mut body: Body) -> (Vec<u8>, Result<(), BoxError>) {
    let mut seen = Vec::new();
    loop {
        match body.frame().await {
            None => return (seen, Ok(())),
            Some(Ok(frame)) => seen.extend_from_slice(&frame.into_data().unwrap()),
            Some(Err(error)) => {
                let after = body.frame().await;
                assert!(after.is_some_and(|frame| frame.is_err()), "it does not get better");
                return (seen, Err(error));
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_was_signed_passes_as_it_is() {
    let field = digest_of(BODY);
    for body in [pieces(&[BODY]), pieces(&[&BODY[..5], b"", &BODY[5..]]), Body::full(BODY)] {
        let body = expected(&field).unwrap().judge(body, false);
        assert!(!body.is_empty());
        let (seen, end) = read(body).await;
        assert_eq!((&*seen, end.is_ok()), (BODY, true));
    }
}

#[tokio::test]
async fn the_end_of_any_other_is_held_back() {
    let field = digest_of(BODY);
    let whole = Body::full(&b"{\"hello\": \"World\"}"[..]);
    let (seen, end) = read(expected(&field).unwrap().judge(whole, false)).await;
    assert!(seen.is_empty() && end.is_err(), "what has a length is not completed");
    for other in [
        pieces(&[b"{\"hello\": ", b"\"World\"}"]),
        pieces(&[BODY, b"x"]),
        pieces(&[&BODY[1..]]),
        pieces(&[&BODY[..17]]),
        pieces(&[]),
        pieces(&[b""]),
    ] {
        assert!(read(expected(&field).unwrap().judge(other, false)).await.1.is_err());
    }
    // A stream that was reset looks as if it had ended.
    let reset = expected(&field).unwrap().judge(pieces(&[BODY]), true);
    assert!(read(reset).await.1.is_err());
}

#[tokio::test]
async fn every_algorithm_that_is_known_must_be_right() {
    let good = digest_of(BODY);
    let long = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, BODY);
    let long = format!("sha-512=:{}:", STANDARD.encode(long));
    let wrong = digest_of(b"other");
    for (field, right) in [
        (good.clone(), true),
        (long.clone(), true),
        (format!("{good}, {long}"), true),
        (format!("md5=:AAAA:, {good}"), true),
        (format!("{long}, {wrong}"), false),
    ] {
        let end = read(expected(&field).unwrap().judge(pieces(&[BODY]), false)).await.1;
        assert_eq!(end.is_ok(), right, "{field}");
    }
    for (field, word) in [
        ("md5=:AAAA:", "digest_missing"),
        ("sha=:AAAA:, unixsum=:AAAA:", "digest_missing"),
        ("sha-256=:AAAA:", "wrong_digest"),
        ("sha-256=AAAA", "wrong_digest"),
        ("sha-256=(:AAAA:)", "wrong_digest"),
        ("SHA-256=:AAAA:", "signature_malformed"),
        ("sha-256", "wrong_digest"),
        ("", "signature_malformed"),
    ] {
        let found = expected(field).map(|_| ()).map_err(|why| why.word);
        assert_eq!(found, Err(word), "{field}");
    }
    assert!(expected(&digest_of(b"")).unwrap().of_nothing().is_ok());
    assert!(expected(&good).unwrap().of_nothing().is_err());
}
