//! `discover: { file: … }`.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{answer_only, answering, is_up, known};
use crate::support::{
    gateway::{everything, temporary, tidegate},
    prelude::*,
};

/// Writes the list the way a careful tool does: beside it, then renamed over it.
fn write(home: &Path, text: &str) {
    fs::write(home.join(".new"), text).unwrap();
    fs::rename(home.join(".new"), home.join("endpoints.yaml")).unwrap();
}

fn list(of: &[&Raw]) -> String {
    of.iter().map(|raw| format!("- {}\n", raw.url())).collect()
}

/// A gateway whose endpoints are in a file with this text; more settings of the upstream.
fn start(text: &str, settings: &str) -> Gateway {
    let home = temporary();
    write(home.path(), text);
    Gateway::builder().home(&home).start(&yaml(home.path(), settings))
}

fn yaml(home: &Path, settings: &str) -> String {
    let path = home.join("endpoints.yaml");
    format!(
        "server: {{ name: edge, workers: 1 }}\n\
         upstreams: {{ app: {{ discover: {{ file: \"{}\" }}, lb: round_robin{settings} }} }}\n\
         routes:\n  app: {{ to: app }}\n",
        path.display()
    )
}

#[test]
fn endpoints_come_and_go_without_a_reload_and_without_a_lost_request() {
    let (a, b, c) = (Raw::text("a"), Raw::text("b"), Raw::text("c"));
    let gateway = start(&list(&[&a, &b]), "");
    assert_eq!(answering(&gateway, 4), ["a", "b"].map(str::to_owned).into());
    let stop = Arc::new(AtomicBool::new(false));
    let load = {
        let (stop, mut client) = (Arc::clone(&stop), gateway.client());
        std::thread::spawn(move || {
            let mut answers = 0;
            while !stop.load(Ordering::SeqCst) {
                assert_eq!(client.get("h", "/").status, 200);
                answers += 1;
            }
            answers
        })
    };
    write(gateway.home(), &list(&[&b, &c]));
    answer_only(&gateway, &["b", "c"]);
    write(gateway.home(), &list(&[&a, &b, &c]));
    answer_only(&gateway, &["a", "b", "c"]);
    stop.store(true, Ordering::SeqCst);
    assert!(load.join().unwrap() > 0);
    // Who stayed was not disturbed: one connection for each of two clients at a time.
    assert!(b.connections() <= 3, "{} connections", b.connections());
    assert_eq!((known(&gateway), is_up(&gateway)), (Some(3.0), true));
    let changed = [("upstream", "app"), ("result", "changed")];
    assert_eq!(gateway.metric("tidegate_discovery_answers_total", &changed), Some(2.0));
    let version = gateway.metric("tidegate_config_reloads_total", &[("result", "applied")]);
    assert_eq!(version.unwrap_or(0.0), 0.0, "no reload was needed");
}

#[test]
fn a_request_under_way_ends_at_the_endpoint_it_began_at() {
    let (started, release) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let old = {
        let (started, release) = (Arc::clone(&started), Arc::clone(&release));
        Raw::serve(move |peer| {
            while peer.request().is_some() {
                started.store(true, Ordering::SeqCst);
                until("the release", || release.load(Ordering::SeqCst));
                peer.ok(b"old");
            }
        })
    };
    let new = Raw::text("new");
    let mut gateway = start(&list(&[&old]), "");
    let mut client = gateway.client();
    client.request("GET", "h", "/", &[]);
    until("it has begun", || started.load(Ordering::SeqCst));
    write(gateway.home(), &list(&[&new]));
    gateway.wait_log(&["endpoints found"]);
    answer_only(&gateway, &["new"]);
    release.store(true, Ordering::SeqCst);
    assert_eq!(client.response().text(), "old");
}

#[test]
fn a_broken_file_changes_nothing_and_is_told_with_its_line() {
    let (a, b) = (Raw::text("a"), Raw::text("b"));
    let mut gateway = start(&list(&[&a]), "");
    until("the first look", || is_up(&gateway));
    write(gateway.home(), "- http://a:1\n- http://b:1/path\n");
    let line = gateway.wait_log(&["does not answer", "endpoints.yaml:2:3:", "cannot have a path"]);
    assert!(line.contains("\"kept\":1") && line.contains("\"WARN\""), "{line}");
    assert!(!is_up(&gateway));
    answer_only(&gateway, &["a"]);
    fs::remove_file(gateway.home().join("endpoints.yaml")).unwrap();
    answer_only(&gateway, &["a"]);
    // A reload for another reason is not refused for it, but warned of.
    let said = gateway.reload(&(yaml(gateway.home(), "") + "  more: { match: /more, to: app }\n"));
    assert!(said.contains("keeps the endpoints it has"), "{said}");
    answer_only(&gateway, &["a"]);
    write(gateway.home(), &list(&[&b]));
    answer_only(&gateway, &["b"]);
    assert!(is_up(&gateway));
}

