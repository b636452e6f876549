//! `GET`, over HTTP/1.1 and HTTP/2.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::ServerConfig;
use tokio::{io::AsyncWriteExt, net::UnixListener, time::Instant};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::tls::testing::TestCa;

/// Answers every connection with these bytes and closes it.
async fn says(answer: impl Into<Vec<u8>>) -> String {
    let answer = Arc::new(answer.into());
    let address = serve(move |mut stream| {
        let answer = Arc::clone(&answer);
        async move {
            head(&mut stream).await;
            let _ = stream.write_all(&answer).await;
        }
    });
    format!("http://{}", address.await)
}

#[tokio::test]
async fn what_is_asked_is_a_plain_get_over_a_connection_of_its_own() {
    let (sender, mut heads) = mpsc::unbounded_channel();
    let address = serve(move |mut stream| {
        let sender = sender.clone();
        async move {
            sender.send(head(&mut stream).await).unwrap();
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            assert!(stream.read_u8().await.is_err(), "nothing else is asked");
        }
    })
    .await;
    // Without a single connection for requests.
    assert_eq!(check(format!("http://{address}"), "path: \"/up?a=1\"").await, Outcome::Good);
    let expected = format!(
        "GET /up?a=1 HTTP/1.1\r\nHost: {address}\r\nUser-Agent: tidegate/{} (health check)\r\n\
         Accept: */*\r\nConnection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(heads.recv().await, Some(expected));
    let outcome = check(format!("http://{address}"), "path: /up, host: inner.example").await;
    assert_eq!(outcome, Outcome::Good);
    let head = heads.recv().await.unwrap();
    assert!(head.contains("\r\nHost: inner.example\r\n"), "{head}");
}

#[tokio::test]
async fn a_check_takes_no_connection_from_the_requests() {
    let url = says("HTTP/1.1 200 OK\r\n\r\n").await;
    let text = format!(
        "app: {{ endpoints: [\"{url}\"], limits: {{ connections: 1 }}, health: {{ path: /, every: 2s }} }}"
    );
    let runtime = compile(&text, None, &context());
    let upstream = &runtime.upstreams["app"].get();
    let _taken = upstream.endpoints[0].permit(Duration::from_secs(1)).await.unwrap();
    assert_eq!(check_upstream(upstream).await, Outcome::Good);
}

#[tokio::test]
async fn every_bad_answer_has_its_reason() {
    let head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(70_000));
    let cases = [
        ("HTTP/1.1 500 No\r\n\r\n".to_owned(), "status 500"),
        ("HTTP/1.1 302 Found\r\nLocation: /other\r\n\r\n".to_owned(), "status 302"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned(), "status 101"),
        (String::new(), "the connection was closed before"),
        ("HTTP/1.1 200 OK\r\nContent".to_owned(), "the connection was closed before"),
        ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), "malformed"),
        (head, "the head is too large"),
        ("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(40), "the head is too large"),
    ];
    for (answer, expected) in cases {
        let shown = answer.chars().take(40).collect::<String>();
        let why = why(says(answer).await, "path: /").await;
        assert!(why.starts_with(expected), "{shown}: {why}");
    }
}

#[tokio::test]
async fn statuses_are_those_expected() {
    let redirect = says("HTTP/1.1 302 Found\r\nLocation: /other\r\n\r\n").await;
    assert_eq!(check(&redirect, "path: /, expect: [204, 300-399]").await, Outcome::Good);
    let fine = says("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n").await;
    assert_eq!(check(&fine, "path: /").await, Outcome::Good, "after an interim answer");
    assert_eq!(why(&fine, "path: /, expect: 200").await, "status 204");
}

