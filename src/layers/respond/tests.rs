//! Tests of the boundary: what clients of each kind get to see of an error.

use http::{
    HeaderValue, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
};
use http_body_util::BodyExt as _;
use tower::{ServiceExt as _, service_fn};

use super::*;
use crate::{
    body::Body,
    config::model::ErrorFormat,
    telemetry::{exchange::Head, testing},
};

async fn respond(head: Head, error: Error) -> (Arc<Exchange>, http::response::Parts, String) {
    let exchange = Arc::new(Exchange::new(head));
    let mut request = Request::new(Body::empty());
    request.extensions_mut().insert(Arc::clone(&exchange));
    let error = std::sync::Mutex::new(Some(error));
    let inner = service_fn(|_: Request| {
        let error = error.lock().unwrap().take().unwrap();
        async { Err::<Response, _>(error) }
    });
    let service = RespondLayer::new(Arc::new(ServerName::new("edge-1"))).layer(inner);
    let Ok(response) = service.oneshot(request).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (exchange, parts, String::from_utf8(body.to_vec()).unwrap())
}

fn refused() -> Error {
    Error::new(Reason::ConnectRefused, "connect 10.0.0.7:8080: refused")
}

#[tokio::test]
async fn a_problem_by_default() {
    let (exchange, parts, body) = respond(testing::head(), refused()).await;
    assert_eq!(parts.status, StatusCode::BAD_GATEWAY);
    assert_eq!(parts.headers[CONTENT_TYPE], "application/problem+json");
    assert_eq!(parts.headers[CACHE_CONTROL], "no-store");
    let proxy_status = "edge-1;error=connection_refused;details=\"connect_refused\"";
    assert_eq!(parts.headers["proxy-status"], proxy_status);
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let expected = serde_json::json!({
        "type": "urn:tidegate:reason:connect_refused",
        "title": "Upstream refused the connection",
        "status": 502,
        "reason": "connect_refused",
        "route": "orders",
        "request_id": "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
    });
    assert_eq!(body, expected);
    let outcome = exchange.take_outcome();
    assert_eq!(outcome.reason, Some(Reason::ConnectRefused));
    assert_eq!(outcome.detail.as_deref(), Some("connect 10.0.0.7:8080: refused"));
}

#[tokio::test]
async fn fields_of_the_error_and_what_it_tells_the_public_are_in_the_answer() {
    let mut head = testing::head();
    head.route = testing::route("", ErrorFormat::Problem);
    head.accept = Some(HeaderValue::from_static("text/html"));
    let error = Error::from(Reason::MethodNotAllowed)
        .header(ALLOW, HeaderValue::from_static("GET, HEAD"))
        .public("use GET");
    let (_, parts, body) = respond(head, error).await;
    assert_eq!(parts.headers[ALLOW], "GET, HEAD");
    let proxy_status =
        "edge-1;error=http_request_error;status-code=405;details=\"method_not_allowed\"";
    assert_eq!(parts.headers["proxy-status"], proxy_status);
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["detail"], "use GET");
    assert_eq!(body.get("route"), None);
}

#[tokio::test]
async fn a_browser_gets_a_page_it_cannot_be_hurt_by() {
    let mut head = testing::head();
    head.accept = Some(HeaderValue::from_static("text/html,*/*;q=0.8"));
    let error =
        Error::from(Reason::NoRoute).public("no route for </p><script>alert('1')</script>&");
    let (_, parts, body) = respond(head, error).await;
    assert_eq!(parts.headers[CONTENT_TYPE], "text/html; charset=utf-8");
    assert!(body.contains("<h1>No route</h1>"), "{body}");
    let escaped = "no route for &lt;/p&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;";
    assert!(body.contains(escaped), "{body}");
    assert!(body.contains("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"), "{body}");
}

