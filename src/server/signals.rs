//! Signals, as the operators of other gateways know them.

use std::io;

use tokio::signal::unix::{self, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// SIGHUP: read the files again.
    Reload,
    /// SIGTERM, SIGQUIT: fail readiness, wait, then finish what is under way.
    Drain,
    /// SIGINT: the same without the wait; nobody who presses Ctrl-C needs it.
    DrainNow,
    /// SIGUSR1: open log files again.
    ReopenLogs,
    /// SIGUSR2: reserved for starting a new binary.
    Upgrade,
}

/// The signals this process listens to.
#[derive(Debug)]
pub struct Signals {
    hangup: unix::Signal,
    terminate: unix::Signal,
    quit: unix::Signal,
    interrupt: unix::Signal,
    user1: unix::Signal,
    user2: unix::Signal,
}

// === impl Signals ===

impl Signals {
    /// Takes the signals over from their default actions. Needs a tokio runtime.
    ///
    /// # Errors
    /// If the handlers cannot be installed.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            interrupt: signal(SignalKind::interrupt())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// The next signal. Cancel safe.
    pub async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.hangup.recv() => Request::Reload,
            _ = self.terminate.recv() => Request::Drain,
            _ = self.quit.recv() => Request::Drain,
            _ = self.interrupt.recv() => Request::DrainNow,
            _ = self.user1.recv() => Request::ReopenLogs,
            _ = self.user2.recv() => Request::Upgrade,
        }
    }
}
