//! A connection against the other end of a socket pair.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::poll_fn;
use http::{Method, StatusCode};
use http_body::Frame;
use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::Semaphore,
};

use super::*;
use crate::{
    body::Body,
    layers::expect,
    telemetry::{exchange::Exchange, testing::head},
};

/// A connection and the upstream's end of it.
fn pair() -> (Box<Connection>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a socket pair");
    let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("one");
    (Connection::new(ours.plain(), permit), theirs)
}

fn send(connection: Box<Connection>, mut request: Request) -> Sending {
    let exchange = Arc::new(Exchange::new(head()));
    let interim = expect::prepare(&mut request, &exchange);
    connection.send(Box::new(request), interim, |_| ())
}

fn request(method: Method, body: Body) -> Request {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = "/a?b".parse().expect("a target");
    request.headers_mut().insert("host", "x".parse().expect("a value"));
    request
}

/// A body in pieces, of unknown length.
fn stream(pieces: &[&'static str]) -> Body {
    let frames: Vec<_> =
        pieces.iter().map(|piece| Ok::<_, BoxError>(Frame::data(*piece))).collect();
    let frames = futures_util::stream::iter(frames);
    let frames = futures_util::StreamExt::map(frames, |frame| {
        frame.map(|frame| frame.map_data(|text| Bytes::from_static(text.as_bytes())))
    });
    Body::wrap(http_body_util::StreamBody::new(frames))
}

/// The whole body, or why it has none.
async fn read(answer: &mut Answer) -> Result<(String, Option<String>), Cause> {
    let (mut text, mut trailers) = (Vec::new(), None);
    while let Some(frame) = poll_fn(|cx| answer.poll_frame(cx)).await {
        match frame?.into_data() {
            Ok(data) => text.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().ok().map(|fields| format!("{fields:?}")),
        }
    }
    Ok((String::from_utf8(text).expect("text"), trailers))
}

/// Sends a GET and lets the upstream answer this, in these pieces.
async fn answered(pieces: &[&[u8]]) -> (Sent, UnixStream) {
    let (connection, mut peer) = pair();
    let sending = send(connection, request(Method::GET, Body::empty()));
    let writing = async {
        let mut seen = [0; 512];
        assert!(peer.read(&mut seen).await.expect("a request") > 0);
        for piece in pieces {
            peer.write_all(piece).await.expect("it reads");
            tokio::task::yield_now().await;
        }
    };
    let (sent, ()) = tokio::join!(sending, writing);
    (sent, peer)
}

async fn sent_as(request: Request) -> String {
    let (connection, mut peer) = pair();
    let task = tokio::spawn(send(connection, request));
    let mut text = Vec::new();
    loop {
        let mut some = [0; 4096];
        let count = tokio::select! {
            biased;
            count = peer.read(&mut some) => count.expect("no error"),
            () = tokio::time::sleep(std::time::Duration::from_millis(50)) => 0,
        };
        if count == 0 {
            task.abort();
            return String::from_utf8(text).expect("text");
        }
        text.extend_from_slice(&some[..count]);
    }
}

#[tokio::test]
async fn a_request_says_where_its_body_ends() {
    let head = |method: &str| format!("{method} /a?b HTTP/1.1\r\nhost: x\r\n");
    let cases = [
        (request(Method::GET, Body::empty()), format!("{}\r\n", head("GET"))),
        (
            request(Method::POST, Body::empty()),
            format!("{}content-length: 0\r\n\r\n", head("POST")),
        ),
        (
            request(Method::PUT, Body::from("hello")),
            format!("{}content-length: 5\r\n\r\nhello", head("PUT")),
        ),
        (
            request(Method::GET, stream(&["hel", "", "lo"])),
            format!(
                "{}transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
                head("GET")
            ),
        ),
    ];
    for (request, wanted) in cases {
        assert_eq!(sent_as(request).await, wanted);
    }
    let mut announced = request(Method::POST, stream(&["hello", "!"]));
    announced.headers_mut().insert("content-length", 6.into());
    assert_eq!(
        sent_as(announced).await,
        format!("{}content-length: 6\r\n\r\nhello!", head("POST"))
    );
}

#[tokio::test]
async fn a_body_of_another_length_than_announced_fails_the_request() {
    for pieces in [&["hell"][..], &["hello, world"]] {
        let mut request = request(Method::POST, stream(pieces));
        request.headers_mut().insert("content-length", 5.into());
        let (connection, _peer) = pair();
        let failed = send(connection, request).await.expect_err("not five bytes");
        assert_eq!(failed.cause.reason(), Reason::BadBody);
        assert!(failed.again.is_none());
    }
}

#[tokio::test]
async fn a_connection_is_kept_only_after_a_clean_end() {
    let kept: [&[u8]; 8] = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nconnection: x, Keep-Alive\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\nconnection: x\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nconnection: x\r\ncontent-length: 0\r\n\r\n",
    ];
    for answer in kept {
        let text = String::from_utf8_lossy(answer).into_owned();
        let (sent, _peer) = answered(&[answer]).await;
        let mut answer = sent.expect(&text).into_body();
        read(&mut answer).await.expect(&text);
        let mut connection = answer.finish().expect(&text);
        assert!(connection.is_quiet(), "{text}");
    }
    let closed: [&[u8]; 8] = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi!",
        b"HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nconnection: keep-alive\r\nconnection: Close\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\nconnection: x\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nx",
    ];
    for answer in closed {
        let text = String::from_utf8_lossy(answer).into_owned();
        let (sent, _peer) = answered(&[answer]).await;
        let mut answer = sent.expect(&text).into_body();
        read(&mut answer).await.expect(&text);
        assert!(answer.finish().is_none(), "{text}");
    }
}

