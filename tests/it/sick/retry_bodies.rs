//! What is sent again is what the client sent: method, fields, body, trailers; or it is not sent
//! again.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{answer, in_turn, serve};
use crate::support::{
    h2client::H2,
    h2upstream::{DATA, END_HEADERS, END_STREAM, H2Peer, HEADERS, field},
    prelude::*,
    raw::Request,
};

type Seen = Arc<Mutex<Vec<Request>>>;

/// Answers 503 once, then 200, and remembers the requests.
fn remembers() -> (Raw, Seen) {
    let seen = Seen::default();
    let told = Arc::clone(&seen);
    let raw = serve(move |at, request, peer| {
        told.lock().push(request.clone());
        peer.send(answer(if at == 0 { 503 } else { 200 }, ""));
    });
    (raw, seen)
}

fn route(upstream: &Raw, more: &str) -> Gateway {
    Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h1, h2c] }} }}\n\
         routes: {{ app: {{ to: \"{}\", {more} }} }}\n",
        upstream.url()
    ))
}

#[test]
fn a_post_is_sent_once_unless_the_operator_knows_better() {
    let (upstream, seen) = remembers();
    let gateway = route(&upstream, "retry: 2");
    assert_eq!(gateway.client().post("h", "/", b"order").status, 503);
    assert_eq!(seen.lock().len(), 1);

    let (upstream, seen) = remembers();
    let gateway = route(&upstream, "retry: { times: 2, methods: any }");
    assert_eq!(gateway.client().post("h", "/a?b", b"order").status, 200);
    let seen = seen.lock();
    let [first, second] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((&first.body[..], &second.body[..]), (&b"order"[..], &b"order"[..]));
    assert_eq!(first.head.first, second.head.first);
    assert_eq!(first.head.fields, second.head.fields);
    assert_eq!(second.head.get("content-length"), Some("5"));
    assert!(!second.head.has("transfer-encoding"));
    assert_eq!(gateway.last_access(1)["bytes_in"], 5);
}

#[test]
fn a_put_is_sent_again_with_its_body_and_a_list_of_methods_is_all_there_is() {
    let (upstream, seen) = remembers();
    let gateway = route(&upstream, "retry: 1");
    let mut client = gateway.client();
    client.request("PUT", "h", "/", &["Content-Length: 4"]);
    client.send("body");
    assert_eq!(client.response().status, 200);
    assert_eq!(seen.lock()[1].body, b"body");

    let (upstream, seen) = remembers();
    let gateway = route(&upstream, "retry: { times: 1, methods: [PATCH] }");
    assert_eq!(gateway.get("h", "/").status, 503);
    assert_eq!(seen.lock().len(), 1);
}

#[test]
fn what_is_too_long_is_sent_once() {
    for (fields, body, tries) in [
        ("Content-Length: 10", "0123456789", 2),
        ("Content-Length: 11", "0123456789a", 1),
        ("Transfer-Encoding: chunked", "a\r\n0123456789\r\n0\r\n\r\n", 2),
        ("Transfer-Encoding: chunked", "b\r\n0123456789a\r\n0\r\n\r\n", 1),
        ("Content-Length: 0", "", 2),
    ] {
        let (upstream, seen) = remembers();
        let gateway = route(&upstream, "retry: { times: 1, methods: any, body_limit: 10B }");
        let mut client = gateway.client();
        client.request("POST", "h", "/", &[fields]);
        client.send(body);
        assert_eq!(client.response().status, if tries == 2 { 200 } else { 503 }, "{fields}");
        let seen = seen.lock();
        assert_eq!(seen.len(), tries, "{fields}");
        let sent = body.split("\r\n").nth(1).unwrap_or(body);
        assert!(seen.iter().all(|request| request.body == sent.as_bytes()), "{seen:?}");
    }
}

#[test]
fn a_body_that_the_client_announced_first_is_kept_too() {
    let (upstream, seen) = remembers();
    let gateway = route(&upstream, "retry: { times: 1, methods: any }");
    let mut client = gateway.client();
    client.request("POST", "h", "/", &["Content-Length: 5", "Expect: 100-continue"]);
    let (interim, _) = {
        let head = client.wire().head().expect("an interim answer");
        assert_eq!(head.word(1), "100");
        client.send("order");
        client.head().expect("an answer")
    };
    assert!(interim.len() <= 2, "{interim:?}");
    until("the second try", || seen.lock().len() == 2);
    assert!(seen.lock().iter().all(|request| request.body == b"order"));
}

#[test]
fn a_body_that_never_comes_costs_the_upstream_nothing() {
    let (upstream, _) = remembers();
    let gateway = Gateway::start(&format!(
        "upstreams: {{ app: {{ endpoints: [\"{}\"], limits: {{ requests: 1, queue: 0 }} }} }}\n\
         routes: {{ app: {{ to: app, retry: {{ times: 1, methods: any }} }} }}\n",
        upstream.url()
    ));
    let mut slow = gateway.client();
    slow.request("POST", "h", "/", &["Content-Length: 5"]);
    slow.send("or");
    pause(Duration::from_millis(300));
    assert_eq!(gateway.get("h", "/").status, 200, "the only turn is free");
    slow.send("der");
    assert_eq!(slow.response().status, 200);
}

#[test]
fn an_old_head_is_made_ready_each_time() {
    let (upstream, seen) = remembers();
    let gateway = route(&upstream, "retry: 1");
    let mut client = gateway.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().status, 200);
    let host = upstream.address().to_string();
    assert!(seen.lock().iter().all(|it| it.head.get("host") == Some(&host)), "{seen:?}");

    let (upstream, seen) = remembers();
    let gateway = route(&upstream, "retry: 1");
    let address = gateway.addr("http");
    block_on(async {
        let request = http::Request::get("http://h/").header("cookie", "a=1");
        let request = request.header("cookie", "b=2").body(()).unwrap();
        let answer = H2::plain(address).await.exchange(request, b"", None).await.unwrap();
        assert_eq!(answer.head.status(), 200);
    });
    assert_eq!(seen.lock().len(), 2);
    assert!(seen.lock().iter().all(|it| it.head.get("cookie") == Some("a=1; b=2")), "{seen:?}");
}

