//! A real Flask service on werkzeug's own server.

use std::{net::SocketAddr, process::Command, sync::LazyLock};

use rustix::process::Signal;

use super::{process::Process, wait::DEADLINE};

const APP: &str = include_str!("flask_app.py");
const AUTH: &str = include_str!("auth_app.py");

static PYTHON: LazyLock<String> = LazyLock::new(|| {
    for python in ["python3", "/usr/bin/python3"] {
        let found = Command::new(python).args(["-c", "import flask"]).output();
        if found.is_ok_and(|output| output.status.success()) {
            return python.to_owned();
        }
    }
    panic!("no Python that imports flask: install the Debian package `python3-flask`")
});

/// An interpreter that can import Flask.
pub(crate) fn python() -> &'static str {
    &PYTHON
}

/// A running service.
pub(crate) struct Flask {
    process: Process,
    address: SocketAddr,
    app: &'static str,
}

impl Flask {
    /// Starts it on a free port.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::running(APP)
    }

    /// The one that says who may pass.
    #[track_caller]
    pub(crate) fn auth() -> Self {
        Self::running(AUTH)
    }

    #[track_caller]
    fn running(app: &'static str) -> Self {
        let mut process = launch(app, 0);
        let address = listening(&mut process);
        Self { process, address, app }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a signal; it is one process.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Starts it again where it was, after it was killed.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        self.process.wait(DEADLINE);
        self.process = launch(self.app, self.address.port());
        assert_eq!(listening(&mut self.process), self.address);
    }

    /// What `/who` says.
    pub(crate) fn name(&self) -> String {
        self.process.pid().to_string()
    }

    /// As an upstream URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it wrote.
    pub(crate) fn output(&self) -> String {
        self.process.output()
    }
}

fn launch(app: &str, port: u16) -> Process {
    let mut command = Command::new(python());
    command.args(["-u", "-c", app, &port.to_string()]);
    Process::start(command, "python3-flask")
}

#[track_caller]
fn listening(process: &mut Process) -> SocketAddr {
    process.wait_for("the port", |line| line.strip_prefix("listening ")?.parse().ok())
}