#[tokio::test]
async fn an_idle_connection_that_says_something_is_not_used_again() {
    for close in [true, false] {
        let (sent, mut peer) = answered(&[b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]).await;
        let mut connection = sent.expect("an answer").into_body().finish().expect("clean");
        assert!(connection.is_quiet());
        if close {
            drop(peer);
        } else {
            peer.write_all(b"H").await.expect("it is open");
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        assert!(!connection.is_quiet(), "close: {close}");
    }
}

#[tokio::test]
async fn the_end_of_the_connection_ends_only_a_body_without_a_length() {
    let head = b"HTTP/1.1 200 OK\r\n\r\nsome ";
    let (sent, mut peer) = answered(&[head]).await;
    let mut answer = sent.expect("an answer").into_body();
    peer.write_all(b"more").await.expect("it reads");
    drop(peer);
    assert_eq!(read(&mut answer).await.expect("whole").0, "some more");
    assert!(answer.finish().is_none());
    for head in ["content-length: 9\r\n\r\nsome", "transfer-encoding: chunked\r\n\r\n4\r\nsome\r\n"]
    {
        let text = format!("HTTP/1.1 200 OK\r\n{head}");
        let (sent, peer) = answered(&[text.as_bytes()]).await;
        drop(peer);
        let error = read(&mut sent.expect("an answer").into_body()).await.expect_err(head);
        assert_eq!(error.reason(), Reason::UpstreamReset, "{head}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_told_apart() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(70_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101));
    let cases: [(&[u8], Reason); 7] = [
        (b"SSH-2.0-OpenSSH_9\r\n", Reason::BadResponse),
        (b"HTTP/1.1 200 OK\r\nx y: z\r\n\r\n", Reason::BadResponse),
        (b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n", Reason::BadResponse),
        (b"HTTP/1.1 99 Low\r\n\r\n", Reason::BadResponse),
        (long.as_bytes(), Reason::ResponseTooLarge),
        (many.as_bytes(), Reason::ResponseTooLarge),
        (&b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(17), Reason::BadResponse),
    ];
    for (answer, reason) in cases {
        let failed = answered(&[answer]).await.0.expect_err("no answer");
        assert_eq!(failed.cause.reason(), reason, "{}", failed.cause);
        assert!(failed.again.is_none(), "whoever has said anything is not asked again");
    }
}

#[tokio::test]
async fn only_a_used_connection_that_closes_in_silence_gives_the_request_back() {
    let (connection, peer) = pair();
    drop(peer);
    let mut untouched = request(Method::POST, Body::empty());
    let failed = send(connection, untouched).await.expect_err("nobody is there");
    assert!(failed.again.is_some(), "nothing of it was written");
    let (connection, mut peer) = pair();
    untouched = request(Method::GET, Body::empty());
    let closing = async {
        let mut seen = [0; 512];
        assert!(peer.read(&mut seen).await.expect("a request") > 0);
        drop(peer);
    };
    let (sent, ()) = tokio::join!(send(connection, untouched), closing);
    assert!(sent.expect_err("closed").again.is_none(), "a new connection is no old one");
    for (method, again) in [(Method::GET, true), (Method::POST, false)] {
        let (sent, mut peer) = answered(&[b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]).await;
        let connection = sent.expect("an answer").into_body().finish().expect("clean");
        let closing = async {
            let mut seen = [0; 512];
            assert!(peer.read(&mut seen).await.expect("a request") > 0);
            drop(peer);
        };
        let sending = send(connection, request(method.clone(), Body::empty()));
        let (sent, ()) = tokio::join!(sending, closing);
        assert_eq!(sent.expect_err("closed").again.is_some(), again, "{method}");
    }
}

#[tokio::test]
async fn an_answer_may_come_before_the_request_is_sent() {
    let (connection, mut peer) = pair();
    let sending = send(connection, request(Method::POST, Body::wrap(Endless)));
    let answering = async {
        let mut seen = [0; 512];
        assert!(peer.read(&mut seen).await.expect("a request") > 0);
        peer.write_all(b"HTTP/1.1 413 No\r\ncontent-length: 2\r\n\r\nno").await.expect("it reads");
    };
    let (sent, ()) = tokio::join!(sending, answering);
    let sent = sent.expect("an answer");
    assert_eq!(sent.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let mut answer = sent.into_body();
    assert_eq!(read(&mut answer).await.expect("whole").0, "no");
    assert!(answer.finish().is_none(), "the request has not ended");
}

/// A body without an end.
struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 8192])))))
    }
}