#[test]
fn our_own_fields_are_there_once_each_time() {
    let (upstream, seen) = remembers();
    let gateway = route(&upstream, "retry: 1");
    assert_eq!(gateway.get("h", "/").status, 200);
    let seen = seen.lock();
    for name in ["x-request-id", "x-forwarded-for", "host"] {
        let values: Vec<_> = seen.iter().map(|it| it.head.all(name)).collect();
        assert!(values.iter().all(|it| it.len() == 1 && *it == values[0]), "{name} {values:?}");
    }
}

#[test]
fn trailers_are_sent_again() {
    let frames = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&frames);
    let upstream = Raw::serve(move |peer| {
        let Some(mut peer) = H2Peer::accept(peer) else { return };
        while let Some(frame) = peer.frame() {
            told.lock().push((frame.stream, frame.kind, frame.flags & END_STREAM != 0));
            if frame.flags & END_STREAM != 0 {
                let status = if frame.stream == 1 { "503" } else { "200" };
                peer.send(
                    HEADERS,
                    END_HEADERS | END_STREAM,
                    frame.stream,
                    &field(":status", status),
                );
            }
        }
    });
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h2c] }} }}\n\
         routes: {{ app: {{ to: \"h2c://{}\", retry: {{ times: 1, methods: any }} }} }}\n",
        upstream.address()
    ));
    let address = gateway.addr("http");
    block_on(async {
        let request = http::Request::post("http://h/").header("content-length", "4");
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-sum", "7".parse().unwrap());
        let mut h2 = H2::plain(address).await;
        let request = request.body(()).unwrap();
        let answer = h2.exchange(request, b"body", Some(trailers)).await.unwrap();
        assert_eq!(answer.head.status(), 200);
    });
    let frames = frames.lock();
    let of = |stream| {
        let of: Vec<_> = frames.iter().filter(|it| it.0 == stream).map(|it| (it.1, it.2)).collect();
        of
    };
    let whole = vec![(HEADERS, false), (DATA, false), (HEADERS, true)];
    assert_eq!((of(1), of(3)), (whole.clone(), whole), "{frames:?}");
}

#[test]
fn a_body_that_breaks_is_the_clients_fault() {
    let upstream = in_turn(&[200]);
    let gateway = route(&upstream, "retry: { times: 3, methods: any }");
    let mut client = gateway.client();
    client.request("POST", "h", "/", &["Content-Length: 5"]);
    client.send("or");
    drop(client);
    let line = gateway.last_access(1);
    assert_eq!((&line["status"], &line["tries"]), (&499.into(), &0.into()), "{line}");
    assert_eq!(upstream.requests().len(), 0);
}
