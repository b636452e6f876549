//! The gateway under test: the real binary, its file, its logs, its metrics, its process.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output},
    sync::Arc,
    time::Duration,
};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use rustix::process::Signal;
use serde_json::Value;

use super::{
    http::{Client, Response},
    process::Process,
    wait::{DEADLINE, eventually, within},
};

/// The binary under test. To measure an optimised one, `TIDEGATE_BINARY` names it for the gateways
/// that tests start.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_tidegate");

/// Ordinary tests share the machine; a test that measures takes it alone.
static MACHINE: RwLock<()> = RwLock::new(());

/// A running gateway.
pub(crate) struct Gateway {
    process: Process,
    home: Arc<tempfile::TempDir>,
    _share: Option<RwLockReadGuard<'static, ()>>,
}

/// How a gateway is started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Builder {
    home: Option<Arc<tempfile::TempDir>>,
    environment: Vec<(String, String)>,
    /// A program that ends in executing what follows it: a shell that sets limits, for example.
    wrapper: Vec<String>,
    alone: bool,
}

/// Numbers of the process that must come back to where they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Resident memory in KiB.
    pub(crate) resident: u64,
    /// Of it, what is the process's own: no pages of the binary.
    pub(crate) own: u64,
    /// Threads.
    pub(crate) threads: usize,
    /// Open descriptors.
    pub(crate) descriptors: usize,
}

/// Takes the machine alone until dropped.
pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write()
}

// === impl Builder ===

impl Builder {
    /// Uses this directory, in which files may lie already.
    pub(crate) fn home(mut self, home: &Arc<tempfile::TempDir>) -> Self {
        self.home = Some(Arc::clone(home));
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs it under a shell's `ulimit` with these arguments.
    pub(crate) fn ulimit(self, arguments: &str) -> Self {
        self.wrapper(&["sh", "-c", &format!("ulimit {arguments}; exec \"$0\" \"$@\"")])
    }

    /// Starts it by another program that executes its arguments.
    pub(crate) fn wrapper(mut self, words: &[&str]) -> Self {
        self.wrapper = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// The caller holds [`alone`].
    pub(crate) fn measured(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Starts and waits until it says it is ready.
    #[track_caller]
    pub(crate) fn start(self, yaml: &str) -> Gateway {
        let mut gateway = self.spawn(yaml);
        gateway
            .process
            .wait_for("the line `ready`", |line| (message(line)? == "ready").then_some(()));
        gateway
    }

    /// Starts without waiting for anything.
    pub(crate) fn spawn(self, yaml: &str) -> Gateway {
        // Recursive, so that a test may start two while another waits for the machine.
        let share = (!self.alone).then(|| MACHINE.read_recursive());
        let home = self.home.unwrap_or_else(temporary);
        std::fs::write(home.path().join("routes.yaml"), complete(home.path(), yaml))
            .expect("a temporary directory can be written");
        let binary = std::env::var("TIDEGATE_BINARY").unwrap_or_else(|_| BINARY.to_owned());
        let mut words = self.wrapper.iter().map(String::as_str).chain([&*binary]);
        let mut command = Command::new(words.next().expect("at least the binary"));
        command.args(words);
        command.args(["run", "-c"]).arg(home.path().join("routes.yaml"));
        let process = Process::ours(private(&mut command, home.path()).envs(self.environment));
        Gateway { process, home, _share: share }
    }
}

// === impl Gateway ===

impl Gateway {
    /// A gateway with special needs.
    pub(crate) fn builder() -> Builder {
        Builder::default()
    }

    /// Starts a gateway. Sections the text leaves out (`version`, `listeners`, `admin`, `logs`,
    /// `server`) are filled in for tests.
    #[track_caller]
    pub(crate) fn start(yaml: &str) -> Self {
        Builder::default().start(yaml)
    }

    /// A gateway with one plain listener and one route to this upstream.
    #[track_caller]
    pub(crate) fn to(upstream: &str) -> Self {
        Self::start(&format!("routes: {{ app: {{ to: \"{upstream}\" }} }}\n"))
    }

    /// The directory with its file, logs and socket.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Its file.
    pub(crate) fn file(&self) -> PathBuf {
        self.home.path().join("routes.yaml")
    }

    /// Its admin socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.home.path().join("admin.sock")
    }

    /// Where a listener listens; waits for it to appear.
    #[track_caller]
    pub(crate) fn addr(&self, listener: &str) -> SocketAddr {
        eventually(&format!("listener `{listener}`\n{}", self.process.output()), || {
            self.listening(listener)
        })
    }

    /// A listener's address as last logged.
    pub(crate) fn listening(&self, listener: &str) -> Option<SocketAddr> {
        self.process.lines().iter().rev().find_map(|line| {
            let value: Value = serde_json::from_str(line).ok()?;
            let said = |name: &str| field(&value, name).and_then(Value::as_str);
            (said("message")? == "listening" && said("listener")? == listener)
                .then(|| said("address")?.parse().ok())?
        })
    }

    /// A URL on a listener (`http` for plain, `https` for the TLS one called so).
    #[track_caller]
    pub(crate) fn url(&self, listener: &str) -> String {
        let scheme = if listener.starts_with("https") { "https" } else { "http" };
        format!("{scheme}://{}", self.addr(listener))
    }

    /// A new connection to the listener `http`.
    #[track_caller]
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.addr("http"))
    }

