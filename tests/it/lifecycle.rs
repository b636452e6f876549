//! From start to end of the process: signals, drain, limits of descriptors and connections, systemd.

use std::os::unix::net::UnixDatagram;

use http::Request;
use rustix::process::Signal;

use crate::support::{
    gateway::{SHORT, everything, temporary},
    h2client::H2,
    prelude::*,
};

/// An upstream that answers each request when told to.
fn on_command() -> (Raw, std::sync::mpsc::Sender<()>) {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = parking_lot::Mutex::new(released);
    let raw = Raw::serve(move |peer| {
        while peer.request().is_some() {
            let Ok(()) = released.lock().recv_timeout(3 * DEADLINE) else { return };
            peer.ok(b"finished");
        }
    });
    (raw, release)
}

fn draining(upstream: &str, delay: &str, timeout: &str, protocols: &str) -> Gateway {
    Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [{protocols}] }} }}\n\
         server: {{ name: edge, workers: 2, drain: {{ delay: {delay}, timeout: {timeout} }} }}\n\
         routes: {{ ok: {{ match: /ok, respond: 200 }}, app: {{ to: \"{upstream}\" }} }}\n"
    ))
}

#[test]
fn sigterm_lets_requests_finish_and_readiness_fail_first() {
    let (upstream, release) = on_command();
    let mut gateway = draining(&upstream.url(), "1500ms", "20s", "h1");
    let mut waiting = gateway.client();
    waiting.request("GET", "h", "/", &[]);
    until("the upstream has the request", || upstream.requests().len() == 1);
    gateway.signal(Signal::TERM);
    until("readiness fails", || gateway.admin("/readyz").status == 503);
    assert_eq!(gateway.admin("/livez").status, 200);
    assert_eq!(gateway.get("h", "/ok").status, 200, "still served during the delay");
    let address = gateway.addr("http");
    until("the listener closes", || std::net::TcpStream::connect(address).is_err());
    assert!(gateway.alive());
    release.send(()).unwrap();
    let answer = waiting.response();
    assert_eq!((answer.status, answer.text().as_str()), (200, "finished"));
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(waiting.closed());
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn http2_clients_get_a_goaway_and_their_answers() {
    let (upstream, release) = on_command();
    let mut gateway = draining(&upstream.url(), "0s", "20s", "h2c");
    let address = gateway.addr("http");
    block_on(async {
        let mut h2 = H2::plain(address).await;
        let request = Request::get("http://h/").body(()).unwrap();
        let (response, _) = h2.send.send_request(request, true).unwrap();
        tokio::task::block_in_place(|| {
            until("the upstream has the request", || upstream.requests().len() == 1);
            gateway.signal(Signal::TERM);
            until("the listener closes", || std::net::TcpStream::connect(address).is_err());
            release.send(()).unwrap();
        });
        let mut response = response.await.unwrap();
        assert_eq!(response.body_mut().data().await.unwrap().unwrap(), "finished");
        let more = Request::get("http://h/ok").body(()).unwrap();
        assert!(h2.exchange(more, b"", None).await.is_err(), "no new stream after the GOAWAY");
    });
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn idle_connections_do_not_hold_the_drain_up() {
    let mut gateway = draining("http://127.0.0.1:1", "0s", "15s", "h1");
    let mut idle = gateway.client();
    assert_eq!(idle.get("h", "/ok").status, 200);
    let silent = gateway.client();
    let start = tokio::time::Instant::now();
    gateway.signal(Signal::TERM);
    assert!(idle.closed());
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(10), "waited for idle connections");
    drop(silent);
}

#[test]
fn a_second_signal_ends_it_now() {
    let (upstream, _release) = on_command();
    let mut gateway = draining(&upstream.url(), "60s", "60s", "h1");
    let mut waiting = gateway.client();
    waiting.request("GET", "h", "/", &[]);
    until("the upstream has the request", || upstream.requests().len() == 1);
    gateway.signal(Signal::TERM);
    until("readiness fails", || gateway.admin("/readyz").status == 503);
    pause(SHORT); // two signals at once count as one
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait().code(), Some(130));
}

#[test]
fn the_drain_ends_at_its_time_whatever_still_runs() {
    let (upstream, _release) = on_command();
    let mut gateway = draining(&upstream.url(), "0s", "500ms", "h1");
    let mut waiting = gateway.client();
    waiting.request("GET", "h", "/", &[]);
    until("the upstream has the request", || upstream.requests().len() == 1);
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn sigint_skips_the_delay_and_the_verb_drains_too() {
    let mut gateway = draining("http://127.0.0.1:1", "60s", "10s", "h1");
    gateway.signal(Signal::INT);
    assert_eq!(gateway.wait().code(), Some(0));
    let mut gateway = draining("http://127.0.0.1:1", "100ms", "10s", "h1");
    let output = gateway.verb(&["drain"]);
    assert!(output.status.success(), "{}", everything(&output));
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn sigusr2_is_survived() {
    let mut gateway = draining("http://127.0.0.1:1", "0s", "1s", "h1");
    gateway.signal(Signal::USR2);
    assert_eq!(gateway.get("h", "/ok").status, 200);
    assert!(gateway.alive());
}

#[test]
fn a_bad_file_at_start_is_exit_code_78() {
    let mut gateway = Gateway::builder().spawn("routes: { app: { too: nowhere } }\n");
    assert_eq!(gateway.wait().code(), Some(78));
    until("the error is printed", || gateway.logs().contains("too"));
    let mut gateway = Gateway::builder().spawn(
        "listeners: { http: { address: \"192.0.2.1:80\" } }\nroutes: { a: { respond: 200 } }\n",
    );
    assert_ne!(gateway.wait().code(), Some(0), "an address that is not ours");
}

#[test]
fn the_descriptor_limit_is_raised_as_far_as_allowed() {
    let gateway = Gateway::builder().ulimit("-Sn 256").start("routes: { app: { respond: 200 } }\n");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words[3], words[4], "{line}");
}

#[test]
fn connections_beyond_the_limit_are_turned_away_politely() {
    let gateway = Gateway::start(
        "listeners: { http: { address: \"127.0.0.1:0\", max_connections: 2, limits: { connections_per_client: 2 } } }\nroutes: { app: { respond: 200 } }\n",
    );
    let mut held = [gateway.client(), gateway.client()];
    for client in &mut held {
        assert_eq!(client.get("h", "/").status, 200);
    }
    let mut third = gateway.client();
    third.request("GET", "h", "/", &[]);
    if let Some((answer, _)) = third.try_response("GET") {
        assert_eq!(answer.status, 503);
    }
    assert!(third.closed());
    drop(held);
    until("there is room again", || {
        let mut client = gateway.client();
        client.request("GET", "h", "/", &[]);
        client.try_response("GET").is_some_and(|(answer, _)| answer.status == 200)
    });
}

#[test]
fn systemd_is_told_when_it_is_ready_and_when_it_stops() {
    let home = temporary();
    let path = home.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut gateway = Gateway::builder()
        .home(&home)
        .env("NOTIFY_SOCKET", path.to_str().unwrap())
        .start("routes: { app: { respond: 200 } }\n");
    let told = |what: &str| {
        let mut buffer = [0; 4096];
        let mut all = String::new();
        while !all.contains(what) {
            let length = socket.recv(&mut buffer).unwrap_or_else(|_| panic!("no {what} in {all}"));
            all.push_str(&String::from_utf8_lossy(&buffer[..length]));
            all.push('\n');
        }
        all
    };
    let all = told("READY=1");
    assert!(all.contains("STATUS=") || told("STATUS=").contains("route"), "{all}");
    gateway.write("routes: { app: { respond: 200 }, more: { match: /more, respond: 200 } }\n");
    gateway.signal(Signal::HUP);
    let all = told("RELOADING=1");
    assert!(all.contains("MONOTONIC_USEC="), "Type=notify-reload wants the time: {all}");
    assert!(told("READY=1").contains("2 routes"));
    gateway.signal(Signal::TERM);
    told("STOPPING=1");
    assert_eq!(gateway.wait().code(), Some(0));
}

/// Opens a socket as systemd would and becomes the gateway.
const ACTIVATE: &str = "
import os, socket, sys
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='web')
os.execv(sys.argv[1], sys.argv[1:])
";

#[test]
fn a_socket_passed_by_systemd_is_used() {
    let gateway = Gateway::builder().wrapper(&["python3", "-c", ACTIVATE]).start(
        "listeners: { http: { address: \"fd:web\" } }\nroutes: { app: { respond: { status: 200, body: ok } } }\n",
    );
    assert_eq!(gateway.get("h", "/").text(), "ok");
}

#[test]
fn a_unix_socket_is_a_listener_and_an_upstream() {
    let home = temporary();
    let path = home.path().join("edge.sock");
    let gateway = Gateway::builder().home(&home).start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\" }}, local: {{ address: \"unix:{0}\" }} }}\n\
         upstreams: {{ itself: \"unix:{0}\" }}\n\
         routes: {{ here: {{ match: {{ path: /x, listener: local }}, respond: {{ status: 200, body: by the socket }} }}, app: {{ match: {{ path: /x, listener: http }}, to: itself }} }}\n",
        path.display()
    ));
    assert_eq!(Client::unix(&path).get("h", "/x").text(), "by the socket");
    assert_eq!(gateway.get("h", "/x").text(), "by the socket");
    assert_eq!(Client::unix(&path).get("h", "/x").status, 200);
}

#[test]
fn connections_count_from_the_moment_they_are_accepted() {
    let gateway = Gateway::start(
        "listeners: { https: { address: \"127.0.0.1:0\", tls: dev, max_connections: 3, limits: { connections_per_client: 3 } } }\nroutes: { app: { respond: 200 } }\n",
    );
    // They never say a word of TLS.
    let silent: Vec<_> =
        (0..3).map(|_| std::net::TcpStream::connect(gateway.addr("https")).unwrap()).collect();
    let handshakes = || {
        gateway.metric("tidegate_connections", &[("listener", "https"), ("protocol", "handshake")])
    };
    until("all three are counted", || handshakes() == Some(3.0));
    let mut fourth = std::net::TcpStream::connect(gateway.addr("https")).unwrap();
    fourth.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(std::io::Read::read(&mut fourth, &mut [0; 16]).unwrap_or(0), 0, "turned away");
    drop(silent);
    until("they are gone", || handshakes() == Some(0.0));
}
