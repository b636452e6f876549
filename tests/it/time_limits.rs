//! Time limits: what somebody wrote is kept, and no default cuts what is slow by nature.

use std::{os::unix::net::UnixStream, thread};

use futures_util::StreamExt;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use crate::support::{
    grpc::{GrpcClient, GrpcServer, Note},
    h2client::H2,
    prelude::*,
    websocket::{EchoServer, Socket},
    wire::Framing,
};

/// An upstream that reads a body of any length and says how long it was.
fn counts() -> Raw {
    Raw::serve(|peer| {
        while let Some(request) = peer.request() {
            let answer = request.body.len().to_string();
            peer.ok(answer.as_bytes());
        }
    })
}

/// Sends one byte, `count` times, `every` so often, as a sized body.
fn drip(client: &mut Client, count: usize, every: Duration) {
    client.request("POST", "h", "/", &[&format!("Content-Length: {count}")]);
    for _ in 0..count {
        pause(every);
        assert!(client.send("x"), "the upload is cut");
    }
}

#[test]
fn an_upload_may_last_longer_than_first_byte() {
    let upstream = counts();
    let gateway = Gateway::start(&format!(
        "routes: {{ app: {{ to: \"{}\", timeouts: {{ first_byte: 300ms }} }} }}\n",
        upstream.url()
    ));
    let mut client = gateway.client();
    drip(&mut client, 8, Duration::from_millis(200));
    let answer = client.response();
    assert_eq!((answer.status, answer.text().as_str()), (200, "8"));
    // The same over HTTP/1.1 without a length.
    client.request("POST", "h", "/", &["Transfer-Encoding: chunked"]);
    for _ in 0..8 {
        pause(Duration::from_millis(200));
        assert!(client.send("1\r\nx\r\n"), "the upload is cut");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().text(), "8");
}

#[test]
fn first_byte_runs_from_the_end_of_the_upload() {
    let upstream = Raw::serve(|peer| {
        peer.request();
        peer.gone();
    });
    let gateway = Gateway::start(&format!(
        "routes: {{ app: {{ to: \"{}\", timeouts: {{ first_byte: 400ms }} }} }}\n",
        upstream.url()
    ));
    let mut client = gateway.client();
    drip(&mut client, 4, Duration::from_millis(200));
    let sent = Instant::now();
    let answer = client.response();
    assert_eq!((answer.status, answer.reason().as_str()), (504, "upstream_timeout"));
    assert!(sent.elapsed() >= Duration::from_millis(300), "after {:?}", sent.elapsed());
}

#[test]
fn an_upload_that_stalls_is_body_timeout() {
    let upstream = counts();
    let gateway = Gateway::start(&format!(
        "routes: {{ app: {{ to: \"{}\", timeouts: {{ idle: 300ms }} }} }}\n",
        upstream.url()
    ));
    let mut client = gateway.client();
    client.request("POST", "h", "/", &["Content-Length: 10"]);
    client.send("half");
    let answer = client.response();
    assert_eq!((answer.status, answer.reason().as_str()), (408, "body_timeout"));
    assert_eq!(gateway.last_access(1)["reason"], "body_timeout");
    assert_eq!(gateway.client().post("h", "/", b"whole").text(), "5");
}

#[test]
fn the_total_limit_also_ends_an_answer_under_way() {
    let upstream = Raw::serve(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while peer.send("1\r\nx\r\n") {
            pause(Duration::from_millis(50));
        }
    });
    let gateway = Gateway::start(&format!(
        "routes: {{ app: {{ to: \"{}\", timeouts: {{ request: 600ms }} }} }}\n",
        upstream.url()
    ));
    let mut client = gateway.client();
    client.request("GET", "h", "/", &[]);
    let (answer, cut) = client.try_response("GET").unwrap();
    assert_eq!(answer.status, 200);
    assert!(cut.is_some(), "cut, never ended as if it were whole");
    assert_eq!(gateway.last_access(1)["reason"], "request_timeout");
}

#[test]
fn a_buffered_body_is_whole_before_the_upstream_hears_of_it() {
    let upstream = counts();
    let gateway = Gateway::start(&format!(
        "routes: {{ app: {{ to: \"{}\", body: {{ max: 1MiB, buffer: true }} }} }}\n",
        upstream.url()
    ));
    let mut client = gateway.client();
    client.request("POST", "h", "/", &["Content-Length: 10"]);
    client.send("first");
    pause(crate::support::gateway::SHORT);
    assert_eq!(upstream.connections(), 0, "nothing goes out before the body is whole");
    client.send("other");
    assert_eq!(client.response().text(), "10");
}

