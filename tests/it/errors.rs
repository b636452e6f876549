//! The form of the errors the gateway makes.

use crate::support::{http::Response, prelude::*};

fn refused(rest: &str) -> Gateway {
    Gateway::start(&format!(
        "routes: {{ app: {{ match: \"/down/**\", to: \"http://127.0.0.1:1\"{rest} }} }}\n"
    ))
}

fn down(gateway: &Gateway, fields: &[&str]) -> Response {
    gateway.client().exchange("GET", "h", "/down/", fields)
}

#[test]
fn the_default_is_problem_json_with_everything_needed_to_find_it_again() {
    let gateway = refused("");
    let answer = down(&gateway, &[]);
    assert_eq!(answer.status, 502);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["status"], 502);
    assert_eq!(problem["reason"], "connect_refused");
    assert_eq!(problem["route"], "app");
    assert!(problem["title"].is_string());
    assert_eq!(problem["request_id"].as_str(), answer.header("x-request-id"));
    let status = answer.header("proxy-status").unwrap();
    assert!(status.starts_with("edge;"), "{status}");
    assert!(status.contains("error=connection_refused"), "{status}");
    assert!(!answer.head.has("server"), "the product does not advertise itself");
    assert!(
        !answer.text().contains("127.0.0.1"),
        "addresses are not for clients: {}",
        answer.text()
    );
}

#[test]
fn browsers_get_a_page_and_it_escapes_what_it_shows() {
    let gateway = refused("");
    let answer = down(&gateway, &["Accept: text/html,application/xhtml+xml,*/*;q=0.8"]);
    assert!(answer.header("content-type").unwrap().starts_with("text/html"));
    assert!(answer.text().contains("connect_refused"));
    let answer = gateway.client().exchange("GET", "h", "/<script>x", &["Accept: text/html"]);
    assert!(!answer.text().contains("<script>"), "{}", answer.text());
    let answer = down(&gateway, &["Accept: application/json, text/html;q=0.5"]);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
}

#[test]
fn a_route_may_fix_the_form() {
    let html = &["Accept: text/html"][..];
    let answer = down(&refused(", errors: problem"), html);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let answer = down(&refused(", errors: text"), html);
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
    assert!(answer.text().contains("connect_refused"));
    let answer = down(&refused(", errors: html"), &[]);
    assert!(answer.header("content-type").unwrap().starts_with("text/html"));
}

#[test]
fn an_error_for_head_has_no_body_and_keeps_the_connection_in_step() {
    let gateway = refused("");
    let mut client = gateway.client();
    let answer = client.exchange("HEAD", "h", "/down/", &[]);
    assert_eq!((answer.status, answer.body.len()), (502, 0));
    assert_eq!(client.get("h", "/down/").status, 502);
    assert_eq!(client.get("h", "/none").status, 404);
}

#[test]
fn an_error_before_the_body_is_read_does_not_take_the_body_for_a_request() {
    let gateway = refused("");
    let mut client = gateway.client();
    let smuggled = "GET /down/ HTTP/1.1\r\nHost: h\r\n\r\n";
    client.request("POST", "h", "/none", &[&format!("Content-Length: {}", smuggled.len())]);
    client.send(smuggled);
    assert_eq!(client.response().status, 404);
    client.request("GET", "h", "/none", &["Connection: close"]);
    let rest = String::from_utf8_lossy(&client.wire().rest()).into_owned();
    assert!(!rest.contains("502"), "the body was taken for a request: {rest}");
}

#[test]
fn a_404_names_the_nearest_routes() {
    let gateway =
        Gateway::start("routes: { orders: { match: \"shop.example/orders/**\", respond: 200 } }\n");
    let answer = gateway.get("shop.example", "/ordres/7");
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("orders"), "{}", answer.text());
    assert!(answer.header("proxy-status").unwrap().contains("destination_not_found"));
}
