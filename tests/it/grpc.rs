//! gRPC end to end: tonic on both sides, the gateway between them.

use std::{sync::atomic::Ordering, time::Duration};

use futures_util::{StreamExt, stream};
use tonic::{Code, Request};

use crate::support::{
    grpc::{GrpcClient, GrpcServer, Note},
    prelude::*,
};

fn through(upstream: &str, more: &str) -> Gateway {
    Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h2c] }} }}\n\
         routes: {{ echo: {{ match: \"/tide.Echo/**\", to: \"{upstream}\"{more} }} }}\n"
    ))
}

#[test]
fn unary_passes_metadata_both_ways() {
    let server = GrpcServer::start();
    let gateway = through(&server.url(), "");
    let address = gateway.addr("http");
    block_on(async {
        let mut client = GrpcClient::connect(address).await;
        let answer = client.unary(Request::new(Note::new("hello", 7))).await.unwrap();
        assert_eq!(answer.metadata().get("x-echo").unwrap(), "yes");
        assert_eq!(answer.into_inner(), Note::new("hello", 7));
        let mut request = Request::new(Note::new("meta", 0));
        request.set_timeout(Duration::from_secs(9));
        let answer = client.unary(request).await.unwrap().into_inner();
        assert!(
            answer.text.contains("Some(\"trailers\")"),
            "TE: trailers arrives: {}",
            answer.text
        );
        assert!(answer.text.starts_with("Some(\""), "the deadline arrives: {}", answer.text);
    });
    let line = gateway.last_access(2);
    assert_eq!((&line["status"], &line["route"]), (&200.into(), &"echo".into()));
}

#[test]
fn streams_pass_message_by_message() {
    let server = GrpcServer::start();
    let gateway = through(&server.url(), "");
    let address = gateway.addr("http");
    block_on(async {
        let mut client = GrpcClient::connect(address).await;
        let notes = client.count(Note::new("", 1000)).await.unwrap();
        let numbers: Vec<_> = notes.map(|note| note.unwrap().number).collect().await;
        assert_eq!(numbers, (0..1000).collect::<Vec<_>>());

        let notes = stream::iter((1..=100).map(|n| Note::new("", n)));
        assert_eq!(client.sum(notes).await.unwrap().number, 5050);

        // Each message is sent only when the answer to the one before has arrived.
        let (send, receive) = tokio::sync::mpsc::channel(1);
        let mut heard =
            client.chat(tokio_stream::wrappers::ReceiverStream::new(receive)).await.unwrap();
        for number in 0..20 {
            send.send(Note::new("", number)).await.unwrap();
            assert_eq!(heard.next().await.unwrap().unwrap(), Note::new("heard", number));
        }
        drop(send);
        assert!(heard.next().await.is_none());
    });
}

#[test]
fn errors_of_the_service_arrive_as_they_are() {
    let server = GrpcServer::start();
    let gateway = through(&server.url(), "");
    let address = gateway.addr("http");
    block_on(async {
        let mut client = GrpcClient::connect(address).await;
        let status = client.unary(Request::new(Note::new("fail", 0))).await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::FailedPrecondition, "as asked: 50% ü")
        );
        let mut notes = client.count(Note::new("fail after", 3)).await.unwrap();
        for number in 0..3 {
            assert_eq!(notes.next().await.unwrap().unwrap().number, number);
        }
        let status = notes.next().await.unwrap().unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::DataLoss, "after the messages"));
        let status = client.unknown("/tide.Echo/None").await;
        assert_eq!((status.code(), status.message()), (Code::Unimplemented, "no such method"));
    });
}

#[test]
fn a_deadline_ends_the_call_on_both_sides() {
    let server = GrpcServer::start();
    let gateway = through(&server.url(), "");
    let address = gateway.addr("http");
    block_on(async {
        let mut client = GrpcClient::connect(address).await;
        let mut request = Request::new(Note::new("sleep", 20_000));
        // Long enough to reach the upstream on a busy machine before it ends.
        request.set_timeout(Duration::from_secs(2));
        let status = client.unary(request).await.unwrap_err();
        assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
    });
    until("the upstream call is let go", || server.cancelled.load(Ordering::SeqCst) == 1);
}

#[test]
fn a_deadline_holds_where_neither_client_nor_upstream_keeps_it() {
    // It takes the call and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = format!("http://{}", silent.local_addr().unwrap());
    let gateway = through(&upstream, "");
    let url = format!("{}/tide.Echo/Unary", gateway.url("http"));
    let begun = tokio::time::Instant::now();
    let answer = curl(&[
        "--http2-prior-knowledge",
        "-H",
        "content-type: application/grpc",
        "-H",
        "te: trailers",
        "-H",
        "grpc-timeout: 300m",
        "--data-binary",
        "",
        &url,
    ]);
    assert_eq!(answer.header("grpc-status").as_deref(), Some("4"), "{}", answer.head);
    assert!(begun.elapsed() >= Duration::from_millis(290), "{:?}", begun.elapsed());
    assert_eq!(gateway.last_access(1)["reason"], "request_timeout");
}

#[test]
fn the_upstream_is_told_what_is_left_of_a_deadline() {
    let server = GrpcServer::start();
    let gateway = through(&server.url(), ", timeouts: { request: 2s, per_try: 1s }");
    let address = gateway.addr("http");
    block_on(async {
        let mut client = GrpcClient::connect(address).await;
        let mut request = Request::new(Note::new("meta", 0));
        request.set_timeout(Duration::from_secs(9));
        let text = client.unary(request).await.unwrap().into_inner().text;
        let said = text.strip_prefix("Some(\"").and_then(|text| text.split('u').next());
        let micros: u32 = said.and_then(|said| said.parse().ok()).expect("microseconds");
        assert!((1_000_000..2_000_000).contains(&micros), "the route's limit is shorter: {text}");
    });
}

#[test]
fn our_own_errors_are_grpc_statuses() {
    let server = GrpcServer::start();
    let gateway = through(&server.url(), ", timeouts: { per_try: 300ms }");
    let address = gateway.addr("http");
    let refused = through("h2c://127.0.0.1:1", "");
    let refused_address = refused.addr("http");
    block_on(async {
        let mut client = GrpcClient::connect(address).await;
        let status = client.unary(Request::new(Note::new("sleep", 20_000))).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        let status = client.unknown("/other.Service/Method").await;
        assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
        let mut client = GrpcClient::connect(refused_address).await;
        let status = client.unary(Request::new(Note::new("", 0))).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert!(status.message().contains("connect_refused"), "{status:?}");
    });
    let line = refused.last_access(1);
    assert_eq!(line["reason"], "connect_refused");
}

#[test]
fn a_client_that_leaves_ends_the_stream_upstream() {
    let server = GrpcServer::start();
    let gateway = through(&server.url(), "");
    let address = gateway.addr("http");
    block_on(async {
        let mut client = GrpcClient::connect(address).await;
        let mut notes = client.count(Note::new("for ever", 0)).await.unwrap();
        assert_eq!(notes.next().await.unwrap().unwrap().text, "tick");
        assert_eq!(server.cancelled.load(Ordering::SeqCst), 0);
    });
    until("the upstream stream is let go", || server.cancelled.load(Ordering::SeqCst) == 1);
}
