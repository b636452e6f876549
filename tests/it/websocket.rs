//! WebSockets and other upgrades over HTTP/1.1, and WebSockets over HTTP/2 (RFC 8441).

use bytes::Bytes;
use h2::ext::Protocol;
use http::{Method, Request};

use crate::support::{
    h2client::H2,
    prelude::*,
    websocket::{EchoServer, Socket},
};

#[test]
fn a_websocket_passes_and_outlives_idle_times() {
    let server = EchoServer::start();
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", timeouts: {{ idle: 1s, header: 1s }} }} }}\n\
         routes: {{ app: {{ to: \"{}\" }} }}\n",
        server.url()
    ));
    let mut socket = Socket::connect(gateway.addr("http"), "ws.example", "/chat?x=1").unwrap();
    assert_eq!(socket.ask("before").as_deref(), Some("before"));
    pause(Duration::from_secs(3)); // idle for three times what an HTTP connection may be
    assert_eq!(socket.ask("after").as_deref(), Some("after"));
    let long = "x".repeat(1_000_000);
    assert_eq!(socket.ask(&long).as_deref(), Some(long.as_str()));
    socket.close();
    let line = gateway.last_access(1);
    assert_eq!(line["status"], 101);
    assert!(line["bytes_out"].as_u64().unwrap() >= 1_000_000, "{line}");
}

#[test]
fn an_upgrade_needs_the_routes_leave() {
    let server = EchoServer::start();
    let gateway = Gateway::start(&format!(
        "routes: {{ app: {{ to: \"{}\", upgrade: none }} }}\n",
        server.url()
    ));
    assert_eq!(Socket::connect(gateway.addr("http"), "h", "/").err(), Some(403));
    assert_eq!(gateway.last_access(1)["reason"], "upgrade_refused");
}

#[test]
fn other_protocols_pass_when_named_and_no_byte_early() {
    let upstream = Raw::serve(|peer| {
        let head = peer.head().unwrap();
        assert_eq!(head.get("upgrade"), Some("echo/1"));
        assert!(head.get("connection").unwrap().to_lowercase().contains("upgrade"));
        peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\nhello ");
        while let Some(bytes) = peer.wire().take(4) {
            peer.send(bytes);
        }
    });
    let gateway = Gateway::start(&format!(
        "routes: {{ app: {{ to: \"{}\", upgrade: [websocket, echo/1] }} }}\n",
        upstream.url()
    ));
    let mut client = gateway.client();
    client.request("GET", "h", "/", &["Connection: Upgrade", "Upgrade: echo/1"]);
    let (_, head) = client.head().unwrap();
    assert_eq!((head.word(1), head.get("upgrade")), ("101", Some("echo/1")));
    assert_eq!(client.wire().take(6).unwrap(), b"hello ");
    client.send("ping");
    assert_eq!(client.wire().take(4).unwrap(), b"ping");
    client.send("pong");
    assert_eq!(client.wire().take(4).unwrap(), b"pong");
}

#[test]
fn an_upgrade_the_upstream_declines_is_an_ordinary_answer() {
    let upstream = Raw::echo();
    let gateway = Gateway::to(&upstream.url());
    assert_eq!(Socket::connect(gateway.addr("http"), "h", "/").err(), Some(200));
    assert_eq!(gateway.get("h", "/").status, 200);
}

#[test]
fn a_101_nobody_asked_for_is_a_bad_response() {
    let upstream = Raw::always(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    );
    let gateway = Gateway::to(&upstream.url());
    let answer = gateway.get("h", "/");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "bad_response"));
}

#[test]
fn when_one_side_ends_a_tunnel_the_other_learns_it() {
    let upstream = Raw::serve(|peer| {
        peer.head().unwrap();
        peer.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        );
        if peer.index == 0 {
            peer.gone();
        }
    });
    let gateway = Gateway::to(&upstream.url());
    let fields = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let mut leaves = gateway.client();
    leaves.request("GET", "h", "/", &fields);
    assert_eq!(leaves.head().unwrap().1.word(1), "101");
    drop(leaves); // the script of connection 0 waits for this; dropping `upstream` joins it
    let mut left = gateway.client();
    left.request("GET", "h", "/", &fields);
    assert_eq!(left.head().unwrap().1.word(1), "101");
    assert!(left.closed());
}

/// A masked text frame of fewer than 126 bytes; a mask of zeros leaves the text readable.
fn frame(text: &str) -> Bytes {
    let length = u8::try_from(text.len()).expect("a short text");
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat().into()
}

#[test]
fn a_websocket_over_http2_reaches_an_http1_upstream() {
    let server = EchoServer::start();
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h2c] }} }}\n\
         routes: {{ app: {{ to: \"{}\" }} }}\n",
        server.url()
    ));
    let address = gateway.addr("http");
    block_on(async {
        let mut h2 = H2::plain(address).await;
        // The server's SETTINGS are in once it has answered anything.
        let get = Request::get("http://ws.example/").body(()).unwrap();
        h2.exchange(get, b"", None).await.unwrap();
        assert!(h2.send.is_extended_connect_protocol_enabled(), "RFC 8441 is announced");
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri("http://ws.example/chat")
            .header("sec-websocket-version", "13")
            .extension(Protocol::from_static("websocket"))
            .body(())
            .unwrap();
        let (response, mut send) = h2.send.send_request(request, false).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200);
        let mut receive = response.into_body();
        for text in ["first", "second", "third"] {
            send.send_data(frame(text), false).unwrap();
            let mut answer = Vec::new();
            while answer.len() < text.len() + 2 {
                let piece = receive.data().await.expect("the tunnel is open").unwrap();
                receive.flow_control().release_capacity(piece.len()).unwrap();
                answer.extend_from_slice(&piece);
            }
            assert_eq!(&answer[2..], text.as_bytes());
        }
        send.send_data(Bytes::new(), true).unwrap();
        while let Some(Ok(_)) = receive.data().await {}
    });
}
