//! A connection against a server of h2 at the other end of a pipe.

mod ends;

use std::{future::poll_fn, sync::Arc, time::Duration};

use bytes::Bytes;
use h2::{
    Reason as Code, RecvStream,
    server::{self, SendResponse},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::Frame;
use tokio::{
    io::DuplexStream,
    sync::{Semaphore, mpsc},
    time::timeout,
};

use super::*;
use crate::{
    body::Body,
    error::Reason as Word,
    layers::{Request, expect::Interim},
    telemetry::{exchange::Exchange, testing::head},
    upstream::{
        attempt::Cause as _,
        http2::sending::{Sending, Sent},
    },
};

type Asked = (http::Request<RecvStream>, SendResponse<Bytes>);

/// The upstream: what it was asked comes out of `asked`; `stop` says GOAWAY.
struct Peer {
    asked: mpsc::UnboundedReceiver<Asked>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

impl Peer {
    fn start(io: DuplexStream, most: u32) -> Self {
        let (sender, asked) = mpsc::unbounded_channel();
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let mut builder = server::Builder::new();
            builder.max_concurrent_streams(most);
            let mut connection = builder.handshake::<_, Bytes>(io).await.expect("a greeting");
            let mut live = true;
            loop {
                tokio::select! {
                    Ok(()) = &mut stopped, if live => {
                        live = false;
                        connection.graceful_shutdown();
                    }
                    asked = connection.accept() => match asked {
                        Some(Ok(asked)) => drop(sender.send(asked)),
                        _ => return,
                    }
                }
            }
        });
        Self { asked, stop: Some(stop), task }
    }

    async fn next(&mut self) -> Asked {
        soon(self.asked.recv()).await.expect("a request")
    }
}

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(5), future).await.expect("in time")
}

async fn pair(most: u32) -> (Channel, Peer, Arc<Semaphore>) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let permits = Arc::new(Semaphore::new(1));
    let permit = Arc::clone(&permits).try_acquire_owned().expect("one");
    let peer = Peer::start(theirs, most);
    let channel = Channel::open(ours, permit).await.expect("a greeting");
    // The settings of the peer have to arrive before they count.
    wait_for(|| channel.0.sender.current_max_send_streams() == most as usize).await;
    (channel, peer, permits)
}