#[tokio::test]
async fn a_route_may_fix_the_form() {
    let with = |errors| Head { route: testing::route("orders", errors), ..testing::head() };
    let (_, parts, body) = respond(with(ErrorFormat::Text), refused()).await;
    assert_eq!(parts.headers[CONTENT_TYPE], "text/plain; charset=utf-8");
    let expected = "502 Upstream refused the connection (connect_refused)\n\
                    request id: 017f22e2-79b0-7cc3-98c4-dc0c0c07398f\n";
    assert_eq!(body, expected);
    let (_, parts, _) = respond(with(ErrorFormat::Html), refused()).await;
    assert_eq!(parts.headers[CONTENT_TYPE], "text/html; charset=utf-8");
}

#[tokio::test]
async fn a_grpc_client_gets_trailers_only() {
    let head = Head { grpc: true, ..testing::head() };
    let error = refused().public("100 % gone: é\r\n");
    let (_, parts, body) = respond(head, error).await;
    assert_eq!((parts.status, body.as_str()), (StatusCode::OK, ""));
    assert_eq!(parts.headers[CONTENT_TYPE], "application/grpc");
    assert_eq!(parts.headers["grpc-status"], "14");
    let message = "connect_refused: 100 %25 gone: %C3%A9%0D%0A";
    assert_eq!(parts.headers["grpc-message"], message);
    assert!(parts.headers.contains_key("proxy-status"));
}

#[test]
fn a_grpc_answer_ends_with_its_head() {
    let exchange = Exchange::new(Head { grpc: true, ..testing::head() });
    let response = error_response(&refused(), &exchange, &ServerName::new("edge-1"));
    assert!(http_body::Body::is_end_stream(response.body()));
}

#[test]
fn no_answer_tells_what_is_for_the_log() {
    for errors in [ErrorFormat::Problem, ErrorFormat::Html, ErrorFormat::Text] {
        for grpc in [false, true] {
            let route = testing::route("orders", errors);
            let exchange = Exchange::new(Head { grpc, route, ..testing::head() });
            let response = error_response(&refused(), &exchange, &ServerName::new("edge-1"));
            assert!(!format!("{response:?}").contains("10.0.0.7"));
        }
    }
}

#[test]
fn server_names_are_tokens_or_strings() {
    for (name, item) in [
        ("edge-1", "edge-1"),
        ("gw.example.com:8443", "gw.example.com:8443"),
        ("*any", "*any"),
        ("1edge", "\"1edge\""),
        ("my edge", "\"my edge\""),
        ("a\"b\\c", "\"a\\\"b\\\\c\""),
        ("é\r\n", "\"???\""),
        ("", "\"\""),
    ] {
        assert_eq!(ServerName::new(name).as_str(), item, "{name}");
    }
}

#[tokio::test]
async fn a_service_that_is_never_ready_is_answered_too() {
    #[derive(Clone)]
    struct Unready;
    impl Service<Request> for Unready {
        type Response = Response;
        type Error = Error;
        type Future = std::future::Ready<Result<Response, Error>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
            Poll::Ready(Err(Reason::Overloaded.into()))
        }
        fn call(&mut self, _: Request) -> Self::Future {
            panic!("it was not ready");
        }
    }
    let service = RespondLayer::new(Arc::new(ServerName::new("edge-1"))).layer(Unready);
    let Ok(response) = service.oneshot(Request::new(Body::empty())).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[test]
fn the_documentation_lists_every_reason() {
    let page = include_str!("../../../docs/reasons.md");
    let rows: Vec<Vec<_>> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').skip(1).map(|cell| cell.trim().to_owned()).collect())
        .collect();
    assert_eq!(rows.len(), Reason::ALL.len());
    for (row, reason) in rows.iter().zip(Reason::ALL) {
        let expected = [
            format!("`{}`", reason.word()),
            reason.status().as_u16().to_string(),
            format!("`{}`", reason.proxy_status()),
            reason.grpc().to_string(),
            format!("{:?}", reason.fault()).to_lowercase(),
        ];
        assert_eq!(row[..5], expected);
        assert!(row[5].len() > 20, "{} tells what to do", reason.word());
    }
}
