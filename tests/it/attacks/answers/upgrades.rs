//! Rows 22 to 24: switches of protocol nobody asked for, or nobody agreed to.

use bytes::Bytes;
use h2::ext::Protocol;
use http::{Method, Request};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::FRONT;
use crate::support::{h2client::H2, prelude::*, raw::Peer};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const ASKED: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// A 101 with these fields.
fn switch(fields: &str) -> String {
    format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n")
}

/// A 101 as RFC 6455 wants it.
fn good(accept: &str) -> String {
    switch(&format!(
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n"
    ))
}

/// The same with something else in the place of a line.
fn with(line: &str, instead: &str) -> String {
    let good = good(ACCEPT);
    let whole = good.split_inclusive("\r\n").find(|whole| whole.starts_with(line));
    good.replace(whole.expect("one of its lines"), instead)
}

/// Answers upgrades with this, then with whatever comes in; other requests with the number of the
/// connection.
fn answering(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Raw {
    Raw::serve(move |peer: &mut Peer| {
        while let Some(head) = peer.head() {
            if head.word(1) == "/clean" {
                peer.ok(peer.index.to_string().as_bytes());
                continue;
            }
            peer.send(answer(head.all("sec-websocket-key").first().unwrap_or(&"")) + "POISON");
            assert!(peer.wire().rest().is_empty(), "bytes came through the tunnel");
            return;
        }
    })
}

fn gateway(upstream: &Raw) -> Gateway {
    Gateway::start(&format!(
        "{FRONT}routes: {{ app: {{ to: \"{}\", upgrade: [websocket, echo/1] }} }}\n",
        upstream.url()
    ))
}

/// A handshake whose client sends on without waiting; the answer must be this and no tunnel open.
#[track_caller]
fn refused(name: &str, fields: &[&str], answer: String, status: u16, reason: &str) {
    let upstream = answering(move |_| answer.clone());
    let gateway = gateway(&upstream);
    let mut client = gateway.client();
    client.request("GET", "h", "/", fields);
    // What follows is another request, whatever the upstream says.
    client.send("GET /clean HTTP/1.1\r\nHost: h\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.status, answer.reason().as_str()), (status, reason), "{name}");
    assert_eq!(client.response().text(), "1", "{name}: on another connection");
    let line = &gateway.access_log(2)[0];
    assert_eq!(line["reason"], reason, "{name}: {line}");
    assert!(line["detail"].is_string(), "{name}: {line}");
    assert_eq!(upstream.requests().len(), 2, "{name}: {:?}", upstream.requests());
}

/// The same as an extended CONNECT; the upstream answers the gateway's key.
#[track_caller]
fn refused_h2(name: &str, version: &str, answer: impl Fn(&str) -> String + Send + Sync + 'static) {
    let upstream = answering(answer);
    let gateway = gateway(&upstream);
    let status = block_on(async {
        let mut h2 = H2::plain(gateway.addr("http")).await;
        let get = Request::get("http://h/clean").body(()).unwrap();
        h2.exchange(get, b"", None).await.unwrap();
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri("http://h/chat")
            .header("sec-websocket-version", version)
            .extension(Protocol::from_static("websocket"))
            .body(())
            .unwrap();
        let (response, mut send) = h2.send.send_request(request, false).unwrap();
        send.send_data(Bytes::from_static(b"early"), false).unwrap();
        response.await.unwrap().status().as_u16()
    });
    assert_eq!(status, 502, "{name}");
    let line = gateway.last_access(2);
    assert_eq!(line["reason"], "bad_response", "{name}: {line}");
    assert_eq!(gateway.get("h", "/clean").status, 200, "{name}");
}

#[test]
fn row_22_a_switch_nobody_asked_for() {
    let websocket = good(ACCEPT);
    let plain: [&[&str]; 3] = [&[], &["Upgrade: websocket"], &["Connection: keep-alive"]];
    for fields in plain {
        refused(&format!("{fields:?}"), fields, websocket.clone(), 502, "bad_response");
    }
    let other = switch("Connection: Upgrade\r\nUpgrade: other/1\r\n");
    refused(
        "another protocol",
        &["Connection: Upgrade", "Upgrade: echo/1"],
        other,
        502,
        "bad_response",
    );
}

#[test]
fn row_22_a_200_to_an_upgrade_is_an_answer() {
    let upstream = Raw::serve(|peer| {
        while let Some(request) = peer.request() {
            peer.ok(request.head.word(1).as_bytes());
        }
    });
    let gateway = gateway(&upstream);
    let mut client = gateway.client();
    client.request("GET", "h", "/first", &ASKED);
    client.send("GET /second HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.response().text(), "/first");
    assert_eq!(client.response().text(), "/second", "read by the gateway, not by the upstream");
    refused_h2("200 to CONNECT", "13", |_| {
        "HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 6\r\n\r\n"
            .to_owned()
    });
}

#[test]
fn row_23_h2c_is_not_offered_to_the_upstream() {
    let offer = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"];
    let upstream = Raw::echo();
    let gateway = gateway(&upstream);
    let answer = gateway.client().exchange("GET", "h", "/", &offer);
    assert_eq!(answer.status, 200);
    for name in ["upgrade", "http2-settings"] {
        assert_eq!(answer.echoed(name), None, "{name}");
    }
    let h2c = switch("Connection: Upgrade\r\nUpgrade: h2c\r\n");
    refused("101 to h2c", &offer, h2c, 502, "bad_response");
}

/// Handshakes of a hostile server, by what is wrong with them.
fn handshakes() -> Vec<(&'static str, String)> {
    let accept = "Sec-WebSocket-Accept";
    let line = |value: &str| format!("{accept}: {value}\r\n");
    vec![
        ("no accept", with(accept, "")),
        ("empty accept", with(accept, &line(""))),
        ("another accept", with(accept, &line("AAAAAAAAAAAAAAAAAAAAAAAAAAA="))),
        ("the key", with(accept, &line(KEY))),
        ("accept in another case", with(accept, &line(&ACCEPT.to_lowercase()))),
        ("accept twice", with(accept, &line(ACCEPT).repeat(2))),
        ("two values", with(accept, &line(&format!("{ACCEPT}, {ACCEPT}")))),
        ("no Upgrade", with("Upgrade", "")),
        ("another Upgrade", with("Upgrade", "Upgrade: h2c\r\n")),
        ("two Upgrades", with("Upgrade", "Upgrade: websocket\r\nUpgrade: h2c\r\n")),
        ("no Connection", with("Connection", "")),
        ("Connection: close", with("Connection", "Connection: close\r\n")),
        ("a body", with("Connection", "Connection: Upgrade\r\nContent-Length: 6\r\n")),
        ("chunks", with("Connection", "Connection: Upgrade\r\nTransfer-Encoding: chunked\r\n")),
    ]
}

#[test]
fn row_24_a_handshake_must_answer_the_key() {
    for (name, answer) in handshakes() {
        refused(name, &ASKED, answer, 502, "bad_response");
    }
    let good = || good(ACCEPT);
    let [connection, upgrade, version, key] = ASKED;
    refused("no key", &[connection, upgrade, version], good(), 502, "bad_response");
    refused("two keys", &[connection, upgrade, version, key, key], good(), 502, "bad_response");
    refused("no version", &[connection, upgrade, key], good(), 502, "bad_response");
    let bad = "Sec-WebSocket-Version: 1337";
    refused("a bad version", &[connection, upgrade, bad, key], good(), 502, "bad_response");
}

#[test]
fn row_24_a_handshake_over_http2_must_answer_our_key() {
    // None of them answers the key the gateway has made, the good one included.
    for (name, answer) in handshakes().into_iter().take(3) {
        refused_h2(name, "13", move |_| answer.clone());
    }
    refused_h2("the answer to another key", "13", |_| good(ACCEPT));
    let right = |key: &str| good(&derive_accept_key(key.as_bytes()));
    refused_h2("a bad version", "1337", right);
}

#[test]
fn row_24_a_426_passes_and_opens_nothing() {
    let upstream = Raw::serve(|peer| {
        while let Some(request) = peer.request() {
            match request.head.get("sec-websocket-version") {
                None => peer.ok(request.head.word(1).as_bytes()),
                Some(_) => peer.send(
                    "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 3\r\n\r\nold",
                ),
            };
        }
    });
    let gateway = gateway(&upstream);
    let mut client = gateway.client();
    let [connection, upgrade, _, key] = ASKED;
    client.request("GET", "h", "/", &[connection, upgrade, "Sec-WebSocket-Version: 1337", key]);
    client.send("GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.status, answer.text().as_str()), (426, "old"));
    assert_eq!(answer.header("sec-websocket-version"), Some("13"));
    assert_eq!(client.response().text(), "/smuggled", "a request of its own, judged and logged");
    assert_eq!(gateway.access_log(2).len(), 2);
}

#[test]
fn row_35_a_switch_without_the_upstreams_hop() {
    let upstream = Raw::serve(|peer| {
        let Some(_) = peer.head() else { return };
        peer.send(with(
            "Connection",
            "Connection: Upgrade, X-Internal\r\nX-Internal: secret\r\nProxy-Connection: secret\r\nX-Kept: kept\r\n",
        ));
        peer.gone();
    });
    let gateway = gateway(&upstream);
    let mut client = gateway.client();
    client.request("GET", "h", "/", &ASKED);
    let (_, head) = client.head().unwrap();
    assert_eq!((head.word(1), head.get("sec-websocket-accept")), ("101", Some(ACCEPT)));
    assert_eq!((head.get("upgrade"), head.get("connection")), (Some("websocket"), Some("upgrade")));
    assert!(!format!("{head:?}").contains("secret"), "{head:?}");
    assert_eq!(head.get("x-kept"), Some("kept"));
}
