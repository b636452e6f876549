//! The life of a running gateway: cold start, ready, signals, drain, end. Everything here runs on
//! the control runtime; the workers have their own.

use std::{
    io,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc,
    time::{self, Instant},
};

use super::{color, complain, count, exit};
use crate::{
    admin::{Admin, AdminSocket, Control, Health},
    config::{
        Input,
        diagnostic::Diagnostics,
        model::{Config, Name},
    },
    layers::custom::Registry,
    runtime::{
        live::{Live, StartError},
        reload::{Candidate, Env, Reloader, Status, Target, Trigger},
        watch::watch,
    },
    server::{
        limits,
        signals::{Request, Signals},
        systemd::{self, InheritedFds},
    },
    telemetry::log,
};

/// What to run.
pub(super) struct Launch {
    /// Files and texts.
    pub(super) inputs: Vec<Input>,
    /// Where variables come from.
    pub(super) env: Env,
    /// Layers this binary was built with.
    pub(super) registry: Registry,
    /// Listen on the admin socket.
    pub(super) admin_socket: bool,
    /// Called once, when it serves.
    pub(super) on_ready: Option<OnReady>,
}

/// See [`Launch::on_ready`].
pub(super) type OnReady = Box<dyn FnOnce(&Up<'_>)>;

/// Where a gateway serves.
pub(super) struct Up<'a> {
    /// Its configuration.
    pub(super) config: &'a Config,
    /// Names and addresses of its listeners.
    pub(super) bound: Vec<(Name, String)>,
    /// Where metrics and probes are.
    pub(super) admin: Option<String>,
    /// The certificate of the development CA.
    pub(super) dev_ca: Option<PathBuf>,
}

/// The running gateway, as the reload engine sees it.
struct Process {
    live: Live,
    admin: Admin,
    socket: Option<AdminSocket>,
    /// Set right after the reload engine exists, before anything can reload.
    control: OnceLock<Arc<Control>>,
}

/// Threads of the control runtime.
const CONTROL_THREADS: usize = 2;

/// How often a drain looks whether it is done.
const DRAIN_POLL: Duration = Duration::from_millis(20);

/// Runs until it is told to end.
pub(super) fn launch(launch: Launch) -> ExitCode {
    let begun = Instant::now();
    // Before any thread is there: the variables are taken out of the environment.
    let inherited = InheritedFds::take();
    // Somebody who embeds us may have a log already.
    let log = log::Diagnostics::install().ok();
    let mut candidate = Candidate::read(&launch.inputs, &launch.env);
    let Some(config) = candidate.take() else {
        complain(&candidate.loaded.render(color()));
        return ExitCode::from(exit::BAD_CONFIG);
    };
    if let Some(log) = &log {
        log.apply(&config.logs);
    }
    inherited.report();
    let runtime = match control_runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("error: the control threads cannot be started: {error}"));
            return ExitCode::from(exit::FAILED);
        }
    };
    let code = runtime.block_on(async {
        match start(&config, &mut candidate, launch, (inherited, log), begun).await {
            Ok(running) => running.serve().await,
            Err(code) => code,
        }
    });
    runtime.shutdown_background();
    code
}

fn control_runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
}

// === cold start ===

/// A gateway that serves.
struct Running {
    process: Arc<Process>,
    control: Arc<Control>,
    signals: Signals,
    drain: mpsc::Receiver<()>,
    watch: tokio::task::JoinHandle<()>,
}

