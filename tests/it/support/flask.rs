//! A real Flask service on werkzeug's own server.

use std::{net::SocketAddr, process::Command, sync::LazyLock};

use super::process::Process;

const APP: &str = include_str!("flask_app.py");

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
}

impl Flask {
    /// Starts it on a free port.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let mut command = Command::new(python());
        command.args(["-u", "-c", APP]);
        let mut process = Process::start(command, "python3-flask");
        let address =
            process.wait_for("the port", |line| line.strip_prefix("listening ")?.parse().ok());
        Self { process, address }
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
