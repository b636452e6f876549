//! Upstreams that are away, slow, broken or hostile: the right status and reason, never a hang, never a
//! mixed-up answer.

use std::net::{TcpListener, TcpStream};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::support::{prelude::*, wire::Cut};

#[track_caller]
fn fails(gateway: &Gateway, target: &str, status: u16, reason: &str) {
    let answer = gateway.get("h", target);
    assert_eq!((answer.status, answer.reason().as_str()), (status, reason), "{target}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{target}");
    assert!(
        gateway.metric("tidegate_gateway_errors_total", &[("reason", reason)]) >= Some(1.0),
        "{target}"
    );
}

#[test]
fn a_port_nobody_listens_on_is_connect_refused() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = Gateway::to(&format!("http://{free}"));
    fails(&gateway, "/", 502, "connect_refused");
}

/// A socket that takes no more connections; SYNs to it are dropped.
fn full() -> (Socket, std::net::SocketAddr, Vec<TcpStream>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SockAddr = "127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into();
    socket.bind(&any).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    // A backlog of 0 takes one connection; further SYNs are dropped.
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        waiting.push(stream);
        assert!(waiting.len() < 16, "the backlog never fills");
    }
    (socket, address, waiting)
}

#[test]
fn a_full_backlog_is_connect_timeout() {
    let (_socket, address, _waiting) = full();
    let gateway = Gateway::start(&format!(
        "upstreams: {{ full: {{ endpoints: [\"http://{address}\"], connect_timeout: 200ms }} }}\n\
         routes: {{ app: {{ to: full }} }}\n"
    ));
    fails(&gateway, "/", 504, "connect_timeout");
    // `defaults` is written, so the tests' own is not: one second is built in.
    let gateway = Gateway::start(&format!(
        "defaults: {{ timeouts: {{ per_try: 20s }} }}\nroutes: {{ app: {{ to: \"http://{address}\" }} }}\n"
    ));
    let start = tokio::time::Instant::now();
    fails(&gateway, "/", 504, "connect_timeout");
    let took = start.elapsed().as_millis();
    assert!((900..10_000).contains(&took), "{took} ms");
}

#[test]
fn a_name_nobody_has_is_dns_error() {
    let gateway = Gateway::to("http://no-such-host.invalid:80");
    let answer = gateway.get("h", "/");
    let word = answer.reason();
    // Without any name server at all the question itself times out.
    assert!(
        matches!((answer.status, word.as_str()), (502, "dns_error") | (504, "dns_timeout")),
        "{word}"
    );
}

#[test]
fn a_late_head_is_upstream_timeout() {
    let upstream = Raw::serve(|peer| {
        peer.request();
        peer.gone();
    });
    let gateway = Gateway::start(&format!(
        "routes: {{ app: {{ to: \"{}\", timeouts: {{ per_try: 200ms }} }} }}\n",
        upstream.url()
    ));
    fails(&gateway, "/", 504, "upstream_timeout");
}

#[test]
fn a_request_that_takes_too_long_altogether_is_request_timeout() {
    let upstream = Raw::serve(|peer| {
        peer.request();
        peer.gone();
    });
    let gateway = Gateway::start(&format!(
        "routes: {{ app: {{ to: \"{}\", timeouts: {{ request: 200ms, per_try: 200ms }} }} }}\n",
        upstream.url()
    ));
    let answer = gateway.get("h", "/");
    assert_eq!(answer.status, 504);
    assert!(["request_timeout", "upstream_timeout"].contains(&answer.reason().as_str()));
}

#[test]
fn a_reset_or_a_close_before_the_head_is_upstream_reset() {
    let upstream = Raw::serve(|peer| {
        let Some(request) = peer.request() else { return };
        match request.head.word(1) {
            "/reset" => peer.reset(),
            "/half-head" => drop(peer.send("HTTP/1.1 200 OK\r\nContent-Len")),
            _ => {}
        }
    });
    let gateway = Gateway::to(&upstream.url());
    fails(&gateway, "/reset", 502, "upstream_reset");
    fails(&gateway, "/close", 502, "upstream_reset");
    fails(&gateway, "/half-head", 502, "upstream_reset");
}

