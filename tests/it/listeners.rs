//! What a listener can be: the redirect to HTTPS, the development CA, whom it believes, one that is
//! removed while it is in use.

use crate::support::{
    prelude::*,
    websocket::{EchoServer, Socket},
};

#[test]
fn https_redirect_keeps_host_path_and_query() {
    let authority = Authority::new();
    let gateway = Gateway::start(&format!(
        "listeners:\n  http: {{ address: \"127.0.0.1:0\", https_redirect: true }}\n  https: {{ address: \"127.0.0.1:0\", tls: true }}\n\
         tls: {{ certificates: [{}] }}\nroutes: {{ app: {{ respond: {{ status: 200, body: ok }} }} }}\n",
        authority.issue("a", &["a.example"]).yaml()
    ));
    let port = gateway.addr("https").port();
    let answer = gateway.get("a.example:80", "/x/../y?z=1");
    assert_eq!(answer.status, 308);
    assert_eq!(answer.header("location"), Some(&*format!("https://a.example:{port}/y?z=1")));
}

#[test]
fn the_development_ca_serves_any_name_and_survives_a_restart() {
    let home = crate::support::gateway::temporary();
    let yaml = "listeners: { https: { address: \"127.0.0.1:0\", tls: dev } }\n\
                routes: { app: { respond: { status: 200, body: ok } } }\n";
    let fetch = |gateway: &Gateway, host: &str, ca: &str| {
        let port = gateway.addr("https").port();
        let resolve = format!("{host}:{port}:127.0.0.1");
        curl(&["--resolve", &resolve, "--cacert", ca, &format!("https://{host}:{port}/")])
    };
    let gateway = Gateway::builder().home(&home).start(yaml);
    let found = walk(home.path(), "ca.pem").or_else(|| walk(home.path(), "ca.crt"));
    let ca = found.expect("the authority's certificate is a file");
    for host in ["a.example", "localhost", "deep.er.example"] {
        assert_eq!(fetch(&gateway, host, &ca).text(), "ok", "{host}");
    }
    drop(gateway);
    let gateway = Gateway::builder().home(&home).start(yaml);
    assert_eq!(fetch(&gateway, "a.example", &ca).text(), "ok", "the same authority again");
}

fn walk(directory: &std::path::Path, name: &str) -> Option<String> {
    std::fs::read_dir(directory).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return walk(&path, name);
        }
        (entry.file_name() == name).then(|| path.to_string_lossy().into_owned())
    })
}

#[test]
fn the_client_address_comes_from_where_the_listener_says() {
    let upstream = Raw::echo();
    let with = |from: &str| {
        Gateway::start(&format!(
            "listeners: {{ http: {{ address: \"127.0.0.1:0\", trusted_proxies: [127.0.0.0/8], client_ip_from: {from} }} }}\n\
             routes:\n  inner: {{ match: {{ path: \"/**\", client_ip: 203.0.113.0/24 }}, respond: {{ status: 200, body: inner }} }}\n  app: {{ to: \"{}\" }}\n",
            upstream.url()
        ))
    };
    let ask = |gateway: &Gateway, field: &str| {
        gateway.client().exchange("GET", "h", "/", &[field, "Connection: close"]).text()
    };
    let forwarded = with("forwarded");
    let inner = "Forwarded: for=9.9.9.9, for=203.0.113.7;proto=https";
    assert_eq!(ask(&forwarded, inner), "inner");
    assert_ne!(ask(&forwarded, "X-Forwarded-For: 203.0.113.7"), "inner");
    let own = with("cf-connecting-ip");
    assert_eq!(ask(&own, "CF-Connecting-IP: 203.0.113.7"), "inner");
    assert_ne!(ask(&own, "X-Forwarded-For: 203.0.113.7"), "inner");
}

#[test]
fn a_unix_socket_is_believed_only_when_anybody_is() {
    let upstream = Raw::echo();
    let home = crate::support::gateway::temporary();
    let path = home.path().join("edge.sock");
    let with = |trust: &str| {
        format!(
            "listeners: {{ local: {{ address: \"unix:{}\"{trust} }} }}\nroutes: {{ app: {{ to: \"{}\" }} }}\n",
            path.display(),
            upstream.url()
        )
    };
    let claim = ["X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https"];
    let ask = || Client::unix(&path).exchange("GET", "h", "/", &claim);
    let gateway = Gateway::builder().home(&home).start(&with(""));
    assert!(!ask().text().contains("1.2.3.4"), "{}", ask().text());
    assert_eq!(ask().echoed("x-forwarded-proto").as_deref(), Some("http"));
    gateway.reload(&with(", trusted_proxies: [10.0.0.0/8]"));
    assert_eq!(ask().echoed("x-real-ip").as_deref(), Some("1.2.3.4"));
}

#[test]
fn what_runs_on_a_removed_listener_runs_on() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = parking_lot::Mutex::new(released);
    let slow = Raw::serve(move |peer| {
        while peer.request().is_some() {
            released.lock().recv_timeout(3 * DEADLINE).expect("the test lets it go on");
            peer.ok(b"finished");
        }
    });
    let echo = EchoServer::start();
    let routes = format!(
        "routes: {{ slow: {{ match: /slow, to: \"{}\" }}, ws: {{ match: /ws, to: \"{}\" }} }}\n",
        slow.url(),
        echo.url()
    );
    let one = "listeners: { http: { address: \"127.0.0.1:0\" } }\n";
    let two =
        "listeners: { http: { address: \"127.0.0.1:0\" }, extra: { address: \"127.0.0.1:0\" } }\n";
    let gateway = Gateway::start(&format!("{two}{routes}"));
    let extra = gateway.addr("extra");
    let mut waiting = Client::connect(extra);
    waiting.request("GET", "h", "/slow", &[]);
    until("the upstream has the request", || slow.requests().len() == 1);
    let mut socket = Socket::connect(extra, "h", "/ws").unwrap();
    assert_eq!(socket.ask("before").as_deref(), Some("before"));

    gateway.reload(&format!("{one}{routes}"));
    until("the port is closed", || std::net::TcpStream::connect(extra).is_err());
    assert_eq!(socket.ask("after").as_deref(), Some("after"));
    release.send(()).unwrap();
    let answer = waiting.response();
    assert_eq!((answer.text().as_str(), answer.header("connection")), ("finished", Some("close")));
    assert!(waiting.closed());
    assert_eq!(socket.ask("still").as_deref(), Some("still"));
    socket.close();
}

#[test]
fn a_listener_that_moves_is_bound_before_the_old_one_closes() {
    let routes = "routes: { app: { respond: { status: 200, body: ok } } }\n";
    let at =
        |address: &str| format!("listeners: {{ http: {{ address: \"{address}\" }} }}\n{routes}");
    let gateway = Gateway::start(&at("127.0.0.1:0"));
    let before = gateway.addr("http");
    gateway.reload(&at("127.0.0.2:0"));
    until("it listens elsewhere", || gateway.addr("http") != before);
    assert_eq!(gateway.get("h", "/").text(), "ok");
    until("the old port is closed", || std::net::TcpStream::connect(before).is_err());
}