proptest! {
    /// However the bytes are cut, the same answer is read.
    #[test]
    fn pieces_do_not_matter(cuts in proptest::collection::vec(1_usize..40, 1..40)) {
        let text = b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 Fine\r\n\
            Transfer-Encoding: chunked\r\nX: 1\r\nx: 2\r\n\r\n5;a=b\r\nhello\r\n3  \r\n, w\r\n\
            4\r\norld\r\n0\r\nSum: 7\r\n\r\n";
        let (mut rest, mut pieces) = (&text[..], Vec::new());
        for cut in cuts {
            let (piece, more) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = more;
        }
        pieces.push(rest);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (connection, mut peer) = pair();
            let writing = async move {
                for piece in pieces {
                    peer.write_all(piece).await.expect("it reads");
                    tokio::task::yield_now().await;
                }
                peer
            };
            let reading = async {
                let sent = send(connection, request(Method::GET, Body::empty())).await;
                let response = sent.expect("an answer");
                let values: Vec<_> = response.headers().get_all("x").iter().cloned().collect();
                let phrase = response.extensions().get::<hyper::ext::ReasonPhrase>().cloned();
                let mut answer = response.into_body();
                let read = read(&mut answer).await.expect("whole");
                (values, phrase, read, answer.finish().is_some())
            };
            let ((values, phrase, read, kept), _peer) = tokio::join!(reading, writing);
            assert_eq!(values, ["1", "2"]);
            assert_eq!(phrase.expect("not the usual one").as_bytes(), b"Fine");
            assert_eq!(read, ("hello, world".into(), Some("{\"sum\": \"7\"}".into())));
            assert!(kept);
        });
    }
}
