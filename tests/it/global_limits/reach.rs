//! How a store is reached: with a password, as a user, over TLS, in another database, over a socket, as a
//! cluster.

use std::path::Path;

use super::*;
use crate::support::gateway::{everything, temporary, tidegate};

const PASSWORD: &str = "correct-horse-battery";

/// Counts two of two, and nothing of the password is anywhere.
#[track_caller]
fn counts(yaml: &str) {
    let gateway = start(yaml);
    assert_eq!([&gateway; 3].map(status), [200, 200, 429]);
    assert!(!gateway.logs().contains(PASSWORD), "{}", gateway.logs());
}

#[test]
fn with_a_password_or_as_a_user_of_the_access_list() {
    let upstream = Raw::text("in");
    let redis = Redis::with(
        &[
            &["--requirepass", PASSWORD, "--user", "limits", "on", ">other-horse-battery"][..],
            &["~mine:*", "+@all", "-@dangerous"],
        ]
        .concat(),
        &["-a", PASSWORD],
    );
    let with = |store: &str| file(&upstream, store, "limit: 2/h, burst: 2");
    let port = redis.port;
    let url = format!("redis: \"redis://:{PASSWORD}@127.0.0.1:{port}\", {PATIENT}");
    counts(&with(&url));
    redis.cli(&["flushall"]);
    counts(&with(&format!("redis: \"{}\", password: {PASSWORD}, {PATIENT}", redis.url())));
    let user = format!(
        "redis: \"{}\", user: limits, password: other-horse-battery, prefix: mine, database: 3, {PATIENT}",
        redis.url()
    );
    counts(&with(&user));
    assert!(redis.cli(&["-n", "3", "keys", "mine:{shared:*"]).contains("mine:{shared:"));
    // A wrong one is said once, without being said.
    let wrong = format!("redis: \"{}\", password: wrong-{PASSWORD}, {PATIENT}", redis.url());
    let mut gateway = Gateway::start(&with(&wrong));
    let line = gateway.wait_log(&["the store is away"]);
    assert!(line.contains("WRONGPASS") || line.contains("uthentication failed"), "{line}");
    assert!(!gateway.logs().contains(PASSWORD), "{}", gateway.logs());
    assert_eq!(status(&gateway), 200, "its share");
    // Nor does `check` show one, not even with a line of the file.
    let home = temporary();
    std::fs::write(home.path().join("routes.yaml"), with(&url.replace("500ms", "9s"))).unwrap();
    let said = everything(&tidegate(home.path(), &["check"]));
    assert!(said.contains("timeout") && !said.contains(PASSWORD), "{said}");
}

#[test]
fn over_tls_with_an_authority_of_ones_own() {
    let (authority, upstream) = (Authority::new(), Raw::text("in"));
    let issued = authority.issue("redis", &["127.0.0.1", "redis.internal"]);
    let redis = Redis::tls(&issued.cert, &issued.key, &authority.file());
    let store = |tls: &str| {
        let store = format!("redis: \"rediss://127.0.0.1:{}\", {PATIENT}, {tls}", redis.port);
        file(&upstream, &store, "limit: 2/h, burst: 2")
    };
    let ca = authority.file();
    counts(&store(&format!("tls: {{ ca: \"{}\" }}", ca.display())));
    redis.cli(&["flushall"]);
    counts(&store(&format!("tls: {{ ca: \"{}\", server_name: redis.internal }}", ca.display())));
    // Somebody else's authority: nothing is sent there.
    let other = Authority::new();
    let mut gateway =
        Gateway::start(&store(&format!("tls: {{ ca: \"{}\" }}", other.file().display())));
    let line = gateway.wait_log(&["the store is away"]);
    assert!(line.contains("certificate"), "{line}");
    let yaml = store("tls: { ca: /nowhere/ca.pem }");
    let home = temporary();
    std::fs::write(home.path().join("routes.yaml"), yaml).unwrap();
    let output = tidegate(home.path(), &["check"]);
    assert!(!output.status.success());
    assert!(everything(&output).contains("/nowhere/ca.pem"), "{}", everything(&output));
}

#[test]
fn over_a_socket() {
    let (home, upstream) = (temporary(), Raw::text("in"));
    let socket = home.path().join("redis.sock").display().to_string();
    let _redis = Redis::with(&["--unixsocket", &socket], &[]);
    counts(&file(
        &upstream,
        &format!("redis: \"unix:{socket}\", {PATIENT}"),
        "limit: 2/h, burst: 2",
    ));
}

/// Two gateways count together, and each node has some of the keys.
fn spreads(yaml: &str, nodes: &[Redis]) -> Gateway {
    let (one, two) = (start(yaml), start(yaml));
    for client in 0..30 {
        let client = format!("203.0.113.{client}");
        let answers = [&one, &two, &one].map(|gateway| ask(gateway, &client).status);
        assert_eq!(answers, [200, 200, 429], "{client}");
    }
    for node in nodes {
        let keys = node.keys().iter().filter(|key| key.contains("{shared:")).count();
        assert!((1..30).contains(&keys), "{keys} keys on one node");
    }
    one
}

/// The nodes a node names are spoken to as it is: over TLS, and only if their certificates hold.
#[test]
fn a_cluster_over_tls() {
    let (authority, upstream) = (Authority::new(), Raw::text("in"));
    let issued = authority.issue("redis", &["127.0.0.1"]);
    let nodes = Redis::tls_cluster(&issued.cert, &issued.key, &authority.file());
    let urls: Vec<_> =
        nodes.iter().map(|node| format!("\"rediss://127.0.0.1:{}\"", node.port)).collect();
    let store = |ca: &Path| {
        let ca = ca.display();
        let store = format!("redis: [{}], {PATIENT}, tls: {{ ca: \"{ca}\" }}", urls.join(", "));
        file(&upstream, &store, "limit: 2/h, burst: 2, on_store_error: deny")
    };
    spreads(&store(&authority.file()), &nodes);
    let other = Authority::new();
    let mut stranger = Gateway::start(&store(&other.file()));
    let line = stranger.wait_log(&["the store is away"]);
    assert!(line.contains("certificate"), "{line}");
    assert_eq!(ask(&stranger, "203.0.113.99").status, 503);
}

/// Three masters: keys are spread, and one that dies takes only its own with it.
#[test]
fn a_cluster_spreads_keys_and_survives_a_node() {
    let (mut nodes, upstream) = (Redis::cluster(), Raw::text("in"));
    let urls: Vec<String> = nodes.iter().map(|node| format!("\"{}\"", node.url())).collect();
    let store = format!("redis: [{}], {PATIENT}", urls.join(", "));
    let yaml = file(&upstream, &store, "limit: 2/h, burst: 2, on_store_error: deny");
    let one = spreads(&yaml, &nodes);
    for node in &nodes {
        node.cli(&["script", "flush"]);
    }
    assert_eq!(ask(&one, "203.0.113.200").status, 200, "the script is sent again, to any node");
    // Half of a cluster goes on, if it is told to.
    for node in &nodes {
        node.cli(&["config", "set", "cluster-require-full-coverage", "no"]);
    }
    nodes[0].kill();
    until("some keys are counted and some are not", || {
        let answers: Vec<u16> =
            (0..30).map(|client| ask(&one, &format!("198.51.100.{client}")).status).collect();
        answers.contains(&503) && answers.iter().any(|status| *status != 503)
    });
}
