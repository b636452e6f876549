//! Ways of balancing that go by a key or by latency.

use std::collections::HashMap;

use super::{list, named, serve};
use crate::support::prelude::*;

fn where_to(gateway: &Gateway, keys: usize) -> HashMap<usize, String> {
    let mut client = gateway.client();
    (0..keys)
        .map(|key| {
            let field = format!("X-User: user-{key}");
            (key, client.exchange("GET", "h", "/", &[&field]).text())
        })
        .collect()
}

#[test]
fn a_key_belongs_to_an_endpoint_and_only_those_of_a_lost_one_move() {
    let upstreams = [named("a"), named("b"), named("c")];
    let [a, b, c] = &upstreams;
    let file = |endpoints: String| {
        format!(
            "upstreams: {{ app: {{ endpoints: {endpoints}, lb: hash, hash_on: \"header:x-user\" }} }}\n\
             routes: {{ app: {{ to: app }} }}\n"
        )
    };
    let gateway = Gateway::start(&file(list([a, b, c])));
    let before = where_to(&gateway, 300);
    assert_eq!(where_to(&gateway, 300), before);
    for name in ["a", "b", "c"] {
        let count = before.values().filter(|it| *it == name).count();
        assert!((60..=140).contains(&count), "{name} has {count} of 300 keys");
    }
    gateway.reload(&file(list([c, a])));
    let after = where_to(&gateway, 300);
    for (key, home) in &before {
        assert!(after[key] == *home || home == "b", "{key} moved from {home} to {}", after[key]);
        assert_ne!(after[key], "b");
    }
    gateway.reload(&file(list([b, c, a])));
    assert_eq!(where_to(&gateway, 300), before);
}

#[test]
fn a_key_may_be_many_things() {
    let upstreams = [named("a"), named("b"), named("c")];
    for (on, fields, targets) in [
        ("path", [""; 2], ["/x?1", "/x?2"]),
        ("query:id", [""; 2], ["/1?id=7", "/2?a=b&id=7"]),
        ("cookie:id", ["Cookie: a=1; id=7", "Cookie: id=7; a=2"], ["/", "/2"]),
        ("client_ip", [""; 2], ["/1", "/2"]),
    ] {
        let gateway = Gateway::start(&format!(
            "upstreams: {{ app: {{ endpoints: {}, lb: hash, hash_on: \"{on}\" }} }}\n\
             routes: {{ app: {{ to: app }} }}\n",
            list(&upstreams)
        ));
        let mut client = gateway.client();
        let mut ask = |at: usize| {
            let fields: Vec<_> =
                fields[at..=at].iter().copied().filter(|it| !it.is_empty()).collect();
            client.exchange("GET", "h", targets[at], &fields).text()
        };
        let first = ask(0);
        for at in [1, 0, 1, 0, 1] {
            assert_eq!(ask(at), first, "{on}");
        }
    }
}

#[test]
fn a_slow_endpoint_gets_clearly_less_and_a_reload_does_not_forget_it() {
    let slow = |wait: u64| {
        serve(move |_, _, peer| {
            pause(Duration::from_millis(wait));
            peer.send(super::answer(200, ""));
        })
    };
    let upstreams = [slow(100), slow(1), slow(1)];
    let file = |more: &str| {
        format!(
            "upstreams: {{ app: {{ endpoints: {}, lb: peak_ewma{more} }} }}\n\
             routes: {{ app: {{ to: app }} }}\n",
            list(&upstreams)
        )
    };
    let counts = || upstreams.each_ref().map(|it| it.requests().len());
    let gateway = Gateway::start(&file(""));
    let mut client = gateway.client();
    (0..150).for_each(|_| assert_eq!(client.get("h", "/").status, 200));
    let first = counts();
    assert!(first[0] <= 15, "{first:?}");
    assert!(first[1] >= 40 && first[2] >= 40, "{first:?}");
    gateway.reload(&file(", connect_timeout: 3s"));
    let mut client = gateway.client();
    (0..30).for_each(|_| assert_eq!(client.get("h", "/").status, 200));
    assert_eq!(counts()[0], first[0], "it is known to be slow");
}

#[test]
fn a_later_priority_is_used_when_the_first_is_gone() {
    let (backup, main) = (named("backup"), named("main"));
    let gateway = Gateway::start(&format!(
        "upstreams: {{ app: {{ endpoints: [\"{}\", {{ url: \"{}\", priority: 2 }}], outlier: {{ after: 2, eject_for: 1h }} }} }}\n\
         routes: {{ app: {{ to: app, retry: {{ times: 1, when: [5xx, reset, connect] }} }} }}\n",
        main.url(),
        backup.url()
    ));
    (0..5).for_each(|_| assert_eq!(gateway.get("h", "/").text(), "main"));
    drop(main);
    (0..5).for_each(|_| assert_eq!(gateway.get("h", "/").text(), "backup"));
}