#[test]
fn an_empty_list_is_believed() {
    let a = Raw::text("a");
    let gateway = start(&list(&[&a]), "");
    write(gateway.home(), "[]\n");
    until("nobody is left", || known(&gateway) == Some(0.0));
    let answer = gateway.get("h", "/");
    assert_eq!((answer.status, answer.reason().as_str()), (503, "no_endpoint"));
    write(gateway.home(), &list(&[&a]));
    answer_only(&gateway, &["a"]);
}

#[test]
fn a_gateway_does_not_start_on_a_file_it_cannot_read() {
    let home = temporary();
    let file = home.path().join("routes.yaml");
    let text = format!("version: 1\n{}", yaml(home.path(), ""));
    fs::write(&file, text).unwrap();
    let check = || {
        let output = tidegate(home.path(), &["check", "-c", "routes.yaml"]);
        (output.status.code(), everything(&output))
    };
    let (code, said) = check();
    assert!(code != Some(0) && said.contains("there is no such file"), "{said}");
    assert!(said.contains("routes.yaml:3:"), "where it was asked for: {said}");
    write(home.path(), "- htp://a:1\n");
    let (code, said) = check();
    assert!(code != Some(0) && said.contains("endpoints.yaml:1:3:"), "{said}");
    write(home.path(), "- http://a:1\n");
    let (code, said) = check();
    assert_eq!(code, Some(0), "{said}");
}

/// As Kubernetes changes a ConfigMap: a link to a directory is swapped.
#[test]
fn a_link_that_is_swapped_is_seen() {
    let (a, b) = (Raw::text("a"), Raw::text("b"));
    let home = temporary();
    for (version, raw) in [("..1", &a), ("..2", &b)] {
        fs::create_dir(home.path().join(version)).unwrap();
        fs::write(home.path().join(version).join("endpoints.yaml"), list(&[raw])).unwrap();
    }
    symlink("..1", home.path().join("..data")).unwrap();
    symlink("..data/endpoints.yaml", home.path().join("endpoints.yaml")).unwrap();
    let gateway = Gateway::builder().home(&home).start(&yaml(home.path(), ""));
    answer_only(&gateway, &["a"]);
    symlink("..2", home.path().join("..tmp")).unwrap();
    fs::rename(home.path().join("..tmp"), home.path().join("..data")).unwrap();
    answer_only(&gateway, &["b"]);
}

/// Weights and priorities are what they are in `endpoints`; checks follow those that come.
#[test]
fn what_is_found_is_weighed_and_checked_like_what_is_written() {
    let (a, b, sick) = (Raw::text("a"), Raw::text("b"), Raw::always("HTTP/1.1 500 Sick\r\n\r\n"));
    let gateway = start(
        &list(&[&a]),
        ", health: { path: /, every: 500ms, timeout: 500ms, unhealthy_after: 1, initial: unhealthy, \
         healthy_after: 1 }",
    );
    answer_only(&gateway, &["a"]);
    let weights =
        format!("- {}\n- {{ url: \"{}\", weight: 3 }}\n- {}\n", a.url(), b.url(), sick.url());
    write(gateway.home(), &weights);
    answer_only(&gateway, &["a", "b"]);
    let mut client = gateway.client();
    let of_b = (0..40).filter(|_| client.get("h", "/").text() == "b").count();
    assert_eq!(of_b, 30);
    let up = |raw: &Raw| {
        let labels = [("upstream", "app"), ("endpoint", &*raw.url())];
        gateway.metric("tidegate_endpoint_up", &labels)
    };
    assert_eq!((up(&a), up(&b), up(&sick)), (Some(1.0), Some(1.0), Some(0.0)));
    write(gateway.home(), &list(&[&a]));
    answer_only(&gateway, &["a"]);
    until("its series go with it", || up(&sick).is_none());
}

/// From a list in the file to a file of its own: nobody notices, and what was learned stays.
#[test]
fn a_reload_keeps_what_is_known() {
    let (a, b) = (Raw::text("a"), Raw::text("b"));
    let home = temporary();
    let gateway = Gateway::builder().home(&home).start(&format!(
        "upstreams: {{ app: {{ endpoints: [\"{}\", \"{}\"], lb: round_robin }} }}\n\
         routes: {{ app: {{ to: app }} }}\n",
        a.url(),
        b.url()
    ));
    answer_only(&gateway, &["a", "b"]);
    write(gateway.home(), &list(&[&a, &b]));
    let said = gateway.reload(&yaml(gateway.home(), ""));
    assert!(said.contains("discover"), "{said}");
    answer_only(&gateway, &["a", "b"]);
    let said = gateway.reload(&yaml(gateway.home(), ", connect_timeout: 14s"));
    assert!(said.contains("connect_timeout"), "{said}");
    answer_only(&gateway, &["a", "b"]);
    write(gateway.home(), &list(&[&b]));
    answer_only(&gateway, &["b"]);
}