    /// One GET on a connection of its own.
    #[track_caller]
    pub(crate) fn get(&self, host: &str, target: &str) -> Response {
        self.client().exchange("GET", host, target, &["Connection: close"])
    }

    /// One GET on the admin listener.
    #[track_caller]
    pub(crate) fn admin(&self, target: &str) -> Response {
        Client::connect(self.addr("admin")).exchange("GET", "admin", target, &["Connection: close"])
    }

    /// The sum of a metric's series that carry these labels; `None` when there is none.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let text = self.admin("/metrics").text();
        let series = text.lines().filter_map(|line| line.strip_prefix(name)).filter_map(|rest| {
            let (set, value) = match rest.strip_prefix('{') {
                Some(rest) => rest.rsplit_once("} ")?,
                None => ("", rest.strip_prefix(' ')?),
            };
            labels
                .iter()
                .all(|(label, value)| format!(",{set}").contains(&format!(",{label}=\"{value}\"")))
                .then(|| value.parse::<f64>().ok())?
        });
        series.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for the end of the process.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.wait(DEADLINE)
    }

    /// Whether it still runs.
    pub(crate) fn alive(&mut self) -> bool {
        self.process.exited().is_none()
    }

    /// Everything it wrote to its terminal.
    pub(crate) fn logs(&self) -> String {
        self.process.output()
    }

    /// Waits for a diagnostic line containing all of these.
    #[track_caller]
    pub(crate) fn wait_log(&mut self, parts: &[&str]) -> String {
        self.process.wait_for(&format!("a line with {parts:?}"), |line| {
            parts.iter().all(|part| line.contains(part)).then(|| line.to_owned())
        })
    }

    /// Access log lines, once there are at least so many.
    #[track_caller]
    pub(crate) fn access_log(&self, count: usize) -> Vec<Value> {
        let path = self.home().join("access.log");
        let read = || {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            whole
                .lines()
                .map(|l| serde_json::from_str(l).expect("a JSON line"))
                .collect::<Vec<Value>>()
        };
        let lines = within(DEADLINE, || Some(read()).filter(|lines| lines.len() >= count));
        lines.unwrap_or_else(|| panic!("fewer than {count} lines in the access log: {:#?}", read()))
    }

    /// The access log line of the last request, once there are exactly `count`.
    #[track_caller]
    pub(crate) fn last_access(&self, count: usize) -> Value {
        let lines = self.access_log(count);
        assert_eq!(lines.len(), count, "{lines:#?}");
        lines[count - 1].clone()
    }

    /// Writes the file anew, the way a careful tool does: beside it, then renamed over it.
    pub(crate) fn write(&self, yaml: &str) {
        let beside = self.home().join(".routes.yaml.new");
        std::fs::write(&beside, complete(self.home(), yaml)).expect("our own directory");
        std::fs::rename(&beside, self.file()).expect("our own directory");
    }

    /// Runs a verb that talks to this gateway's socket.
    pub(crate) fn verb(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        command.args(arguments).arg("--socket").arg(self.socket());
        private(&mut command, self.home()).output().expect("the binary was built")
    }

    /// Writes the file anew and has it loaded; panics when it is refused.
    #[track_caller]
    pub(crate) fn reload(&self, yaml: &str) -> String {
        self.write(yaml);
        let output = self.verb(&["reload", "--wait"]);
        let text = everything(&output);
        assert!(output.status.success(), "reload refused: {text}\n{}", self.logs());
        text
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What the process uses now.
    pub(crate) fn usage(&self) -> Usage {
        let proc = PathBuf::from(format!("/proc/{}", self.process.pid()));
        let status = std::fs::read_to_string(proc.join("status")).expect("it runs");
        let memory = |name: &str| {
            let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
            rest.split_whitespace().next()?.parse().ok()
        };
        let count = |name: &str| std::fs::read_dir(proc.join(name)).expect("it runs").count();
        Usage {
            resident: memory("VmRSS:").expect("a living process has VmRSS"),
            own: memory("RssAnon:").expect("a living process has RssAnon"),
            threads: count("task"),
            descriptors: count("fd"),
        }
    }
}

