//! The file is changed under a running gateway: every way of changing it, what is reported, and what must
//! not notice.

use std::{fs, os::unix::fs::symlink, sync::Arc};

use rustix::process::Signal;

use crate::support::{
    gateway::{complete, everything, temporary, tidegate},
    prelude::*,
    tls,
    websocket::{EchoServer, Socket},
};

fn says(word: &str) -> String {
    format!("routes: {{ app: {{ respond: {{ status: 200, body: {word} }} }} }}\n")
}

#[track_caller]
fn becomes(gateway: &Gateway, word: &str) {
    until(&format!("the answer `{word}`"), || gateway.get("h", "/").text() == word);
}

#[test]
fn an_edit_in_place_and_a_rename_over_the_file_are_noticed() {
    let gateway = Gateway::start(&says("one"));
    assert_eq!(gateway.get("h", "/").text(), "one");
    fs::write(gateway.file(), complete(gateway.home(), &says("two"))).unwrap();
    becomes(&gateway, "two");
    gateway.write(&says("three"));
    becomes(&gateway, "three");
    // An editor that keeps a backup: the old file is renamed away, the new one written in its place.
    fs::rename(gateway.file(), gateway.home().join("routes.yaml~")).unwrap();
    fs::write(gateway.file(), complete(gateway.home(), &says("four"))).unwrap();
    becomes(&gateway, "four");
}

#[test]
fn a_symlink_swapped_the_way_kubernetes_does_is_noticed() {
    let home = temporary();
    let version = |name: &str, word: &str| {
        let directory = home.path().join(name);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("routes.yaml"), complete(home.path(), &says(word))).unwrap();
    };
    version("..1", "one");
    symlink("..1", home.path().join("..data")).unwrap();
    symlink("..data/routes.yaml", home.path().join("routes.yaml")).unwrap();
    let gateway = Gateway::builder().home(&home).start(&says("one"));
    assert_eq!(gateway.get("h", "/").text(), "one");
    version("..2", "two");
    symlink("..2", home.path().join("..data_tmp")).unwrap();
    fs::rename(home.path().join("..data_tmp"), home.path().join("..data")).unwrap();
    becomes(&gateway, "two");
}

#[test]
fn sighup_reloads() {
    let mut gateway = Gateway::start(&says("one"));
    gateway.signal(Signal::HUP);
    assert_eq!(gateway.get("h", "/").text(), "one");
    gateway.write(&says("two"));
    gateway.signal(Signal::HUP);
    becomes(&gateway, "two");
    assert!(gateway.alive());
}

#[test]
fn the_verb_prints_the_difference_it_made() {
    let gateway = Gateway::start(&says("one"));
    let text = gateway.reload(
        "routes: { app: { respond: { status: 200, body: two } }, fresh: { match: /new, respond: 204 } }\n",
    );
    assert!(text.contains("app") && text.contains("fresh"), "{text}");
    assert_eq!(gateway.get("h", "/").text(), "two", "applied when the verb returns");
    assert_eq!(gateway.get("h", "/new").status, 204);
    let text = gateway.reload(&says("two"));
    assert!(text.contains("fresh"), "a removed route is named: {text}");
    let text = gateway.reload(&says("two"));
    assert!(!text.contains("fresh"), "nothing changed: {text}");
}

