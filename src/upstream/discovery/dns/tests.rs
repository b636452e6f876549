//! A name server is asked, what it says becomes endpoints, and what it does not say is a failure.

use std::net::SocketAddr;

use hickory_resolver::proto::{op::ResponseCode, rr::RecordType};
use tokio::time::timeout;

use super::*;
use crate::{
    config,
    upstream::dns::served::{Say, Served, address, alias, of_files, service},
};

mod dnsmasq;

const NAME: &str = "orders.example";
const SERVICE: &str = "_http._tcp.orders.example.";

fn settings(name: &str, records: Records) -> DiscoverDns {
    DiscoverDns {
        name: name.to_owned(),
        records,
        scheme: Scheme::Http,
        refresh: None,
        server: None,
    }
}

const fn both(v4: bool, v6: bool) -> Records {
    Records::Addresses { v4, v6, port: 8080 }
}

fn urls(set: &Set) -> Vec<&str> {
    set.endpoints.iter().map(|endpoint| &*endpoint.url.value).collect()
}

/// A first answer.
async fn first(settings: &DiscoverDns, resolver: &Resolver) -> Result<Set, Failure> {
    Dns::new(settings, resolver).next().await
}

#[tokio::test]
async fn each_address_is_an_endpoint() {
    let served = Served::new();
    let four = [address(NAME, 9, "10.0.0.2"), address(NAME, 9, "10.0.0.1")];
    served.records("orders.example.", RecordType::A, &[&four[..], &four[..1]].concat());
    served.records("orders.example.", RecordType::AAAA, &[address(NAME, 9, "fd00::1")]);
    for (v4, v6, expected) in [
        (true, false, &["http://10.0.0.1:8080", "http://10.0.0.2:8080"][..]),
        (false, true, &["http://[fd00::1]:8080"]),
        (true, true, &["http://10.0.0.1:8080", "http://10.0.0.2:8080", "http://[fd00::1]:8080"]),
    ] {
        let set = first(&settings("Orders.example.", both(v4, v6)), &served.resolver()).await;
        let set = set.unwrap();
        assert_eq!(urls(&set), expected);
        assert!(set.refused.is_empty());
        for endpoint in &set.endpoints {
            let written = config::endpoint("test", &endpoint.url.value).unwrap();
            assert_eq!(*endpoint, Endpoint { host: Some(NAME.to_owned()), ..written });
        }
        let kinds: Vec<_> = served.asked().iter().map(|asked| asked.kind).collect();
        assert_eq!(kinds.contains(&RecordType::A), v4);
        assert_eq!(kinds.contains(&RecordType::AAAA), v6);
    }
    // One kind that does not exist is no failure.
    served.records("orders.example.", RecordType::AAAA, &[]);
    let set = first(&settings(NAME, both(true, true)), &served.resolver()).await.unwrap();
    assert_eq!(set.endpoints.len(), 2);
}

#[tokio::test]
async fn each_service_is_an_endpoint() {
    let served = Served::new();
    let records = [
        service(SERVICE, 9, [10, 60, 8080], "A.example."),
        service(SERVICE, 9, [20, 0, 8081], "b.example."),
    ];
    served.records(SERVICE, RecordType::SRV, &records);
    let settings = DiscoverDns { scheme: Scheme::H2c, ..settings(SERVICE, Records::Srv) };
    let set = first(&settings, &served.resolver()).await.unwrap();
    assert_eq!(urls(&set), ["h2c://a.example:8080", "h2c://b.example:8081"]);
    assert!(set.endpoints.iter().all(|endpoint| endpoint.host.is_none()));

    served.records(SERVICE, RecordType::SRV, &[service(SERVICE, 9, [0, 0, 0], ".")]);
    assert_eq!(first(&settings, &served.resolver()).await, Ok(Set::default()));
}

#[tokio::test]
async fn equal_answers_are_equal_sets() {
    let served = Served::new();
    let mut records = vec![
        address(NAME, 9, "10.0.0.9"),
        address(NAME, 9, "10.0.0.10"),
        address(NAME, 9, "10.0.0.1"),
    ];
    let settings = settings(NAME, both(true, false));
    let mut sets = Vec::new();
    for _ in 0..3 {
        records.rotate_left(1);
        served.records("orders.example.", RecordType::A, &records);
        sets.push(first(&settings, &served.resolver()).await.unwrap());
    }
    assert!(sets.windows(2).all(|pair| pair[0] == pair[1]), "{sets:?}");
}

