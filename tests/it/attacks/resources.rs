//! Rows 70 to 75 and 82: time and space. This build unpacks no bodies (73) and limits no rates (76).

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
};

use socket2::{Domain, Socket, Type};
use tokio::time::Instant;

use crate::support::{
    crowd::{Besieger, Bystander, Service, Siege, raise_descriptors},
    gateway::{Usage, alone, everything, temporary, tidegate},
    prelude::*,
    tls,
    wait::within,
};

// === row 70: slow clients ===

/// How many attack at once.
const CROWD: usize = 1000;
/// The limit of everything in the gateway under siege.
const LIMIT: Duration = Duration::from_secs(2);
/// A connection may last this much longer than its limit. Debug builds are some ten times slower, and
/// have more to do in that time than a busy machine can.
const MARGIN: Duration = Duration::from_secs(if cfg!(debug_assertions) { 6 } else { 2 });
/// A bystander may always wait this long.
const UNNOTICED: Duration = Duration::from_millis(if cfg!(debug_assertions) { 2000 } else { 100 });

/// The ways of being slow: what is sent, and what whoever listens is told.
const SLOW: [(&str, Siege, &str); 4] = [
    (
        "slow headers",
        Siege { first: "GET /ok HTTP/1.1\r\nHost: h\r\nX-A: ", drip: "x", reads: true },
        "header_timeout",
    ),
    (
        "slow body",
        Siege {
            first: "POST /ok HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx",
            drip: "",
            reads: true,
        },
        "body_timeout",
    ),
    (
        "no body",
        Siege {
            first: "POST /ok HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n",
            drip: "",
            reads: true,
        },
        "body_timeout",
    ),
    (
        "slow read",
        Siege { first: "GET /big HTTP/1.1\r\nHost: h\r\n\r\n", drip: "", reads: false },
        "",
    ),
];

#[test]
fn row_70_a_thousand_slow_clients_of_each_kind_are_cut_in_time_and_disturb_nobody() {
    let _machine = alone();
    raise_descriptors(4 * CROWD as u64 + 500);
    let service = Service::start();
    let gateway = Gateway::builder().measured().start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", timeouts: {{ header: 2s, write: 2s }} }} }}\n\
         upstreams: {{ app: {{ endpoints: [\"{}\"], limits: {{ connections: 4000, requests: 8000 }} }} }}\n\
         routes: {{ app: {{ to: app, timeouts: {{ idle: 2s }} }} }}\n",
        service.url()
    ));
    let bystander = Bystander::start(&gateway);
    pause(Duration::from_secs(1));
    let quiet = bystander.finish();
    let allowed = (3 * quiet).max(UNNOTICED);
    for (name, siege, reason) in SLOW {
        let (before, cut_before) = (gateway.usage(), service.cut());
        let bystander = Bystander::start(&gateway);
        let crowd = siege.lay(gateway.addr("http"), CROWD);
        let start = Instant::now();
        let (mut peak, mut queued) = (before.resident, 0);
        let gone = within(LIMIT + MARGIN, || {
            peak = peak.max(gateway.usage().resident);
            queued = queued.max(unsent(&gateway));
            // The bystander stays.
            (open(&gateway) <= 1.0 && service.open() <= 4).then(|| start.elapsed())
        });
        let left = (open(&gateway), service.open());
        let gone = gone.unwrap_or_else(|| panic!("{name}: still open {left:?}"));
        if siege.reads {
            let ends = block_on(async {
                let mut ends = Vec::new();
                for one in crowd {
                    ends.push(one.await.expect("no panic"));
                }
                ends
            });
            ends.iter().for_each(|end| is_told(end, reason));
        } else {
            // What they were cut off for not taking, the kernel does not keep for them either.
            assert!(queued <= CROWD as u64 * 256 * 1024, "{name}: {queued} bytes in the kernel");
            until("the kernel gives up on them", || unsent(&gateway) == 0);
            crowd.iter().for_each(tokio::task::JoinHandle::abort);
        }
        let cut = service.cut() - cut_before;
        assert_eq!(cut, if reason == "body_timeout" { CROWD } else { 0 }, "{name}: cut upstream");
        let slowest = bystander.finish();
        assert!(slowest <= allowed, "{name}: p99 {slowest:?}, {quiet:?} in quiet");
        let after = settles(&gateway, name, before, peak);
        eprintln!(
            "{name}: the last of {CROWD} gone after {gone:?}; p99 of a bystander {slowest:?} ({quiet:?} in \
             quiet); KiB resident {} before, {peak} at most, {} after ({} and {} without the binary); {} KiB at most \
             in the kernel",
            before.resident,
            after.resident,
            before.own,
            after.own,
            queued >> 10
        );
    }
}

