//! Where endpoints are found: what is read, and lists of endpoints in files of their own.

use std::{fs, net::SocketAddr, time::Duration};

use super::{
    super::{endpoint, endpoints, model::*},
    read,
};

fn discover(source: &str) -> Discover {
    let text = format!(
        "version: 1\nupstreams: {{ x: {{ discover: {{ {source} }} }} }}\nroutes: {{ r: {{ to: x }} }}"
    );
    let loaded = read(&text);
    let config = loaded.config.as_ref().unwrap_or_else(|| panic!("{}", loaded.render(false)));
    assert!(config.upstreams["x"].endpoints.is_empty());
    config.upstreams["x"].discover.clone().unwrap()
}

#[test]
fn dns_in_short_and_in_full() {
    let short = DiscoverDns {
        name: "users.svc".to_owned(),
        records: Records::Addresses { v4: true, v6: true, port: 8080 },
        scheme: Scheme::Http,
        refresh: None,
        server: None,
    };
    assert_eq!(discover("dns: { name: Users.SVC, port: 8080 }"), Discover::Dns(short));
    let of = |kind: &str| match discover(&format!("dns: {{ name: a, port: 1, type: {kind} }}")) {
        Discover::Dns(dns) => dns.records,
        other => panic!("{other:?}"),
    };
    assert_eq!(of("a"), Records::Addresses { v4: true, v6: false, port: 1 });
    assert_eq!(of("aaaa"), Records::Addresses { v4: false, v6: true, port: 1 });
    let full = discover(
        "dns: { name: _http._tcp.users, type: srv, scheme: https, refresh: 5s, server: 10.0.0.2 }",
    );
    let server: SocketAddr = "10.0.0.2:53".parse().unwrap();
    assert_eq!(
        full,
        Discover::Dns(DiscoverDns {
            name: "_http._tcp.users".to_owned(),
            records: Records::Srv,
            scheme: Scheme::Https,
            refresh: Some(Duration::from_secs(5)),
            server: Some(server),
        })
    );
    for (text, expected) in [("\"[::1]\"", "[::1]:53"), ("\"[::1]:5353\"", "[::1]:5353")] {
        match discover(&format!("dns: {{ name: a, port: 1, server: {text} }}")) {
            Discover::Dns(dns) => assert_eq!(dns.server, Some(expected.parse().unwrap())),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn etcd_with_its_password_which_nobody_sees() {
    let source = discover(
        "etcd: { endpoints: [\"http://a:2379\", \"https://b\"], prefix: /x/, user: root, \
         password: \"${SECRET}\", tls: { server_name: etcd } }",
    );
    assert!(!format!("{source:?}").contains("hunter2"), "{source:?}");
    let Discover::Etcd(etcd) = source else { panic!() };
    let urls: Vec<&str> = etcd.endpoints.iter().map(|one| &*one.url.value).collect();
    assert_eq!(urls, ["http://a:2379", "https://b:443"]);
    assert_eq!(etcd.user, Some(("root".to_owned(), "hunter2".to_owned())));
    assert_eq!((etcd.tls.server_name.as_deref(), etcd.tls.verify), (Some("etcd"), true));
}

#[test]
fn a_password_written_into_the_file_is_not_shown_in_messages() {
    let loaded = read(
        "version: 1\nupstreams:\n  x: { discover: { etcd: { endpoints: http://a, prefix: /x/, \
         user: [], password: open-sesame } } }\nroutes: { r: { to: x } }",
    );
    assert!(loaded.config.is_none());
    let shown = loaded.render(false);
    assert!(shown.contains("user"), "{shown}");
    assert!(!shown.contains("sesame"), "{shown}");
}

#[test]
fn a_list_of_endpoints_in_a_file_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("endpoints.yaml");
    let list = |text: &str| {
        fs::write(&path, text).unwrap();
        endpoints(&path).map_err(|why| why.replace(&path.display().to_string(), "FILE"))
    };
    let two = list("# ours\n- http://a:1\n- { url: \"https://b\", weight: 3, priority: 1 }\n");
    let two = two.unwrap();
    assert_eq!((&*two[0].url.value, two[0].weight), ("http://a:1", 1));
    assert_eq!((&*two[1].url.value, two[1].weight, two[1].priority), ("https://b:443", 3, 1));
    assert_eq!(list("[{\"url\": \"http://a:1\"}]").unwrap().len(), 1, "JSON");
    assert_eq!(list("[]").unwrap(), []);
    let wrong = |text: &str| list(text).unwrap_err();
    assert_eq!(wrong(""), "FILE:1:1: a list of endpoints is needed, not nothing");
    assert_eq!(
        wrong("- http://a:1\n- http://b:1/x\n"),
        "FILE:2:3: an endpoint cannot have a path (end it after the port; `rewrite: /x/{**}` on \
         the route changes the path)"
    );
    assert!(wrong("- http://a:1\n- http://a:1\n").contains("FILE:2:3:"));
    assert!(wrong("endpoints: [\"http://a:1\"]").contains("a list of endpoints is needed"));
    assert!(wrong("- http://a:1\n- [").starts_with("FILE:"));
    fs::remove_file(&path).unwrap();
    let gone = endpoints(&path).unwrap_err();
    assert!(gone.contains("cannot read") && gone.contains("no such file"), "{gone}");
}

#[test]
fn one_endpoint_is_a_url_or_a_map() {
    assert_eq!(&*endpoint("key", "http://a:1").unwrap().url.value, "http://a:1");
    let map = endpoint("key", "{\"url\": \"unix:/run/a\", \"weight\": 0}").unwrap();
    assert_eq!((&*map.url.value, map.weight), ("unix:/run/a", 0));
    for wrong in ["", "[]", "a:1", "{}", "{ url: \"http://a\", wait: 1 }", "!!x \u{0}", "{"] {
        let why = endpoint("key", wrong).unwrap_err();
        assert!(why.starts_with("key") && !why.contains('\n'), "{wrong}: {why}");
    }
}
