//! Which names are asked for, which answers count, and for how long.

use hickory_resolver::{
    config::{ConnectionConfig, NameServerConfig},
    proto::op::ResponseCode,
};

use super::*;
use crate::upstream::dns::served::{Say, Served, address, alias, of_files, service};

/// Servers as a `resolv.conf` describes them, `served` being the only one.
fn servers(served: &Served, search: &[&str], dots: usize) -> Servers {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = served.address.port();
        connection
    });
    let server = NameServerConfig::new(served.address.ip(), true, connections.into());
    let mut config = ResolverConfig::from_name_servers(vec![server]);
    search.iter().for_each(|domain| config.add_search(Name::from_utf8(domain).unwrap()));
    let mut options = ResolverOpts::default();
    options.timeout = Duration::from_millis(300);
    options.attempts = 0;
    options.ndots = dots;
    Servers::new(&config, &options).unwrap()
}

async fn addresses_of(servers: &Servers, name: &str) -> Result<Vec<IpAddr>, String> {
    let found = servers.records(name, &[RecordType::A, RecordType::AAAA]).await?;
    Ok(found.records.iter().filter_map(RData::ip_addr).collect())
}

#[test]
fn names_are_searched_for_as_the_c_library_does() {
    let served = Served::new();
    let long = format!("{}.example.", ["x".repeat(60).as_str(); 3].join("."));
    let servers = servers(&served, &["a.example.", &long, "a.example.", "b.example"], 2);
    let table = [
        ("orders", &["orders.a.example.", "orders.b.example.", "orders."][..]),
        ("orders.shop", &["orders.shop.a.example.", "orders.shop.b.example.", "orders.shop."]),
        ("_http._tcp.x", &["_http._tcp.x.", "_http._tcp.x.a.example.", "_http._tcp.x.b.example."]),
        ("orders.", &["orders."]),
    ];
    let long_too = |name: &Name| name.to_utf8().len() < 100;
    for (name, expected) in table {
        let names = servers.names(name).unwrap();
        let names: Vec<_> = names.iter().filter(|name| long_too(name)).map(Name::to_utf8).collect();
        assert_eq!(names, expected, "{name}");
    }
    assert_eq!(servers.names(&"y".repeat(60)).unwrap().len(), 4);
    let most = ["y".repeat(60).as_str(); 4].join(".");
    assert_eq!(servers.names(&most).unwrap().len(), 3, "one becomes too long");
    assert!(servers.names(&"x".repeat(64)).is_err());
}

#[tokio::test]
async fn the_first_name_with_records_is_the_one_and_none_is_passed_over() {
    let served = Served::new();
    let servers = servers(&served, &["a.example.", "b.example."], 2);
    let (a, b) = ("orders.a.example.", "orders.b.example.");
    served.records(b, RecordType::A, &[address(b, 9, "10.0.0.2")]);
    assert_eq!(addresses_of(&servers, "orders").await.unwrap(), [IpAddr::from([10, 0, 0, 2])]);

    // Of two names, one is meant: the AAAA record is another service's.
    served.records(a, RecordType::A, &[address(a, 9, "10.0.0.1")]);
    served.records(b, RecordType::AAAA, &[address(b, 9, "fd00::2")]);
    assert_eq!(addresses_of(&servers, "orders").await.unwrap(), [IpAddr::from([10, 0, 0, 1])]);

    for (say, why) in [
        (Say::Code(ResponseCode::ServFail), "AAAA: the name server says: Server Failure"),
        (Say::Silence, "AAAA: no answer from the name servers"),
    ] {
        served.say(a, RecordType::AAAA, say);
        assert_eq!(addresses_of(&servers, "orders").await, Err(why.to_owned()));
    }
    served.clear();
    assert_eq!(addresses_of(&servers, "orders").await, Err("no such name".to_owned()));
    served.records(a, RecordType::SRV, &[service(a, 9, [0, 0, 80], b)]);
    let none = addresses_of(&servers, "orders").await;
    assert_eq!(none, Err("the name has no such record".to_owned()));
}

#[tokio::test]
async fn aliases_are_followed_and_their_time_counts() {
    let served = Served::new();
    let servers = servers(&served, &[], 1);
    let (one, two, three) = ("one.example.", "two.example.", "three.example.");
    for kind in [RecordType::A, RecordType::SRV] {
        let record = match kind {
            RecordType::A => address(three, 40, "10.0.0.3"),
            _ => service(three, 40, [1, 2, 80], "host.example."),
        };
        // All in one answer, in any order.
        let all = [record.clone(), alias(two, 30, three), alias(one, 50, two)];
        served.records(one, kind, &all);
        let found = servers.records(one, &[kind]).await.unwrap();
        assert_eq!((found.records.len(), found.ttl.as_secs()), (1, 30), "{kind}");
        assert_eq!(served.asked().len(), 1, "{kind}");

        // Answer by answer.
        served.records(one, kind, &[alias(one, 20, two)]);
        served.records(two, kind, &[alias(two, 30, three)]);
        served.records(three, kind, &[record]);
        let found = servers.records(one, &[kind]).await.unwrap();
        assert_eq!((found.records.len(), found.ttl.as_secs()), (1, 20), "{kind}");
        assert_eq!(served.asked().len(), 3, "{kind}");
    }

    served.records(one, RecordType::A, &[alias(one, 20, two), alias(two, 20, one)]);
    let failure = servers.records(one, &[RecordType::A]).await.unwrap_err();
    assert_eq!(failure, "more than 8 aliases");
    let strange = [alias(one, 20, two), address(three, 20, "10.6.6.6")];
    served.records(one, RecordType::A, &strange);
    served.records(two, RecordType::A, &strange[1..]);
    let failure = servers.records(one, &[RecordType::A]).await.unwrap_err();
    assert_eq!(failure, "the name has no such record", "another name's");
}

#[tokio::test]
async fn what_needs_no_name_server() {
    let dir = tempfile::tempdir().unwrap();
    let (hosts, conf) = (dir.path().join("hosts"), dir.path().join("resolv.conf"));
    std::fs::write(&hosts, "10.0.0.7 orders\nfd00::7 orders\n10.0.0.8 orders\n").unwrap();
    let resolver = of_files(&hosts, &conf);
    let table = [
        ("orders", (true, true), &["10.0.0.7", "10.0.0.8", "fd00::7"][..]),
        ("Orders", (true, false), &["10.0.0.7", "10.0.0.8"]),
        ("orders", (false, true), &["fd00::7"]),
        ("localhost", (true, true), &["127.0.0.1", "::1"]),
        ("localhost.", (false, true), &["::1"]),
        ("10.1.2.3", (true, true), &["10.1.2.3"]),
    ];
    for (name, (v4, v6), expected) in table {
        let found = resolver.addresses(name, v4, v6).await.unwrap();
        let found: Vec<_> = found.records.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{name} {v4} {v6}");
    }
    std::fs::write(&hosts, "10.0.0.7 only4\n").unwrap();
    for (name, v4) in [("other", true), ("only4", false)] {
        let failure = resolver.addresses(name, v4, true).await.unwrap_err();
        assert!(failure.contains("resolv.conf: No such file"), "{failure}");
    }
}
