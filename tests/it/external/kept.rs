//! What a service says is kept: one question for many requests that are alike.

use super::*;
use crate::support::tools::h2load;

const CACHED: &str = "{ external: { url: \"SERVICE/verify?sleep=0.3\", timeout: 10s, request_headers: [authorization], \
     response_headers: [x-user], answer_headers: [x-number], \
     cache: { key: [\"header:authorization\", path], ttl: 1h, negative_ttl: 1h } } }";

#[test]
fn a_thousand_equal_questions_at_once_are_one() {
    let parts = start(CACHED, "");
    let url = format!("{}/app", parts.gateway.url("http"));
    let storm = |shown: &str| {
        let header = format!("authorization: {shown}");
        h2load(&["-n", "1000", "-c", "10", "-m", "100", "-H", &header, &url])
    };
    assert_eq!(storm("Bearer good").ok, 1000);
    assert_eq!(parts.seen().len(), 1);
    let (kept, joined) = (parts.questions("kept"), parts.questions("joined"));
    assert_eq!((parts.questions("answered"), kept + joined), (1.0, 999.0), "{kept} {joined}");
    // Those who may not, too; and each path is asked for by itself.
    assert_eq!(storm("Bearer wrong").ok, 0);
    assert_eq!(parts.seen().len(), 2);
    let answer = parts.get("/app", &["Authorization: Bearer wrong"]);
    assert_eq!((answer.status, &*answer.text()), (401, "who?"));
    assert_eq!(parts.get("/app/other", &["Authorization: Bearer good"]).status, 200);
    assert_eq!(
        parts.get("/app", &["Authorization: Bearer good", "x: 1"]).header("x-number"),
        Some("1")
    );
    assert_eq!(parts.get("/app", &["Authorization: Bearer good", "Authorization: x"]).status, 400);
    assert_eq!(parts.seen().len(), 3);
}

#[test]
fn what_was_said_outlives_a_reload_that_does_not_touch_it() {
    let parts = start(CACHED, "");
    let good = ["Authorization: Bearer good"];
    assert_eq!(parts.get("/app", &good).status, 200);
    let yaml =
        |policy: &str, more: &str| file(policy, more, &parts.upstream.url(), &parts.service.url());
    parts.gateway.reload(&format!("\n\n{}", yaml(CACHED, "  more: { match: /more, to: UP }\n")));
    assert_eq!(parts.get("/app", &good).status, 200);
    assert_eq!(parts.seen().len(), 1);
    parts.gateway.reload(&yaml(&CACHED.replace("ttl: 1h,", "ttl: 2h,"), ""));
    assert_eq!(parts.get("/app", &good).status, 200);
    assert_eq!(parts.seen().len(), 2);
}

#[test]
fn a_cookie_is_given_to_the_one_it_is_for() {
    let policy =
        CACHED.replace("sleep=0.3", "sleep=0.3&cookie=1").replace("[x-number]", "[set-cookie]");
    let parts = start(&policy, "");
    let addr = parts.gateway.addr("http");
    let cookies: Vec<_> = std::thread::scope(|scope| {
        let one = || {
            let mut client = Client::connect(addr);
            let fields = ["Authorization: Bearer good", "Connection: close"];
            let answer = client.exchange("GET", "x", "/app", &fields);
            answer.header("set-cookie").map(str::to_owned)
        };
        let all: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|one| one.join().unwrap().unwrap()).collect()
    });
    let different: std::collections::HashSet<_> = cookies.iter().collect();
    assert_eq!(different.len(), 8, "{cookies:?}");
}

#[test]
fn whoever_asked_first_may_leave() {
    let parts = start(&CACHED.replace("0.3", "1"), "");
    let fields = ["Authorization: Bearer good", "Connection: close"];
    let mut first = parts.gateway.client();
    first.request("GET", "x", "/app", &fields);
    until("the first question", || parts.seen().len() == 1);
    let mut second = parts.gateway.client();
    second.request("GET", "x", "/app", &fields);
    pause(Duration::from_millis(100));
    drop(first);
    assert_eq!(second.response().status, 200);
    assert_eq!(parts.seen().len(), 1);
}

#[test]
fn what_was_said_before_holds_while_the_service_is_away() {
    let policy = CACHED
        .replace("ttl: 1h, negative_ttl: 1h", "ttl: 500ms, stale_if_error: 1h")
        .replace("0.3", "0");
    let mut parts = start(&policy, "");
    let good = ["Authorization: Bearer good"];
    assert_eq!(parts.get("/app", &good).status, 200);
    assert_eq!(parts.get("/app", &["Authorization: Bearer wrong"]).status, 401);
    parts.service.signal(rustix::process::Signal::KILL);
    pause(Duration::from_millis(600));
    assert_eq!(parts.get("/app", &good).echoed("x-user").as_deref(), Some("ann"));
    assert_eq!(parts.get("/app", &["Authorization: Bearer never seen"]).status, 503);
    assert_eq!(parts.questions("stale"), 1.0);
    parts.service.restart();
    assert_eq!(parts.get("/app", &good).status, 200);
    assert_eq!(parts.seen().len(), 1, "it is asked again once it is back");
}