/// Longer than every default but the head limit on idle client connections.
const QUIET: Duration = Duration::from_secs(63);

/// Takes no share of the machine: it sleeps for a minute, and nothing it asserts is tight.
#[test]
fn no_default_cuts_what_is_quiet_by_nature() {
    let events = Raw::serve(|peer| {
        while let Some(request) = peer.request() {
            if request.head.word(1) == "/never" {
                return peer.gone();
            }
            let quiet = request.head.word(1) == "/events";
            let kind = if quiet { "text/event-stream" } else { "text/plain" };
            peer.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
            ));
            if !quiet {
                return peer.gone();
            }
            pause(QUIET);
            peer.send("1\r\nb\r\n0\r\n\r\n");
        }
    });
    let (uploads, echo, grpc) = (counts(), EchoServer::start(), GrpcServer::start());
    let gateway = Gateway::builder().measured().start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h1, h2c] }} }}\n\
         routes:\n  events: {{ to: \"{}\" }}\n  upload: {{ match: POST /, to: \"{}\" }}\n\
         \x20 ws: {{ match: /ws, to: \"{}\" }}\n  grpc: {{ match: \"/tide.Echo/**\", to: \"{}\" }}\n",
        events.url(),
        uploads.url(),
        echo.url(),
        grpc.url()
    ));
    let address = gateway.addr("http");
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = patient(&gateway);
            client.request("GET", "h", "/events", &[]);
            let (_, head) = client.head().unwrap();
            let body = client.wire().body(head.framing(Framing::Close));
            assert_eq!(body.unwrap(), b"ab", "an event stream may be quiet");
        });
        scope.spawn(|| {
            let mut socket = Socket::connect(address, "h", "/ws").unwrap();
            assert_eq!(socket.ask("before").as_deref(), Some("before"));
            pause(QUIET);
            assert_eq!(socket.ask("after").as_deref(), Some("after"), "a WebSocket may be quiet");
            socket.close();
        });
        scope.spawn(|| {
            let mut client = patient(&gateway);
            drip(&mut client, 8, Duration::from_secs(5));
            assert_eq!(client.response().text(), "8", "an upload may last longer than 30 s");
        });
        scope.spawn(|| chats(address));
        // And the two that must be cut, at their time.
        scope.spawn(|| {
            let start = Instant::now();
            let mut client = patient(&gateway);
            client.request("GET", "h", "/never", &[]);
            let answer = client.response();
            assert_eq!((answer.status, answer.reason().as_str()), (504, "upstream_timeout"));
            assert!((28..45).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
        });
        scope.spawn(|| {
            let start = Instant::now();
            let mut client = patient(&gateway);
            client.request("GET", "h", "/plain", &[]);
            let (_, cut) = client.try_response("GET").unwrap();
            assert!(cut.is_some(), "a plain answer that stalls is cut");
            assert!((58..75).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
        });
    });
}

/// A gRPC stream that is quiet in the middle, on a runtime without the usual limit.
fn chats(address: std::net::SocketAddr) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut client = GrpcClient::connect(address).await;
        let (send, receive) = tokio::sync::mpsc::channel(1);
        let mut heard = client.chat(ReceiverStream::new(receive)).await.unwrap();
        for number in 0..2 {
            send.send(Note::new("", number)).await.unwrap();
            let note = heard.next().await.expect("a gRPC stream may be quiet").unwrap();
            assert_eq!(note.number, number);
            if number == 0 {
                tokio::time::sleep(QUIET).await;
            }
        }
    });
}

/// A client that waits longer than the usual deadline for the next byte.
fn patient(gateway: &Gateway) -> Client {
    let client = gateway.client();
    client.tcp().set_read_timeout(Some(QUIET + DEADLINE)).unwrap();
    client
}

#[test]
fn a_handshake_that_never_ends_is_cut() {
    let authority = Authority::new();
    let gateway = Gateway::start(&format!(
        "listeners: {{ https: {{ address: \"127.0.0.1:0\", tls: true, timeouts: {{ handshake: 300ms }} }} }}\n\
         tls: {{ certificates: [{}] }}\nroutes: {{ app: {{ respond: 200 }} }}\n",
        authority.issue("a", &["a.example"]).yaml()
    ));
    let mut silent = Client::connect(gateway.addr("https"));
    assert!(silent.closed());
    until("the handshake is counted", || {
        gateway.metric("tidegate_tls_handshakes_total", &[("result", "timeout")]) == Some(1.0)
    });
}

