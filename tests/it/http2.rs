//! HTTP/2 on both sides: TLS by ALPN, plain text by prior knowledge, towards upstreams.

use http::{HeaderMap, HeaderValue, Request};

use crate::support::{
    certs::Issued,
    h2client::H2,
    h2upstream::{END_HEADERS, H2Peer, HEADERS, field},
    http::Response,
    prelude::*,
    tls,
    tools::{Fetched, h2load},
};

/// Curl towards the TLS listener under a name the certificate has.
fn fetch(
    gateway: &Gateway,
    authority: &Authority,
    host: &str,
    target: &str,
    more: &[&str],
) -> Fetched {
    let address = gateway.addr("https");
    let resolve = format!("{host}:{}:127.0.0.1", address.port());
    let url = format!("https://{host}:{}{target}", address.port());
    let ca = authority.file();
    let fixed = ["--resolve", &resolve, "--cacert", ca.to_str().unwrap(), &url];
    curl(&[&fixed, more].concat())
}

fn secure(certificates: &[&Issued], rest: &str) -> Gateway {
    let list: Vec<_> = certificates.iter().map(|issued| issued.yaml()).collect();
    Gateway::start(&format!(
        "listeners: {{ https: {{ address: \"127.0.0.1:0\", tls: true }} }}\n\
         tls: {{ certificates: [{}] }}\n{rest}",
        list.join(", ")
    ))
}

#[test]
fn alpn_chooses_between_http2_and_http1() {
    let authority = Authority::new();
    let upstream = Raw::echo();
    let gateway = secure(
        &[&authority.issue("a", &["a.example"])],
        &format!("routes: {{ app: {{ to: \"{}\" }} }}\n", upstream.url()),
    );
    let two = fetch(&gateway, &authority, "a.example", "/x", &["--http2"]);
    assert_eq!((two.status, two.version.as_str()), (200, "2"), "{two:?}");
    let one = fetch(&gateway, &authority, "a.example", "/x", &["--http1.1"]);
    assert_eq!((one.status, one.version.as_str()), (200, "1.1"), "{one:?}");
    let host = format!("host: a.example:{}", gateway.addr("https").port());
    for answer in [one, two] {
        assert!(answer.text().to_lowercase().contains(&host), "{}", answer.text());
        assert!(
            answer.text().to_lowercase().contains("x-forwarded-proto: https"),
            "{}",
            answer.text()
        );
    }
}

#[test]
fn the_certificate_follows_the_name() {
    let authority = Authority::new();
    let (a, b) = (authority.issue("a", &["a.example"]), authority.issue("b", &["*.b.example"]));
    let gateway = secure(&[&a, &b], "routes: { app: { respond: { status: 200, body: ok } } }\n");
    let address = gateway.addr("https");
    let shown = |name: &str| tls::certificate(address, name, &authority);
    assert_eq!(shown("a.example"), shown("a.example"));
    assert_ne!(shown("a.example"), shown("x.b.example"));
    let unknown = fetch(&gateway, &authority, "c.example", "/", &["-k"]);
    assert_eq!(unknown.status, 200, "the first certificate is the fallback: {unknown:?}");
    assert_eq!(fetch(&gateway, &authority, "c.example", "/", &[]).code, 60, "and does not cover c");
}

#[test]
fn a_name_of_another_host_than_the_sessions_is_misdirected_when_unknown() {
    let authority = Authority::new();
    let gateway = secure(
        &[&authority.issue("a", &["a.example"])],
        "routes: { app: { match: a.example, respond: { status: 200, body: ok } } }\n",
    );
    let mut client = tls::connect(gateway.addr("https"), "a.example", &authority);
    assert_eq!(client.get("a.example", "/").status, 200);
    let answer: Response = client.get("unknown.example", "/");
    assert_eq!((answer.status, answer.reason().as_str()), (421, "misdirected"));
}

