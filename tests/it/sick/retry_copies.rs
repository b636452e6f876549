//! Bodies whose length nobody knows: they are copied as they pass, so that a further try has them too.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::HeaderMap;
use parking_lot::Mutex;
use tonic::Code;

use super::{answer, in_turn, list, serve};
use crate::support::{
    grpc::{GrpcClient, GrpcServer, Note},
    h2client::H2,
    h2upstream::{END_HEADERS, END_STREAM, H2Peer, HEADERS, RST_STREAM, field},
    prelude::*,
    raw::{Peer, Request},
    wire::Framing,
};

type Bodies = Arc<Mutex<Vec<(Request, Vec<(String, String)>)>>>;

/// Does this to the first request, whose head is read, and answers the later ones, which it remembers.
fn sick(first: impl Fn(&mut Peer) + Send + Sync + 'static) -> (Raw, Bodies) {
    let (bodies, next) = (Bodies::default(), AtomicUsize::new(0));
    let told = Arc::clone(&bodies);
    let raw = Raw::serve(move |peer| {
        while let Some(head) = peer.head() {
            if next.fetch_add(1, Ordering::SeqCst) == 0 {
                first(peer);
                continue;
            }
            let Ok(body) = peer.wire().body(head.framing(Framing::None)) else { return };
            let trailers = std::mem::take(&mut peer.wire().trailers);
            told.lock().push((Request { head, body }, trailers));
            peer.send(answer(200, ""));
        }
    });
    (raw, bodies)
}

/// Takes the whole request and resets the connection.
fn reads_and_resets(peer: &mut Peer) {
    peer.wire().body(Framing::Chunked).expect("a whole body");
    peer.reset();
}