#[test]
fn a_silent_client_of_the_admin_socket_holds_nobody_up() {
    let gateway = Gateway::start("routes: { app: { respond: 200 } }\n");
    let silent = UnixStream::connect(gateway.socket()).unwrap();
    assert!(gateway.verb(&["reload", "--wait"]).status.success());
    drop(silent);
}

#[test]
fn a_limit_the_sweep_looks_at_holds_for_every_way_into_http2() {
    // Takes the request and never answers.
    let upstream = Raw::serve(|peer| {
        peer.request();
        peer.request();
    });
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h1, h2c] }} }}\n\
         routes: {{ app: {{ to: \"{}\", timeouts: {{ first_byte: 5s }} }} }}\n",
        upstream.url()
    ));
    let address = gateway.addr("http");
    let status = block_on(async {
        let request = http::Request::get("http://h/").body(()).unwrap();
        let answer = H2::plain(address).await.exchange(request, b"", None).await.unwrap();
        answer.head.status()
    });
    assert_eq!(status, 504);
}

#[test]
fn per_try_takes_the_upload_with_it_and_blames_nobody() {
    let (upstream, other) = (counts(), counts());
    let gateway = Gateway::start(&format!(
        "upstreams: {{ app: {{ endpoints: [\"{}\", \"{}\"], outlier: {{ after: 1 }} }} }}\n\
         routes: {{ app: {{ to: app, timeouts: {{ per_try: 500ms }}, \
         retry: {{ times: 3, when: timeout, methods: any }} }} }}\n",
        upstream.url(),
        other.url()
    ));
    let mut client = gateway.client();
    client.request("POST", "h", "/", &["Transfer-Encoding: chunked"]);
    let begun = Instant::now();
    for _ in 0..3 {
        client.send("1\r\nx\r\n");
        pause(Duration::from_millis(200));
    }
    let answer = client.response();
    assert_eq!((answer.status, answer.reason().as_str()), (504, "request_timeout"));
    assert!(begun.elapsed() >= Duration::from_millis(500), "after {:?}", begun.elapsed());
    let line = gateway.last_access(1);
    assert_eq!(line["tries"], 1, "{line}");
    assert_eq!(gateway.metric("tidegate_endpoint_ejections_total", &[]).unwrap_or(0.0), 0.0);
    // One that is sent at once has the time for itself.
    assert_eq!(gateway.client().post("h", "/", b"whole").text(), "5");
}

#[test]
fn a_route_may_be_in_more_of_a_hurry_to_connect() {
    const LONG: Duration = Duration::from_secs(10);
    // It accepts, and never says a word of TLS.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", mute.local_addr().unwrap());
    for (upstream, limit) in [
        ("10s", "connect: 300ms"),
        ("10s", "per_try: 300ms"),
        ("300ms", "connect: 10s"),
        ("300ms", "per_try: 10s"),
    ] {
        let gateway = Gateway::start(&format!(
            "upstreams: {{ app: {{ endpoints: [\"{url}\"], connect_timeout: {upstream} }} }}\n\
             routes: {{ app: {{ to: app, timeouts: {{ {limit} }} }} }}\n"
        ));
        let begun = Instant::now();
        let answer = gateway.get("h", "/");
        assert_eq!((answer.status, answer.reason().as_str()), (504, "connect_timeout"), "{limit}");
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(300) && took < LONG / 2, "{limit}: after {took:?}");
    }
}

#[test]
fn who_waits_for_the_connection_of_another_waits_no_longer_than_for_its_own() {
    const LIMIT: Duration = Duration::from_millis(700);
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h2c] }} }}\n\
         upstreams: {{ app: {{ endpoints: [\"https://{}\"], protocol: h2, connect_timeout: 700ms }} }}\n\
         routes: {{ app: {{ to: app }} }}\n",
        mute.local_addr().unwrap()
    ));
    let address = gateway.addr("http");
    let begun = Instant::now();
    block_on(async {
        let h2 = H2::plain(address).await;
        let one = async || {
            let mut send = h2.send.clone().ready().await.unwrap();
            let request = http::Request::get("http://h/").body(()).unwrap();
            send.send_request(request, true).unwrap().0.await.unwrap().status()
        };
        let answers = futures_util::future::join_all((0..8).map(|_| one())).await;
        assert!(answers.iter().all(|status| *status == 504), "{answers:?}");
    });
    // In turn it would take eight times as long.
    let took = begun.elapsed();
    assert!(took >= LIMIT && took < 4 * LIMIT, "after {took:?}");
}
