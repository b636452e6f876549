//! The cold start of a gateway, up to the moment it is ready. Everything here runs on the control
//! runtime; the workers have their own.

use std::{
    io,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, OnceLock},
};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::mpsc,
    time::Instant,
};

use super::{color, complain, exit, process::Process, serve::Running};
use crate::{
    admin::{Admin, AdminSocket, Control, Health},
    config::{
        Input,
        model::{Config, Name},
    },
    layers::custom::Registry,
    runtime::{
        candidate::{Candidate, Env},
        live::{Live, StartError},
        reload::{Reloader, Target, tell_quarantined},
        watch::watch,
    },
    server::{
        limits,
        signals::Signals,
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
    /// Keep broken included files apart.
    pub(super) quarantine: bool,
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

/// Threads of the control runtime.
const CONTROL_THREADS: usize = 2;

/// Runs until it is told to end.
pub(super) fn launch(launch: Launch) -> ExitCode {
    let begun = Instant::now();
    limits::small_pages();
    // Before any thread is there: the variables are taken out of the environment.
    let inherited = InheritedFds::take();
    // Somebody who embeds us may have a log already.
    let log = log::Diagnostics::install().ok();
    let mut candidate =
        Candidate::read_quarantining(&launch.inputs, &launch.env, launch.quarantine);
    let runtime = match control_runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("error: the control threads cannot be started: {error}"));
            return ExitCode::from(exit::FAILED);
        }
    };
    // What is wrong is found when it is compiled to run, but for what can still be kept apart.
    let settled = candidate.settle(|config| match launch.quarantine {
        true => Live::check(config, launch.registry.clone(), runtime.handle()).map(drop),
        false => Ok(()),
    });
    let config = match settled {
        Ok((config, ())) => config,
        Err(problems) => {
            complain(&candidate.render(problems, color()));
            return ExitCode::from(exit::BAD_CONFIG);
        }
    };
    if let Some(log) = &log {
        log.apply(&config.logs);
    }
    inherited.report();
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
        tracing::warn!(%warnings, "the configuration loads, with warnings");
    }
    tell_quarantined(&config.quarantined);
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
    let (explain, handle) = (Arc::clone(process), Handle::current());
    let control = Control {
        health: Arc::new(Health::default()),
        reloader,
        metrics: Box::new(move || metrics.live.metrics()),
        connections: Box::new(move || connections.live.connections()),
        explain: Arc::new(move |asked, running| explain.live.explain(asked, running, &handle)),
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
