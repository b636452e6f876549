//! Which endpoint gets a request, how many it gets at once, and which connections are kept.

use std::net::TcpListener;

use crate::support::{gateway::SHORT, prelude::*};

/// An upstream that says its name and answers `/held` only when told to.
fn named(name: &'static str) -> (Raw, std::sync::mpsc::Sender<()>) {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = parking_lot::Mutex::new(released);
    let raw = Raw::serve(move |peer| {
        while let Some(request) = peer.request() {
            if request.head.word(1) == "/held" {
                let Ok(()) = released.lock().recv_timeout(3 * DEADLINE) else { return };
            }
            peer.ok(name.as_bytes());
        }
    });
    (raw, release)
}

#[test]
fn round_robin_goes_round() {
    let (a, b, c) = (Raw::text("a"), Raw::text("b"), Raw::text("c"));
    let gateway = Gateway::start(&format!(
        "server: {{ name: edge, workers: 1 }}\n\
         upstreams: {{ app: {{ endpoints: [\"{}\", \"{}\", {{ url: \"{}\", weight: 2 }}], lb: round_robin }} }}\n\
         routes: {{ app: {{ to: app }} }}\n",
        a.url(),
        b.url(),
        c.url()
    ));
    let mut client = gateway.client();
    let answers: String = (0..40).map(|_| client.get("h", "/").text()).collect();
    let count = |name: char| answers.chars().filter(|c| *c == name).count();
    assert_eq!((count('a'), count('b'), count('c')), (10, 10, 20), "{answers}");
    assert!(!answers.contains("aa") && !answers.contains("ccc"), "{answers}");
}

#[test]
fn random_takes_all_of_them_by_weight() {
    let (a, b) = (Raw::text("a"), Raw::text("b"));
    let gateway = Gateway::start(&format!(
        "upstreams: {{ app: {{ endpoints: [{{ url: \"{}\", weight: 3 }}, \"{}\"], lb: random }} }}\n\
         routes: {{ app: {{ to: app }} }}\n",
        a.url(),
        b.url()
    ));
    let mut client = gateway.client();
    let of_b = (0..400).filter(|_| client.get("h", "/").text() == "b").count();
    assert!((50..=160).contains(&of_b), "b answered {of_b} of 400");
}

#[test]
fn least_requests_avoids_the_busy_one() {
    let ((a, release_a), (b, release_b)) = (named("a"), named("b"));
    let gateway = Gateway::start(&format!(
        "upstreams: {{ app: [\"{}\", \"{}\"] }}\nroutes: {{ app: {{ to: app }} }}\n",
        a.url(),
        b.url()
    ));
    let mut held = gateway.client();
    held.request("GET", "h", "/held", &[]);
    until("one of them is busy", || a.requests().len() + b.requests().len() == 1);
    let (free, release) = if a.requests().is_empty() { ("a", release_b) } else { ("b", release_a) };
    let mut client = gateway.client();
    for _ in 0..30 {
        assert_eq!(client.get("h", "/").text(), free);
    }
    release.send(()).unwrap();
    assert_ne!(held.response().text(), free);
}

#[test]
fn backups_answer_when_no_other_can_be_reached() {
    let backup = Raw::text("backup");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = Gateway::start(&format!(
        "upstreams:\n  app: {{ endpoints: [\"http://{free}\", {{ url: \"{}\", backup: true }}] }}\nroutes: {{ app: {{ to: app }} }}\n",
        backup.url()
    ));
    let mut client = gateway.client();
    assert!((0..20).all(|_| client.get("h", "/").text() == "backup"));
}

#[test]
fn an_endpoint_that_refuses_costs_nobody_an_answer() {
    let good = Raw::text("good");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = Gateway::start(&format!(
        "upstreams: {{ pair: [\"http://{free}\", \"{}\"] }}\nroutes: {{ app: {{ to: pair }} }}\n",
        good.url()
    ));
    let mut client = gateway.client();
    // Nothing of the request was sent to the one that refused, so even a POST goes on to the other.
    for _ in 0..20 {
        assert_eq!(client.get("h", "/").text(), "good");
        assert_eq!(client.post("h", "/", b"x").text(), "good");
    }
}

#[test]
fn requests_beyond_the_limit_wait_in_the_queue() {
    let (upstream, release) = named("done");
    let gateway = Gateway::start(&format!(
        "upstreams: {{ app: {{ endpoints: [\"{}\"], connect_timeout: 20s, limits: {{ requests: 1, queue: 1 }} }} }}\n\
         routes: {{ app: {{ to: app }} }}\n",
        upstream.url()
    ));
    let mut first = gateway.client();
    first.request("GET", "h", "/held", &[]);
    until("the upstream has the first", || upstream.requests().len() == 1);
    let mut second = gateway.client();
    second.request("GET", "h", "/second", &[]);
    pause(SHORT);
    assert_eq!(upstream.requests().len(), 1, "the second waits");
    let third = gateway.get("h", "/third");
    assert_eq!((third.status, third.reason().as_str()), (503, "overloaded"), "the queue is full");
    release.send(()).unwrap();
    assert_eq!(first.response().text(), "done");
    assert_eq!(second.response().text(), "done");
}

#[test]
fn connections_of_an_endpoint_are_limited() {
    let (upstream, release) = named("done");
    let gateway = Gateway::start(&format!(
        "upstreams: {{ app: {{ endpoints: [\"{}\"], connect_timeout: 20s, limits: {{ connections: 2 }} }} }}\n\
         routes: {{ app: {{ to: app }} }}\n",
        upstream.url()
    ));
    let mut clients: Vec<_> = (0..6).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.request("GET", "h", "/held", &[]);
    }
    until("two are with the upstream", || upstream.requests().len() == 2);
    pause(SHORT);
    assert_eq!(upstream.connections(), 2);
    for _ in 0..6 {
        release.send(()).unwrap();
    }
    for client in &mut clients {
        assert_eq!(client.response().text(), "done");
    }
}

#[test]
fn an_idle_pooled_connection_is_closed_after_its_time() {
    let (tell, told) = std::sync::mpsc::channel();
    let upstream = Raw::serve(move |peer| {
        while peer.request().is_some() {
            peer.ok(b"x");
        }
        let _ = tell.send(());
    });
    let gateway = Gateway::start(&format!(
        "upstreams: {{ app: {{ endpoints: [\"{}\"], pool: {{ idle: 300ms }} }} }}\nroutes: {{ app: {{ to: app }} }}\n",
        upstream.url()
    ));
    assert_eq!(gateway.get("h", "/").status, 200);
    told.recv_timeout(DEADLINE).expect("the pooled connection is closed");
    assert_eq!(gateway.get("h", "/").status, 200);
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn a_post_is_never_sent_twice() {
    // Takes every request, and closes without an answer when it comes on a used connection.
    let upstream = Raw::serve(|peer| {
        if peer.request().is_some() {
            peer.ok(b"first");
            peer.request();
        }
    });
    let gateway = Gateway::start(&format!(
        "server: {{ name: edge, workers: 1 }}\nroutes: {{ app: {{ to: \"{}\" }} }}\n",
        upstream.url()
    ));
    let mut client = gateway.client();
    assert_eq!(client.get("h", "/").text(), "first");
    pause(Duration::from_millis(20)); // long enough to count as idle
    let answer = client.exchange("POST", "h", "/order", &["Content-Length: 0"]);
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_reset"));
    let posts = upstream.requests().iter().filter(|head| head.word(0) == "POST").count();
    assert_eq!(posts, 1, "the upstream may have done it already");
}