/// After one answer it asks again in so many seconds, ±10 %.
async fn waits(settings: &DiscoverDns, resolver: &Resolver, expected: f64) {
    let mut dns = Dns::new(settings, resolver);
    let before = Instant::now();
    dns.next().await.unwrap();
    let due = dns.due.unwrap();
    let most = (due - before).as_secs_f64();
    let least = (due - Instant::now()).as_secs_f64();
    assert!(most >= expected * 0.89 && least <= expected * 1.11, "{expected}: {least} to {most}");
}

#[tokio::test]
async fn the_shortest_time_of_the_answer_counts() {
    let served = Served::new();
    let say = |alias_ttl, ttl| {
        let records =
            [alias(NAME, alias_ttl, "b.example."), address("b.example.", ttl, "10.0.0.1")];
        let name = "orders.example.";
        served.records(
            name,
            RecordType::A,
            &records.map(|mut record| {
                record.name.set_fqdn(true);
                record
            }),
        );
    };
    let settings = settings(NAME, both(true, false));
    for (alias_ttl, ttl, expected) in
        [(20, 40, 20.0), (40, 20, 20.0), (0, 40, 1.0), (86_400, 86_400, 300.0)]
    {
        say(alias_ttl, ttl);
        waits(&settings, &served.resolver(), expected).await;
        let own = DiscoverDns { refresh: Some(Duration::from_secs(1000)), ..settings.clone() };
        waits(&own, &served.resolver(), 1000.0).await;
    }
}

#[tokio::test]
async fn asked_again_when_it_is_time_and_not_before() {
    let served = Served::new();
    let settings =
        DiscoverDns { refresh: Some(Duration::from_secs(1)), ..settings(NAME, both(true, false)) };
    served.records("orders.example.", RecordType::A, &[address(NAME, 300, "10.0.0.1")]);
    let mut dns = Dns::new(&settings, &served.resolver());
    let begin = Instant::now();
    dns.next().await.unwrap();
    served.records("orders.example.", RecordType::A, &[address(NAME, 300, "10.0.0.2")]);
    // Given up while it waits: the time counts on.
    assert!(timeout(Duration::from_millis(100), dns.next()).await.is_err());
    assert_eq!(served.asked().len(), 1);
    let set = dns.next().await.unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(900), "{:?}", begin.elapsed());
    assert_eq!(urls(&set), ["http://10.0.0.2:8080"]);
    assert_eq!(served.asked().len(), 1);
}

#[tokio::test]
async fn no_answer_is_a_failure_that_says_what_was_asked() {
    let served = Served::new();
    let name = "orders.example.";
    served.records(name, RecordType::TXT, &[]);
    served.say("servfail.example.", RecordType::SRV, Say::Code(ResponseCode::ServFail));
    served.say("refused.example.", RecordType::A, Say::Code(ResponseCode::Refused));
    served.say("silent.example.", RecordType::A, Say::Silence);
    served.records("half.example.", RecordType::A, &[address("half.example.", 9, "10.0.0.1")]);
    served.say("half.example.", RecordType::AAAA, Say::Code(ResponseCode::ServFail));
    let blocked = ["0.0.0.0", "224.0.0.1"].map(|ip| address("blocked.example.", 9, ip));
    served.records("blocked.example.", RecordType::A, &blocked);
    served.records(SERVICE, RecordType::SRV, &[service(SERVICE, 9, [1, 2, 0], "a.example.")]);
    let long = "x".repeat(64);
    let table = [
        (name, both(true, true), "A and AAAA of `orders.example.`: the name has no such record"),
        (name, Records::Srv, "SRV of `orders.example.`: the name has no such record"),
        ("nobody.example", both(false, true), "AAAA of `nobody.example`: no such name"),
        (
            "servfail.example",
            Records::Srv,
            "SRV of `servfail.example`: the name server says: Server Failure",
        ),
        (
            "refused.example",
            both(true, false),
            "A of `refused.example`: the name server says: Query Refused",
        ),
        (
            "silent.example",
            both(true, false),
            "A of `silent.example`: no answer from the name servers",
        ),
        (
            "half.example",
            both(true, true),
            "A and AAAA of `half.example`: AAAA: the name server says: Server Failure",
        ),
        (
            "blocked.example",
            both(true, false),
            "A of `blocked.example`: 0.0.0.0 is no address of one service",
        ),
        (
            SERVICE,
            Records::Srv,
            "SRV of `_http._tcp.orders.example.`: `1 2 0 a.example.`: port 0 is no port",
        ),
    ];
    for (name, records, expected) in table {
        let failed = first(&settings(name, records), &served.resolver()).await;
        assert_eq!(failed, Err(Failure(expected.to_owned())));
    }
    let failed = first(&settings(&long, Records::Srv), &served.resolver()).await.unwrap_err();
    assert!(failed.0.starts_with(&format!("SRV of `{long}`: ")), "{failed:?}");
    assert!(!failed.0.contains('\n'));
}

