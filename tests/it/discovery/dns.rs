//! `discover: { dns: … }`, with a real dnsmasq.

use std::net::SocketAddr;

use super::{answer_only, answering, is_up, known};
use crate::support::{
    dnsmasq::{Dnsmasq, Records},
    prelude::*,
};

fn yaml(dns: &Dnsmasq, source: &str, settings: &str) -> String {
    format!(
        "upstreams:\n  app:\n    discover: {{ dns: {{ server: \"{}\", {source} }} }}\n    \
         lb: round_robin{settings}\nroutes: {{ app: {{ to: app }} }}\n",
        dns.address()
    )
}

/// Upstreams on one port and several addresses of the loopback network, which say their names.
fn neighbours<const N: usize>(names: [(&str, &str); N]) -> ([Raw; N], u16) {
    for _ in 0..20 {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let at = |(ip, name)| {
            let address = SocketAddr::new(str::parse(ip).unwrap(), port);
            Raw::text_at(address, name)
        };
        if let Some(all) = names.map(at).into_iter().collect::<Option<Vec<_>>>() {
            return (all.try_into().unwrap_or_else(|_| unreachable!("as many as names")), port);
        }
    }
    panic!("no port is free on all addresses");
}

#[test]
fn endpoints_are_the_addresses_of_the_name() {
    let ([_a, _b, _c], port) =
        neighbours([("127.0.0.2", "a"), ("127.0.0.3", "b"), ("127.0.0.4", "c")]);
    let of = |ips: &[&str]| ips.iter().fold(Records::new(), |all, ip| all.address("app.test", ip));
    let mut dns = Dnsmasq::start(of(&["127.0.0.2", "127.0.0.3"]));
    let gateway = Gateway::start(&yaml(&dns, &format!("name: app.test, port: {port}"), ""));
    answer_only(&gateway, &["a", "b"]);
    dns.change(of(&["127.0.0.3", "127.0.0.4"]));
    answer_only(&gateway, &["b", "c"]);
    // No name, no name server: the last known addresses stay.
    dns.change(Records::new());
    until("the loss is seen", || !is_up(&gateway));
    assert_eq!(answering(&gateway, 8), ["b", "c"].map(str::to_owned).into());
    dns.kill();
    pause(Duration::from_secs(2));
    assert_eq!(answering(&gateway, 8), ["b", "c"].map(str::to_owned).into());
    assert_eq!(known(&gateway), Some(2.0));
    dns.restart();
    dns.change(of(&["127.0.0.2"]));
    answer_only(&gateway, &["a"]);
    assert!(is_up(&gateway));
}

#[test]
fn srv_records_say_port_weight_and_priority() {
    let (a, b, c) = (Raw::text("a"), Raw::text("b"), Raw::text("c"));
    let name = "_http._tcp.app.test";
    let port = |raw: &Raw| raw.address().port();
    let host = || Records::new().address("host.test", "127.0.0.1");
    let both = host()
        .srv(name, (10, 10), "host.test", port(&a))
        .srv(name, (10, 30), "host.test", port(&b))
        .srv(name, (20, 1), "host.test", port(&c));
    let mut dns = Dnsmasq::start(both);
    // The targets are known to this name server alone.
    let gateway = Gateway::start(&yaml(&dns, &format!("name: {name}, type: srv"), ""));
    answer_only(&gateway, &["a", "b"]);
    let mut client = gateway.client();
    let of_b = (0..40).filter(|_| client.get("h", "/").text() == "b").count();
    assert_eq!(of_b, 30, "10 to 30");
    dns.change(host().srv(name, (20, 1), "host.test", port(&c)));
    answer_only(&gateway, &["c"]);
    dns.change(host().no_service(name));
    until("it is decidedly not there", || known(&gateway) == Some(0.0));
    assert_eq!(gateway.get("h", "/").reason(), "no_endpoint");
}

#[test]
fn certificates_and_hosts_go_by_the_name_that_was_asked_for() {
    let authority = Authority::new();
    let nginx = |name: &str| {
        let issued = authority.issue(name, &[name]);
        Nginx::tls(&issued, "location / { return 200 $host; }")
    };
    let good = nginx("app.test");
    let port = good.url().rsplit_once(':').unwrap().1.to_owned();
    let dns = Dnsmasq::start(Records::new().address("app.test", "127.0.0.1"));
    let settings = format!(
        "\n    host_header: upstream\n    tls: {{ ca: \"{}\" }}",
        authority.file().display()
    );
    let source = |port: &str| format!("name: app.test, scheme: https, type: a, port: {port}");
    let gateway = Gateway::start(&yaml(&dns, &source(&port), &settings));
    answer_only(&gateway, &["app.test"]);
    let other = nginx("127.0.0.1");
    let port = other.url().rsplit_once(':').unwrap().1.to_owned();
    gateway.reload(&yaml(&dns, &source(&port), &settings));
    until("the other is asked, and not believed", || {
        gateway.get("h", "/").status == 502 && gateway.get("h", "/").reason() == "upstream_tls"
    });
}
