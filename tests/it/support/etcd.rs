//! A real etcd, alone or of several members, each with a directory of its own. It is written to through
//! the JSON gateway every member has. Uses nothing of its siblings: the unit tests of
//! `src/upstream/discovery/etcd` have this file as a module too.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::time::Instant;

/// How long a member may take for anything. Far beyond what a loaded machine needs.
const DEADLINE: Duration = Duration::from_secs(20);

/// A running member.
pub(crate) struct Etcd {
    child: Child,
    home: tempfile::TempDir,
    args: Vec<String>,
    client: SocketAddr,
    secure: SocketAddr,
}

// === impl Etcd ===

impl Etcd {
    /// One member that is alone.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::cluster(1).remove(0)
    }

    /// Several members that know each other.
    #[track_caller]
    pub(crate) fn cluster(size: usize) -> Vec<Self> {
        Self::with(size, &[])
    }

    /// One member that also listens at [`Etcd::tls_url`], for clients with a certificate of `ca`.
    #[track_caller]
    pub(crate) fn tls(cert: &Path, key: &Path, ca: &Path) -> Self {
        let path = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
        let cert = [path("cert-file", cert), path("key-file", key), path("trusted-ca-file", ca)];
        Self::with(1, &[&cert[..], &["--client-cert-auth".to_owned()]].concat()).remove(0)
    }

    #[track_caller]
    fn with(size: usize, args: &[String]) -> Vec<Self> {
        // etcd cannot listen on port 0: a port just freed may be taken by another test, so try again.
        for _ in 0..10 {
            if let Some(members) = Self::attempt(size, args) {
                return members;
            }
        }
        panic!("etcd found no free ports ten times over");
    }

    fn attempt(size: usize, args: &[String]) -> Option<Vec<Self>> {
        let ports: Vec<TcpListener> = (0..3 * size)
            .map(|_| TcpListener::bind("127.0.0.1:0").expect("there is a free port"))
            .collect();
        let addresses: Vec<SocketAddr> =
            ports.iter().map(|it| it.local_addr().expect("a bound socket has one")).collect();
        drop(ports);
        let places: Vec<_> = addresses.chunks(3).collect();
        let cluster: Vec<String> =
            places.iter().enumerate().map(|(i, it)| format!("m{i}=http://{}", it[1])).collect();
        let cluster = cluster.join(",");
        let mut members = Vec::new();
        for (i, place) in places.iter().enumerate() {
            let [client, peer, secure] = [place[0], place[1], place[2]];
            let home = tempfile::tempdir().expect("a temporary directory can be made");
            let too = if args.is_empty() { String::new() } else { format!(",https://{secure}") };
            let mut all = vec![
                format!("--name=m{i}"),
                format!("--data-dir={}", home.path().join("data").display()),
                format!("--listen-client-urls=http://{client}{too}"),
                format!("--advertise-client-urls=http://{client}"),
                format!("--listen-peer-urls=http://{peer}"),
                format!("--initial-advertise-peer-urls=http://{peer}"),
                format!("--initial-cluster={cluster}"),
                // A tenth of what is usual: tests wait for leaders.
                "--heartbeat-interval=50".to_owned(),
                "--election-timeout=500".to_owned(),
            ];
            all.extend_from_slice(args);
            let child = launch(home.path(), &all);
            members.push(Self { child, home, args: all, client, secure });
        }
        for member in &mut members {
            if !member.healthy() {
                let log = member.log();
                assert!(log.contains("address already in use"), "etcd: {log}");
                return None;
            }
        }
        Some(members)
    }

    /// Whether it can be written to; false if it has ended.
    fn healthy(&mut self) -> bool {
        let end = Instant::now() + DEADLINE;
        while Instant::now() < end {
            if self.child.try_wait().expect("our own child").is_some() {
                return false;
            }
            if let Ok((200, body)) = ask(self.client, "GET", "/health", "", None)
                && body.contains("true")
            {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("etcd is not healthy after {DEADLINE:?}: {}", self.log());
    }

    fn log(&self) -> String {
        let bytes = fs::read(log_file(self.home.path())).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// Where clients connect.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.client)
    }

    /// Where they connect with TLS.
    pub(crate) fn tls_url(&self) -> String {
        format!("https://{}", self.secure)
    }

    /// Writes a key; gives the revision after that.
    #[track_caller]
    pub(crate) fn put(&self, key: &str, value: &str) -> i64 {
        match self.try_put(key, value) {
            Ok(revision) => revision,
            Err(failed) => panic!("{failed}\n{}", self.log()),
        }
    }

    /// The same, if the members agree on it in time.
    pub(crate) fn try_put(&self, key: &str, value: &str) -> Result<i64, String> {
        let put = json!({"key": b64(key), "value": b64(value)});
        self.asked("kv/put", &put, None).map(|answer| revision(&answer))
    }

    /// Writes a key that is gone when its lease is over, after at least so many seconds.
    #[track_caller]
    pub(crate) fn put_with_lease(&self, key: &str, value: &str, ttl: u32) -> i64 {
        let lease = self.call("lease/grant", &json!({"TTL": ttl}), None);
        let put = json!({"key": b64(key), "value": b64(value), "lease": lease["ID"]});
        revision(&self.call("kv/put", &put, None))
    }

    /// Removes a key; gives the revision after that.
    #[track_caller]
    pub(crate) fn delete(&self, key: &str) -> i64 {
        revision(&self.call("kv/deleterange", &json!({"key": b64(key)}), None))
    }

    /// Any call, as its JSON gateway has it.
    #[track_caller]
    pub(crate) fn call(&self, what: &str, body: &Value, token: Option<&str>) -> Value {
        match self.asked(what, body, token) {
            Ok(answer) => answer,
            Err(failed) => panic!("{failed}\n{}", self.log()),
        }
    }

    fn asked(&self, what: &str, body: &Value, token: Option<&str>) -> Result<Value, String> {
        match ask(self.client, "POST", &format!("/v3/{what}"), &body.to_string(), token) {
            Ok((200, answer)) => Ok(serde_json::from_str(&answer).expect("etcd answers with JSON")),
            other => Err(format!("etcd, {what} {body}: {other:?}")),
        }
    }

    /// Ends it without a farewell.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("our own child can be killed");
        self.child.wait().expect("our own child can be waited for");
    }

    /// Starts it again with what it knew, where it was; kills it before if it runs.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        self.kill();
        let end = Instant::now() + DEADLINE;
        // A client of some other test may use the port for a moment.
        while Instant::now() < end {
            self.child = launch(self.home.path(), &self.args);
            if self.healthy() {
                return;
            }
        }
        panic!("etcd does not start again: {}", self.log());
    }

    /// It hangs from now on: its sockets stay open, and nobody answers.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// It goes on after [`Etcd::stop`].
    pub(crate) fn cont(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a child's id is not 0");
        kill_process(pid, signal).expect("our own child can be signalled");
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- last output of etcd at {}\n{}", self.client, self.log());
        }
    }
}

fn log_file(home: &Path) -> PathBuf {
    home.join("log")
}

fn launch(home: &Path, args: &[String]) -> Child {
    let log = File::create(log_file(home)).expect("our own directory");
    let mut command = Command::new("etcd");
    command.args(args).args(["--logger=zap", "--log-outputs=stderr"]).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(log);
    command.spawn().unwrap_or_else(|error| {
        panic!("cannot start `etcd` ({error}): install the Debian package `etcd-server`")
    })
}

/// One request over HTTP/1.0, so that the answer ends with the connection.
fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
    token: Option<&str>,
) -> std::io::Result<(u16, String)> {
    let mut socket = TcpStream::connect_timeout(&address, DEADLINE)?;
    socket.set_read_timeout(Some(DEADLINE))?;
    let token = token.map_or_else(String::new, |token| format!("Authorization: {token}\r\n"));
    write!(
        socket,
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\n{token}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, body.to_owned()))
}

fn b64(text: &str) -> String {
    STANDARD.encode(text)
}

fn revision(answer: &Value) -> i64 {
    let revision = answer["header"]["revision"].as_str().and_then(|text| text.parse().ok());
    revision.unwrap_or_else(|| panic!("no revision: {answer}"))
}
