//! Further tries: when there is one, when there is none, where it goes, and how often at most.

use tokio::time::Instant;

use super::{answer, in_turn, list, nowhere, serve, switched, tell};
use crate::support::{
    gateway::SHORT,
    h2client::H2,
    h2upstream::{END_HEADERS, END_STREAM, H2Peer, HEADERS, field},
    prelude::*,
};

fn one(upstream: &Raw, retry: &str) -> Gateway {
    Gateway::start(&format!(
        "routes: {{ app: {{ to: \"{}\", retry: {retry} }} }}\n",
        upstream.url()
    ))
}

fn two(a: &str, b: &str, retry: &str) -> Gateway {
    Gateway::start(&format!(
        "upstreams: {{ app: {{ endpoints: [\"{a}\", \"{b}\"], lb: round_robin }} }}\n\
         routes: {{ app: {{ to: app{retry} }} }}\n"
    ))
}

#[test]
fn a_503_is_tried_again_on_the_connection_it_came_on() {
    let upstream = in_turn(&[503, 200]);
    let gateway = one(&upstream, "2");
    let mut client = gateway.client();
    let first = client.get("h", "/");
    assert_eq!((first.status, first.text().as_str()), (200, "fine"));
    assert_eq!(gateway.last_access(1)["tries"], 2);
    assert_eq!(gateway.metric("tidegate_retries_total", &[("reason", "status")]), Some(1.0));
    assert_eq!(upstream.connections(), 1);
    assert_eq!(client.get("h", "/").status, 200);
    assert_eq!(gateway.last_access(2)["tries"], 1);
    let upstream = in_turn(&[503, 502, 200]);
    let gateway = one(&upstream, "2");
    assert_eq!(gateway.client().exchange("HEAD", "h", "/", &[]).status, 200);
    assert_eq!(upstream.requests().len(), 3);
}

#[test]
fn the_last_answer_is_the_clients() {
    let upstream = in_turn(&[503]);
    let gateway = one(&upstream, "2");
    let last = gateway.get("h", "/");
    assert_eq!((last.status, last.text().as_str()), (503, "sick"));
    assert_eq!(upstream.requests().len(), 3);
    let line = gateway.last_access(1);
    assert_eq!((&line["tries"], &line["reason"]), (&3.into(), &serde_json::Value::Null), "{line}");
}

#[test]
fn only_what_the_route_names_is_tried_again() {
    for (when, status, tries) in
        [("[500]", 500, 2), ("[500]", 503, 1), ("[\"400-404\"]", 404, 2), ("[reset]", 503, 1)]
    {
        let upstream = match status {
            500 => in_turn(&[500, 200]),
            404 => in_turn(&[404, 200]),
            _ => in_turn(&[503, 200]),
        };
        let gateway = one(&upstream, &format!("{{ times: 2, when: {when} }}"));
        let answer = gateway.get("h", "/");
        assert_eq!(answer.status, if tries == 2 { 200 } else { status }, "{when} {status}");
        assert_eq!(upstream.requests().len(), tries, "{when} {status}");
    }
}

#[test]
fn a_retry_after_is_obeyed_and_a_long_one_ends_it() {
    let upstream = serve(|at, _, peer| {
        peer.send(if at == 0 { answer(503, "Retry-After: 1\r\n") } else { answer(200, "") });
    });
    let gateway = one(&upstream, "{ times: 2, max_backoff: 3s }");
    let begin = Instant::now();
    assert_eq!(gateway.get("h", "/").status, 200);
    assert!(begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());

    let upstream = serve(|_, _, peer| tell(peer, answer(503, "Retry-After: 4\r\n")));
    let gateway = one(&upstream, "{ times: 2, max_backoff: 3s }");
    let answer = gateway.get("h", "/");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("4")));
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn the_next_try_goes_to_another_endpoint() {
    let (bad, good) = (in_turn(&[503]), in_turn(&[200]));
    let gateway = two(&bad.url(), &good.url(), ", retry: 1");
    let mut client = gateway.client();
    for _ in 0..12 {
        assert_eq!(client.get("h", "/").status, 200);
    }
    assert_eq!(good.requests().len(), 12);
    let tried = bad.requests().len();
    assert!((4..=8).contains(&tried), "the sick one had {tried} of 12 first tries");
    // When all were tried, all may be tried again.
    let upstreams = [in_turn(&[503]), in_turn(&[503])];
    let gateway = two(&upstreams[0].url(), &upstreams[1].url(), ", retry: 3");
    assert_eq!(gateway.get("h", "/").status, 503);
    assert_eq!(upstreams.map(|it| it.requests().len()), [2, 2]);
}