#[test]
fn half_an_answer_is_shown_as_cut() {
    let upstream = Raw::serve(|peer| {
        let Some(request) = peer.request() else { return };
        match request.head.word(1) {
            "/sized" => peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
            _ => peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
        };
    });
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h1, h2c] }} }}\n\
         routes: {{ app: {{ to: \"{}\" }} }}\n",
        upstream.url()
    ));
    for (count, target) in [(1, "/sized"), (2, "/chunked")] {
        let mut client = gateway.client();
        client.request("GET", "h", target, &[]);
        let (answer, cut) = client.try_response("GET").unwrap();
        assert_eq!((answer.status, cut), (200, Some(Cut(b"half".to_vec()))), "{target}");
        assert_eq!(gateway.last_access(count)["reason"], "upstream_reset", "{target}");
    }
    let url = format!("{}/sized", gateway.url("http"));
    let answer = curl(&["--http2-prior-knowledge", &url]);
    assert!([18, 92].contains(&answer.code), "a reset stream, not a whole body: {answer:?}");
}

#[test]
fn garbage_is_bad_response() {
    let upstream = Raw::serve(|peer| {
        let Some(request) = peer.request() else { return };
        peer.send(match request.head.word(1) {
            "/garbage" => "these are not the droids\r\n\r\n",
            "/version" => "HTTP/9.9 200 OK\r\n\r\n",
            "/status" => "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
            "/lengths" => "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "/negative" => "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            _ => "HTTP/1.1 200 OK\r\nX-Nul: a\0b\r\nContent-Length: 0\r\n\r\n",
        });
    });
    let gateway = Gateway::to(&upstream.url());
    for target in ["/garbage", "/version", "/status", "/lengths", "/negative", "/nul"] {
        fails(&gateway, target, 502, "bad_response");
    }
}

#[test]
fn bytes_after_an_answer_never_become_the_next_one() {
    let upstream = Raw::serve(|peer| {
        while let Some(request) = peer.request() {
            peer.ok(request.head.word(1).as_bytes());
            if peer.index == 0 {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned");
            }
        }
    });
    let gateway = Gateway::to(&upstream.url());
    let mut client = gateway.client();
    for number in 0..10 {
        let target = format!("/{number}");
        assert_eq!(client.get("h", &target).text(), target);
    }
}

#[test]
fn an_idle_connection_closed_at_the_moment_of_reuse_costs_nothing() {
    // Every connection answers one request as if it could be reused and closes when the next one comes.
    let upstream = Raw::serve(|peer| {
        if peer.request().is_some() {
            peer.ok(b"first");
            peer.head();
        }
    });
    let gateway = Gateway::to(&upstream.url());
    let mut client = gateway.client();
    for _ in 0..8 {
        assert_eq!(client.get("h", "/").text(), "first");
        pause(Duration::from_millis(80)); // long enough to count as idle
    }
    let posted = client.post("h", "/", b"x");
    assert!(posted.status == 200 || posted.reason() == "upstream_reset", "{posted:?}");
}

#[test]
fn backups_do_not_answer_while_the_others_can() {
    let (first, second) = (Raw::text("first"), Raw::text("backup"));
    let gateway = Gateway::start(&format!(
        "upstreams:\n  app: {{ endpoints: [\"{}\", {{ url: \"{}\", backup: true }}] }}\nroutes: {{ app: {{ to: app }} }}\n",
        first.url(),
        second.url()
    ));
    let mut client = gateway.client();
    assert!((0..20).all(|_| client.get("h", "/").text() == "first"));
    assert_eq!(second.connections(), 0);
}

#[test]
fn more_requests_than_allowed_are_overloaded() {
    let upstream = Raw::serve(|peer| {
        peer.request();
        peer.gone();
    });
    let gateway = Gateway::start(&format!(
        "upstreams: {{ small: {{ endpoints: [\"{}\"], limits: {{ requests: 2, queue: 0 }} }} }}\n\
         routes: {{ app: {{ to: small }} }}\n",
        upstream.url()
    ));
    let mut held = [gateway.client(), gateway.client()];
    for client in &mut held {
        client.request("GET", "h", "/held", &[]);
    }
    until("both are with the upstream", || upstream.requests().len() == 2);
    let answer = gateway.get("h", "/");
    assert_eq!((answer.status, answer.reason().as_str()), (503, "overloaded"));
    assert!(answer.head.has("retry-after"));
}
