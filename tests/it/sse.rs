//! Server-sent events and other slow answers are passed on as they come.

use crate::support::prelude::*;

#[test]
fn each_event_arrives_before_the_next_is_sent() {
    let (tell, told) = std::sync::mpsc::channel::<()>();
    let told = parking_lot::Mutex::new(told);
    let upstream = Raw::serve(move |peer| {
        if peer.request().is_none() {
            return;
        }
        peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        for number in 0..5 {
            let event = format!("data: {number}\n\n");
            peer.send(format!("{:x}\r\n{event}\r\n", event.len()));
            // The next one is sent only after the client says that it has this one.
            told.lock().recv_timeout(DEADLINE).expect("the client got the event");
        }
        peer.send("0\r\n\r\n");
    });
    let gateway = Gateway::to(&upstream.url());
    let mut client = gateway.client();
    client.request("GET", "h", "/events", &["Accept: text/event-stream"]);
    let (_, head) = client.head().unwrap();
    assert_eq!(head.get("content-type"), Some("text/event-stream"));
    for number in 0..5 {
        assert_eq!(client.wire().chunk().unwrap(), format!("data: {number}\n\n").as_bytes());
        tell.send(()).unwrap();
    }
    assert_eq!(client.wire().chunk().unwrap(), b"");
}

#[test]
fn flask_streams_events_through() {
    let flask = Flask::start();
    let gateway = Gateway::to(&flask.url());
    let answer = curl(&["-N", &format!("{}/events", gateway.url("http"))]);
    assert_eq!(answer.text(), "data: 0\n\ndata: 1\n\ndata: 2\n\n");
    assert_eq!(answer.status, 200);
}

#[test]
fn an_event_stream_outlives_the_default_time_limits_of_its_neighbours() {
    let upstream = Raw::serve(|peer| {
        while let Some(request) = peer.request() {
            let kind =
                if request.head.word(1) == "/events" { "text/event-stream" } else { "text/plain" };
            peer.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\n\r\n"
            ));
            pause(Duration::from_millis(900));
            peer.send("2\r\nb\n\r\n0\r\n\r\n");
        }
    });
    let gateway = Gateway::start(&format!(
        "routes:\n  events: {{ match: /events, to: \"{0}\", timeouts: {{ per_try: 300ms }} }}\n\
         \x20 cut: {{ match: /cut, to: \"{0}\", timeouts: {{ idle: 300ms }} }}\n",
        upstream.url()
    ));
    assert_eq!(gateway.client().get("h", "/events").text(), "a\nb\n", "per_try ends with the head");
    let mut client = gateway.client();
    client.request("GET", "h", "/cut", &[]);
    let (_, cut) = client.try_response("GET").unwrap();
    assert!(cut.is_some(), "a body that stalls longer than `idle` is cut, never ended as if whole");
}