/// Waits until memory and descriptors are back, or panics with what is not.
#[track_caller]
fn settles(gateway: &Gateway, name: &str, before: Usage, peak: u64) -> Usage {
    // Nine tenths of the memory come back; the allocator keeps some for the next crowd.
    let kept = (peak.saturating_sub(before.resident) / 10).max(10 * 1024);
    let after = within(DEADLINE, || {
        let now = gateway.usage();
        let back = now.own <= before.own + kept && now.descriptors <= before.descriptors + 4;
        back.then_some(now)
    });
    after.unwrap_or_else(|| panic!("{name}: {:?}, {before:?} before", gateway.usage()))
}

/// Bytes the kernel keeps for clients of the listener `http`, whether their connection is still the
/// gateway's or not.
fn unsent(gateway: &Gateway) -> u64 {
    let ours = format!(":{:04X}", gateway.addr("http").port());
    let table = std::fs::read_to_string("/proc/net/tcp").expect("every Linux has it");
    let queues = table.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let listening = fields[3] == "0A";
        let queue =
            fields[4].split(':').next().filter(|_| !listening && fields[1].ends_with(&ours));
        queue.map(|queue| u64::from_str_radix(queue, 16).expect("a queue in hexadecimal"))
    });
    queues.sum()
}

fn open(gateway: &Gateway) -> f64 {
    gateway.metric("tidegate_connections", &[("listener", "http")]).unwrap_or(0.0)
}

/// It got its 408 and the end, in time.
fn is_told(end: &Besieger, reason: &str) {
    let seen = String::from_utf8_lossy(&end.seen);
    assert!(seen.starts_with("HTTP/1.1 408 "), "{seen:?}");
    assert!(seen.contains(&format!("\"reason\":\"{reason}\"")), "{seen:?}");
    assert!(end.ended <= LIMIT + MARGIN, "{:?}", end.ended);
}

#[test]
fn row_70_a_tunnel_nobody_reads_is_cut() {
    let flood = Raw::serve(|peer| {
        peer.head();
        peer.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        );
        while peer.send([b'x'; 64 * 1024]) {}
    });
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", timeouts: {{ write: 1s }} }} }}\n\
         routes: {{ app: {{ to: \"{}\" }} }}\n",
        flood.url()
    ));
    let mut client = gateway.client();
    let handshake = [
        "Connection: upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    client.request("GET", "h", "/", &handshake);
    let (_, head) = client.head().expect("an answer");
    assert_eq!(head.word(1), "101");
    until("it is cut", || open(&gateway) == 0.0);
    assert_eq!(cut(&gateway, "write_timeout"), 1.0);
}

#[test]
fn row_70_bytes_that_are_no_request_do_not_keep_a_connection() {
    let gateway = Gateway::start(
        "listeners: { http: { address: \"127.0.0.1:0\", protocols: [h1, h2c], timeouts: { header: 1s } } }\n\
         routes: { app: { respond: 200 } }\n",
    );
    // One says nothing; one begins HTTP/2, and its first request never ends.
    let mut silent = gateway.client();
    let mut slow = gateway.client();
    slow.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    slow.send(b"\0\x40\0\x01\x04\0\0\0\x01");
    let start = Instant::now();
    assert!(silent.closed());
    while slow.send("x") {
        assert!(start.elapsed() < DEADLINE, "bytes keep it open");
        pause(Duration::from_millis(200));
    }
    until("both are gone", || open(&gateway) == 0.0);
    assert_eq!(cut(&gateway, "header_timeout"), 2.0);
}

fn cut(gateway: &Gateway, why: &str) -> f64 {
    let counted = gateway.metric("tidegate_connections_cut_total", &[("why", why)]);
    counted.expect("every cause is there from the start")
}

// === row 71: connections and descriptors ===

/// A connection that comes from another address of the loopback network.
fn from(source: [u8; 4], to: SocketAddr) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
    socket.connect(&to.into()).expect("the listener accepts");
    Client::over_tcp(socket.into())
}

const ONE: [u8; 4] = [127, 0, 0, 1];
const TWO: [u8; 4] = [127, 0, 0, 2];

