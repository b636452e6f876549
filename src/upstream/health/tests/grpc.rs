//! The gRPC health protocol, against a server of h2 whose answers are the test's own.

use http::{HeaderMap, Response};

use super::*;

/// What the server says to a check.
#[derive(Clone, Debug)]
struct Say {
    status: u16,
    body: &'static [u8],
    /// In the trailers, or without a body in the head.
    grpc_status: Option<&'static str>,
}

const SERVING: Say = Say { status: 200, body: &[0, 0, 0, 0, 2, 8, 1], grpc_status: Some("0") };

/// A server that answers the check of `shop.Cart` so, and its address.
async fn server(say: Say, service: &'static [u8]) -> String {
    let address = serve(move |stream| {
        let say = say.clone();
        let answer = move |asked| drop(tokio::spawn(respond(asked, say.clone(), service)));
        async move { serve_h2(stream, answer, mpsc::unbounded_channel().0).await }
    });
    format!("http://{}", address.await)
}

async fn respond((request, mut respond): Asked, say: Say, service: &'static [u8]) {
    assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
    assert_eq!(request.method(), "POST");
    for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
        assert_eq!(request.headers()[name], value);
    }
    let limit = request.headers()["grpc-timeout"].to_str().unwrap();
    assert!(limit.ends_with('m') && limit.len() <= 4, "{limit}");
    let mut body = Vec::new();
    let mut incoming = request.into_body();
    while let Some(piece) = incoming.data().await {
        body.extend_from_slice(&piece.unwrap());
    }
    assert_eq!(body, service);
    let mut trailers = HeaderMap::new();
    if let Some(code) = say.grpc_status {
        trailers.insert("grpc-status", code.parse().unwrap());
    }
    let mut head = Response::builder().status(say.status).body(()).unwrap();
    head.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    if say.body.is_empty() {
        head.headers_mut().extend(trailers);
        respond.send_response(head, true).unwrap();
        return;
    }
    let mut stream = respond.send_response(head, false).unwrap();
    stream.send_data(Bytes::from_static(say.body), false).unwrap();
    stream.send_trailers(trailers).unwrap();
}

const CART: &[u8] = b"\0\0\0\0\x0b\x0a\x09shop.Cart";

#[tokio::test]
async fn a_serving_service_is_good() {
    let url = server(SERVING, CART).await;
    assert_eq!(check(&url, "grpc: shop.Cart").await, Outcome::Good, "h2c by prior knowledge");
    let whole = server(SERVING, b"\0\0\0\0\0").await;
    assert_eq!(check(&whole, "grpc: \"\"").await, Outcome::Good, "the whole server");
    // Fields of later versions: a number, eight bytes, a text, four bytes.
    let later = b"\0\0\0\0\x18\x10\xff\x01\x19--------\x22\x03abc\x2d----\x08\x01";
    let later = server(Say { body: later, ..SERVING }, CART).await;
    assert_eq!(check(&later, "grpc: shop.Cart").await, Outcome::Good);
}

#[tokio::test]
async fn a_long_name_has_a_long_length() {
    let name = "s".repeat(300);
    let mut message = b"\0\0\0\x01\x2f\x0a\xac\x02".to_vec();
    message.extend_from_slice(name.as_bytes());
    let url = server(SERVING, message.leak()).await;
    assert_eq!(check(&url, &format!("grpc: {name}")).await, Outcome::Good);
}

#[tokio::test]
async fn everything_else_is_bad_and_says_why() {
    let with = |body: &'static [u8]| Say { body, ..SERVING };
    let code = |code| Say { body: b"", grpc_status: Some(code), ..SERVING };
    let cases = [
        (with(b"\0\0\0\0\x02\x08\x02"), "NOT_SERVING"),
        (with(b"\0\0\0\0\x02\x08\x03"), "SERVICE_UNKNOWN"),
        (with(b"\0\0\0\0\0"), "UNKNOWN"),
        (with(b"\0\0\0\0\x02\x08\x09"), "it is 9"),
        (with(b"\x01\0\0\0\x02\x08\x01"), "the answer is no HealthCheckResponse"),
        (with(b"\0\0\0\0\x03\x08\x01"), "the answer is no HealthCheckResponse"),
        (with(b"\0\0\0\0\x02\x08\xff"), "the answer is no HealthCheckResponse"),
        (with(b"\0\0"), "the answer is no HealthCheckResponse"),
        (with(&[7; 5000]), "the answer is too long"),
        (code("5"), "grpc-status 5: it knows no such service"),
        (code("12"), "grpc-status 12: it has no health service"),
        (code("14"), "grpc-status 14"),
        // No message, and still a good end: not what the protocol says.
        (code("0"), "the answer is no HealthCheckResponse"),
        (Say { grpc_status: Some("2"), ..SERVING }, "grpc-status 2"),
        (Say { grpc_status: None, ..SERVING }, "the answer has no grpc-status"),
        (Say { status: 503, ..SERVING }, "status 503"),
    ];
    for (say, expected) in cases {
        let shown = format!("{say:?}");
        assert_eq!(why(server(say, CART).await, "grpc: shop.Cart").await, expected, "{shown}");
    }
}

#[tokio::test]
async fn who_speaks_no_http2_is_bad() {
    let address = serve(|mut stream| async move {
        head(&mut stream).await;
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 No\r\n\r\n").await;
    });
    let why = why(format!("http://{}", address.await), "grpc: x").await;
    assert!(why.starts_with("HTTP/2: "), "{why}");
}
