//! What is asked of DNS, and what becomes of the answers.

use std::{
    net::UdpSocket,
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::time::{Instant, timeout};

use super::*;

/// What the server of a test answers to A queries; to all others that there is no such record.
#[derive(Clone, Copy)]
enum Say {
    Address(Ipv4Addr, u32),
    NoSuchName,
    Nothing,
}

/// A name server on a free port.
struct Server {
    address: SocketAddr,
    say: Arc<Mutex<Say>>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    fn new(say: Say) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: socket.local_addr().unwrap(),
            say: Arc::new(Mutex::new(say)),
            asked: Arc::default(),
        };
        let (say, asked) = (Arc::clone(&server.say), Arc::clone(&server.asked));
        std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                asked.fetch_add(1, Ordering::SeqCst);
                let say = *say.lock();
                if let Some(answer) = answer(&buffer[..length], say) {
                    socket.send_to(&answer, peer).unwrap();
                }
            }
        });
        server
    }

    fn resolver(&self) -> Resolver {
        let lookup = Lookup::server(self.address, Duration::from_millis(200), 1).unwrap();
        Resolver::with_lookup(Handle::current(), lookup)
    }

    fn say(&self, say: Say) {
        *self.say.lock() = say;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// RFC 1035 by hand: the question back, and one A record behind a pointer to its name.
fn answer(query: &[u8], say: Say) -> Option<Vec<u8>> {
    let name = query[12..].iter().position(|b| *b == 0).unwrap() + 13;
    let is_a = query[name..name + 2] == [0, 1];
    let (code, records) = match say {
        Say::Nothing => return None,
        Say::NoSuchName => (3, 0),
        Say::Address(..) => (0, u8::from(is_a)),
    };
    let mut out = query[..2].to_vec();
    let authorities = u8::from(code != 0);
    out.extend([0x81, 0x80 | code, 0, 1, 0, records, 0, authorities, 0, 0]);
    out.extend(&query[12..name + 4]);
    if authorities != 0 {
        // An SOA, which allows to remember for an hour that there is no such name.
        let hour = 3600_u32.to_be_bytes();
        out.extend([0, 0, 6, 0, 1].into_iter().chain(hour).chain([0, 22, 0, 0]));
        out.extend([0; 16].into_iter().chain(hour));
    }
    if let (Say::Address(ip, ttl), true) = (say, is_a) {
        out.extend([0xc0, 12, 0, 1, 0, 1]);
        out.extend(ttl.to_be_bytes());
        out.extend([0, 4]);
        out.extend(ip.octets());
    }
    Some(out)
}

async fn ready(entry: &Resolved) {
    timeout(Duration::from_secs(5), entry.ready()).await.expect("no answer in time");
    assert!(entry.is_ready());
}

/// Waits until it holds.
async fn until(mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(5);
    while !holds() {
        assert!(Instant::now() < end, "did not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

const ONE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const TWO: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

#[tokio::test]
async fn follows_the_ttl_and_keeps_the_last_addresses() {
    let server = Server::new(Say::Address(ONE, 1));
    let entry = server.resolver().watch("orders.example.");
    ready(&entry).await;
    assert_eq!(**entry.addresses(), [IpAddr::from(ONE)]);
    let begin = Instant::now();
    server.say(Say::Address(TWO, 1));
    until(|| **entry.addresses() == [IpAddr::from(TWO)]).await;
    assert!(begin.elapsed() > Duration::from_millis(700), "asked before the TTL");

    for gone in [Say::Nothing, Say::NoSuchName] {
        server.say(gone);
        until(|| entry.failure().is_some()).await;
        assert_eq!(**entry.addresses(), [IpAddr::from(TWO)]);
        assert_eq!(entry.error(), None);
        server.say(Say::Address(TWO, 1));
        until(|| entry.failure().is_none()).await;
    }
}

#[tokio::test]
async fn a_long_ttl_is_not_asked_again() {
    let server = Server::new(Say::Address(ONE, 60));
    let entry = server.resolver().watch("orders.example.");
    ready(&entry).await;
    let asked = server.asked();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(server.asked(), asked);
}

#[tokio::test]
async fn a_failure_has_its_reason_and_is_retried() {
    for (say, reason) in [(Say::NoSuchName, Reason::DnsError), (Say::Nothing, Reason::DnsTimeout)] {
        let server = Server::new(say);
        let entry = server.resolver().watch("orders.example.");
        assert_eq!(entry.error(), None);
        ready(&entry).await;
        assert_eq!(entry.error(), Some(reason), "{:?}", entry.failure());
        assert!(entry.addresses().is_empty());
        server.say(Say::Address(ONE, 60));
        until(|| entry.error().is_none()).await;
        assert_eq!(**entry.addresses(), [IpAddr::from(ONE)]);
    }
}

#[tokio::test]
async fn one_entry_per_name_and_nothing_before_the_start() {
    let server = Server::new(Say::Address(ONE, 1));
    let resolver = server.resolver();
    let entry = resolver.entry("orders.example.");
    assert!(Arc::ptr_eq(&entry, &resolver.entry("Orders.example.")));
    let refused = resolver.entry("refused.example.");
    drop(refused);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.asked(), 0);
    assert!(!entry.is_ready());
    resolver.start();
    resolver.start();
    ready(&entry).await;
    // A and AAAA, once, of the one name that is still wanted.
    assert_eq!(server.asked(), 2);
    assert_eq!(resolver.inner.entries.lock().len(), 1);
}

#[tokio::test]
async fn the_task_ends_with_the_last_holder() {
    let server = Server::new(Say::Address(ONE, 1));
    let resolver = server.resolver();
    let (entry, sender) = {
        let entry = resolver.entry("orders.example.");
        let sender = entry.waiting.lock().take().unwrap();
        (entry, sender)
    };
    let task = keep_fresh(Arc::downgrade(&entry), sender, Arc::clone(&resolver.inner.lookup));
    let task = tokio::spawn(task);
    ready(&entry).await;
    let second = Arc::clone(&entry);
    drop(entry);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!task.is_finished());
    drop(second);
    timeout(Duration::from_millis(500), task).await.expect("still there").unwrap();
    // A new holder gets a new entry with a new task.
    ready(&resolver.watch("orders.example.")).await;
}

#[tokio::test]
async fn addresses_and_localhost_need_nobody() {
    let server = Server::new(Say::NoSuchName);
    let resolver = server.resolver();
    let localhost = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
    for (host, addresses) in [
        ("10.0.0.9", &["10.0.0.9".parse().unwrap()][..]),
        ("fd00::1", &["fd00::1".parse().unwrap()]),
        ("localhost", &localhost),
        ("LocalHost.", &localhost),
    ] {
        let entry = resolver.entry(host);
        assert!(entry.is_ready(), "{host}");
        assert_eq!(**entry.addresses(), addresses, "{host}");
        assert_eq!(entry.error(), None);
    }
    resolver.start();
    assert_eq!(resolver.inner.entries.lock().len(), 0);
}

#[tokio::test]
async fn names_that_cannot_be_asked_for_fail() {
    let server = Server::new(Say::Address(ONE, 1));
    let long = "x".repeat(64);
    let entry = server.resolver().watch(&long);
    ready(&entry).await;
    assert_eq!(entry.error(), Some(Reason::DnsError));
    assert_eq!(server.asked(), 0);
}

#[test]
fn ready_ends_with_the_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = Server::new(Say::Nothing);
    let entry = runtime.block_on(async { server.resolver().watch("orders.example.") });
    runtime.shutdown_background();
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    other.block_on(async {
        timeout(Duration::from_secs(5), entry.ready()).await.expect("waits for nobody");
    });
}

#[test]
fn waiting_is_bounded_and_spread() {
    let seconds: Vec<_> = (1..8).map(|n| back_off(n).as_secs()).collect();
    assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30]);
    assert_eq!(back_off(u32::MAX), LONGEST_RETRY);
    let minute = Duration::from_secs(60);
    let spread: Vec<_> = (0..100).map(|_| jitter(minute)).collect();
    assert!(spread.iter().all(|t| (54..=66).contains(&t.as_secs())));
    assert!(spread.iter().max() > spread.iter().min());
}
