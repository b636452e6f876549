//! Cookies that bring a client back to its endpoint.

use std::{collections::HashSet, sync::atomic::Ordering};

use super::{list, named, switched};
use crate::support::{http::Response, prelude::*, tls};

const SECRET: &str = "a secret of some length";

fn file(endpoints: &str, more: &str) -> String {
    format!(
        "upstreams: {{ app: {{ endpoints: {endpoints}, lb: round_robin, \
         sticky: {{ cookie: tg, ttl: 1h, secret: \"{SECRET}\" }}{more} }} }}\n\
         routes: {{ app: {{ to: app }} }}\n"
    )
}

/// The cookie an answer sets, as a request sends it back.
fn cookie(answer: &Response) -> Option<String> {
    let set = answer.header("set-cookie")?;
    Some(format!("Cookie: other=1; {}", set.split(';').next().expect("at least one part")))
}

fn ask(gateway: &Gateway, cookie: &str) -> Response {
    gateway.client().exchange("GET", "h", "/", &[cookie])
}

#[test]
fn a_client_comes_back_to_its_endpoint_and_is_told_once() {
    let upstreams = [named("a"), named("b"), named("c")];
    let gateway = Gateway::start(&file(&list(&upstreams), ""));
    let mut homes = HashSet::new();
    for _ in 0..9 {
        let first = gateway.get("h", "/");
        let set = first.header("set-cookie").expect("a cookie").to_owned();
        let (value, attributes) = set.split_once("; ").expect("attributes");
        assert_eq!(attributes, "Path=/; Max-Age=3600; HttpOnly; SameSite=Lax");
        assert!(!value.contains("127.0.0.1"), "{value}");
        let cookie = cookie(&first).expect("just looked at");
        for _ in 0..5 {
            let next = ask(&gateway, &cookie);
            assert_eq!((next.text(), next.header("set-cookie")), (first.text(), None));
        }
        homes.insert(first.text());
    }
    assert_eq!(homes.len(), 3, "new clients are spread");
    // What nobody was given is nothing.
    for forged in
        ["Cookie: tg=", "Cookie: tg=http://127.0.0.1", "Cookie: tg=AAAAAAAAAAAAAAAAAAAAAA"]
    {
        let bodies: HashSet<_> = (0..6)
            .map(|_| {
                let answer = ask(&gateway, forged);
                assert!(answer.header("set-cookie").is_some(), "{forged}");
                answer.text()
            })
            .collect();
        assert_eq!(bodies.len(), 3, "{forged}");
    }
}

#[test]
fn over_tls_the_cookie_is_for_tls_only() {
    let authority = Authority::new();
    let issued = authority.issue("h", &["h.example"]);
    let upstream = named("a");
    let gateway = Gateway::start(&format!(
        "listeners: {{ https: {{ address: \"127.0.0.1:0\", tls: true }} }}\n\
         tls: {{ certificates: [{{ cert: {}, key: {} }}] }}\n\
         upstreams: {{ app: {{ endpoints: [\"{}\"], sticky: {{ cookie: tg }} }} }}\n\
         routes: {{ app: {{ to: app }} }}\n",
        issued.cert.display(),
        issued.key.display(),
        upstream.url()
    ));
    let mut client = tls::connect(gateway.addr("https"), "h.example", &authority);
    let answer = client.get("h.example", "/");
    let set = answer.header("set-cookie").expect("a cookie");
    assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{set}");
}

#[test]
fn it_outlives_that_other_endpoints_come_and_go() {
    let upstreams = [named("a"), named("b"), named("c"), named("d")];
    let [a, b, c, d] = &upstreams;
    let gateway = Gateway::start(&file(&list([a, b, c]), ""));
    let clients: Vec<_> = (0..6).map(|_| gateway.get("h", "/")).collect();
    for left in [list([d, c, b, a]), list([c, a]), list([a, b, c, d])] {
        gateway.reload(&file(&left, ""));
        for first in &clients {
            let next = ask(&gateway, &cookie(first).expect("a cookie"));
            if left.contains(&b.url()) || first.text() != "b" {
                assert_eq!(
                    (next.text(), next.header("set-cookie")),
                    (first.text(), None),
                    "{left}"
                );
            } else {
                assert!(next.header("set-cookie").is_some() && next.text() != "b", "{left}");
            }
        }
    }
}

#[test]
fn when_its_endpoint_is_ejected_a_client_gets_another() {
    let ((a, status), (b, _)) = (switched(200), switched(200));
    let gateway = Gateway::start(&file(&list([&a, &b]), ", outlier: { after: 2, eject_for: 1h }"));
    let first = gateway.get("h", "/");
    assert_eq!((a.requests().len(), b.requests().len()), (1, 0), "round robin begins there");
    let cookie = cookie(&first).expect("a cookie");
    status.store(500, Ordering::SeqCst);
    (0..2).for_each(|_| assert_eq!(ask(&gateway, &cookie).status, 500));
    let moved = ask(&gateway, &cookie);
    assert_eq!(moved.status, 200);
    assert!(moved.header("set-cookie").is_some());
    assert_eq!((a.requests().len(), b.requests().len()), (3, 1));
}
