//! `discover: { etcd: … }`, with a real etcd.

use tokio::time::Instant;

use super::{answer_only, answering, is_up, known};
use crate::support::{etcd::Etcd, prelude::*, wait::within};

/// A watch on a member that hangs is given up after 12 s, a member that says nothing after 5 s, with
/// pauses between.
const LEFT: Duration = Duration::from_secs(60);

fn yaml(members: &[&str], settings: &str) -> String {
    format!(
        "upstreams:\n  app:\n    discover: {{ etcd: {{ endpoints: [{}], prefix: /app/ }} }}\n    \
         lb: round_robin{settings}\nroutes: {{ app: {{ to: app }} }}\n",
        members.join(", ")
    )
}

#[test]
fn endpoints_are_what_the_keys_say() {
    let (a, b, c) = (Raw::text("a"), Raw::text("b"), Raw::text("c"));
    let etcd = Etcd::start();
    etcd.put("/app/1", &a.url());
    etcd.put("/other/1", &c.url());
    let mut gateway = Gateway::start(&yaml(&[&etcd.url()], ""));
    answer_only(&gateway, &["a"]);
    etcd.put("/app/2", &format!("{{\"url\": \"{}\", \"weight\": 3}}", b.url()));
    answer_only(&gateway, &["a", "b"]);
    let mut client = gateway.client();
    let of_b = (0..40).filter(|_| client.get("h", "/").text() == "b").count();
    assert_eq!(of_b, 30, "the weight counts");
    // What is no endpoint is told, and the others count.
    etcd.put("/app/3", "not a url");
    gateway.wait_log(&["not an endpoint", "/app/3", "not a URL"]);
    assert_eq!((known(&gateway), is_up(&gateway)), (Some(2.0), true));
    etcd.delete("/app/1");
    answer_only(&gateway, &["b"]);
    // A registration that is not renewed goes by itself.
    etcd.put_with_lease("/app/4", &c.url(), 2);
    answer_only(&gateway, &["b", "c"]);
    answer_only(&gateway, &["b"]);
    etcd.delete("/app/2");
    until("nobody is left", || known(&gateway) == Some(0.0));
    assert_eq!(gateway.get("h", "/").reason(), "no_endpoint");
}

#[test]
fn the_last_known_endpoints_serve_while_etcd_is_away() {
    let (a, b) = (Raw::text("a"), Raw::text("b"));
    let mut etcd = Etcd::start();
    etcd.put("/app/1", &a.url());
    let mut gateway = Gateway::start(&yaml(&[&etcd.url()], ""));
    answer_only(&gateway, &["a"]);
    etcd.kill();
    until("the loss is seen", || !is_up(&gateway));
    let line = gateway.wait_log(&["the source of endpoints does not answer"]);
    assert!(line.contains("\"kept\":1"), "{line}");
    assert_eq!(answering(&gateway, 20), ["a".to_owned()].into());
    // A reload in the meantime, even one that names another member, keeps them too.
    gateway.reload(&yaml(&["http://127.0.0.1:1", &etcd.url()], "\n    slow_start: none"));
    assert_eq!(answering(&gateway, 20), ["a".to_owned()].into());
    etcd.restart();
    etcd.put("/app/1", &b.url());
    answer_only(&gateway, &["b"]);
    until("etcd is back", || is_up(&gateway));
}

/// Whichever member is watched may be the one that hangs. Each time another key is written: a member that
/// wakes up hands on what it was given before it hung, so of one key an old value may come back.
#[test]
fn a_hung_etcd_is_left_for_another_member() {
    let [a, b, c] = ["a", "b", "c"].map(Raw::text);
    let mut members = Etcd::cluster(3);
    members[0].put("/app/0", &a.url());
    let urls: Vec<String> = members.iter().map(Etcd::url).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let mut gateway = Gateway::start(&yaml(&urls, ""));
    answer_only(&gateway, &["a"]);
    for (hung, upstream, known_then) in [(0, &b, 2.0), (1, &c, 3.0)] {
        members[hung].stop();
        let (at, key) = (&members[hung + 1], format!("/app/{}", hung + 1));
        let end = Instant::now() + LEFT;
        // Until the others have a leader, nobody takes it.
        while at.try_put(&key, &upstream.url()).is_err() {
            assert!(Instant::now() < end, "no leader takes it");
        }
        let found = within(LEFT, || (known(&gateway) == Some(known_then)).then_some(()));
        assert!(found.is_some(), "member {hung} hangs and is not left\n{}", gateway.logs());
        members[hung].cont();
    }
    answer_only(&gateway, &["a", "b", "c"]);
    assert!(gateway.alive());
    members[0].kill();
}

/// Requests that come before the first answer wait for it, as long as one may wait to connect.
#[test]
fn a_request_waits_for_the_first_answer() {
    let a = Raw::text("a");
    let mut etcd = Etcd::start();
    etcd.put("/app/1", &a.url());
    etcd.kill();
    let gateway = Gateway::start(&yaml(&[&etcd.url()], "\n    connect_timeout: 15s"));
    let mut client = gateway.client();
    client.request("GET", "h", "/", &[]);
    etcd.restart();
    assert_eq!(client.response().text(), "a");
    etcd.kill();
    let gateway = Gateway::start(&yaml(&[&etcd.url()], "\n    connect_timeout: 200ms"));
    let answer = gateway.get("h", "/");
    assert_eq!((answer.status, answer.reason().as_str()), (503, "no_endpoint"));
}