/// A new temporary directory that may be shared.
pub(crate) fn temporary() -> Arc<tempfile::TempDir> {
    Arc::new(tempfile::tempdir().expect("a temporary directory can be made"))
}

/// Both streams of a finished program as text.
pub(crate) fn everything(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

/// Runs a verb that talks to no gateway, in a directory of its own.
pub(crate) fn tidegate(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    private(command.args(arguments), directory).output().expect("the binary was built")
}

/// Nothing of the developer's own settings, and nothing written outside the directory.
pub(crate) fn private<'a>(command: &'a mut Command, home: &Path) -> &'a mut Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TIDEGATE_")) {
        command.env_remove(name);
    }
    command
        .current_dir(home)
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home)
        .env("XDG_DATA_HOME", home)
        .env("XDG_STATE_HOME", home)
        .env("STATE_DIRECTORY", home)
        .env("RUST_BACKTRACE", "1")
        .env("NO_COLOR", "1")
        .env_remove("RUNTIME_DIRECTORY")
        .env_remove("NOTIFY_SOCKET")
}

/// Adds the sections a test does not care about.
pub(crate) fn complete(home: &Path, yaml: &str) -> String {
    let home = home.display();
    let sections = [
        ("version", "version: 1".to_owned()),
        ("listeners", "listeners: { http: { address: \"127.0.0.1:0\" } }".to_owned()),
        ("admin", format!("admin: {{ address: \"127.0.0.1:0\", socket: \"{home}/admin.sock\" }}")),
        (
            "logs",
            format!(
                "logs: {{ format: json, access: {{ format: json, to: \"{home}/access.log\" }} }}"
            ),
        ),
        // One second is plenty for an upstream, and not for one on a machine busy with other tests.
        ("defaults", "defaults: { upstream: { connect_timeout: 15s } }".to_owned()),
        (
            "server",
            "server: { name: edge, workers: 2, drain: { delay: 100ms, timeout: 10s } }".to_owned(),
        ),
    ];
    let mut text = String::new();
    for (key, section) in sections {
        if !yaml.lines().any(|line| line.starts_with(&format!("{key}:"))) {
            text.push_str(&section);
            text.push('\n');
        }
    }
    text + yaml
}

fn field<'a>(line: &'a Value, name: &str) -> Option<&'a Value> {
    line.get("fields").and_then(|fields| fields.get(name)).or_else(|| line.get(name))
}

fn message(line: &str) -> Option<String> {
    let value: Value = serde_json::from_str(line).ok()?;
    field(&value, "message")?.as_str().map(str::to_owned)
}

/// How long a test may reasonably wait for something not to happen.
pub(crate) const SHORT: Duration = Duration::from_millis(300);
