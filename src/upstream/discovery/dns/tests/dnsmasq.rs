//! A real name server: dnsmasq.

use std::{
    fs,
    net::{TcpStream, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Handle;

use super::*;

/// dnsmasq with addresses from a file and other records from its command line. It handles a TCP
/// connection in a process of its own, and ends those when it is asked to end.
struct Dnsmasq {
    child: Child,
    address: SocketAddr,
}

impl Dnsmasq {
    /// On a free port, or on this one.
    fn start(dir: &Path, arguments: &[String], port: Option<u16>) -> Self {
        for _ in 0..10 {
            let free = || UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let address = SocketAddr::from(([127, 0, 0, 1], port.unwrap_or_else(free)));
            let mut child = Command::new("dnsmasq")
                .args(["--keep-in-foreground", "--no-resolv", "--no-hosts", "--pid-file="])
                .args(["--conf-file=/dev/null", "--listen-address=127.0.0.1", "--bind-interfaces"])
                .args(["--local-ttl=1", "--local=/example/", "--user=", "--log-facility=-"])
                .arg(format!("--port={}", address.port()))
                .arg(format!("--addn-hosts={}", dir.join("hosts").display()))
                .args(arguments)
                .stderr(Stdio::null())
                .spawn()
                .expect("install the Debian package `dnsmasq-base`");
            let end = Instant::now() + Duration::from_secs(20);
            while child.try_wait().unwrap().is_none() && Instant::now() < end {
                if TcpStream::connect(address).is_ok() {
                    return Self { child, address };
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("dnsmasq found no free port ten times over");
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        let _ = kill_process(pid, Signal::TERM);
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_real_name_server() {
    let dir = tempfile::tempdir().unwrap();
    let many: String = (1..=200).map(|n| format!("10.0.1.{n} many.example\n")).collect();
    let hosts = format!("10.0.0.1 {NAME}\n10.0.0.2 {NAME}\nfd00::1 {NAME}\n{many}");
    fs::write(dir.path().join("hosts"), hosts).unwrap();
    let srv = |name: &str, host: &str, port, priority, weight| {
        format!("--srv-host=_http._tcp.{name},{host},{port},{priority},{weight}")
    };
    let mut records: Vec<String> =
        (0..300).map(|n| srv("many.example", &format!("h{n}.example"), 80, 0, n)).collect();
    records.push(srv(NAME, "One.example", 8080, 10, 30));
    records.push(srv(NAME, "two.example", 8081, 10, 10));
    records.push(srv(NAME, "three.example", 8082, 90, 0));
    records.push("--srv-host=_http._tcp.gone.example".to_owned());
    records.push(format!("--cname=alias.example,{NAME}"));
    let server = Dnsmasq::start(dir.path(), &records, None);
    let resolver = Resolver::with_nameserver(Handle::current(), server.address).unwrap();

    for name in [NAME, "alias.example"] {
        let set = first(&settings(name, both(true, true)), &resolver).await.unwrap();
        let expected = ["http://10.0.0.1:8080", "http://10.0.0.2:8080", "http://[fd00::1]:8080"];
        assert_eq!(urls(&set), expected);
    }
    waits(&settings(NAME, both(true, true)), &resolver, 1.0).await;
    let set = first(&settings(SERVICE, Records::Srv), &resolver).await.unwrap();
    let found: Vec<_> =
        set.endpoints.iter().map(|e| (&*e.url.value, e.priority, e.weight)).collect();
    let expected = [
        ("http://one.example:8080", 0, 30),
        ("http://two.example:8081", 0, 10),
        ("http://three.example:8082", 1, 1),
    ];
    assert_eq!(found, expected);
    let gone = first(&settings("_http._tcp.gone.example", Records::Srv), &resolver).await;
    assert_eq!(gone, Ok(Set::default()), "a target of `.`");

    // More than fits into a datagram.
    let set = first(&settings("many.example", both(true, false)), &resolver).await.unwrap();
    assert_eq!(set.endpoints.len(), 200);
    let many = settings("_http._tcp.many.example", Records::Srv);
    let mut dns = Dns::new(&many, &resolver);
    let set = dns.next().await.unwrap();
    assert_eq!(set.endpoints.len(), 300);

    let nobody = first(&settings("nobody.example", Records::Srv), &resolver).await.unwrap_err();
    assert_eq!(nobody.0, "SRV of `nobody.example`: no such name");
    // Of names that are not its own, without another server to ask.
    let other = first(&settings("other.test", both(true, false)), &resolver).await.unwrap_err();
    assert_eq!(other.0, "A of `other.test`: the name server says: Query Refused");

    // Restarted, with fewer records, while there is a connection.
    let port = server.address.port();
    drop(server);
    let failure = first(&settings(NAME, both(true, false)), &resolver).await.unwrap_err();
    assert!(failure.0.starts_with(&format!("A of `{NAME}`: ")), "{failure:?}");
    fs::write(dir.path().join("hosts"), format!("10.0.0.3 {NAME}\n")).unwrap();
    let server = Dnsmasq::start(dir.path(), &records[..250], Some(port));
    let set = first(&settings(NAME, both(true, true)), &resolver).await.unwrap();
    assert_eq!(urls(&set), ["http://10.0.0.3:8080"]);
    drop(server);
}
