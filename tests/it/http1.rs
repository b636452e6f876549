//! HTTP/1.1 through the gateway: framing both ways, keep-alive, pipelining, interim responses, bodies
//! larger than any buffer.

use std::io::{Read, Write};

use crate::support::{http::head, prelude::*, wire::Framing};

#[test]
fn one_connection_serves_many_requests_and_reuses_one_upstream_connection() {
    let upstream = Raw::echo();
    let gateway = Gateway::start(&format!(
        "server: {{ name: edge, workers: 1, drain: {{ delay: 0s, timeout: 5s }} }}\nroutes: {{ app: {{ to: \"{}\" }} }}\n",
        upstream.url()
    ));
    let mut client = gateway.client();
    for number in 0..20 {
        let answer = client.get("h", &format!("/{number}"));
        assert_eq!(answer.echoed_target(), format!("/{number}"));
        assert!(!answer.head.has("connection"), "{:?}", answer.head);
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn bodies_keep_their_framing_and_content_both_ways() {
    let upstream = Raw::echo();
    let gateway = Gateway::to(&upstream.url());
    let mut client = gateway.client();
    let answer = client.post("h", "/", b"sized");
    assert!(answer.text().ends_with("\n\nsized"));
    assert_eq!(answer.echoed("content-length").as_deref(), Some("5"));
    assert_eq!(answer.echoed("transfer-encoding"), None);

    client.request("POST", "h", "/", &["Transfer-Encoding: chunked"]);
    client.send("3\r\nabc\r\n");
    client.send("2;ext=1\r\nde\r\n0\r\n\r\n");
    let answer = client.response();
    assert!(answer.text().ends_with("\n\nabcde"), "{}", answer.text());
    assert_eq!(answer.echoed("transfer-encoding").as_deref(), Some("chunked"));
    assert_eq!(answer.echoed("content-length"), None);
    assert_eq!(client.get("h", "/still").status, 200);
}

#[test]
fn trailers_pass_both_ways() {
    let upstream = Raw::serve(|peer| {
        while let Some(head) = peer.head() {
            let body = peer.wire().body(head.framing(Framing::None)).unwrap();
            let trailers = format!("{:?}", peer.wire().trailers).to_lowercase();
            let text = format!("{}|{trailers}", String::from_utf8_lossy(&body));
            peer.send(format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n{:x}\r\n{text}\r\n0\r\nX-Sum: 42\r\n\r\n",
                text.len()
            ));
        }
    });
    let gateway = Gateway::to(&upstream.url());
    let mut client = gateway.client();
    let fields = ["Transfer-Encoding: chunked", "Trailer: X-Check", "TE: trailers"];
    client.request("POST", "h", "/", &fields);
    client.send("2\r\nhi\r\n0\r\nX-Check: ok\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.text(), "hi|[(\"x-check\", \"ok\")]");
    let trailers: Vec<_> =
        answer.trailers.iter().map(|(n, v)| (n.to_lowercase(), v.as_str())).collect();
    assert_eq!(trailers, [("x-sum".to_owned(), "42")]);
}

#[test]
fn answers_without_a_body_have_none() {
    let upstream = Raw::serve(|peer| {
        while let Some(request) = peer.request() {
            peer.send(match request.head.word(1) {
                "/204" => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
                "/304" => "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 99\r\n\r\n"
                    .to_owned(),
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n".to_owned(),
            });
        }
    });
    let gateway = Gateway::to(&upstream.url());
    let mut client = gateway.client();
    let answer = client.exchange("HEAD", "h", "/head", &[]);
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("1234")));
    let answer = client.get("h", "/204");
    assert_eq!((answer.status, answer.header("content-length")), (204, None));
    assert!(!answer.head.has("transfer-encoding"));
    let answer = client.get("h", "/304");
    assert_eq!((answer.status, answer.header("etag")), (304, Some("\"x\"")));
    assert_eq!(
        client.exchange("HEAD", "h", "/", &[]).status,
        200,
        "the connection is still in step"
    );
}

#[test]
fn the_client_is_told_to_continue_only_by_the_upstream() {
    let upstream = Raw::serve(|peer| {
        while let Some(head) = peer.head() {
            if head.word(1) == "/no" {
                peer.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                return;
            }
            assert_eq!(head.get("expect"), Some("100-continue"));
            peer.send("HTTP/1.1 100 Continue\r\n\r\n");
            let body = peer.wire().body(head.framing(Framing::None)).unwrap();
            peer.ok(&body);
        }
    });
    let gateway = Gateway::to(&upstream.url());
    let mut client = gateway.client();
    client.request("POST", "h", "/", &["Expect: 100-continue", "Content-Length: 4"]);
    let interim = client.wire().head().expect("an interim response");
    assert_eq!(interim.word(1), "100");
    client.send("body");
    assert_eq!(client.response().text(), "body");

    let mut client = gateway.client();
    client.request("POST", "h", "/no", &["Expect: 100-continue", "Content-Length: 4"]);
    let answer = client.response();
    assert_eq!(answer.status, 417);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Raw::echo();
    let gateway = Gateway::to(&upstream.url());
    let mut client = gateway.client();
    let burst: String = (0..10).map(|n| head("GET", "h", &format!("/{n}"), &[])).collect();
    client.send(burst);
    for number in 0..10 {
        assert_eq!(client.response().echoed_target(), format!("/{number}"));
    }
}

#[test]
fn http_1_0_clients_get_what_they_can_read() {
    let upstream =
        Raw::always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    let gateway = Gateway::to(&upstream.url());
    let mut client = gateway.client();
    client.send("GET / HTTP/1.0\r\nHost: h\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.text(), "abc");
    assert!(!answer.head.has("transfer-encoding"), "{:?}", answer.head);
    assert!(client.closed());
    assert!(upstream.requests()[0].first.ends_with("HTTP/1.1"), "a gateway speaks its own version");
}

#[test]
fn http_1_0_upstreams_are_understood() {
    let upstream = Raw::serve(|peer| {
        peer.request();
        peer.send("HTTP/1.0 200 OK\r\n\r\nuntil the end");
    });
    let gateway = Gateway::to(&upstream.url());
    let mut client = gateway.client();
    for _ in 0..3 {
        assert_eq!(client.get("h", "/").text(), "until the end");
    }
}

#[test]
fn early_hints_pass() {
    let upstream = Raw::always(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let gateway = Gateway::to(&upstream.url());
    let answer = gateway.client().get("h", "/");
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    assert_eq!(answer.interim.len(), 1, "the 103 is passed on");
    assert_eq!(answer.interim[0].word(1), "103");
    assert_eq!(answer.interim[0].get("link"), Some("</a.css>; rel=preload"));
}

#[test]
fn connection_close_is_honoured() {
    let upstream = Raw::echo();
    let gateway = Gateway::to(&upstream.url());
    let mut client = gateway.client();
    let answer = client.exchange("GET", "h", "/", &["Connection: close"]);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(client.closed());
}

const BIG: usize = 64 * 1024 * 1024;

#[test]
fn a_large_upload_streams_in_bounded_memory_against_a_slow_upstream() {
    let upstream = Raw::serve(|peer| {
        let head = peer.head().unwrap();
        assert_eq!(head.get("content-length"), Some(BIG.to_string().as_str()));
        // Nothing is read for a while: the gateway must stop reading too instead of piling it up.
        pause(Duration::from_millis(700));
        let mut left = BIG;
        while left > 0 {
            let piece = left.min(1024 * 1024);
            peer.wire().take(piece).expect("the whole body arrives");
            left -= piece;
        }
        peer.ok(b"all");
    });
    let gateway = Gateway::start(&format!(
        "routes: {{ app: {{ to: \"{}\", body: none }} }}\n",
        upstream.url()
    ));
    let mut client = gateway.client();
    let before = gateway.usage().resident;
    client.request("POST", "h", "/", &[&format!("Content-Length: {BIG}")]);
    let mut peak = 0;
    for _ in 0..BIG / (1024 * 1024) {
        assert!(client.send(vec![b'x'; 1024 * 1024]));
        peak = peak.max(gateway.usage().resident);
    }
    assert_eq!(client.response().text(), "all");
    let grown = peak.saturating_sub(before);
    assert!(grown < 16 * 1024, "memory grew by {grown} KiB while 64 MiB passed");
}

#[test]
fn a_large_download_streams_in_bounded_memory_to_a_slow_client() {
    let upstream = Raw::serve(|peer| {
        peer.request().unwrap();
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {BIG}\r\n\r\n"));
        for _ in 0..BIG / (1024 * 1024) {
            if !peer.send(vec![b'y'; 1024 * 1024]) {
                return;
            }
        }
    });
    let gateway = Gateway::to(&upstream.url());
    let mut client = gateway.client();
    let before = gateway.usage().resident;
    client.request("GET", "h", "/", &[]);
    let (_, answer) = client.head().unwrap();
    assert_eq!(answer.get("content-length"), Some(BIG.to_string().as_str()));
    pause(Duration::from_millis(700)); // the client reads nothing: what is held up is held upstream
    let peak = gateway.usage().resident;
    let mut left = BIG;
    while left > 0 {
        let piece = left.min(1024 * 1024);
        client.wire().take(piece).expect("the whole body arrives");
        left -= piece;
    }
    let grown = peak.max(gateway.usage().resident).saturating_sub(before);
    assert!(grown < 16 * 1024, "memory grew by {grown} KiB while 64 MiB passed");
}

#[test]
fn a_body_beyond_the_limit_is_413() {
    let upstream = Raw::echo();
    let gateway = Gateway::start(&format!(
        "routes: {{ app: {{ to: \"{}\", body: 1KiB }} }}\n",
        upstream.url()
    ));
    assert_eq!(gateway.client().post("h", "/", &[b'x'; 1024]).status, 200);
    let mut client = gateway.client();
    client.request("POST", "h", "/", &["Content-Length: 1025"]);
    let answer = client.response();
    assert_eq!((answer.status, answer.reason().as_str()), (413, "body_too_large"));
    assert_eq!(upstream.requests().len(), 1, "a length known to be too large never goes upstream");
    let mut client = gateway.client();
    client.request("POST", "h", "/", &["Transfer-Encoding: chunked"]);
    client.send(format!("400\r\n{0}\r\n1\r\nx\r\n0\r\n\r\n", "x".repeat(1024)));
    let answer = client.response();
    assert_eq!((answer.status, answer.reason().as_str()), (413, "body_too_large"));
}

#[test]
fn nginx_and_flask_answer_through_the_gateway() {
    let nginx = Nginx::start("location / { return 200 \"nginx $request_uri\"; }");
    let flask = Flask::start();
    let gateway = Gateway::start(&format!(
        "routes:\n  a: {{ match: \"/n/**\", to: \"{}\" }}\n  b: {{ match: \"/f/**\", strip_prefix: /f, to: \"{}\" }}\n",
        nginx.url(),
        flask.url()
    ));
    let base = gateway.url("http");
    assert_eq!(curl(&[&format!("{base}/n/x?y=1")]).text(), "nginx /n/x?y=1");
    assert!(curl(&[&format!("{base}/f/data")]).text().contains("\"service\":"));
    let body = tempfile::NamedTempFile::new().unwrap();
    body.as_file().write_all(&vec![b'z'; 3_000_000]).unwrap();
    let data = format!("@{}", body.path().display());
    for framing in ["Content-Type: a/b", "Transfer-Encoding: chunked"] {
        let url = format!("{base}/f/upload");
        let answer = curl(&["--data-binary", &data, "-H", framing, &url]);
        assert!(answer.text().contains("\"size\":3000000"), "{framing}: {answer:?}");
    }
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let upstream = Raw::text("x");
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", timeouts: {{ idle: 300ms, header: 300ms }} }} }}\n\
         routes: {{ app: {{ to: \"{}\" }} }}\n",
        upstream.url()
    ));
    let mut client = gateway.client();
    assert_eq!(client.get("h", "/").status, 200);
    assert!(client.closed(), "an idle keep-alive connection is closed");
    let mut slow = gateway.client();
    slow.send("GET / HTTP/1.1\r\nHost:");
    let mut rest = Vec::new();
    // Either a bare close or a 408: both end the connection in time.
    slow.wire().rest().as_slice().read_to_end(&mut rest).unwrap();
    assert!(
        rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"),
        "{:?}",
        String::from_utf8_lossy(&rest)
    );
}

#[test]
fn a_connection_that_was_put_away_goes_on_where_it_was() {
    let upstream = Raw::echo();
    let gateway = Gateway::to(&upstream.url());
    let mut fresh = gateway.client();
    let mut idle = gateway.client();
    assert_eq!(idle.get("h", "/first").echoed_target(), "/first");
    let mut half = gateway.client();
    half.send("GET /half HTTP/1.1\r\nHo");
    let mut begun = gateway.client();
    assert_eq!(begun.get("h", "/one").echoed_target(), "/one");
    begun.send("G");
    // After three seconds of quiet a connection keeps no protocol state.
    pause(Duration::from_millis(4500));
    let burst: String = (0..3).map(|n| head("GET", "h", &format!("/{n}"), &[])).collect();
    idle.send(&burst);
    fresh.send(&burst);
    for number in 0..3 {
        assert_eq!(idle.response().echoed_target(), format!("/{number}"));
        assert_eq!(fresh.response().echoed_target(), format!("/{number}"));
    }
    half.send("st: h\r\n\r\n");
    assert_eq!(half.response().echoed_target(), "/half");
    begun.send("ET /two HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(begun.response().echoed_target(), "/two");
    assert!(idle.post("h", "/", b"body").text().ends_with("\n\nbody"));
}