async fn wait_for(done: impl Fn() -> bool) {
    soon(async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

fn request(method: Method, body: Body) -> Request {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.version_mut() = http::Version::HTTP_2;
    *request.uri_mut() = "http://x/a?b".parse().expect("a target");
    request.headers_mut().insert("x-a", HeaderValue::from_static("b"));
    request
}

fn send(channel: &Channel, request: Request) -> Sending {
    let exchange = Arc::new(Exchange::new(head()));
    let lease = channel.lease().expect("open");
    lease.send(request, Interim::new(exchange)).expect("open")
}

/// A body somebody writes piece by piece.
fn piped() -> (mpsc::Sender<Result<Frame<Bytes>, BoxError>>, Body) {
    let (sender, mut receiver) = mpsc::channel(1);
    let frames = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    (sender, Body::wrap(http_body_util::StreamBody::new(frames)))
}

fn data(text: &'static str) -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

fn ok() -> http::Response<()> {
    http::Response::new(())
}

/// The next piece, as text; trailers as their names.
async fn next(answer: &mut Answer) -> Option<Result<String, Cause>> {
    let frame = soon(poll_fn(|cx| answer.poll_frame(cx))).await?;
    Some(frame.map(|frame| match frame.into_data() {
        Ok(data) => String::from_utf8(data.to_vec()).expect("text"),
        Err(frame) => format!("{:?}", frame.into_trailers().expect("trailers").keys().next()),
    }))
}

async fn piece(answer: &mut Answer) -> String {
    next(answer).await.expect("a piece").expect("a good one")
}

/// What a server reads of a body, and the code it was reset with.
async fn read(body: &mut RecvStream) -> Result<String, Option<Code>> {
    let mut text = Vec::new();
    while let Some(piece) = soon(body.data()).await {
        let piece = piece.map_err(|error| error.reason())?;
        body.flow_control().release_capacity(piece.len()).expect("it was read");
        text.extend_from_slice(&piece);
    }
    Ok(String::from_utf8(text).expect("text"))
}

async fn answered(sent: Sent) -> Answer {
    sent.expect("an answer").into_body()
}

#[tokio::test]
async fn a_request_without_a_body_ends_with_its_head() {
    let (channel, mut peer, _) = pair(10).await;
    let sending = tokio::spawn(send(&channel, request(Method::GET, Body::empty())));
    let (request, mut respond) = peer.next().await;
    assert!(request.body().is_end_stream());
    assert_eq!(request.uri(), "http://x/a?b");
    assert_eq!(request.headers()["x-a"], "b");
    let mut stream = respond.send_response(ok(), false).expect("open");
    stream.send_data("hello".into(), false).expect("open");
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    stream.send_trailers(trailers).expect("open");
    let mut answer = answered(soon(sending).await.expect("no panic")).await;
    assert_eq!(channel.load(), 1);
    assert_eq!(piece(&mut answer).await, "hello");
    assert_eq!(piece(&mut answer).await, "Some(\"grpc-status\")");
    assert!(answer.is_end());
    assert!(next(&mut answer).await.is_none());
    drop(answer);
    assert_eq!(channel.load(), 0);
}

#[tokio::test]
async fn answers_without_a_body_end_with_their_head() {
    for (method, status) in [(Method::HEAD, 200), (Method::GET, 204), (Method::GET, 304)] {
        let (channel, mut peer, _) = pair(10).await;
        let sending = tokio::spawn(send(&channel, request(method, Body::empty())));
        let (_, mut respond) = peer.next().await;
        let mut response = ok();
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        respond.send_response(response, true).expect("open");
        let answer = answered(soon(sending).await.expect("no panic")).await;
        assert!(answer.is_end());
        assert_eq!(answer.size_hint().exact(), Some(0));
    }
}

#[tokio::test]
async fn both_directions_flow_at_once_and_trailers_pass() {
    let (channel, mut peer, _) = pair(10).await;
    let (body, piped) = piped();
    let sending = tokio::spawn(send(&channel, request(Method::POST, piped)));
    let (mut request, mut respond) = peer.next().await;
    let mut stream = respond.send_response(ok(), false).expect("open");
    let mut answer = answered(soon(sending).await.expect("no panic")).await;
    for text in ["one", "two", "three"] {
        body.send(data(text)).await.expect("it is read");
        let piece_up = soon(request.body_mut().data()).await.expect("a piece").expect("good");
        assert_eq!(piece_up, text);
        stream.send_data(piece_up, false).expect("open");
        assert_eq!(piece(&mut answer).await, text);
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("1"));
    body.send(Ok(Frame::trailers(trailers))).await.expect("it is read");
    assert_eq!(read(request.body_mut()).await.expect("its end"), "");
    let trailers = soon(request.body_mut().trailers()).await.expect("good").expect("there are");
    assert_eq!(trailers["x-sum"], "1");
    stream.send_data(Bytes::new(), true).expect("open");
    assert!(matches!(next(&mut answer).await, None | Some(Ok(_))));
    assert!(answer.is_end());
}

#[tokio::test]
async fn the_rest_of_a_body_does_not_wait_for_whoever_reads_the_answer() {
    let (channel, mut peer, _) = pair(10).await;
    let (body, piped) = piped();
    let sending = tokio::spawn(send(&channel, request(Method::POST, piped)));
    let (mut request, mut respond) = peer.next().await;
    let _stream = respond.send_response(ok(), false).expect("open");
    let answer = answered(soon(sending).await.expect("no panic")).await;
    let feed = tokio::spawn(async move {
        // More than all windows and buffers together hold.
        for _ in 0..2_000 {
            body.send(Ok(Frame::data(vec![0; 1024].into()))).await.expect("it is read");
        }
    });
    assert_eq!(read(request.body_mut()).await.expect("its end").len(), 2_000 * 1024);
    soon(feed).await.expect("no panic");
    drop(answer);
}

#[tokio::test]
async fn an_early_answer_is_delivered_and_the_rest_not_wanted_is_not_sent() {
    let (channel, mut peer, _) = pair(10).await;
    let (body, piped) = piped();
    let sending = tokio::spawn(send(&channel, request(Method::POST, piped)));
    let (request, mut respond) = peer.next().await;
    let mut stream = respond.send_response(ok(), false).expect("open");
    stream.send_data("enough".into(), true).expect("open");
    // h2 resets with NO_ERROR when nobody reads on.
    drop((request, respond, stream));
    let mut answer = answered(soon(sending).await.expect("no panic")).await;
    assert_eq!(piece(&mut answer).await, "enough");
    assert!(answer.is_end());
    soon(body.closed()).await;
}

#[tokio::test]
async fn a_broken_body_resets_the_stream() {
    let codes = [
        (None, Code::INTERNAL_ERROR),
        (Some(Code::CANCEL), Code::CANCEL),
        (Some(Code::NO_ERROR), Code::CANCEL),
    ];
    for (of_client, expected) in codes {
        for answered_before in [false, true] {
            let (channel, mut peer, _) = pair(10).await;
            let (body, piped) = piped();
            let sending = tokio::spawn(send(&channel, request(Method::POST, piped)));
            body.send(data("half")).await.expect("it is read");
            let (mut request, mut respond) = peer.next().await;
            let error = of_client.map_or_else(|| "broken".into(), |c| h2::Error::from(c).into());
            if answered_before {
                let _stream = respond.send_response(ok(), false).expect("open");
                let mut answer = answered(soon(sending).await.expect("no panic")).await;
                body.send(Err(error)).await.expect("it is read");
                assert!(next(&mut answer).await.expect("not its end").is_err());
                assert_eq!(read(request.body_mut()).await, Err(Some(expected)));
            } else {
                body.send(Err(error)).await.expect("it is read");
                let failed = soon(sending).await.expect("no panic").expect_err("broken");
                assert_eq!(failed.cause.reason(), Word::BadBody);
                assert!(failed.again.is_none());
                assert_eq!(read(request.body_mut()).await, Err(Some(expected)));
            }
        }
    }
}

#[tokio::test]
async fn windows_open_again_as_the_answer_is_read() {
    let (channel, mut peer, _) = pair(10).await;
    let sending = tokio::spawn(send(&channel, request(Method::GET, Body::empty())));
    let (_, mut respond) = peer.next().await;
    let mut stream = respond.send_response(ok(), false).expect("open");
    let size = 4 * CONNECTION_WINDOW as usize;
    stream.send_data(vec![b'x'; size].into(), true).expect("open");
    let mut answer = answered(soon(sending).await.expect("no panic")).await;
    let mut length = 0;
    while let Some(piece) = next(&mut answer).await {
        length += piece.expect("good").len();
    }
    assert_eq!(length, size);
    // What nobody reads fills one stream, not the connection.
    for _ in 0..8 {
        let sending = tokio::spawn(send(&channel, request(Method::GET, Body::empty())));
        let (_, mut respond) = peer.next().await;
        let mut stream = respond.send_response(ok(), false).expect("open");
        stream.send_data(vec![b'x'; size].into(), true).expect("open");
        let mut answer = answered(soon(sending).await.expect("no panic")).await;
        piece(&mut answer).await;
    }
}

#[tokio::test]
async fn interim_answers_are_judged_and_limited() {
    let (channel, mut peer, _) = pair(10).await;
    let sending = tokio::spawn(send(&channel, request(Method::GET, Body::empty())));
    let (_, mut respond) = peer.next().await;
    let hint = || {
        let mut hint = ok();
        *hint.status_mut() = StatusCode::EARLY_HINTS;
        hint
    };
    respond.send_informational(hint()).expect("open");
    respond.send_response(ok(), true).expect("open");
    assert_eq!(soon(sending).await.expect("no panic").expect("an answer").status(), 200);
    let sending = tokio::spawn(send(&channel, request(Method::GET, Body::empty())));
    let (_, mut respond) = peer.next().await;
    for _ in 0..17 {
        respond.send_informational(hint()).expect("open");
    }
    let failed = soon(sending).await.expect("no panic").expect_err("too many");
    assert_eq!(failed.cause.reason(), Word::BadResponse);
}