#[test]
fn row_71_one_client_does_not_get_all_connections() {
    let gateway = Gateway::start(
        "listeners:\n  http: { address: \"127.0.0.1:0\", max_connections: 4 }\n\
         \x20 https: { address: \"127.0.0.1:0\", tls: dev, limits: { connections_per_client: 1 } }\n\
         \x20 behind: { address: \"127.0.0.1:0\", max_connections: 4, trusted_proxies: [127.0.0.1] }\n\
         routes: { app: { respond: { status: 200, body: ok } } }\n",
    );
    let address = gateway.addr("http");
    let get = |client: &mut Client| client.exchange("GET", "h", "/", &[]).status;
    // Half of all connections unless something else is written.
    let mut held = [from(ONE, address), from(ONE, address)];
    assert!(held.iter_mut().all(|client| get(client) == 200));
    let mut third = from(ONE, address);
    let answer = third.get("h", "/");
    assert_eq!((answer.status, answer.reason().as_str()), (503, "overloaded"));
    assert!(third.closed());
    let mut others = [from(TWO, address), from(TWO, address)];
    assert!(others.iter_mut().all(|client| get(client) == 200));
    assert_eq!(get(&mut from([127, 0, 0, 3], address)), 503);
    assert_eq!(
        (cut(&gateway, "connections_per_client"), cut(&gateway, "max_connections")),
        (1.0, 1.0)
    );
    let [mut first, second] = held;
    drop(second);
    until("its place is free again", || get(&mut from(ONE, address)) == 200);
    assert_eq!(get(&mut first), 200, "who was there is not touched");
    // Nothing can be said before the handshake.
    let https = gateway.addr("https");
    let _held = from(ONE, https);
    until("it is counted", || open_on(&gateway, "https") == 1.0);
    assert!(from(ONE, https).closed());
    // Behind a trusted proxy there are many clients.
    let behind = gateway.addr("behind");
    let mut proxied: Vec<_> = (0..4).map(|_| from(ONE, behind)).collect();
    assert!(proxied.iter_mut().all(|client| get(client) == 200));
}

fn open_on(gateway: &Gateway, listener: &str) -> f64 {
    gateway.metric("tidegate_connections", &[("listener", listener)]).unwrap_or(0.0)
}

#[test]
fn row_71_a_flood_that_is_turned_away_takes_few_descriptors() {
    let gateway = Gateway::start(
        "listeners: { http: { address: \"127.0.0.1:0\", max_connections: 1, limits: { connections_per_client: 1 } } }\n\
         routes: { app: { respond: { status: 200, body: ok } } }\n",
    );
    let mut held = gateway.client();
    assert_eq!(held.get("h", "/").status, 200);
    let before = gateway.usage().descriptors;
    // They are told, and stay.
    let flood: Vec<_> = (0..600).map(|_| gateway.client()).collect();
    until("all are turned away", || cut(&gateway, "max_connections") >= 600.0);
    let most = gateway.usage().descriptors;
    assert!(most <= before + 300, "{most} descriptors, {before} before");
    assert_eq!(held.get("h", "/").status, 200);
    until("nobody is waited for", || gateway.usage().descriptors <= before + 2);
    drop(flood);
}

/// Hundredths of a second of processor time the gateway has had.
fn ticks(gateway: &Gateway) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", gateway.pid())).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn row_71_running_out_of_descriptors_stops_nothing_and_is_over_at_once() {
    let upstream = Raw::text("from the upstream");
    let mut gateway = Gateway::builder().ulimit("-n 64").start(&format!(
        "routes: {{ own: {{ match: /own, respond: {{ status: 200, body: ok }} }}, app: {{ to: \"{}\" }} }}\n",
        upstream.url()
    ));
    let mut held = gateway.client();
    assert_eq!(held.get("h", "/own").text(), "ok");
    let many: Vec<_> = (0..100).map(|_| gateway.client()).collect();
    until("descriptors are used up", || gateway.usage().descriptors >= 64);
    let before = ticks(&gateway);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        assert_eq!(held.get("h", "/own").text(), "ok", "who is connected is served");
        let answer = held.get("h", "/app");
        assert_eq!((answer.status, answer.reason().as_str()), (503, "overloaded"));
        pause(Duration::from_millis(50));
    }
    let used = ticks(&gateway) - before;
    assert!(used < 50, "{used} of 100 ticks of CPU in a second of little to do");
    let failures = gateway.logs().matches("accept failed").count();
    assert!((1..=4).contains(&failures), "{failures} lines for one lack of descriptors");
    assert!(gateway.alive());
    drop(many);
    let start = Instant::now();
    assert_eq!(gateway.get("h", "/own").text(), "ok");
    assert_eq!(held.get("h", "/app").text(), "from the upstream");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

// === row 72: ranges ===