async fn start(
    config: &Arc<Config>,
    candidate: &mut Candidate,
    launch: Launch,
    (inherited, log): (InheritedFds, Option<log::Diagnostics>),
    begun: Instant,
) -> Result<Running, ExitCode> {
    let signals = Signals::listen().map_err(|error| {
        complain(&format!("error: signals cannot be handled: {error}"));
        ExitCode::from(exit::FAILED)
    })?;
    let open_files = limits::raise_open_files();
    let workers = limits::workers(config.server.workers);
    tracing::info!(workers, open_files, "limits");
    let started = Live::start(config, launch.registry, workers, inherited, log);
    let (live, ready) = started.map_err(|error| refuse(candidate, error))?;
    let admin = Admin::default();
    let prepared = admin
        .prepare(&config.admin, live.inherited())
        .map_err(|problems| refuse(candidate, StartError::Bind(problems)))?;

    let socket = launch.admin_socket.then(AdminSocket::default);
    let process = Arc::new(Process { live, admin, socket, control: OnceLock::new() });
    let target: Arc<dyn Target> = Arc::clone(&process) as _;
    let reloader = Reloader::new(launch.inputs, launch.env, target, candidate);
    let (control, drain) = control(&process, reloader);
    let _ = process.control.set(Arc::clone(&control));

    let warnings = process.live.commit(ready);
    let warnings = candidate.render(warnings, false);
    if !warnings.trim().is_empty() {
        tracing::warn!(warnings, "the configuration loads, with warnings");
    }
    process.announce(&[]);
    if let Some(address) = process.admin.commit(prepared, &control) {
        tracing::info!(listener = "admin", address, "listening");
    }
    process.follow_socket(config, &control);
    control.health.started();
    let status = control.reloader.status();
    process.live.count_in_use(&status.hash);
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(routes = status.routes, hash = status.hash, workers, ms, "ready");
    systemd::ready(&status);
    tokio::spawn(systemd::feed_watchdog());
    if let Some(on_ready) = launch.on_ready {
        let (bound, admin) = (process.live.bound(), process.admin.bound());
        on_ready(&Up { config, bound, admin, dev_ca: process.live.dev_ca_cert() });
    }
    let watch = tokio::spawn(watch(Arc::clone(&control.reloader)));
    Ok(Running { process, control, signals, drain, watch })
}

fn control(process: &Arc<Process>, reloader: Arc<Reloader>) -> (Arc<Control>, mpsc::Receiver<()>) {
    let (drain, asked) = mpsc::channel(1);
    let (metrics, connections) = (Arc::clone(process), Arc::clone(process));
    let control = Control {
        health: Arc::new(Health::default()),
        reloader,
        metrics: Box::new(move || metrics.live.metrics()),
        connections: Box::new(move || connections.live.connections()),
        drain,
    };
    (Arc::new(control), asked)
}

/// Says what is wrong. A restart cures a port that is taken, and never a bad file.
fn refuse(candidate: &mut Candidate, error: StartError) -> ExitCode {
    let (code, problems) = match error {
        StartError::Config(problems) => (exit::BAD_CONFIG, problems),
        StartError::Bind(problems) => (exit::FAILED, problems),
    };
    complain(&candidate.render(problems, color()));
    ExitCode::from(code)
}

// === impl Process ===

impl Process {
    /// Logs the listeners that are not in `before`; tools read the addresses from these lines.
    fn announce(&self, before: &[(Name, String)]) {
        for new in self.live.bound().iter().filter(|now| !before.contains(now)) {
            let (listener, address) = (&*new.0, &*new.1);
            tracing::info!(listener, address, "listening");
        }
    }

    fn follow_socket(&self, config: &Config, control: &Arc<Control>) {
        if let Some(socket) = &self.socket {
            socket.follow(config.admin.socket.as_deref(), control);
        }
    }
}

impl Target for Process {
    fn config(&self) -> Arc<Config> {
        self.live.config()
    }

    fn apply(&self, config: Arc<Config>) -> Result<Diagnostics, Diagnostics> {
        let admin = self.admin.prepare(&config.admin, self.live.inherited());
        let ready = self.live.prepare(&config);
        let (admin, ready) = match (admin, ready) {
            (Ok(admin), Ok(ready)) => (admin, ready),
            (Err(mut one), Err(other)) => {
                one.items.extend(other.items);
                return Err(one);
            }
            (Err(problems), Ok(_)) | (Ok(_), Err(problems)) => return Err(problems),
        };
        let before = self.live.bound();
        let warnings = self.live.commit(ready);
        self.announce(&before);
        if let Some(control) = self.control.get() {
            if let Some(address) = self.admin.commit(admin, control) {
                tracing::info!(listener = "admin", address, "listening");
            }
            self.follow_socket(&config, control);
        }
        Ok(warnings)
    }

    fn begin(&self) {
        systemd::reloading();
    }

    fn end(&self, status: &Status) {
        let applied = status.error.is_none();
        self.live.count_reload(applied);
        if applied {
            self.live.count_in_use(&status.hash);
        }
        systemd::ready(status);
    }
}

// === impl Running ===

impl Running {
    /// Serves until a signal or a verb says to end.
    async fn serve(mut self) -> ExitCode {
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
    while process.live.connections() > 0 && Instant::now() < deadline {
        time::sleep(DRAIN_POLL).await;
    }
    match process.live.connections() {
        0 => tracing::info!("drained"),
        left => {
            let left = count(left, "connection");
            tracing::warn!("drain.timeout is over, {left} cut");
        }
    }
}

/// Waits for a signal that means "now".
async fn second(signals: &mut Signals) {
    while !matches!(signals.next().await, Request::Drain | Request::DrainNow) {}
}
