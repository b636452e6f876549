//! The running gateway as one thing a configuration can be applied to. The only place outside the
//! data plane that knows how it is compiled, prepared, stored and committed.

use std::{io, num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

use tokio::{runtime::Handle, task::JoinHandle, time::Instant};

use super::{Context, Runtime, auth::Following, compile, discovery::Discovery};
use crate::{
    auth::{
        oidc::logins::Logins,
        password::{Limits, Passwords},
    },
    config::{
        diagnostic::{Diagnostic, Diagnostics, Place},
        model::{Config, Name},
    },
    explain::{self, Asked, Explanation, Running},
    gateway::Gateway,
    layers::custom::Registry,
    server::{Server, overload::watch::watch, systemd::InheritedFds},
    telemetry::{log, metrics::Metrics},
    upstream::dns::Resolver,
};

/// Gateway, workers and what they share.
pub struct Live {
    gateway: Arc<Gateway>,
    server: Server,
    context: Context,
    discovery: Arc<Discovery>,
    following: Following,
    overload: JoinHandle<()>,
    inherited: InheritedFds,
    log: Option<log::Diagnostics>,
    workers: usize,
}

/// The log writer gets this long to write what is left.
const FLUSH: Duration = Duration::from_secs(2);

/// A configuration that is compiled and whose listeners are bound, not yet accepting.
pub struct Ready {
    /// `None` at the start, when the gateway was made of it.
    runtime: Option<Runtime>,
    prepared: crate::server::Prepared,
    warnings: Diagnostics,
}

/// Why a gateway did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration is wrong; it will be wrong the next time.
    Config(Diagnostics),
    /// The machine did not give what the configuration asks for; it may the next time.
    Bind(Diagnostics),
}

// === impl Live ===

impl Live {
    /// Starts the workers on `config` and binds its listeners. They accept after
    /// [`Self::commit`] of what is returned beside. Must be called inside the control runtime.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration.
    pub fn start(
        config: &Arc<Config>,
        registry: Registry,
        workers: usize,
        inherited: InheritedFds,
        log: Option<log::Diagnostics>,
    ) -> Result<(Self, Ready), StartError> {
        // Pools are sharded by worker, so this comes before anything is compiled.
        Server::plan_workers(workers);
        let context = context(config, registry, &Handle::current()).map_err(StartError::Bind)?;
        let (runtime, warnings) =
            compile(Arc::clone(config), None, &context).map_err(StartError::Config)?;
        let gateway = Gateway::new(runtime);
        let server = Server::start(&gateway, workers, Arc::clone(&context.metrics))
            .map_err(|error| StartError::Bind(failure("the workers cannot be started", &error)))?;
        let material = gateway.current().material.clone();
        let prepared = server.prepare(config, material, &inherited).map_err(StartError::Bind)?;
        let discovery = Discovery::new(Handle::current(), context.clone(), Arc::clone(&gateway));
        let following = Following::new(Handle::current());
        let overload = Arc::clone(context.metrics.overload());
        let watching = watch(overload, Arc::clone(&gateway), server.fullness());
        let overload = Handle::current().spawn(watching);
        let live = Self {
            gateway,
            server,
            context,
            discovery,
            following,
            overload,
            inherited,
            log,
            workers,
        };
        Ok((live, Ready { runtime: None, prepared, warnings }))
    }

