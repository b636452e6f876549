//! Services that are down, slow or lying: defined answers, in time, and nobody else notices.

use super::*;

/// How long a request with this service takes, and what its answer is.
fn ask(service: &Raw, more: &str) -> (u16, Duration, Gateway, Raw) {
    let upstream = Raw::echo();
    let policy = format!(
        "{{ external: {{ url: \"SERVICE/x\", timeout: 500ms, response_headers: [x-user]{more} }} }}"
    );
    let gateway = Gateway::start(&file(&policy, "", &upstream.url(), &service.url()));
    let begun = Instant::now();
    let answer = gateway.get("x", "/app");
    (answer.status, begun.elapsed(), gateway, upstream)
}

#[test]
fn whatever_it_does_the_answer_is_defined_and_in_time() {
    let huge =
        format!("HTTP/1.1 200 OK\r\nX-User: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "X-A: 1\r\n".repeat(200));
    let flood = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000);
    let body = format!(
        "HTTP/1.1 403 No\r\nContent-Type: a/b\r\nContent-Length: 1000000\r\n\r\n{}",
        "x".repeat(1_000_000)
    );
    let cases: [(&str, Vec<u8>, u16); 12] = [
        ("garbage", b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(), 503),
        ("nothing", b"".to_vec(), 503),
        (
            "two lengths",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_vec(),
            503,
        ),
        ("a huge head", huge.into(), 503),
        ("many fields", many.into(), 503),
        ("a flood of 1xx", flood.into(), 503),
        (
            "a switch of protocols",
            b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n".to_vec(),
            503,
        ),
        ("a redirect to nowhere", b"HTTP/1.1 302 F\r\nContent-Length: 0\r\n\r\n".to_vec(), 503),
        ("304", b"HTTP/1.1 304 N\r\n\r\n".to_vec(), 503),
        ("a huge body that says no", body.into(), 403),
        (
            "a body that never ends, and says yes",
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab".to_vec(),
            200,
        ),
        (
            "a body that never ends, and says no",
            b"HTTP/1.1 401 U\r\nContent-Length: 9\r\n\r\nab".to_vec(),
            401,
        ),
    ];
    for (what, answer, status) in cases {
        // It holds the connection open after that.
        let service = Raw::always(answer);
        let (got, took, mut gateway, upstream) = ask(&service, "");
        assert_eq!(got, status, "{what}");
        assert!(took < Duration::from_secs(5), "{what}: {took:?}");
        assert_eq!(upstream.requests().len(), usize::from(status == 200), "{what}");
        assert!(gateway.alive());
    }
}

#[test]
fn hop_by_hop_fields_do_not_come_back() {
    let service = Raw::always(
        "HTTP/1.1 403 No\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 1\r\nUpgrade: x\r\nProxy-Authenticate: Basic\r\n\
         X-Request-Id: mine\r\nX-Why: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
    );
    let upstream = Raw::echo();
    let policy = "{ external: { url: \"SERVICE/x\" } }";
    let gateway = Gateway::start(&file(policy, "", &upstream.url(), &service.url()));
    let answer = gateway.client().get("x", "/app");
    assert_eq!((answer.status, &*answer.text()), (403, "no"));
    assert_eq!(answer.header("x-why"), Some("1"));
    for name in ["x-hop", "keep-alive", "upgrade", "proxy-authenticate", "transfer-encoding"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_ne!(answer.header("x-request-id"), Some("mine"));
}

#[test]
fn it_is_away_or_says_nothing() {
    let nowhere = Raw::text("");
    let address = nowhere.url();
    drop(nowhere);
    for (service, allow) in [(address.as_str(), false), (address.as_str(), true)] {
        let upstream = Raw::echo();
        let on_error = if allow { ", on_error: allow" } else { "" };
        let policy = format!(
            "{{ external: {{ url: \"SERVICE/x\", timeout: 500ms, response_headers: [x-user]{on_error} }} }}"
        );
        let mut gateway = Gateway::start(&file(&policy, "", &upstream.url(), service));
        let answer = gateway.client().exchange("GET", "x", "/app", &["X-User: root"]);
        if allow {
            assert_eq!((answer.status, answer.echoed("x-user")), (200, None));
            let labels = [("policy", "asked"), ("result", "let_through")];
            assert_eq!(gateway.metric("tidegate_auth_questions_total", &labels), Some(1.0));
            gateway.wait_log(&["whoever can keep the service from answering may pass"]);
        } else {
            assert_eq!((answer.status, answer.reason().as_str()), (503, "auth_unavailable"));
            let labels = [("policy", "asked"), ("reason", "service_unreachable")];
            assert_eq!(gateway.metric("tidegate_policy_refusals_total", &labels), Some(1.0));
        }
    }
}
