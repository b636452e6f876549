//! curl and h2load as clients.

use std::process::{Command, Output};

/// What curl brought back.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    /// Exit code: 0, 7 connection refused, 18 partial, 28 time-out, 52 empty reply, 56 reset, 92 h2.
    pub(crate) code: i32,
    /// Status of the response, 0 when there was none.
    pub(crate) status: u16,
    /// `1.1`, `2`.
    pub(crate) version: String,
    /// Header block as text, lower case names for HTTP/2.
    pub(crate) head: String,
    /// Body.
    pub(crate) body: Vec<u8>,
}

/// Counts of an h2load run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// Requests that got an answer with a good status.
    pub(crate) succeeded: u64,
    /// Requests that failed for any reason, errored ones and time-outs included.
    pub(crate) failed: u64,
    /// Answers with a 2xx status.
    pub(crate) ok: u64,
}

/// Runs curl with these arguments; `-sS` and a time limit are added.
#[track_caller]
pub(crate) fn curl(arguments: &[&str]) -> Fetched {
    let headers = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    let output = run(
        Command::new("curl")
            .args(["-sS", "--max-time", "30", "-w", "%{stderr}\n%{http_code} %{http_version}"])
            .arg("-D")
            .arg(headers.path())
            .args(arguments),
        "curl",
    );
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, summary) = stderr.rsplit_once('\n').expect("the -w text starts with a new line");
    let (status, version) = summary.split_once(' ').expect("the -w text has two words");
    Fetched {
        code: output.status.code().expect("curl was not killed"),
        status: status.parse().expect("three digits"),
        version: version.to_owned(),
        head: std::fs::read_to_string(headers.path()).unwrap_or_default(),
        body: output.stdout,
    }
}

/// Runs h2load to its end.
#[track_caller]
pub(crate) fn h2load(arguments: &[&str]) -> Load {
    let output = run(Command::new("h2load").args(arguments), "nghttp2-client");
    Load::read(&String::from_utf8_lossy(&output.stdout))
}

/// Runs a program to its end; panics naming the Debian package when it is not installed.
#[track_caller]
pub(crate) fn run(command: &mut Command, package: &str) -> Output {
    match command.output() {
        Ok(output) => output,
        Err(error) => panic!(
            "cannot run {:?} ({error}): install the Debian package `{package}`",
            command.get_program()
        ),
    }
}

// === impl Fetched ===

impl Fetched {
    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header field of the last header block.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let blocks = self.head.trim_end().rsplit("\r\n\r\n").next().unwrap_or_default();
        blocks.lines().find_map(|line| {
            let (n, value) = line.split_once(':')?;
            n.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

// === impl Load ===

impl Load {
    /// Reads the summary h2load prints at its end.
    #[track_caller]
    pub(crate) fn read(text: &str) -> Self {
        let line = |start: &str| text.lines().find(|line| line.starts_with(start));
        let requests =
            line("requests:").unwrap_or_else(|| panic!("h2load has no summary:\n{text}"));
        let codes = line("status codes:").unwrap_or_default();
        let count = |line: &str, word: &str| -> u64 {
            let part = line.split([',', ':']).find(|part| part.trim_end().ends_with(word));
            part.and_then(|part| part.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
        };
        Self {
            succeeded: count(requests, "succeeded"),
            failed: count(requests, "failed").max(count(requests, "errored"))
                + count(requests, "timeout"),
            ok: count(codes, "2xx"),
        }
    }
}