    /// Whether `config` would be accepted, as far as can be told without sockets, network and
    /// writes: no log file is opened and no development CA is made.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(
        config: &Arc<Config>,
        registry: Registry,
        handle: &Handle,
    ) -> Result<Diagnostics, Diagnostics> {
        Self::dry(config, registry, handle).map(|(_, warnings)| warnings)
    }

    /// The same, with what would run: for asking it, not for running it.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn dry(
        config: &Arc<Config>,
        registry: Registry,
        handle: &Handle,
    ) -> Result<(Runtime, Diagnostics), Diagnostics> {
        let context = Context { dry: true, ..context(config, registry, handle)? };
        compile(Arc::clone(config), None, &context)
    }

    /// What else is wrong with a configuration that was refused, as far as what is left of it says.
    pub fn check_partial(config: Config, registry: Registry, handle: &Handle) -> Diagnostics {
        match context(&config, registry, handle) {
            Ok(context) => compile::findings(Arc::new(config), &Context { dry: true, ..context }),
            Err(problems) => problems,
        }
    }

    /// What becomes of a request now, and why. Blocks; not on a worker.
    ///
    /// # Errors
    /// The question makes no sense here.
    pub fn explain(
        &self,
        asked: &Asked,
        running: Running,
        handle: &Handle,
    ) -> Result<Explanation, String> {
        explain::explain(&self.gateway.current(), asked, handle, Some(running))
    }

    /// Compiles `config` and binds what is new in it. Changes nothing that runs.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn prepare(&self, config: &Arc<Config>) -> Result<Ready, Diagnostics> {
        let current = self.gateway.current();
        let (runtime, warnings) = compile(Arc::clone(config), Some(&current), &self.context)?;
        let material = runtime.material.clone();
        let prepared = self.server.prepare(config, material, &self.inherited)?;
        Ok(Ready { runtime: Some(runtime), prepared, warnings })
    }

    /// Swaps: requests run on the new routes, the new listeners accept, the old ones drain.
    /// Returns the warnings.
    pub fn commit(&self, ready: Ready) -> Diagnostics {
        if let Some(runtime) = ready.runtime {
            self.gateway.store(runtime);
        }
        self.server.commit(ready.prepared);
        self.discovery.follow();
        self.following.follow(&self.gateway.current().schemes);
        self.count_what_is_there();
        let config = self.config();
        self.context.metrics.set_buckets(&config.metrics.buckets);
        if let Some(log) = &self.log {
            log.apply(&config.logs);
        }
        ready.warnings
    }

    /// Metrics that follow from the configuration alone.
    fn count_what_is_there(&self) {
        let current = self.gateway.current();
        self.context.metrics.set_certificates(current.material.store.expiries());
        self.context.metrics.set_limited(current.limited());
        let apart = current.config.quarantined.iter();
        let apart = apart.map(|it| (it.file.display().to_string(), it.routes.len())).collect();
        self.context.metrics.set_quarantined(apart);
        let routes = current.routes.keys().cloned().chain([Name::from("")]).collect();
        self.context.metrics.retain_routes(&routes, Instant::now());
    }

    /// What is running.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.gateway.current().config)
    }

    /// Worker threads.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Sockets passed by the service manager.
    pub fn inherited(&self) -> &InheritedFds {
        &self.inherited
    }

    /// Names and addresses of what is bound.
    pub fn bound(&self) -> Vec<(Name, String)> {
        self.server.bound()
    }

    /// Connections open.
    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    /// Closes the listeners and asks every connection to finish.
    pub fn start_drain(&self) {
        self.server.start_drain();
    }

    /// Ends what is still open, and writes out the logs.
    pub fn end(&self) {
        self.discovery.end();
        self.following.end();
        self.overload.abort();
        self.server.stop();
        self.flush_logs();
    }

    /// Writes out the logs.
    pub fn flush_logs(&self) {
        let current = self.gateway.current();
        if current.access_log.as_ref().is_some_and(|log| !log.flush(FLUSH)) {
            tracing::warn!("access log lines are lost: they could not be written in time");
        }
    }

    /// Opens the log files again, after they have been rotated. Blocks.
    ///
    /// # Errors
    /// The file cannot be opened; the old one is written on.
    pub fn reopen_logs(&self) -> io::Result<()> {
        self.gateway.current().access_log.as_ref().map_or(Ok(()), |log| log.reopen())
    }

    /// All metrics, in the text format of Prometheus.
    pub fn metrics(&self) -> String {
        self.context.metrics.render()
    }

    /// A configuration is in use, at the start or by a reload.
    pub fn count_in_use(&self, hash: &str) {
        self.context.metrics.config_in_use(hash, env!("CARGO_PKG_VERSION"));
    }

    /// Counts a reload.
    pub fn count_reload(&self, applied: bool) {
        self.context.metrics.reloaded(applied);
    }

    /// Whether what runs is an earlier configuration that was put back.
    pub fn count_rolled_back(&self, back: bool) {
        self.context.metrics.rolled_back(back);
    }

    /// Where the certificate of the development CA is, if one is in use.
    pub fn dev_ca_cert(&self) -> Option<PathBuf> {
        self.gateway.current().dev_ca_cert()
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("workers", &self.workers).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ready").field("warnings", &self.warnings).finish_non_exhaustive()
    }
}

// === the parts of others ===

fn context(config: &Config, registry: Registry, handle: &Handle) -> Result<Context, Diagnostics> {
    let metrics = Arc::new(Metrics::new(&config.metrics.buckets));
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Ok(Context {
        dry: false,
        metrics,
        registry,
        resolver: Resolver::new(handle.clone())
            .map_err(|error| failure("upstream names cannot be resolved", &error))?,
        secret: Arc::new(rand::random()),
        passwords: Arc::new(Passwords::new(Limits::for_cores(cores), handle.clone())),
        logins: Arc::new(Logins::new(handle.clone())),
        nonces: Arc::default(),
        issuers: Arc::default(),
    })
}

fn failure(what: &str, error: &io::Error) -> Diagnostics {
    let mut problems = Diagnostics::default();
    problems.push(Diagnostic::error(Place::default(), format!("{what}: {error}")));
    problems
}
