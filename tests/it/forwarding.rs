//! What the gateway adds to, takes from and believes in the headers that pass it.

use http::Request;

use crate::support::{h2client::H2, http::Response, prelude::*};

fn ask(gateway: &Gateway, fields: &[&str]) -> Response {
    gateway.client().exchange("GET", "shop.example:8080", "/x", fields)
}

fn trusting(upstream: &Raw) -> Gateway {
    Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", trusted_proxies: [127.0.0.0/8, 10.0.0.0/8] }} }}\n\
         routes: {{ app: {{ to: \"{}\" }} }}\n",
        upstream.url()
    ))
}

#[test]
fn the_upstream_learns_who_asked_and_how() {
    let upstream = Raw::echo();
    let gateway = Gateway::to(&upstream.url());
    let answer = ask(&gateway, &[]);
    let port = gateway.addr("http").port().to_string();
    let seen = |name: &str| answer.echoed(name);
    assert_eq!(seen("host").as_deref(), Some("shop.example:8080"));
    assert_eq!(seen("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(seen("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(seen("x-forwarded-host").as_deref(), Some("shop.example:8080"));
    assert!([Some("8080"), Some(port.as_str())].contains(&seen("x-forwarded-port").as_deref()));
    assert_eq!(seen("x-real-ip").as_deref(), Some("127.0.0.1"));
    assert_eq!(seen("via").as_deref(), Some("1.1 edge"));
    let id = seen("x-request-id").expect("a request id is made");
    assert_eq!(answer.header("x-request-id"), Some(id.as_str()), "and shown to the client");
    assert_eq!(gateway.last_access(1)["request_id"], id);
    assert_eq!(gateway.last_access(1)["client_ip"], "127.0.0.1");
}

#[test]
fn strangers_are_not_believed() {
    let upstream = Raw::echo();
    let gateway = Gateway::to(&upstream.url());
    let answer = ask(
        &gateway,
        &[
            "X-Forwarded-For: 1.2.3.4",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: evil.example",
            "X-Forwarded-Port: 1",
            "X-Real-IP: 1.2.3.4",
            "Forwarded: for=1.2.3.4",
            "X-Request-Id: forged",
        ],
    );
    let text = answer.text();
    for lie in ["1.2.3.4", "evil.example", "forged", "https"] {
        assert!(!text.contains(lie), "{lie} in {text}");
    }
    assert_eq!(answer.echoed("x-forwarded-for").as_deref(), Some("127.0.0.1"));
}

#[test]
fn trusted_proxies_are_believed_from_the_right() {
    let upstream = Raw::echo();
    let gateway = trusting(&upstream);
    let answer = ask(
        &gateway,
        &[
            "X-Forwarded-For: 6.6.6.6, 203.0.113.9, 10.1.2.3",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: shop.example",
            "X-Request-Id: from-the-edge",
        ],
    );
    assert_eq!(answer.echoed("x-real-ip").as_deref(), Some("203.0.113.9"));
    assert_eq!(
        answer.echoed("x-forwarded-for").as_deref(),
        Some("6.6.6.6, 203.0.113.9, 10.1.2.3, 127.0.0.1")
    );
    assert_eq!(answer.echoed("x-forwarded-proto").as_deref(), Some("https"));
    assert_eq!(answer.echoed("x-request-id").as_deref(), Some("from-the-edge"));
    assert_eq!(gateway.last_access(1)["client_ip"], "203.0.113.9");
}

#[test]
fn hop_by_hop_fields_stop_here_and_ours_cannot_be_named_away() {
    let upstream = Raw::serve(|peer| {
        while let Some(request) = peer.request() {
            let names: Vec<_> =
                request.head.fields.iter().map(|(name, _)| name.to_lowercase()).collect();
            let body = names.join(" ");
            peer.send(format!(
                "HTTP/1.1 200 OK\r\nConnection: X-Internal\r\nX-Internal: secret\r\nKeep-Alive: timeout=5\r\n\
                 Proxy-Authenticate: Basic\r\nX-Public: 1\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ));
        }
    });
    let gateway = Gateway::to(&upstream.url());
    let answer = ask(
        &gateway,
        &[
            "Connection: X-Secret, X-Forwarded-For, X-Real-IP, Host, keep-alive",
            "X-Secret: 1",
            "Keep-Alive: timeout=9",
            "Proxy-Connection: keep-alive",
            "Proxy-Authorization: Basic eA==",
            "TE: gzip",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
            "X-Kept: 1",
        ],
    );
    let text = answer.text();
    let names: Vec<_> = text.split(' ').collect();
    for gone in [
        "x-secret",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "upgrade",
        "http2-settings",
    ] {
        assert!(!names.contains(&gone), "{gone} went through: {names:?}");
    }
    for kept in ["x-kept", "x-forwarded-for", "x-real-ip", "host", "via"] {
        assert!(names.contains(&kept), "{kept} is missing: {names:?}");
    }
    for gone in ["x-internal", "keep-alive", "proxy-authenticate"] {
        assert!(!answer.head.has(gone), "{gone} went back: {:?}", answer.head);
    }
    assert_eq!(answer.header("x-public"), Some("1"));
}

#[test]
fn an_underscore_is_no_way_around_a_dash() {
    let upstream = Raw::echo();
    let gateway = Gateway::to(&upstream.url());
    let answer = ask(&gateway, &["X_Forwarded_For: 1.2.3.4", "X_Real_IP: 1.2.3.4"]);
    assert!(answer.status == 400 || !answer.text().contains("1.2.3.4"), "{}", answer.text());
}

#[test]
fn host_header_can_be_the_upstreams_or_a_text() {
    let upstream = Raw::echo();
    let gateway = Gateway::start(&format!(
        "upstreams:\n  theirs: {{ endpoints: [\"{0}\"], host_header: upstream }}\n  fixed: {{ endpoints: [\"{0}\"], host_header: fixed.example }}\n\
         routes: {{ a: {{ match: /a, to: theirs }}, b: {{ match: /b, to: fixed }} }}\n",
        upstream.url()
    ));
    let host = |target: &str| gateway.get("h.example", target).echoed("host").unwrap();
    assert_eq!(host("/a"), upstream.address().to_string());
    assert_eq!(host("/b"), "fixed.example");
}

#[test]
fn a_request_that_has_been_here_before_is_a_loop() {
    let upstream = Raw::echo();
    let gateway = Gateway::to(&upstream.url());
    let other = ask(&gateway, &["Via: 1.1 other, 2 another"]);
    assert_eq!(
        other.echoed("via").as_deref().map(|v| v.replace('|', ", ")).as_deref(),
        Some("1.1 other, 2 another, 1.1 edge")
    );
    // Two gateways on one host share its name: once or twice is no loop.
    let twice = ask(&gateway, &["Via: 1.1 edge, 2 edge"]);
    assert_eq!(twice.status, 200);
    let round = ["1.1 edge"; 5].join(", ");
    let answer = ask(&gateway, &[&format!("Via: 1.1 other, {round}")]);
    assert_eq!((answer.status, answer.reason().as_str()), (502, "loop"));
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn http2_authority_becomes_the_host_and_cookies_one_line() {
    let upstream = Raw::echo();
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h2c] }} }}\nroutes: {{ app: {{ to: \"{}\" }} }}\n",
        upstream.url()
    ));
    let address = gateway.addr("http");
    let answer = block_on(async {
        let request =
            Request::get("http://two.example/x").header("cookie", "a=1").header("cookie", "b=2");
        H2::plain(address).await.exchange(request.body(()).unwrap(), b"", None).await.unwrap()
    });
    let text = String::from_utf8_lossy(&answer.body).to_lowercase();
    assert!(text.contains("\nhost: two.example\n"), "{text}");
    assert!(text.contains("\ncookie: a=1; b=2\n"), "{text}");
    assert!(text.contains("\nvia: 2 edge") || text.contains("\nvia: 2.0 edge"), "{text}");
}