fn route(upstream: &Raw, retry: &str) -> Gateway {
    Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h1, h2c] }} }}\n\
         routes: {{ app: {{ to: \"{}\", retry: {retry} }} }}\n",
        upstream.url()
    ))
}

/// A chunked PUT, its body still to be sent.
fn put(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    client.request("PUT", "h", "/", &["Transfer-Encoding: chunked", "Trailer: X-Sum"]);
    client
}

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

#[test]
fn a_chunked_put_is_sent_again_whole() {
    let (upstream, bodies) = sick(reads_and_resets);
    let gateway = route(&upstream, "1");
    let mut client = put(&gateway);
    client.send(chunk("Hello, "));
    client.send(chunk("world") + "0\r\nX-Sum: 7\r\n\r\n");
    assert_eq!(client.response().status, 200);
    let bodies = bodies.lock();
    let [(request, trailers)] = &bodies[..] else { panic!("{bodies:?}") };
    assert_eq!(request.body, b"Hello, world");
    assert_eq!(request.head.get("transfer-encoding"), Some("chunked"));
    assert!(!request.head.has("content-length"));
    assert_eq!(trailers[..], [("x-sum".to_owned(), "7".to_owned())]);
    let line = gateway.last_access(1);
    assert_eq!((&line["tries"], &line["bytes_in"]), (&2.into(), &12.into()), "{line}");
}

#[test]
fn what_the_client_still_sends_goes_to_the_next_try() {
    // It refuses without a word, or with one, before the body is there.
    let refusals: [fn(&mut Peer); 2] = [Peer::reset, |peer| {
        peer.send(answer(503, ""));
        peer.gone();
    }];
    for refuse in refusals {
        let (upstream, bodies) = sick(move |peer| {
            peer.wire().chunk();
            refuse(peer);
        });
        let gateway = route(&upstream, "1");
        let mut client = put(&gateway);
        client.send(chunk("begun"));
        until("the second try", || upstream.requests().len() == 2);
        client.send(chunk(", ended") + "0\r\n\r\n");
        assert_eq!(client.response().status, 200);
        assert_eq!(bodies.lock()[0].0.body, b"begun, ended");
        assert_eq!(gateway.last_access(1)["tries"], 2);
    }
}

#[test]
fn a_longer_body_is_sent_once_and_whole() {
    let large = "x".repeat(100_000);
    for status in [None, Some(503)] {
        let got = Arc::new(AtomicUsize::new(0));
        let told = Arc::clone(&got);
        let (upstream, bodies) = sick(move |peer| {
            let body = peer.wire().body(Framing::Chunked).expect("a whole body");
            told.store(body.len(), Ordering::SeqCst);
            match status {
                None => peer.reset(),
                Some(status) => drop(peer.send(answer(status, ""))),
            }
        });
        let gateway = route(&upstream, "3");
        let mut client = put(&gateway);
        client.send(chunk(&large) + "0\r\n\r\n");
        let answer = client.response();
        match status {
            None => assert_eq!((answer.status, &*answer.reason()), (502, "upstream_reset")),
            Some(status) => assert_eq!((answer.status, &*answer.text()), (status, "sick")),
        }
        assert_eq!((got.load(Ordering::SeqCst), upstream.requests().len()), (100_000, 1));
        assert!(bodies.lock().is_empty());
    }
    // One that is well gets it as ever.
    let upstream = Raw::echo();
    let gateway = route(&upstream, "3");
    let mut client = put(&gateway);
    client.send(chunk(&large) + "0\r\n\r\n");
    assert!(client.response().text().ends_with(&large));
}

#[test]
fn a_client_that_leaves_is_not_the_upstreams_fault() {
    let upstream = in_turn(&[200]);
    let gateway = route(&upstream, "3");
    let mut client = put(&gateway);
    client.send(chunk("begun"));
    until("the try", || upstream.requests().len() == 1 || upstream.connections() == 1);
    drop(client);
    let line = gateway.last_access(1);
    assert_eq!((&line["status"], &line["tries"]), (&499.into(), &1.into()), "{line}");
}

#[test]
fn a_body_that_waits_for_100_waits_in_each_try() {
    // The first refuses before it has asked for it.
    let (upstream, bodies) = sick(|peer| {
        peer.send(answer(503, "Connection: close\r\n"));
        peer.gone();
    });
    let gateway = route(&upstream, "1");
    let mut client = gateway.client();
    let fields = ["Transfer-Encoding: chunked", "Expect: 100-continue"];
    client.request("PUT", "h", "/", &fields);
    let head = client.wire().head().expect("an interim answer");
    assert_eq!(head.word(1), "100");
    assert_eq!(upstream.requests().len(), 2);
    client.send(chunk("order") + "0\r\n\r\n");
    assert_eq!(client.response().status, 200);
    assert_eq!(bodies.lock()[0].0.body, b"order");
}

#[test]
fn a_stream_that_ends_early_lets_go_of_the_body() {
    // The answer to the first is over before its request is.
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&bodies);
    let upstream = Raw::serve(move |peer| {
        let Some(mut peer) = H2Peer::accept(peer) else { return };
        while let Some(frame) = peer.frame() {
            told.lock().push((frame.stream, frame.kind));
            let (end, first) = (frame.flags & END_STREAM != 0, frame.stream == 1);
            if end || (first && frame.kind == HEADERS) {
                let status = field(":status", if first { "503" } else { "200" });
                peer.send(HEADERS, END_HEADERS | END_STREAM, frame.stream, &status);
            }
        }
    });
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h2c] }} }}\n\
         routes: {{ app: {{ to: \"h2c://{}\", retry: 1 }} }}\n",
        upstream.address()
    ));
    let address = gateway.addr("http");
    block_on(async {
        let mut h2 = H2::plain(address).await.send.ready().await.unwrap();
        let request = http::Request::put("http://h/").body(()).unwrap();
        let (response, mut body) = h2.send_request(request, false).unwrap();
        until("the second try", || bodies.lock().contains(&(3, HEADERS)));
        body.send_data("body".into(), false).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "7".parse().unwrap());
        body.send_trailers(trailers).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
    });
    let bodies = bodies.lock();
    let of = |stream| bodies.iter().filter(|it| it.0 == stream).map(|it| it.1).collect::<Vec<_>>();
    assert_eq!((of(1), of(3)), (vec![HEADERS, RST_STREAM], vec![HEADERS, 0, HEADERS]));
}