#[test]
fn a_connection_that_breaks_is_tried_again_for_what_may_be() {
    let breaks =
        || serve(|at, _, peer| if at == 0 { peer.reset() } else { tell(peer, answer(200, "")) });
    let upstream = breaks();
    let gateway = one(&upstream, "1");
    assert_eq!(gateway.get("h", "/").status, 200);
    assert_eq!(gateway.last_access(1)["tries"], 2);
    let upstream = breaks();
    let gateway = one(&upstream, "1");
    let answer = gateway.client().post("h", "/", b"order");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_reset"));
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_refused_connection_costs_nothing_where_there_is_another() {
    let good = in_turn(&[200]);
    let gateway = two(&nowhere(), &good.url(), ", retry: 1");
    let mut client = gateway.client();
    (0..6).for_each(|_| assert_eq!(client.get("h", "/").status, 200));
    // Nobody has seen it: that holds for a POST as well.
    (0..6).for_each(|_| assert_eq!(client.post("h", "/", b"order").status, 200));
    assert_eq!(good.requests().len(), 12);
    assert_eq!(gateway.metric("tidegate_retries_total", &[]), None);
    let lines = gateway.access_log(12);
    assert!(lines.iter().any(|line| line["tries"] == 2), "{lines:?}");
    // Where there is no other, it is tried again.
    let gateway = two(&nowhere(), &nowhere(), ", retry: 1");
    let answer = gateway.get("h", "/");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "connect_refused"));
    let label = [("reason", "connect_refused")];
    assert_eq!(gateway.metric("tidegate_retries_total", &label), Some(1.0));
    assert_eq!(gateway.last_access(1)["tries"], 4);
}

#[test]
fn a_late_answer_is_tried_again_only_where_the_route_says_so() {
    let late = || {
        serve(|at, _, peer| {
            if at == 0 {
                peer.gone();
            } else {
                peer.send(answer(200, ""));
            }
        })
    };
    for (when, status) in [("timeout", 200), ("reset", 504)] {
        let upstream = late();
        let gateway = Gateway::start(&format!(
            "routes: {{ app: {{ to: \"{}\", timeouts: {{ per_try: 500ms }}, \
             retry: {{ times: 1, when: {when} }} }} }}\n",
            upstream.url()
        ));
        assert_eq!(gateway.get("h", "/").status, status, "{when}");
    }
}

#[test]
fn the_total_time_bounds_all_tries() {
    // An answer in the hand is better than a time that runs out.
    let upstream = serve(|_, _, peer| tell(peer, answer(503, "Retry-After: 1\r\n")));
    let gateway = Gateway::start(&format!(
        "routes: {{ app: {{ to: \"{}\", timeouts: {{ request: 2500ms }}, \
         retry: {{ times: 9, max_backoff: 5s, backoff: 1ms }} }} }}\n",
        upstream.url()
    ));
    let begin = Instant::now();
    assert_eq!(gateway.get("h", "/").status, 503);
    assert!(begin.elapsed() < Duration::from_millis(2500), "{:?}", begin.elapsed());
    assert_eq!(upstream.requests().len(), 3);

    let silent = serve(|_, _, peer| peer.gone());
    let gateway = Gateway::start(&format!(
        "routes: {{ app: {{ to: \"{}\", timeouts: {{ request: 1s, per_try: 400ms }}, \
         retry: {{ times: 9, when: timeout, backoff: 1ms }} }} }}\n",
        silent.url()
    ));
    let begin = Instant::now();
    let answer = gateway.get("h", "/");
    assert_eq!((answer.status, answer.reason().as_str()), (504, "request_timeout"));
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(1) && took < DEADLINE / 2, "{took:?}");
    assert_eq!(gateway.last_access(1)["tries"], 3);
}