#[tokio::test]
async fn who_does_not_answer_in_time_is_bad() {
    let held = serve(|mut stream| async move {
        head(&mut stream).await;
        // Until the checker leaves.
        let _ = stream.read_u8().await;
    });
    let started = Instant::now();
    let why = why(format!("http://{}", held.await), "path: /").await;
    assert_eq!(why, "timeout: no answer in time");
    let took = started.elapsed();
    assert!(Duration::from_millis(490) < took && took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn a_tls_handshake_that_hangs_is_bad_in_time() {
    let silent = serve(|mut stream| async move {
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    });
    let why = why(format!("https://{}", silent.await), "path: /").await;
    assert_eq!(why, "timeout: no connection in time");
}

#[tokio::test]
async fn nobody_there_is_said_so() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let why_tcp = why(format!("http://{free}"), "path: /").await;
    assert!(why_tcp.starts_with("Connection refused"), "{why_tcp}");
    let why_unix = why("unix:/nowhere/at/all.sock", "path: /").await;
    assert!(why_unix.starts_with("No such file"), "{why_unix}");
}

#[tokio::test]
async fn a_body_that_never_ends_does_not_hold_a_check_up() {
    let (sender, mut gone) = mpsc::unbounded_channel();
    let address = serve(move |mut stream| {
        let sender = sender.clone();
        async move {
            head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            while stream.write_all(&[b'x'; 1000]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            sender.send(()).unwrap();
        }
    })
    .await;
    assert_eq!(check(format!("http://{address}"), "path: /").await, Outcome::Good);
    soon(gone.recv()).await.expect("the connection was closed");
}

#[tokio::test]
async fn unix_sockets_are_checked_too() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let asked = head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        asked
    });
    assert_eq!(check(format!("unix:{}", path.display()), "path: /").await, Outcome::Good);
    let asked = server.await.unwrap();
    assert!(asked.contains("\r\nHost: localhost\r\n"), "{asked}");
}

// === HTTP/2 ===

fn respond((request, mut respond): Asked) {
    let fine = request.uri().path() == "/up" && request.method() == "GET";
    let agent = request.headers()["user-agent"].to_str().unwrap().contains("(health check)");
    let status = if fine && agent { 200 } else { 500 };
    let answer = http::Response::builder().status(status).body(()).unwrap();
    // The body never ends.
    let mut body = respond.send_response(answer, false).unwrap();
    body.send_data(Bytes::from_static(b"x"), false).unwrap();
    std::mem::forget(body);
}

#[tokio::test]
async fn http2_by_prior_knowledge_leaves_nothing_behind() {
    let (sender, mut gone) = mpsc::unbounded_channel();
    let answered = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&answered);
    let address = serve(move |stream| {
        let (sender, count) = (sender.clone(), Arc::clone(&count));
        let answer = move |asked: Asked| {
            count.fetch_add(1, Ordering::SeqCst);
            if asked.0.uri().path() == "/hang" { std::mem::forget(asked) } else { respond(asked) }
        };
        async move { serve_h2(stream, answer, sender).await }
    })
    .await;
    let url = format!("h2c://{address}");
    assert_eq!(check(&url, "path: /up").await, Outcome::Good);
    soon(gone.recv()).await.unwrap();
    assert_eq!(why(&url, "path: /down").await, "status 500");
    soon(gone.recv()).await.unwrap();
    assert_eq!(why(&url, "path: /hang").await, "timeout: no answer in time");
    soon(gone.recv()).await.unwrap();
    assert_eq!(answered.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn http2_asked_of_who_speaks_http1_is_bad() {
    let url = says("HTTP/1.1 400 Bad Request\r\n\r\n").await.replace("http:", "h2c:");
    let why = why(url, "path: /").await;
    assert!(why.starts_with("HTTP/2: "), "{why}");
    let silent = serve(|mut stream| async move {
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    });
    let why = super::why(format!("h2c://{}", silent.await), "path: /").await;
    assert_eq!(why, "timeout: no answer in time");
}

#[tokio::test]
async fn over_tls_alpn_decides_and_the_certificate_counts() {
    let ca = TestCa::new();
    let files = ca.issue("site", &["localhost"], 30);
    for alpn in ["h2", "http/1.1"] {
        let (identity, _) =
            crate::tls::identity(&files.cert, &files.key, crate::tls::now()).unwrap();
        let mut config = ServerConfig::builder_with_provider(crate::tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(identity.key)));
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let address = serve(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    return serve_h2(stream, respond, mpsc::unbounded_channel().0).await;
                }
                head(&mut stream).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let _ = stream.shutdown().await;
            }
        })
        .await;
        let url = format!("https://localhost:{}", address.port());
        let checked = |tls: String| {
            let text = format!(
                "app: {{ endpoints: [\"{url}\"], tls: {{ {tls} }}, health: {{ path: /up, every: 5s }} }}"
            );
            let runtime = compile(&text, None, &context());
            async move { check_upstream(&runtime.upstreams["app"].get()).await }
        };
        let root = ca.file().value;
        let good = checked(format!("ca: \"{}\"", root.display())).await;
        assert_eq!(good, Outcome::Good, "{alpn}");
        let other = TestCa::new();
        match checked(format!("ca: \"{}\"", other.file().value.display())).await {
            Outcome::Bad(why) => assert!(why.to_string().starts_with("TLS: "), "{why}"),
            outcome => panic!("{outcome:?}"),
        }
    }
}
