//! `ext_authz` with a real gRPC server.

use super::*;
use crate::support::ext_authz::{Authz, Said};

const EXT: &str = "{ ext_authz: { url: \"SERVICE\", timeout: 5s, response_headers: [x-user], answer_headers: [x-told], \
     consumer: x-user, body: { max: 1KiB } } }";

fn started(policy: &str, service: &str) -> (Gateway, Raw) {
    let upstream = Raw::echo();
    (Gateway::start(&file(policy, "", &upstream.url(), service)), upstream)
}

fn get(gateway: &Gateway, target: &str, fields: &[&str]) -> crate::support::http::Response {
    let fields = [fields, &["Connection: close"]].concat();
    gateway.client().exchange("GET", "shop.example:80", target, &fields)
}

#[test]
fn a_grpc_service_says_who_may_pass() {
    let service = Authz::start();
    // `h2c://`, and `http://`, over which gRPC is HTTP/2 too.
    for url in [service.url(), service.url().replace("h2c", "http")] {
        let (gateway, upstream) = started(EXT, &url);
        let good = get(
            &gateway,
            "/app/a?b=1",
            &[
                "Authorization: Bearer good",
                "X-User: root",
                "x-user: admin",
                "X-A: 1",
                "X-A: 2",
                "Cookie: a=1",
            ],
        );
        assert_eq!(good.status, 200, "{}", good.text());
        assert_eq!(good.echoed("x-user").as_deref(), Some("ann"));
        assert_eq!(good.echoed("authorization"), None, "the service takes it out");
        assert_eq!(good.echoed("x-not-taken"), None);
        assert_eq!(good.echoed("host").as_deref(), Some("shop.example:80"));
        assert!(good.echoed("x-forwarded-for").is_some(), "that one cannot be taken out");
        assert_eq!(good.header("x-told"), Some("yes"));
        let asked = service.last();
        assert_eq!(
            (&*asked.method, &*asked.path, &*asked.host),
            ("GET", "/app/a?b=1", "shop.example:80")
        );
        assert_eq!((&*asked.scheme, &*asked.protocol, asked.size), ("http", "HTTP/1.1", 0));
        assert_eq!(asked.headers["x-a"], "1,2");
        assert_eq!(asked.headers["x-forwarded-for"], "127.0.0.1");
        assert_eq!((&*asked.source, &*asked.route), ("127.0.0.1", "app"));
        assert_eq!(asked.id.len(), 36);

        let denied = get(&gateway, "/app", &["Authorization: Bearer denied"]);
        assert_eq!((denied.status, &*denied.text()), (418, "tea"));
        assert_eq!(denied.header("x-why"), Some("rules"));
        assert_eq!(get(&gateway, "/app", &[]).status, 403);
        for what in ["fails", "both"] {
            let answer = get(&gateway, "/app", &[&format!("Authorization: Bearer {what}")]);
            assert_eq!(
                (answer.status, answer.reason().as_str()),
                (503, "auth_unavailable"),
                "{what}"
            );
        }
        let mut client = gateway.client();
        let fields = ["Authorization: Bearer good", "Content-Length: 4"];
        client.request("POST", "x", "/app", &fields);
        client.send(b"\xff\x00hi");
        assert!(client.response().body.ends_with(b"\xff\x00hi"));
        assert_eq!((service.last().raw_body, service.last().size), (b"\xff\x00hi".to_vec(), 4));
        assert_eq!(upstream.requests().len(), 2);
        assert_eq!(gateway.access_log(6)[0]["consumer"], "ann");
    }
}

#[test]
fn it_is_asked_once_for_those_that_are_alike_and_waited_for_no_longer_than_its_time() {
    let service = Authz::start();
    let policy = "{ ext_authz: { url: \"SERVICE\", timeout: 1s, request_headers: [authorization], response_headers: [x-user], \
                  cache: { key: [\"header:authorization\"], ttl: 1h } } }";
    let (gateway, _upstream) = started(policy, &service.url());
    let url = format!("{}/app", gateway.url("http"));
    let load = crate::support::tools::h2load(&[
        "-n",
        "500",
        "-c",
        "5",
        "-m",
        "100",
        "-H",
        "authorization: Bearer good",
        &url,
    ]);
    assert_eq!((load.ok, service.count()), (500, 1));
    let begun = Instant::now();
    let slow = get(&gateway, "/app", &["Authorization: Bearer slow"]);
    assert_eq!((slow.status, slow.reason().as_str()), (503, "auth_unavailable"));
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(3), "{took:?}");
    let Said { headers, .. } = service.last();
    assert_eq!(headers.keys().collect::<Vec<_>>(), ["authorization"]);
}

/// The time of the service is its own: what the client takes to send its body is not part of it.
#[test]
fn a_slow_client_costs_the_service_nothing() {
    let service = Authz::start();
    let (gateway, _upstream) = started(&EXT.replace("timeout: 5s", "timeout: 1s"), &service.url());
    let mut client = gateway.client();
    client.request("POST", "x", "/app", &["Authorization: Bearer good", "Content-Length: 4"]);
    client.send("ha");
    pause(Duration::from_millis(1500));
    client.send("lf");
    let answer = client.response();
    assert!(answer.status == 200 && answer.text().ends_with("half"), "{}", answer.text());
}

#[test]
fn a_service_that_speaks_something_else_says_nothing() {
    let service = Raw::text("hello");
    let (gateway, _upstream) = started(EXT, &service.url());
    assert_eq!(get(&gateway, "/app", &[]).status, 503);
    let flask = Flask::auth();
    let (gateway, _upstream) = started(EXT, &flask.url());
    assert_eq!(get(&gateway, "/app", &[]).status, 503);
}