#[test]
fn a_refused_file_changes_nothing_and_everybody_says_so() {
    let mut gateway = Gateway::start(&says("one"));
    let mut client = gateway.client();
    assert_eq!(client.get("h", "/").text(), "one");
    let hash = |gateway: &Gateway| {
        let text = gateway.admin("/metrics").text();
        text.lines().find(|line| line.starts_with("tidegate_config_info")).map(str::to_owned)
    };
    let before = hash(&gateway);
    gateway.write("routes: { app: { respnd: { status: 200, body: two } }, b: { to: nobody } }\n");
    let output = gateway.verb(&["reload", "--wait"]);
    let text = everything(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in ["routes.yaml:", "respnd", "respond", "nobody"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert_eq!(client.get("h", "/").text(), "one");
    assert_eq!(hash(&gateway), before);
    assert_eq!(gateway.metric("tidegate_config_last_reload_successful", &[]), Some(0.0));
    assert!(gateway.metric("tidegate_config_reloads_total", &[("result", "refused")]) >= Some(1.0));
    gateway.wait_log(&["respnd"]);
    gateway.reload(&says("two"));
    assert_eq!(client.get("h", "/").text(), "two", "on the connection it had");
    assert_eq!(gateway.metric("tidegate_config_last_reload_successful", &[]), Some(1.0));
}

#[test]
fn nobody_listening_on_the_socket_is_exit_code_3() {
    let home = temporary();
    let output = tidegate(home.path(), &["reload", "--wait", "--socket", "./none.sock"]);
    assert_eq!(output.status.code(), Some(3), "{}", everything(&output));
}

#[test]
fn the_verb_finds_the_socket_through_the_file() {
    let gateway = Gateway::start(&says("one"));
    gateway.write(&says("two"));
    let file = gateway.file();
    let output = tidegate(gateway.home(), &["reload", "--wait", "-c", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", everything(&output));
    assert_eq!(gateway.get("h", "/").text(), "two");
}

#[test]
fn listeners_come_and_go_live() {
    let routes = says("one");
    let one = "listeners: { http: { address: \"127.0.0.1:0\" } }\n";
    let two =
        "listeners: { http: { address: \"127.0.0.1:0\" }, extra: { address: \"127.0.0.1:0\" } }\n";
    let gateway = Gateway::start(&format!("{one}{routes}"));
    let first = gateway.addr("http");
    let mut kept = gateway.client();
    gateway.reload(&format!("{two}{routes}"));
    let extra = gateway.addr("extra");
    let mut held = Client::connect(extra);
    assert_eq!(held.get("h", "/").text(), "one");
    assert_eq!(gateway.addr("http"), first, "a listener that stays keeps its port");
    gateway.reload(&format!("{one}{routes}"));
    until("the port is closed", || std::net::TcpStream::connect(extra).is_err());
    assert_eq!(kept.get("h", "/").text(), "one", "the neighbour's connection noticed nothing");
    // The removed listener drains: an idle connection is closed, or told so with the next answer.
    if held.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        && let Some((answer, _)) = held.try_response("GET")
    {
        assert_eq!(answer.header("connection"), Some("close"));
    }
}

#[test]
fn an_address_that_cannot_be_bound_refuses_the_file() {
    let gateway = Gateway::start(&says("one"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    gateway.write(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\" }}, extra: {{ address: \"{}\" }} }}\n{}",
        taken.local_addr().unwrap(),
        says("two")
    ));
    let output = gateway.verb(&["reload", "--wait"]);
    assert_eq!(output.status.code(), Some(1), "{}", everything(&output));
    assert!(everything(&output).contains("extra"), "{}", everything(&output));
    assert_eq!(gateway.get("h", "/").text(), "one");
}

#[test]
fn a_certificate_exchanged_on_disk_is_served_without_a_reload_of_anything_else() {
    let authority = Authority::new();
    let issued = authority.issue("site", &["a.example"]);
    let gateway = Gateway::start(&format!(
        "listeners: {{ https: {{ address: \"127.0.0.1:0\", tls: true }} }}\ntls: {{ certificates: [{}] }}\n{}",
        issued.yaml(),
        says("one")
    ));
    let address = gateway.addr("https");
    let mut held = tls::connect(address, "a.example", &authority);
    assert_eq!(held.get("a.example", "/").text(), "one");
    let before = tls::certificate(address, "a.example", &authority);
    authority.issue("site", &["a.example"]);
    until("the new certificate", || tls::certificate(address, "a.example", &authority) != before);
    assert_eq!(held.get("a.example", "/").text(), "one", "the session in progress goes on");
    // A key that does not fit: the old pair stays.
    let served = tls::certificate(address, "a.example", &authority);
    let other = authority.issue("other", &["a.example"]);
    fs::copy(&other.key, &issued.key).unwrap();
    let output = gateway.verb(&["reload", "--wait"]);
    assert_eq!(output.status.code(), Some(1), "{}", everything(&output));
    assert_eq!(tls::certificate(address, "a.example", &authority), served);
}

#[test]
fn included_files_are_watched_too() {
    let home = temporary();
    fs::create_dir(home.path().join("routes.d")).unwrap();
    let file = |name: &str, word: &str| {
        let text = format!(
            "version: 1\nroutes: {{ {name}: {{ match: /{name}, respond: {{ status: 200, body: {word} }} }} }}\n"
        );
        fs::write(home.path().join(format!("routes.d/{name}.yaml")), text).unwrap();
    };
    file("a", "one");
    let main = format!("include: [\"routes.d/*.yaml\"]\n{}", says("main"));
    let gateway = Gateway::builder().home(&Arc::clone(&home)).start(&main);
    assert_eq!(gateway.get("h", "/a").text(), "one");
    file("a", "two");
    until("the changed file", || gateway.get("h", "/a").text() == "two");
    file("b", "new");
    until("the new file", || gateway.get("h", "/b").text() == "new");
    fs::remove_file(home.path().join("routes.d/a.yaml")).unwrap();
    until("the file is gone", || gateway.get("h", "/a").text() == "main");
}

#[test]
fn requests_and_tunnels_in_flight_keep_the_stack_they_started_with() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = parking_lot::Mutex::new(released);
    let slow = Raw::serve(move |peer| {
        while peer.request().is_some() {
            released.lock().recv_timeout(3 * DEADLINE).expect("the test lets it go on");
            peer.ok(b"from before");
        }
    });
    let echo = EchoServer::start();
    let gateway = Gateway::start(&format!(
        "routes:\n  slow: {{ match: /slow, to: \"{}\", headers: {{ response: {{ set: {{ X-Table: old }} }} }} }}\n  ws: {{ match: /ws, to: \"{}\" }}\n",
        slow.url(),
        echo.url()
    ));
    let mut waiting = gateway.client();
    waiting.request("GET", "h", "/slow", &[]);
    until("the upstream has the request", || slow.requests().len() == 1);
    let mut socket = Socket::connect(gateway.addr("http"), "h", "/ws").unwrap();
    assert_eq!(socket.ask("before").as_deref(), Some("before"));

    gateway.reload(&says("new table"));
    assert_eq!(gateway.get("h", "/slow").text(), "new table");
    assert_eq!(socket.ask("after").as_deref(), Some("after"));
    release.send(()).unwrap();
    let answer = waiting.response();
    assert_eq!((answer.text().as_str(), answer.header("x-table")), ("from before", Some("old")));
    assert_eq!(
        waiting.get("h", "/slow").text(),
        "new table",
        "the next one on the same connection"
    );
    assert_eq!(socket.ask("still").as_deref(), Some("still"));
    socket.close();
}

#[test]
fn pools_outlive_a_reload_that_does_not_concern_them() {
    let upstream = Raw::text("x");
    let routes = |more: &str| {
        format!(
            "server: {{ name: edge, workers: 1 }}\nupstreams: {{ app: {{ endpoints: [\"{}\"]{more} }} }}\nroutes: {{ app: {{ to: app }} }}\n",
            upstream.url()
        )
    };
    let gateway = Gateway::start(&routes(""));
    let mut client = gateway.client();
    for number in 0..5 {
        assert_eq!(client.get("h", "/").status, 200);
        gateway.reload(&format!(
            "{}  other: {{ match: /{number}, respond: 200 }}\n",
            routes("").replace("routes: { app: { to: app } }\n", "routes:\n  app: { to: app }\n")
        ));
    }
    assert_eq!(client.get("h", "/").status, 200);
    assert_eq!(upstream.connections(), 1, "one pooled connection served all tables");
    gateway.reload(&routes(", pool: { max_idle: 1 }"));
    assert_eq!(client.get("h", "/").status, 200);
    assert_eq!(upstream.connections(), 2, "other pool settings make a new pool");
}

#[test]
fn a_refused_file_opens_no_port_and_closes_no_connection() {
    let upstream = Raw::text("x");
    let routes = format!("routes: {{ app: {{ to: \"{}\" }} }}\n", upstream.url());
    let server = "server: { name: edge, workers: 1 }\n";
    let gateway = Gateway::start(&format!("{server}{routes}"));
    let mut client = gateway.client();
    assert_eq!(client.get("h", "/").text(), "x");
    let before = gateway.usage().descriptors;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    // The first new listener could be bound, the second cannot; the pool settings differ.
    gateway.write(&format!(
        "{server}listeners: {{ http: {{ address: \"127.0.0.1:0\" }}, good: {{ address: \"127.0.0.1:0\" }}, taken: {{ address: \"{}\" }} }}\n\
         upstreams: {{ app: {{ endpoints: [\"{}\"], pool: {{ max_idle: 1 }} }} }}\nroutes: {{ app: {{ to: app }} }}\n",
        taken.local_addr().unwrap(),
        upstream.url()
    ));
    for _ in 0..3 {
        let output = gateway.verb(&["reload", "--wait"]);
        assert_eq!(output.status.code(), Some(1), "{}", everything(&output));
    }
    until("what was opened for the refused file is closed", || {
        gateway.usage().descriptors <= before
    });
    assert_eq!(client.get("h", "/").text(), "x");
    assert_eq!(upstream.connections(), 1, "the pooled connection is still the one in use");
}

#[test]
fn an_upload_under_way_is_not_touched_by_a_reload() {
    let upstream = Raw::echo();
    let gateway = Gateway::to(&upstream.url());
    let mut client = gateway.client();
    client.request("POST", "h", "/up", &["Content-Length: 12"]);
    client.send("before");
    until("the upstream has the head", || upstream.requests().len() == 1);
    gateway.reload(&says("new table"));
    client.send(" after");
    let answer = client.response();
    assert!(answer.text().ends_with("\n\nbefore after"), "{}", answer.text());
    assert_eq!(client.get("h", "/up").text(), "new table");
}

#[test]
fn a_setting_that_needs_a_restart_is_said_to() {
    let gateway = Gateway::start(&format!("server: {{ name: edge, workers: 1 }}\n{}", says("one")));
    let text = gateway.reload(&format!("server: {{ name: edge, workers: 2 }}\n{}", says("two")));
    assert!(text.contains("workers") && text.contains("restart"), "{text}");
    assert_eq!(gateway.get("h", "/").text(), "two");
}