#[test]
fn a_grpc_call_finds_the_endpoint_that_is_well() {
    let well = GrpcServer::start();
    // `None` resets the stream, a number is a status.
    for status in [None, Some("14")] {
        let seen = Arc::new(AtomicUsize::new(0));
        let told = Arc::clone(&seen);
        let sick = Raw::serve(move |peer| {
            let Some(mut peer) = H2Peer::accept(peer) else { return };
            while let Some(stream) = peer.request() {
                told.fetch_add(1, Ordering::SeqCst);
                let Some(status) = status else {
                    peer.send(RST_STREAM, 0, stream, &2u32.to_be_bytes());
                    continue;
                };
                let mut head = field(":status", "200");
                head.extend(field("content-type", "application/grpc"));
                head.extend(field("grpc-status", status));
                peer.send(HEADERS, END_HEADERS | END_STREAM, stream, &head);
            }
        });
        for (methods, code) in [("any", None), ("idempotent", Some(Code::Unavailable))] {
            let gateway = Gateway::start(&format!(
                "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h2c] }} }}\n\
                 upstreams: {{ echo: {{ endpoints: [\"h2c://{}\", \"{}\"], lb: round_robin }} }}\n\
                 routes: {{ echo: {{ to: echo, retry: {{ times: 1, methods: {methods} }} }} }}\n",
                sick.address(),
                well.url()
            ));
            let address = gateway.addr("http");
            let before = seen.load(Ordering::SeqCst);
            let (good, bad): (Vec<_>, Vec<_>) = block_on(async {
                let mut client = GrpcClient::connect(address).await;
                let mut answers = Vec::new();
                for number in 0..6 {
                    let answer = client.unary(tonic::Request::new(Note::new("hello", number)));
                    answers.push(answer.await.map(|note| (number, note.into_inner().number)));
                }
                answers.into_iter().partition(Result::is_ok)
            });
            let tried = seen.load(Ordering::SeqCst) - before;
            assert!(tried >= 2, "{status:?}: the sick one has seen {tried} of 6 calls");
            assert!(good.iter().flatten().all(|(sent, got)| sent == got), "{good:?}");
            match code {
                None => assert!(bad.is_empty(), "{status:?} {bad:?}"),
                Some(_) => assert_eq!(bad.len(), tried, "{status:?}: these may not be repeated"),
            }
        }
    }
}

#[test]
fn a_read_with_a_body_is_doubled_once_all_of_it_has_passed() {
    let upstreams = [0, 1].map(|_| {
        serve(move |at, _, peer| {
            pause(Duration::from_millis(if at >= 60 { 400 } else { 1 }));
            peer.send(answer(200, ""));
        })
    });
    let gateway = Gateway::start(&format!(
        "upstreams: {{ app: {{ endpoints: {}, lb: round_robin }} }}\n\
         routes: {{ app: {{ to: app, retry: {{ times: 0, hedge: p99 }} }} }}\n",
        list(&upstreams)
    ));
    let mut client = gateway.client();
    let sent = || upstreams.iter().map(|it| it.requests().len()).sum::<usize>();
    (0..120).for_each(|_| assert_eq!(client.get("h", "/").status, 200));
    let before = sent();
    client.request("GET", "h", "/", &["Transfer-Encoding: chunked"]);
    client.send(chunk("que"));
    // It is slow because its client is.
    until("the first try", || sent() == before + 1);
    pause(Duration::from_millis(600));
    assert_eq!(sent(), before + 1);
    client.send(chunk("ry") + "0\r\n\r\n");
    assert_eq!(client.response().status, 200);
    assert_eq!(sent(), before + 2);
    assert_eq!(gateway.last_access(121)["tries"], 2);
}
