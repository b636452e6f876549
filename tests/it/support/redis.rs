//! A real Redis with a directory of its own; a cluster of three; and a way to it that can be slow.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use super::{
    process::Process,
    tools::run,
    wait::{DEADLINE, block_on, pause, spawn, until, within},
};

/// A running server.
pub(crate) struct Redis {
    process: Process,
    home: tempfile::TempDir,
    args: Vec<String>,
    /// Where it listens.
    pub(crate) port: u16,
    /// What `redis-cli` needs to be let in.
    login: Vec<String>,
}

const CLUSTER: [&str; 4] = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];

// === impl Redis ===

impl Redis {
    /// A server that lets everybody in.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::with(&[], &[])
    }

    /// A server with further arguments; `login` are those `redis-cli` needs then.
    #[track_caller]
    pub(crate) fn with(args: &[&str], login: &[&str]) -> Self {
        // A port just freed may be taken by another test, so try again.
        for _ in 0..10 {
            if let Some(redis) = Self::attempt("--port", args, login) {
                return redis;
            }
        }
        panic!("redis found no free port ten times over");
    }

    /// A server that speaks only TLS.
    #[track_caller]
    pub(crate) fn tls(cert: &Path, key: &Path, ca: &Path) -> Self {
        Self::secure([cert, key, ca], &[])
    }

    #[track_caller]
    fn secure(files: [&Path; 3], args: &[&str]) -> Self {
        let [cert, key, ca] = files.map(|path| path.display().to_string());
        let tls = ["--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
        let args = [&tls[..], &["--port", "0", "--tls-auth-clients", "no"], args].concat();
        for _ in 0..10 {
            if let Some(redis) = Self::attempt("--tls-port", &args, &["--tls", "--cacert", &ca]) {
                return redis;
            }
        }
        panic!("redis found no free port ten times over");
    }

    /// Three masters that are one cluster.
    #[track_caller]
    pub(crate) fn cluster() -> Vec<Self> {
        Self::join((0..3).map(|_| Self::with(&CLUSTER, &[])).collect())
    }

    /// The same, speaking only TLS, to each other too.
    #[track_caller]
    pub(crate) fn tls_cluster(cert: &Path, key: &Path, ca: &Path) -> Vec<Self> {
        let args = [&CLUSTER[..], &["--tls-cluster", "yes"]].concat();
        Self::join((0..3).map(|_| Self::secure([cert, key, ca], &args)).collect())
    }

    #[track_caller]
    fn join(nodes: Vec<Self>) -> Vec<Self> {
        let mut command = Command::new("redis-cli");
        command.args(&nodes[0].login).args(["--cluster", "create", "--cluster-yes"]);
        command.args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)));
        let output = run(&mut command, "redis-tools");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
        for node in &nodes {
            until("the cluster is one", || node.cli(&["cluster", "info"]).contains("state:ok"));
        }
        nodes
    }

    fn attempt(port_flag: &str, args: &[&str], login: &[&str]) -> Option<Self> {
        // A cluster also wants the port that is 10000 higher.
        let listener = (0..100).find_map(|_| {
            let listener = TcpListener::bind("127.0.0.1:0").ok()?;
            let port = listener.local_addr().ok()?.port();
            (port < 55_000).then_some(listener)
        })?;
        let port = listener.local_addr().expect("a bound socket has one").port();
        drop(listener);
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        let port_text = port.to_string();
        let mut all = vec![port_flag, &port_text, "--bind", "127.0.0.1", "--save", ""];
        all.extend(["--appendonly", "no", "--enable-debug-command", "yes"]);
        all.extend(args);
        let args: Vec<String> = all.iter().map(|&arg| arg.to_owned()).collect();
        let login = login.iter().map(|&arg| arg.to_owned()).collect();
        let process = launch(home.path(), &args);
        let mut redis = Self { process, home, args, port, login };
        redis.answers().then_some(redis)
    }

    /// Whether it answers; false if it has ended.
    fn answers(&mut self) -> bool {
        let end = Instant::now() + DEADLINE;
        while Instant::now() < end {
            if self.process.exited().is_some() {
                return false;
            }
            if self.cli(&["ping"]).contains("PONG") {
                return true;
            }
            pause(Duration::from_millis(20));
        }
        panic!("redis does not answer: {}", self.process.output());
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// What `redis-cli` says.
    pub(crate) fn cli(&self, words: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "--no-auth-warning"]);
        command.args(&self.login).args(words);
        let output = run(&mut command, "redis-tools");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Its keys.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.cli(&["keys", "*"]).lines().map(str::to_owned).collect()
    }

    /// Ends it without a farewell.
    pub(crate) fn kill(&mut self) {
        self.process.signal(Signal::KILL);
        self.process.wait(DEADLINE);
    }

    /// Starts it again, empty, where it was.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        // A client of some other test may use the port for a moment.
        let started = within(DEADLINE, || {
            self.process = launch(self.home.path(), &self.args);
            self.answers().then_some(())
        });
        assert!(started.is_some(), "redis does not start again: {}", self.process.output());
    }

    /// It hangs from now on: its sockets stay open, and nobody answers.
    pub(crate) fn freeze(&self) {
        self.process.signal(Signal::STOP);
    }

    /// It goes on.
    pub(crate) fn thaw(&self) {
        self.process.signal(Signal::CONT);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if self.process.exited().is_none() {
            self.process.signal(Signal::CONT);
            self.process.signal(Signal::KILL);
        }
    }
}

fn launch(home: &Path, args: &[String]) -> Process {
    let mut command = Command::new("redis-server");
    command.args(args).arg("--dir").arg(home);
    Process::start(command, "redis-server")
}

/// A way to a server that takes its time.
pub(crate) struct Slow {
    address: SocketAddr,
    micros: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

// === impl Slow ===

impl Slow {
    /// A way that takes no time yet.
    pub(crate) fn to(port: u16) -> Self {
        let listener = block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket has one");
        let micros = Arc::new(AtomicU64::new(0));
        let delay = Arc::clone(&micros);
        let task = spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else {
                    continue;
                };
                let (client, server) = (client.into_split(), server.into_split());
                spawn(pass(client.0, server.1, Arc::default()));
                spawn(pass(server.0, client.1, Arc::clone(&delay)));
            }
        });
        Self { address, micros, task }
    }

    /// Where it begins.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Answers take so long from now on.
    pub(crate) fn takes(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).expect("a short time");
        self.micros.store(micros, Ordering::Relaxed);
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    delay: Arc<AtomicU64>,
) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let micros = delay.load(Ordering::Relaxed);
        if micros > 0 {
            tokio::time::sleep(Duration::from_micros(micros)).await;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            break;
        }
    }
}
