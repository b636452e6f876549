//! Corners of the data plane: who owns the bytes after an odd request, connections that are scarce.

use rustix::process::Signal;

use crate::support::{
    prelude::*,
    websocket::{EchoServer, Socket},
};

#[test]
fn a_get_with_a_body_of_unknown_length_keeps_it() {
    let upstream = Raw::echo();
    let gateway = Gateway::to(&upstream.url());
    let mut client = gateway.client();
    client.request("GET", "h", "/", &["Transfer-Encoding: chunked"]);
    client.send("5\r\nhello\r\n0\r\n\r\n");
    let answer = client.response();
    assert!(answer.text().ends_with("\n\nhello"), "{}", answer.text());
}

#[test]
fn an_upgrade_field_nobody_asked_for_does_not_stop_the_connection() {
    let upstream = Raw::echo();
    let gateway = Gateway::to(&upstream.url());
    let mut client = gateway.client();
    client.request("GET", "h", "/1", &["Upgrade: foo"]);
    assert_eq!(client.response().echoed_target(), "/1");
    assert_eq!(client.get("h", "/2").echoed_target(), "/2");
}

#[test]
fn an_ignored_offer_does_not_decide_for_the_next_upgrade() {
    let upstream = Raw::serve(|peer| {
        while let Some(head) = peer.head() {
            if head.get("upgrade") == Some("echo/1") {
                peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo/1\r\n\r\n");
                while let Some(bytes) = peer.wire().take(4) {
                    peer.send(bytes);
                }
            }
            peer.ok(b"plain");
        }
    });
    let gateway = Gateway::start(&format!(
        "routes: {{ app: {{ to: \"{}\", upgrade: [echo/1] }} }}\n",
        upstream.url()
    ));
    let mut client = gateway.client();
    client.request("GET", "h", "/", &["Connection: upgrade", "Upgrade: h2c"]);
    assert_eq!(client.response().text(), "plain");
    client.request("GET", "h", "/", &["Connection: upgrade", "Upgrade: echo/1"]);
    client.send("ping");
    assert_eq!(client.head().unwrap().1.word(1), "101");
    assert_eq!(client.wire().take(4).as_deref(), Some(&b"ping"[..]));
}

#[test]
fn a_refused_websocket_may_be_followed_by_one_that_is_accepted() {
    let server = EchoServer::start();
    let gateway = Gateway::start(&format!(
        "routes:\n  no: {{ match: /no, to: \"{0}\", upgrade: none }}\n  app: {{ to: \"{0}\" }}\n",
        server.url()
    ));
    assert_eq!(Socket::connect(gateway.addr("http"), "h", "/no").err(), Some(403));
    let mut socket = Socket::connect(gateway.addr("http"), "h", "/").unwrap();
    assert_eq!(socket.ask("x").as_deref(), Some("x"));
}

#[test]
fn one_connection_serves_everybody_in_turn() {
    let upstream = Raw::echo();
    let gateway = Gateway::start(&format!(
        "upstreams: {{ one: {{ endpoints: [\"{}\"], limits: {{ connections: 1 }} }} }}\n\
         routes: {{ app: {{ to: one }} }}\n",
        upstream.url()
    ));
    let address = gateway.addr("http");
    let threads: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = crate::support::http::Client::connect(address);
                (0..50).filter(|_| client.get("h", "/").status == 200).count()
            })
        })
        .collect();
    let served: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(served, 400);
}

/// Answers every HTTP/2 request but `/hold` with an empty 200; ends with the process.
fn h2_upstream() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut http = h2::server::handshake(stream).await.unwrap();
                    let mut held = Vec::new();
                    while let Some(Ok((request, mut respond))) = http.accept().await {
                        if request.uri().path() == "/hold" {
                            held.push(respond);
                            continue;
                        }
                        let _ = respond.send_response(http::Response::new(()), true);
                    }
                });
            }
        });
    });
    address
}

#[test]
fn workers_share_the_only_http2_connection() {
    let gateway = Gateway::start(&format!(
        "upstreams: {{ one: {{ endpoints: [\"h2c://{}\"], limits: {{ connections: 1 }} }} }}\n\
         routes: {{ app: {{ to: one }} }}\n",
        h2_upstream()
    ));
    let mut first = gateway.client();
    first.request("GET", "h", "/hold", &[]);
    pause(Duration::from_millis(300)); // until the connection is in use
    // Connections are spread over two workers: twenty of them surely reach both.
    for _ in 0..20 {
        assert_eq!(gateway.get("h", "/").status, 200);
    }
}

#[test]
fn a_new_connection_may_send_its_first_request_while_draining() {
    let upstream = Raw::text("served");
    let mut gateway = Gateway::to(&upstream.url());
    let mut fresh = gateway.client();
    pause(Duration::from_millis(200)); // until it is accepted
    gateway.signal(Signal::TERM);
    pause(Duration::from_millis(300));
    let answer = fresh.get("h", "/");
    assert_eq!(answer.text(), "served");
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(gateway.wait().success());
}

#[test]
fn a_capture_cannot_name_the_host_of_a_redirect() {
    let gateway = Gateway::start(
        "routes: { go: { match: \"/go/**\", redirect: { to: \"/{**}\" } } }\n\
         server: { normalize: { merge_slashes: false } }\n",
    );
    let answer = gateway.get("h", "/go//evil.example/x");
    assert_eq!(answer.header("location"), Some("/evil.example/x"));
}

#[test]
fn a_client_named_by_another_header_is_the_real_ip() {
    let upstream = Raw::echo();
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", trusted_proxies: [127.0.0.1], client_ip_from: CF-Connecting-IP }} }}\n\
         routes: {{ app: {{ to: \"{}\" }} }}\n",
        upstream.url()
    ));
    let answer = gateway.client().exchange("GET", "h", "/", &["CF-Connecting-IP: 203.0.113.7"]);
    assert_eq!(answer.echoed("x-real-ip").as_deref(), Some("203.0.113.7"));
}