#[test]
fn a_client_that_leaves_during_a_pause_takes_its_request_with_it() {
    let upstream = serve(|_, _, peer| tell(peer, answer(503, "Retry-After: 1\r\n")));
    let gateway = one(&upstream, "{ times: 2, max_backoff: 3s }");
    let mut client = gateway.client();
    client.request("GET", "h", "/", &[]);
    until("the first try", || upstream.requests().len() == 1);
    drop(client);
    let line = gateway.last_access(1);
    assert_eq!((&line["status"], &line["tries"]), (&499.into(), &1.into()), "{line}");
    pause(Duration::from_secs(1) + SHORT);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_budget_bounds_all_further_tries_together() {
    let upstreams = [in_turn(&[503]), in_turn(&[503]), in_turn(&[503])];
    let gateway = Gateway::start(&format!(
        "upstreams: {{ app: {} }}\n\
         routes: {{ app: {{ to: app, retry: {{ times: 2, backoff: 1ms }} }} }}\n",
        list(&upstreams)
    ));
    let begin = Instant::now();
    let address = gateway.addr("http");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                (0..500).for_each(|_| assert_eq!(client.get("h", "/").status, 503));
            });
        }
    });
    let seconds = begin.elapsed().as_secs() as usize + 1;
    let seen: usize = upstreams.iter().map(|it| it.requests().len()).sum();
    println!("2000 requests of which all fail: {seen} tries in {seconds} s");
    assert!(seen <= 2_400 + 10 + seconds, "{seen} tries in {seconds} s");
    assert!(seen >= 2_300, "{seen} tries: the budget is not used");
    assert!(gateway.metric("tidegate_retry_budget_exhausted_total", &[]) > Some(1_000.0));
}

#[test]
fn a_grpc_call_that_is_unavailable_is_a_503() {
    let upstream = Raw::serve(|peer| {
        let Some(mut peer) = H2Peer::accept(peer) else { return };
        let mut head = field(":status", "200");
        head.extend(field("content-type", "application/grpc"));
        for status in ["14", "0"] {
            let Some(stream) = peer.request() else { return };
            let head = [head.clone(), field("grpc-status", status)].concat();
            peer.send(HEADERS, END_HEADERS | END_STREAM, stream, &head);
        }
        while peer.frame().is_some() {}
    });
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h2c] }} }}\n\
         routes: {{ app: {{ to: \"h2c://{}\", retry: {{ times: 1, methods: any }} }} }}\n",
        upstream.address()
    ));
    let address = gateway.addr("http");
    block_on(async {
        let request = http::Request::post("http://h/a.B/C")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("content-length", "5");
        let mut h2 = H2::plain(address).await;
        let answer = h2.exchange(request.body(()).unwrap(), b"\0\0\0\0\0", None).await.unwrap();
        assert_eq!(answer.head.headers()["grpc-status"], "0");
    });
    assert_eq!(gateway.last_access(1)["tries"], 2);
}

#[test]
fn nothing_is_tried_again_without_being_asked_to() {
    let (upstream, _) = switched(503);
    for retry in ["", ", retry: 0"] {
        let gateway = Gateway::start(&format!(
            "routes: {{ app: {{ to: \"{}\"{retry} }} }}\n",
            upstream.url()
        ));
        let before = upstream.requests().len();
        assert_eq!(gateway.get("h", "/").status, 503);
        assert_eq!(upstream.requests().len(), before + 1);
    }
}
