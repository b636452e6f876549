//! A client that leaves takes its request with it.

use h2::Reason;
use http::Request;

use crate::support::{h2client::H2, prelude::*};

/// An upstream that takes requests and then waits for the gateway to hang up; it says when that happened.
fn waits() -> (Raw, std::sync::mpsc::Receiver<()>) {
    let (tell, told) = std::sync::mpsc::channel();
    let raw = Raw::serve(move |peer| {
        if peer.request().is_some() {
            peer.gone();
            let _ = tell.send(());
        }
    });
    (raw, told)
}

#[test]
fn an_http1_client_that_closes_cancels_the_upstream_request() {
    let (upstream, told) = waits();
    let gateway = Gateway::to(&upstream.url());
    let mut client = gateway.client();
    client.request("GET", "h", "/", &[]);
    until("the upstream has the request", || upstream.requests().len() == 1);
    drop(client);
    told.recv_timeout(DEADLINE).expect("the upstream connection is closed");
    let line = gateway.last_access(1);
    assert_eq!((&line["status"], &line["reason"]), (&499.into(), &"client_gone".into()), "{line}");
}

#[test]
fn an_http2_client_that_resets_its_stream_cancels_only_that() {
    let (upstream, told) = waits();
    let other = Raw::text("other");
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h2c] }} }}\n\
         routes:\n  wait: {{ match: /wait, to: \"{}\" }}\n  other: {{ to: \"{}\" }}\n",
        upstream.url(),
        other.url()
    ));
    let address = gateway.addr("http");
    block_on(async {
        let mut h2 = H2::plain(address).await;
        let request = Request::get("http://h/wait").body(()).unwrap();
        let (response, mut stream) = h2.send.send_request(request, true).unwrap();
        tokio::task::spawn_blocking(move || {
            until("the upstream has the request", || upstream.requests().len() == 1);
            upstream
        })
        .await
        .map(|upstream| {
            stream.send_reset(Reason::CANCEL);
            drop(response);
            told.recv_timeout(DEADLINE).expect("the upstream connection is closed");
            drop(upstream);
        })
        .unwrap();
        let request = Request::get("http://h/").body(()).unwrap();
        assert_eq!(h2.exchange(request, b"", None).await.unwrap().body, b"other");
    });
}

#[test]
fn a_client_that_leaves_in_the_middle_of_an_upload_never_spoils_a_pooled_connection() {
    let upstream = Raw::echo();
    let gateway = Gateway::to(&upstream.url());
    assert_eq!(gateway.get("h", "/").status, 200);
    let mut client = gateway.client();
    client.request("POST", "h", "/half", &["Content-Length: 1000"]);
    client.send("half");
    until("the upstream has the head", || upstream.requests().len() == 2);
    drop(client);
    let mut next = gateway.client();
    for number in 0..10 {
        let target = format!("/{number}");
        assert_eq!(next.get("h", &target).echoed_target(), target);
    }
}

#[test]
fn a_client_that_leaves_during_the_answer_ends_it_upstream() {
    let (tell, told) = std::sync::mpsc::channel();
    let upstream = Raw::serve(move |peer| {
        if peer.request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while peer.send("4\r\ntick\r\n") {
                pause(Duration::from_millis(10));
            }
            let _ = tell.send(());
        }
    });
    let gateway = Gateway::to(&upstream.url());
    let mut client = gateway.client();
    client.request("GET", "h", "/", &[]);
    assert_eq!(client.head().unwrap().1.word(1), "200");
    drop(client);
    told.recv_timeout(DEADLINE).expect("the upstream connection is closed");
}