#[test]
fn plain_text_http2_by_prior_knowledge() {
    let upstream = Raw::echo();
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h1, h2c] }} }}\n\
         routes: {{ app: {{ to: \"{}\" }} }}\n",
        upstream.url()
    ));
    let url = format!("{}/p?q=1", gateway.url("http"));
    let answer = curl(&["--http2-prior-knowledge", &url]);
    assert_eq!((answer.status, answer.version.as_str()), (200, "2"), "{answer:?}");
    assert!(answer.text().starts_with("GET /p?q=1 HTTP/1.1"), "{}", answer.text());
    assert_eq!(curl(&["--http1.1", &url]).version, "1.1", "the same port still speaks HTTP/1.1");
    let answer = curl(&["--http2-prior-knowledge", "--data-binary", "hello", &url]);
    assert!(answer.text().ends_with("\n\nhello"), "{answer:?}");
}

#[test]
fn upstreams_speak_http2_by_alpn_and_by_scheme() {
    let authority = Authority::new();
    let nginx = Nginx::tls(
        &authority.issue("up", &["localhost", "127.0.0.1"]),
        "location / { return 200 \"$server_protocol $host\"; }",
    );
    let gateway = Gateway::start(&format!(
        "upstreams:\n  auto: {{ endpoints: [\"{0}\"], tls: {{ ca: \"{1}\" }}, host_header: up.example }}\n\
         \x20 one: {{ endpoints: [\"{0}\"], tls: {{ ca: \"{1}\", server_name: localhost }}, protocol: h1 }}\n\
         \x20 strict: {{ endpoints: [\"{0}\"], tls: {{ server_name: other.example, ca: \"{1}\" }} }}\n\
         \x20 distrust: \"{0}\"\n\
         routes:\n  a: {{ match: /auto, to: auto }}\n  b: {{ match: /one, to: one }}\n\
         \x20 c: {{ match: /strict, to: strict }}\n  d: {{ match: /distrust, to: distrust }}\n",
        nginx.url(),
        authority.file().display()
    ));
    assert_eq!(gateway.get("h.example", "/auto").text(), "HTTP/2.0 up.example");
    assert_eq!(gateway.get("h.example", "/one").text(), "HTTP/1.1 h.example");
    for target in ["/strict", "/distrust"] {
        let answer = gateway.get("h.example", target);
        assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_tls"), "{target}");
    }
}

#[test]
fn many_streams_of_one_connection_do_not_wait_for_each_other() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = parking_lot::Mutex::new(released);
    let upstream = Raw::serve(move |peer| {
        while let Some(request) = peer.request() {
            if request.head.word(1) == "/slow" {
                released.lock().recv_timeout(3 * DEADLINE).expect("the test lets it go on");
            }
            peer.ok(request.head.word(1).as_bytes());
        }
    });
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h2c] }} }}\n\
         routes: {{ app: {{ to: \"{}\" }} }}\n",
        upstream.url()
    ));
    let address = gateway.addr("http");
    block_on(async {
        let mut h2 = H2::plain(address).await;
        let get = |path: &str| Request::get(format!("http://h{path}")).body(()).unwrap();
        let mut slow = H2 { send: h2.send.clone() };
        let slow = tokio::spawn(async move {
            let request = Request::get("http://h/slow").body(()).unwrap();
            slow.exchange(request, b"", None).await
        });
        for number in 0..50 {
            let path = format!("/{number}");
            let answer = h2.exchange(get(&path), b"", None).await.unwrap();
            assert_eq!(answer.body, path.as_bytes(), "answers are not mixed up");
        }
        assert!(!slow.is_finished(), "fifty quick ones passed the slow one");
        release.send(()).unwrap();
        assert_eq!(slow.await.unwrap().unwrap().body, b"/slow");
    });
}

#[test]
fn trailers_cross_between_the_versions() {
    let upstream = Raw::serve(|peer| {
        while let Some(request) = peer.request() {
            let seen = format!("{:?}", peer.wire().trailers).to_lowercase();
            let text = [seen.as_bytes(), &request.body].concat();
            peer.send(format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
                text.len()
            ));
            peer.send(text);
            peer.send("\r\n0\r\nX-Sum: 42\r\n\r\n");
        }
    });
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h2c] }} }}\n\
         routes: {{ app: {{ to: \"{}\" }} }}\n",
        upstream.url()
    ));
    let address = gateway.addr("http");
    let answer = block_on(async {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-check", HeaderValue::from_static("ok"));
        let request = Request::post("http://h/")
            .header("te", "trailers")
            .header("trailer", "x-check")
            .body(())
            .unwrap();
        H2::plain(address).await.exchange(request, b"hi", Some(trailers)).await.unwrap()
    });
    assert_eq!(String::from_utf8_lossy(&answer.body), "[(\"x-check\", \"ok\")]hi");
    assert_eq!(answer.trailers.expect("trailers pass")["x-sum"], "42");
    assert_eq!(answer.head.status(), 200);
}

#[test]
fn h2load_runs_clean_over_tls_and_in_plain_text() {
    let authority = Authority::new();
    let issued = authority.issue("a", &["localhost", "127.0.0.1"]);
    let nginx = Nginx::start("location / { return 200 \"0123456789\"; }");
    let gateway = Gateway::start(&format!(
        "listeners:\n  http: {{ address: \"127.0.0.1:0\", protocols: [h1, h2c] }}\n  https: {{ address: \"127.0.0.1:0\", tls: true }}\n\
         tls: {{ certificates: [{}] }}\nroutes: {{ app: {{ to: \"{}\" }} }}\n",
        issued.yaml(),
        nginx.url()
    ));
    for (listener, more) in
        [("https", &["-m", "10"][..]), ("http", &["-m", "10"]), ("http", &["--h1"])]
    {
        let url = format!("{}/", gateway.url(listener));
        let load = h2load(&[&["-n", "2000", "-c", "8"], more, &[&url]].concat());
        assert_eq!((load.succeeded, load.failed, load.ok), (2000, 0, 2000), "{listener} {more:?}");
    }
}

const BIG: usize = 64 * 1024 * 1024;

/// Reads nothing of an upload until told to; sends a download as fast as it is taken.
fn large() -> (Raw, std::sync::mpsc::Sender<()>) {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = parking_lot::Mutex::new(released);
    let raw = Raw::serve(move |peer| {
        while let Some(head) = peer.head() {
            match head.word(1) {
                "/up" => {
                    released.lock().recv_timeout(3 * DEADLINE).expect("the test lets it go on");
                    let mut left = BIG;
                    while left > 0 {
                        left -= peer.wire().take(left.min(1024 * 1024)).expect("all of it").len();
                    }
                    peer.ok(b"all");
                }
                "/down" => {
                    peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {BIG}\r\n\r\n"));
                    for _ in 0..BIG / (1024 * 1024) {
                        if !peer.send(vec![b'y'; 1024 * 1024]) {
                            return;
                        }
                    }
                }
                _ => drop(peer.ok(b"quick")),
            }
        }
    });
    (raw, release)
}

/// A client whose streams cannot use up the window all of them share.
async fn roomy(address: std::net::SocketAddr) -> H2 {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (send, connection) = h2::client::Builder::new()
        .initial_connection_window_size(16 * 1024 * 1024)
        .handshake(stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    H2 { send: send.ready().await.unwrap() }
}

/// Sends all of a large body.
async fn fill(mut send: h2::SendStream<bytes::Bytes>) {
    let mut left = BIG;
    while left > 0 {
        send.reserve_capacity(left.min(64 * 1024));
        let room = std::future::poll_fn(|cx| send.poll_capacity(cx)).await;
        let room = room.expect("the stream is open").unwrap().min(left);
        send.send_data(vec![b'x'; room].into(), left == room).unwrap();
        left -= room;
    }
}

/// Counts the bytes of a body.
async fn empty(mut body: h2::RecvStream) -> usize {
    let mut count = 0;
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        count += piece.len();
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
    count
}

#[test]
fn bodies_are_held_back_stream_by_stream() {
    let (upstream, release) = large();
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h2c] }} }}\n\
         routes: {{ app: {{ to: \"{}\", body: none }} }}\n",
        upstream.url()
    ));
    let address = gateway.addr("http");
    block_on(async {
        let mut h2 = roomy(address).await;
        let before = gateway.usage().resident;
        let up = Request::post("http://h/up").header("content-length", BIG).body(()).unwrap();
        let (answer, send) = h2.send.send_request(up, false).unwrap();
        let down = Request::get("http://h/down").body(()).unwrap();
        h2.send = h2.send.clone().ready().await.unwrap();
        let (download, _) = h2.send.send_request(down, true).unwrap();
        let download = download.await.unwrap();
        assert_eq!(download.status(), 200);
        // Both are stuck now; others are not.
        tokio::time::sleep(Duration::from_millis(700)).await;
        let quick = Request::get("http://h/quick").body(()).unwrap();
        assert_eq!(h2.exchange(quick, b"", None).await.unwrap().body, b"quick");
        let grown = gateway.usage().resident.saturating_sub(before);
        assert!(grown < 24 * 1024, "memory grew by {grown} KiB while nobody read");
        release.send(()).unwrap();
        let ((), taken) = tokio::join!(fill(send), empty(download.into_body()));
        assert_eq!(taken, BIG);
        let mut body = answer.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "all");
        let grown = gateway.usage().resident.saturating_sub(before);
        assert!(grown < 32 * 1024, "memory grew by {grown} KiB while 128 MiB passed");
    });
}

#[test]
fn interim_answers_of_an_upstream_are_passed_on_and_limited() {
    let upstream = Raw::serve(|peer| {
        let Some(mut h2) = H2Peer::accept(peer) else { return };
        for times in [1, 16, 17] {
            let Some(stream) = h2.request() else { return };
            let hint = [field(":status", "103"), field("link", "</a.css>")].concat();
            for _ in 0..times {
                h2.send(HEADERS, END_HEADERS, stream, &hint);
            }
            h2.ok(stream, b"ok");
        }
    });
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\" }} }}\n\
         upstreams: {{ app: {{ endpoints: [\"h2c://{}\"] }} }}\nroutes: {{ app: {{ to: app }} }}\n",
        upstream.address()
    ));
    // One connection of the client, so one worker and one connection of the upstream.
    let mut client = gateway.client();
    for times in [1, 16] {
        let answer = client.get("h", "/");
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
        assert_eq!(answer.interim.len(), times);
        assert_eq!(answer.interim[0].word(1), "103");
        assert_eq!(answer.interim[0].get("link"), Some("</a.css>"));
    }
    let answer = client.get("h", "/");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "bad_response"));
}