#[tokio::test]
async fn after_a_failure_it_is_asked_at_once() {
    let served = Served::new();
    let settings = settings(NAME, both(true, false));
    let mut dns = Dns::new(&settings, &served.resolver());
    for _ in 0..3 {
        dns.next().await.unwrap_err();
        assert!(dns.due.is_none());
    }
    served.say("orders.example.", RecordType::A, Say::Silence);
    // Given up while it asks.
    assert!(timeout(Duration::from_millis(50), dns.next()).await.is_err());
    assert!(dns.due.is_none());
    served.records("orders.example.", RecordType::A, &[address(NAME, 300, "10.0.0.1")]);
    assert_eq!(dns.next().await.unwrap().endpoints.len(), 1);
}

#[tokio::test]
async fn a_large_set_comes_over_tcp() {
    let served = Served::new();
    let records: Vec<_> = (0..250).map(|n| address(NAME, 9, &format!("10.0.1.{n}"))).collect();
    served.records("orders.example.", RecordType::A, &records);
    let set = first(&settings(NAME, both(true, false)), &served.resolver()).await.unwrap();
    assert_eq!(set.endpoints.len(), 250);
    let over: Vec<_> = served.asked().iter().map(|asked| asked.tcp).collect();
    assert_eq!(over, [false, true], "truncated, then whole");

    let record = |n| service(SERVICE, 9, [n % 7, n, 80], &format!("host-{n}.example."));
    let records: Vec<_> = (0..900).map(record).collect();
    served.records(SERVICE, RecordType::SRV, &records);
    let set = first(&settings(SERVICE, Records::Srv), &served.resolver()).await.unwrap();
    assert_eq!(set.endpoints.len(), 900);
}

#[tokio::test]
async fn the_server_of_the_settings_is_asked_and_no_other() {
    let (mine, systems) = (Served::new(), Served::new());
    mine.records("orders.example.", RecordType::A, &[address(NAME, 9, "10.0.0.1")]);
    systems.records("orders.example.", RecordType::A, &[address(NAME, 9, "10.0.0.2")]);
    let server = Some(mine.address);
    let own = DiscoverDns { server, ..settings(NAME, both(true, false)) };
    let set = first(&own, &systems.resolver()).await.unwrap();
    assert_eq!(urls(&set), ["http://10.0.0.1:8080"]);
    mine.clear();
    let failure = first(&own, &systems.resolver()).await.unwrap_err();
    assert_eq!(failure.0, format!("A of `{NAME}`, asked of {}: no such name", mine.address));
    assert!(systems.asked().is_empty());
}

#[tokio::test]
async fn the_hosts_file_counts() {
    let dir = tempfile::tempdir().unwrap();
    let (hosts, conf) = (dir.path().join("hosts"), dir.path().join("resolv.conf"));
    std::fs::write(&hosts, format!("10.0.0.2 {NAME}\n10.0.0.1 {NAME}\n")).unwrap();
    let resolver = of_files(&hosts, &conf);
    let set = first(&settings(NAME, both(true, true)), &resolver).await.unwrap();
    assert_eq!(urls(&set), ["http://10.0.0.1:8080", "http://10.0.0.2:8080"]);
    let failure = first(&settings(SERVICE, Records::Srv), &resolver).await.unwrap_err();
    let expected = format!("SRV of `{SERVICE}`: no name servers: {}: ", conf.display());
    assert!(failure.0.starts_with(&expected), "{failure:?}");
}

#[test]
fn too_many_records_are_none() {
    assert_eq!(within(10_000), Ok(()));
    assert_eq!(within(10_001), Err("10001 records, more than 10000".to_owned()));
}
