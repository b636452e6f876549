//! `mirror`: copies of requests go elsewhere, and nobody notices but the metrics.

use crate::support::prelude::*;

/// A gateway that copies all of a route, with what stands in `mirror` besides.
fn mirrored(original: &Raw, mirror: &Raw, more: &str) -> Gateway {
    Gateway::start(&format!(
        "upstreams: {{ app: \"{}\", next: \"{}\" }}\n\
         routes: {{ app: {{ to: app, strip_prefix: /v1, match: /v1/**, mirror: {{ to: next{more} }} }} }}\n",
        original.url(),
        mirror.url(),
    ))
}

fn copies(gateway: &Gateway, result: &str) -> Option<f64> {
    gateway.metric("tidegate_mirror_requests_total", &[("route", "app"), ("result", result)])
}

#[test]
fn the_mirror_gets_what_the_upstream_gets_and_the_client_the_answer_of_the_upstream() {
    let (original, mirror) =
        (Raw::echo(), Raw::always("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"));
    let gateway = mirrored(&original, &mirror, "");
    let mut client = gateway.client();
    client.request("POST", "h", "/v1/a?b=c", &["content-length: 5", "x-mine: yes"]);
    client.send("hello");
    let answer = client.response();
    assert_eq!(answer.status, 200);
    assert!(answer.text().ends_with("\n\nhello"), "{}", answer.text());
    until("the copy arrives", || mirror.requests().len() == 1);
    let (sent, copy) = (&original.requests()[0], &mirror.requests()[0]);
    assert_eq!(copy.first, "POST /a?b=c HTTP/1.1");
    assert_eq!(copy.first, sent.first);
    let without_framing = |head: &crate::support::wire::Head| {
        let mut fields = head.fields.clone();
        fields.retain(|(name, _)| !name.eq_ignore_ascii_case("connection"));
        fields.sort();
        fields
    };
    assert_eq!(without_framing(copy), without_framing(sent));
    until("the copy is counted", || copies(&gateway, "answered") == Some(1.0));
}

#[test]
fn a_mirror_that_hangs_or_is_gone_delays_nobody() {
    let original = Raw::text("fine");
    let hangs = Raw::serve(|peer| {
        peer.request();
        peer.gone();
    });
    let gateway = mirrored(&original, &hangs, "");
    let mut client = gateway.client();
    let begun = tokio::time::Instant::now();
    for _ in 0..200 {
        assert_eq!(client.get("h", "/v1/x").text(), "fine");
    }
    assert!(begun.elapsed() < DEADLINE / 2, "{:?}", begun.elapsed());
    // 128 at once; the others were not copied.
    until("too many are counted", || copies(&gateway, "overloaded") >= Some(72.0));
}

#[test]
fn only_a_share_is_copied() {
    let (original, mirror) = (Raw::text("fine"), Raw::text("fine"));
    let gateway = mirrored(&original, &mirror, ", percent: 25%");
    let mut client = gateway.client();
    for _ in 0..400 {
        client.get("h", "/v1/x");
    }
    until("copies have arrived", || mirror.requests().len() >= 50);
    pause(Duration::from_millis(100));
    let copies = mirror.requests().len();
    assert!((50..=150).contains(&copies), "{copies} of 400");
    assert_eq!(original.requests().len(), 400);
}

#[test]
fn answers_are_compared_counted_and_told() {
    let original = Raw::serve(|peer| {
        while let Some(request) = peer.request() {
            peer.ok(if request.head.word(1) == "/body" { b"old" } else { b"same" });
        }
    });
    let mirror = Raw::serve(|peer| {
        while let Some(request) = peer.request() {
            match request.head.word(1) {
                "/status" => peer.send("HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\nsame"),
                "/body" => peer.ok(b"new"),
                _ => peer.ok(b"same"),
            };
        }
    });
    let mut gateway = mirrored(&original, &mirror, ", compare: { body: true }");
    let mut client = gateway.client();
    let counted = |difference: &str| {
        let labels = [("route", "app"), ("difference", difference)];
        gateway.metric("tidegate_mirror_comparisons_total", &labels)
    };
    let cases = [("/v1/same", "none"), ("/v1/status", "status"), ("/v1/body", "body")];
    for (path, difference) in cases {
        assert_eq!(client.get("h", path).status, 200);
        until(difference, || counted(difference) == Some(1.0));
    }
    gateway.wait_log(&["the mirror answers something else", "status 404 instead of 200"]);
}

#[test]
fn what_a_head_lacks_is_added_to_its_copy_too() {
    let (original, mirror) = (Raw::text("fine"), Raw::text("fine"));
    let gateway = mirrored(&original, &mirror, "");
    let mut client = gateway.client();
    client.send("GET /v1/x HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().status, 200);
    until("the copy arrives", || mirror.requests().len() == 1);
    let hosts = |raw: &Raw| {
        let fields = raw.requests().remove(0).fields;
        fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host")).count()
    };
    assert_eq!((hosts(&original), hosts(&mirror)), (1, 1));
}
