//! A child process whose output lines are collected and which ends with its owner.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

use super::wait::{DEADLINE, within};

/// Lines written so far, of both streams.
type Lines = Arc<Mutex<Vec<String>>>;

/// A running program.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    lines: Lines,
}

impl Process {
    /// Starts a program; panics naming the Debian package when it is not installed.
    pub(crate) fn start(mut command: Command, package: &str) -> Self {
        Self::spawn(&mut command, package)
    }

    /// Starts the binary under test.
    pub(crate) fn ours(command: &mut Command) -> Self {
        Self::spawn(command, "none: cargo builds it")
    }

    fn spawn(command: &mut Command, package: &str) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("cannot start `{name}` ({error}): install the Debian package `{package}`")
        });
        let lines = Lines::default();
        collect(child.stdout.take().expect("piped above"), Arc::clone(&lines));
        collect(child.stderr.take().expect("piped above"), Arc::clone(&lines));
        Self { name, child, lines }
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lines written so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().clone()
    }

    /// Lines from `start` on, without copying the earlier ones.
    pub(crate) fn lines_from(&self, start: usize) -> Vec<String> {
        self.lines.lock().get(start..).unwrap_or_default().to_vec()
    }

    /// Everything written so far.
    pub(crate) fn output(&self) -> String {
        self.lines.lock().join("\n")
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a child's id is not 0");
        kill_process(pid, signal).expect("our own child can be signalled");
    }

    /// The exit status if it has ended.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("our own child can be waited for")
    }

    /// Waits for the end; panics when it takes longer than `limit`.
    #[track_caller]
    pub(crate) fn wait(&mut self, limit: Duration) -> ExitStatus {
        match within(limit, || self.exited()) {
            Some(status) => status,
            None => panic!("`{}` still runs after {limit:?}:\n{}", self.name, self.output()),
        }
    }

    /// Waits for a line that `pick` takes something from; panics with the output when none comes or
    /// the process ends without it.
    #[track_caller]
    pub(crate) fn wait_for<T>(&mut self, what: &str, pick: impl Fn(&str) -> Option<T>) -> T {
        let mut seen = 0;
        let found = within(DEADLINE, || {
            let ended = self.exited();
            let lines = self.lines_from(seen);
            seen += lines.len();
            if let Some(value) = lines.iter().find_map(|line| pick(line)) {
                return Some(Ok(value));
            }
            ended.map(Err)
        });
        match found {
            Some(Ok(value)) => value,
            Some(Err(status)) => {
                // The last lines may still be on their way through the pipe.
                if let Some(value) = within(Duration::from_millis(500), || {
                    self.lines().iter().find_map(|line| pick(line))
                }) {
                    return value;
                }
                panic!("`{}` ended with {status} before: {what}\n{}", self.name, self.output())
            }
            None => panic!(
                "`{}` did not show within {DEADLINE:?}: {what}\n{}",
                self.name,
                self.output()
            ),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let lines = self.lines();
            let tail = lines.len().saturating_sub(60);
            eprintln!("--- last output of `{}`\n{}", self.name, lines[tail..].join("\n"));
        }
    }
}

fn collect(stream: impl Read + Send + 'static, lines: Lines) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            lines.lock().push(String::from_utf8_lossy(&line).trim_end().to_owned());
            line.clear();
        }
    });
}
