//! The gateway while it runs, and its end: signals, the drain, the second signal.

use std::{process::ExitCode, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{self, Instant},
};

use super::{count, exit, process::Process};
use crate::{
    admin::Control,
    runtime::reload::Trigger,
    server::{
        signals::{Request, Signals},
        systemd,
    },
};

/// A gateway that serves.
pub(super) struct Running {
    pub(super) process: Arc<Process>,
    pub(super) control: Arc<Control>,
    pub(super) signals: Signals,
    pub(super) drain: mpsc::Receiver<()>,
    pub(super) watch: tokio::task::JoinHandle<()>,
}

/// Signals closer together than this are one.
const SAME_SIGNAL: Duration = Duration::from_millis(50);

/// How often a drain looks whether it is done.
const DRAIN_POLL: Duration = Duration::from_millis(20);

// === impl Running ===

impl Running {
    /// Serves until a signal or a verb says to end.
    pub(super) async fn serve(mut self) -> ExitCode {
        let delay = loop {
            tokio::select! {
                signal = self.signals.next() => match signal {
                    Request::Drain => break true,
                    Request::DrainNow => break false,
                    other => self.handle(other),
                },
                // The sender lives in `control`, so this is never `None`.
                _ = self.drain.recv() => break true,
            }
        };
        let Self { process, control, mut signals, watch, .. } = self;
        watch.abort();
        let code = tokio::select! {
            () = drain(&process, &control, delay) => {
                process.live.end();
                ExitCode::SUCCESS
            }
            () = second(&mut signals) => {
                tracing::warn!(connections = process.live.connections(), "ended by a second signal");
                process.live.flush_logs();
                ExitCode::from(exit::FORCED)
            }
        };
        if let Some(socket) = &process.socket {
            socket.close();
        }
        code
    }

    fn handle(&self, signal: Request) {
        match signal {
            Request::Reload => {
                let reloader = Arc::clone(&self.control.reloader);
                tokio::spawn(async move { reloader.reload(Trigger::Signal).await });
            }
            Request::ReopenLogs => {
                let process = Arc::clone(&self.process);
                tokio::task::spawn_blocking(move || match process.live.reopen_logs() {
                    Ok(()) => tracing::info!("log files opened again"),
                    Err(error) => tracing::error!(%error, "log files cannot be opened again"),
                });
            }
            Request::Upgrade => {
                tracing::warn!(
                    "SIGUSR2 is reserved for starting a new binary and does nothing yet"
                );
            }
            Request::Drain | Request::DrainNow => {}
        }
    }
}

/// Readiness fails, then the listeners close, then what is under way finishes.
async fn drain(process: &Process, control: &Control, delay: bool) {
    let server = process.live.config().server.clone();
    let wait = if delay { server.drain_delay } else { Duration::ZERO };
    control.health.drain();
    systemd::stopping(wait + server.drain_timeout);
    let connections = process.live.connections();
    tracing::info!(connections, delay = ?wait, timeout = ?server.drain_timeout, "draining");
    // A reload under way ends before the listeners close, or it would open new ones.
    tokio::join!(control.reloader.close(), time::sleep(wait));
    process.live.start_drain();
    let deadline = Instant::now() + server.drain_timeout;
    loop {
        // First a pause: the workers still take what waits in the backlog.
        time::sleep(DRAIN_POLL).await;
        if process.live.connections() == 0 || Instant::now() >= deadline {
            break;
        }
    }
    match process.live.connections() {
        0 => tracing::info!("drained"),
        left => {
            let left = count(left, "connection");
            tracing::warn!("drain.timeout is over, {left} cut");
        }
    }
}

/// Waits for a signal that means "now". `timeout` and some shells deliver one Ctrl-C twice, to the
/// process and to its group; nobody presses a key that fast.
async fn second(signals: &mut Signals) {
    let first = Instant::now();
    loop {
        let again = matches!(signals.next().await, Request::Drain | Request::DrainNow);
        if again && first.elapsed() > SAME_SIGNAL {
            return;
        }
    }
}
