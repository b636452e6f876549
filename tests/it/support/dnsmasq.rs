//! A real name server: dnsmasq, which knows what it is told and asks nobody.

use std::{
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::process::CommandExt as _,
    path::Path,
    process::Command,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::{
    process::Process,
    wait::{DEADLINE, within},
};

/// A running dnsmasq. Every record lives for one second.
pub(crate) struct Dnsmasq {
    process: Process,
    home: tempfile::TempDir,
    address: SocketAddr,
    records: Records,
}

/// What it knows. Other names of `.example` and `.test` do not exist; all others are refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Records {
    addresses: Vec<(String, IpAddr)>,
    others: Vec<String>,
}

// === impl Records ===

impl Records {
    /// None.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// An A or AAAA record; a name can have several.
    #[track_caller]
    pub(crate) fn address(mut self, name: &str, ip: &str) -> Self {
        self.addresses.push((name.to_owned(), ip.parse().expect("an IP address")));
        self
    }

    /// An SRV record; a name can have several.
    pub(crate) fn srv(
        self,
        name: &str,
        (priority, weight): (u16, u16),
        target: &str,
        port: u16,
    ) -> Self {
        self.other(format!("--srv-host={name},{target},{port},{priority},{weight}"))
    }

    /// The SRV record that says that there is no such service: its target is `.`.
    pub(crate) fn no_service(self, name: &str) -> Self {
        self.other(format!("--srv-host={name}"))
    }

    /// A CNAME record, to a name that has an address here.
    pub(crate) fn alias(self, name: &str, target: &str) -> Self {
        self.other(format!("--cname={name},{target}"))
    }

    fn other(mut self, argument: String) -> Self {
        self.others.push(argument);
        self
    }

    /// As lines of `/etc/hosts`.
    fn hosts(&self) -> String {
        self.addresses.iter().map(|(name, ip)| format!("{ip} {name}\n")).collect()
    }
}

// === impl Dnsmasq ===

impl Dnsmasq {
    /// On a free port of the loopback interface, over UDP and TCP.
    #[track_caller]
    pub(crate) fn start(records: Records) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        // A port just freed may be taken by another test, so try again.
        for _ in 0..10 {
            let Some(address) = free() else { continue };
            let mut process = launch(home.path(), address, &records);
            if listens(&mut process, address) == Some(true) {
                return Self { process, home, address, records };
            }
            let output = process.output();
            assert!(output.contains("Address already in use"), "dnsmasq: {output}");
        }
        panic!("dnsmasq found no free port ten times over");
    }

    /// Where it is asked.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Knows other records from now on. It does not stop for it when only addresses are different.
    #[track_caller]
    pub(crate) fn change(&mut self, records: Records) {
        let before = std::mem::replace(&mut self.records, records);
        if self.records.others != before.others {
            self.restart();
            return;
        }
        let reads = |process: &Process| {
            process.lines().iter().filter(|line| line.contains(": read ")).count()
        };
        let known = reads(&self.process);
        write(self.home.path(), &self.records);
        self.process.signal(Signal::HUP);
        let read = within(DEADLINE, || (reads(&self.process) > known).then_some(()));
        assert!(read.is_some(), "dnsmasq: {}", self.process.output());
        // Those who serve TCP connections still know what was.
        let pid = self.process.pid();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        for child in children.unwrap_or_default().split_ascii_whitespace() {
            let child = child.parse().ok().and_then(Pid::from_raw);
            child.map(|child| kill_process(child, Signal::KILL));
        }
    }

    /// Nobody answers any more.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        kill_all(&self.process);
        self.process.wait(DEADLINE);
    }

    /// Ends it, unless it has ended, and starts it again where it was.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        self.kill();
        // A client of some other test may use the port for a moment.
        let up = within(DEADLINE, || {
            self.process = launch(self.home.path(), self.address, &self.records);
            (listens(&mut self.process, self.address) == Some(true)).then_some(())
        });
        assert!(up.is_some(), "dnsmasq: {}", self.process.output());
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        kill_all(&self.process);
    }
}

/// The process and its children: each TCP connection has one, which would outlive it.
fn kill_all(process: &Process) {
    if let Some(group) = Pid::from_raw(process.pid().cast_signed()) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// An address that is free over both.
fn free() -> Option<SocketAddr> {
    let address = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).ok()?;
    TcpListener::bind(address).ok().map(|_| address)
}

fn write(home: &Path, records: &Records) {
    std::fs::write(home.join("hosts"), records.hosts()).expect("our own directory");
}

fn launch(home: &Path, address: SocketAddr, records: &Records) -> Process {
    write(home, records);
    let mut command = Command::new("dnsmasq");
    command
        .args(["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user="])
        .args(["--no-resolv", "--no-hosts", "--local=/example/test/", "--local-ttl=1"])
        .args(["--listen-address=127.0.0.1", "--bind-interfaces", "--log-facility=-"])
        .arg(format!("--port={}", address.port()))
        .arg(format!("--addn-hosts={}", home.join("hosts").display()))
        .args(&records.others)
        .process_group(0);
    Process::start(command, "dnsmasq-base")
}

/// Whether it has read its records and answers; false if it has ended.
fn listens(process: &mut Process, address: SocketAddr) -> Option<bool> {
    within(DEADLINE, || {
        if process.exited().is_some() {
            return Some(false);
        }
        let read = process.lines().iter().any(|line| line.contains(": read "));
        let up = TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
        (read && up).then_some(true)
    })
}