#[test]
fn row_72_a_thousand_ranges_are_the_business_of_the_upstream() {
    let parts = "--x\r\nContent-Range: bytes 0-0/9\r\n\r\na\r\n--x--\r\n";
    let upstream = Raw::always(format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=x\r\n\
         Content-Length: {}\r\n\r\n{parts}",
        parts.len()
    ));
    let gateway = Gateway::to(&upstream.url());
    let ranges: Vec<_> = (0..1000).map(|at| format!("{at}-")).collect();
    let field = format!("Range: bytes={}", ranges.join(","));
    let answer = gateway.client().exchange("GET", "h", "/", &[&field]);
    assert_eq!((answer.status, answer.text().as_str()), (206, parts));
    assert_eq!(answer.header("content-type"), Some("multipart/byteranges; boundary=x"));
    assert_eq!(upstream.requests().len(), 1, "one request, whatever it asks for");
    assert_eq!(upstream.requests()[0].get("range"), field.strip_prefix("Range: "));
    assert_eq!(gateway.get("h", "/").status, 206);
}

// === rows 74 and 75: the file as a weapon ===

#[test]
fn row_74_an_expression_that_explodes_is_refused_and_none_is_slow() {
    let home = temporary();
    for (place, expression) in [
        ("path: { regex: \"^/EXPRESSION\" }", "(a{1000}){1000}"),
        ("path: \"/{x:EXPRESSION}\"", "[a-z]{1,500000}"),
        ("path: /**, headers: { X-A: { regex: \"EXPRESSION\" } }", "\\\\pL{9000}"),
        ("path: /**, query: { a: { regex: \"EXPRESSION\" } }", "((((x{9}){9}){9}){9}){9}"),
    ] {
        let rule = place.replace("EXPRESSION", expression);
        let text =
            format!("version: 1\nroutes: {{ a: {{ match: {{ {rule} }}, respond: 200 }} }}\n");
        std::fs::write(home.path().join("routes.yaml"), text).unwrap();
        let start = Instant::now();
        let output = tidegate(home.path(), &["check", "-c", "routes.yaml"]);
        let said = everything(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("more than 1024 KiB of memory"), "{said}");
        assert!(said.contains("--> routes.yaml:2:"), "with its place: {said}");
        assert!(start.elapsed() < Duration::from_secs(8), "{expression}: {:?}", start.elapsed());
    }
    // What sends others into exponential time.
    let gateway = Gateway::start(
        "routes: { a: { match: { path: { regex: \"^/(a+)+$\" }, headers: { X-A: { regex: \"^(x+x+)+y$\" } } }, respond: 200 } }\n",
    );
    let path = format!("/{}!", "a".repeat(7000));
    let field = format!("X-A: {}", "x".repeat(7000));
    let start = Instant::now();
    assert_eq!(gateway.client().exchange("GET", "h", &path, &[&field]).status, 404);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

/// Files that would take a careless reader's memory, time or stack.
fn hostile() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let mut bomb = String::from("version: 1\na0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let aliases = [format!("*a{}", level - 1).as_str(); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let routes = "version: 1\nroutes: { app: { respond: 204 } }\n";
    vec![
        ("aliases", bomb.into(), "unfold to too much"),
        ("nesting", format!("version: 1\nroutes: {}", "[".repeat(500_000)).into(), "64 levels"),
        ("huge", [routes.as_bytes(), &vec![b'#'; 100 << 20]].concat(), "larger than 16 MiB"),
        ("values", format!("a: [{}]\n", "1,".repeat(4_000_000)).into(), "more than 1000000"),
        ("twice", format!("{routes}routes: {{ b: {{ respond: 200 }} }}\n").into(), "written twice"),
        ("bytes", [routes.as_bytes(), b"\xff\xfe\0"].concat(), "UTF-8"),
        ("half", routes.replace(" }\n", "").into(), "not YAML"),
        ("empty", Vec::new(), "routes.yaml"),
    ]
}

/// How long refusing a file may take: a million values are two seconds of work.
const QUICK: Duration = Duration::from_secs(if cfg!(debug_assertions) { 60 } else { 6 });

/// The largest resident memory, in KiB, since [`forget_the_peak`].
fn peak(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it runs");
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn forget_the_peak(gateway: &Gateway) {
    std::fs::write(format!("/proc/{}/clear_refs", gateway.pid()), "5").expect("our own child");
}

#[test]
fn row_75_a_hostile_file_changes_nothing_and_is_refused_quickly_in_little_memory() {
    let gateway = Gateway::start("routes: { app: { respond: { status: 200, body: ok } } }\n");
    let bystander = Bystander::start(&gateway);
    let good = std::fs::read(gateway.file()).unwrap();
    for (name, text, complaint) in hostile() {
        let before = gateway.usage().resident;
        forget_the_peak(&gateway);
        std::fs::write(gateway.file(), text).unwrap();
        let start = Instant::now();
        let output = gateway.verb(&["reload", "--wait"]);
        let (took, said) = (start.elapsed(), everything(&output));
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains(complaint), "{name}: {said}");
        assert!(said.len() < 10_000, "{name} prints no novel");
        assert!(took < QUICK, "{name} took {took:?}");
        let most = peak(&gateway);
        assert!(most < before + 400 * 1024, "{name}: {most} KiB, {before} before");
        assert_eq!(gateway.get("h", "/ok").text(), "ok", "{name}");
        eprintln!("{name}: refused in {took:?}, KiB resident {before} before, {most} at most");
    }
    std::fs::write(gateway.file(), good).unwrap();
    assert!(gateway.verb(&["reload", "--wait"]).status.success());
    let slowest = bystander.finish();
    assert!(slowest <= UNNOTICED, "p99 of a bystander {slowest:?}");
}

// === row 82: handshakes ===

#[test]
fn row_82_handshakes_of_one_client_leave_room_for_others() {
    let authority = Authority::new();
    let gateway = Gateway::start(&format!(
        "listeners: {{ https: {{ address: \"127.0.0.1:0\", tls: true, timeouts: {{ handshake: 3s }}, limits: {{ handshakes: 4 }} }} }}\n\
         tls: {{ certificates: [{}] }}\nroutes: {{ app: {{ respond: {{ status: 200, body: ok }} }} }}\n",
        authority.issue("a", &["a.example"]).yaml()
    ));
    let address = gateway.addr("https");
    let silent = [from(TWO, address), from(TWO, address)];
    until("both are shaking hands", || open_on(&gateway, "https") == 2.0);
    assert!(from(TWO, address).closed(), "its share is taken");
    assert_eq!(cut(&gateway, "handshakes"), 1.0);
    let mut client = tls::connect(address, "a.example", &authority);
    assert_eq!(client.get("a.example", "/").text(), "ok");
    // Who is done with the handshake holds no turn.
    for _ in 0..3 {
        let mut another = tls::connect(address, "a.example", &authority);
        assert_eq!(another.get("a.example", "/").text(), "ok");
    }
    until("time is up", || cut(&gateway, "handshake_timeout") == 2.0);
    drop(silent);
    let again = from(TWO, address);
    until("its share is free again", || open_on(&gateway, "https") >= 2.0);
    assert_eq!(cut(&gateway, "handshakes"), 1.0);
    drop(again);
}

#[test]
fn row_82_a_flood_of_handshakes_and_new_certificates_disturb_nobody() {
    let authority = Authority::new();
    let issued = authority.issue("a", &["a.example"]);
    let gateway = Gateway::start(&format!(
        "listeners: {{ https: {{ address: \"127.0.0.1:0\", tls: true, timeouts: {{ handshake: 1s }}, limits: {{ handshakes: 100 }} }} }}\n\
         tls: {{ certificates: [{}] }}\nroutes: {{ app: {{ respond: {{ status: 200, body: ok }} }} }}\n",
        issued.yaml()
    ));
    let address = gateway.addr("https");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Every one of its handshakes must succeed.
        let bystander = scope.spawn(|| {
            let mut count = 0;
            while !stop.load(Ordering::SeqCst) {
                let mut client = tls::connect(address, "a.example", &authority);
                assert_eq!(client.get("a.example", "/").text(), "ok");
                count += 1;
            }
            count
        });
        let mut flood = Vec::new();
        for round in 0..5 {
            let before = tls::certificate(address, "a.example", &authority);
            authority.issue("a", &["a.example"]);
            for number in 0..200 {
                let mut one = from(TWO, address);
                if number % 2 == 0 {
                    one.send(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03junk");
                }
                flood.push(one);
            }
            until("the new certificate is served", || {
                tls::certificate(address, "a.example", &authority) != before
            });
            assert!(cut(&gateway, "handshakes") > 0.0, "round {round}");
        }
        until("all are cut", || open_on(&gateway, "https") <= 1.0);
        stop.store(true, Ordering::SeqCst);
        assert!(bystander.join().expect("every handshake succeeds") > 5);
    });
    assert!(gateway.usage().descriptors < 100, "{:?}", gateway.usage());
}
