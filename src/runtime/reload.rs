//! The one way a changed file takes effect, whoever asked for it: the watch, SIGHUP or the admin
//! socket. Everything is read and judged beside the running configuration; then it is swapped in
//! whole or refused whole. Reloads never overlap.

use std::{
    collections::BTreeSet,
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

use super::{
    candidate::{Candidate, Env},
    diff::Diff,
};
use crate::config::{Input, diagnostic::Diagnostics, model::Config};

/// What a configuration takes effect on.
pub trait Target: Send + Sync + 'static {
    /// What is running.
    fn config(&self) -> Arc<Config>;

    /// Runs on `config` from now on and returns the warnings, or changes nothing and returns what
    /// is wrong with it. May block.
    ///
    /// # Errors
    /// What refuses the configuration.
    fn apply(&self, config: Arc<Config>) -> Result<Diagnostics, Diagnostics>;

    /// A reload begins: for the service manager.
    fn begin(&self) {}

    /// A reload has ended: for metrics and the service manager.
    fn end(&self, status: &Status);
}

/// Who asked for a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A file changed.
    Watch,
    /// SIGHUP.
    Signal,
    /// `tidegate reload`.
    Admin,
}

/// What became of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No file has changed.
    Unchanged,
    /// The new configuration is live.
    Applied {
        /// What is different now.
        diff: Diff,
        /// Warnings, rendered; may be empty.
        warnings: String,
    },
    /// Everything is as it was.
    Refused {
        /// Every error, rendered.
        errors: String,
    },
}

/// Where things stand, for probes, `STATUS=` and `tidegate status`.
#[derive(Clone, Debug)]
pub struct Status {
    /// Fingerprint of what is live.
    pub hash: String,
    /// Routes that are live.
    pub routes: usize,
    /// Reloads applied.
    pub applied: u64,
    /// Reloads refused.
    pub refused: u64,
    /// When what is live went live.
    pub since: SystemTime,
    /// Errors of the last reload, if it was refused.
    pub error: Option<String>,
}

/// The reload engine.
pub struct Reloader {
    inputs: Vec<Input>,
    env: Env,
    target: Arc<dyn Target>,
    /// Held for the length of a reload.
    turn: tokio::sync::Mutex<()>,
    status: watch::Sender<Status>,
    files: Mutex<BTreeSet<PathBuf>>,
    closed: AtomicBool,
    /// What the watch has applied and nobody was told yet: whoever saves a file and then asks for a
    /// reload comes second, and wants to see the difference all the same.
    untold: Mutex<Option<(Instant, Diff, String)>>,
}

/// How long a difference is kept for whoever asks.
const TELL_WITHIN: Duration = Duration::from_secs(10);
/// A file that an editor has half written is whole after this.
const SETTLE: Duration = Duration::from_secs(1);

// === impl Trigger ===

impl Trigger {
    /// What the log calls it.
    fn word(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Signal => "signal",
            Self::Admin => "admin",
        }
    }
}

// === impl Status ===

impl Status {
    /// The state right after the first load.
    pub fn first(hash: String, config: &Config) -> Self {
        let since = SystemTime::now();
        let routes = config.routes.len();
        Self { hash, routes, applied: 0, refused: 0, since, error: None }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = self.hash.get(..4).unwrap_or(&self.hash);
        let Self { routes, refused, .. } = self;
        let s = |number: u64| if number == 1 { "" } else { "s" };
        let (these, those) = (s(*routes as u64), s(*refused));
        write!(f, "{routes} route{these}, config {hash}, {refused} failed reload{those}")?;
        if self.error.is_some() { f.write_str("; the last reload was refused") } else { Ok(()) }
    }
}

// === impl Reloader ===

impl Reloader {
    /// The engine for what `first` has started.
    pub fn new(
        inputs: Vec<Input>,
        env: Env,
        target: Arc<dyn Target>,
        first: &Candidate,
    ) -> Arc<Self> {
        let status = Status::first(first.hash.clone(), &target.config());
        Arc::new(Self {
            inputs,
            env,
            target,
            turn: tokio::sync::Mutex::new(()),
            status: watch::channel(status).0,
            files: Mutex::new(first.files.clone()),
            closed: AtomicBool::new(false),
            untold: Mutex::default(),
        })
    }

    /// What is running.
    pub fn config(&self) -> Arc<Config> {
        self.target.config()
    }

    /// Where things stand.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Every file that must be watched.
    pub fn files(&self) -> BTreeSet<PathBuf> {
        self.files.lock().clone()
    }

    /// Waits for a reload under way and refuses all later ones.
    pub async fn close(&self) {
        let _turn = self.turn.lock().await;
        self.closed.store(true, Ordering::Release);
    }

    /// Reads all files and lets them take effect, or says why not. Whoever asked may go away: the
    /// reload is finished all the same, and [`Self::close`] waits for it.
    pub async fn reload(self: &Arc<Self>, trigger: Trigger) -> Outcome {
        let engine = Arc::clone(self);
        let task = tokio::spawn(async move { engine.take_turn(trigger).await });
        task.await.unwrap_or_else(|error| Outcome::Refused { errors: error.to_string() })
    }

    async fn take_turn(self: &Arc<Self>, trigger: Trigger) -> Outcome {
        let _turn = self.turn.lock().await;
        if self.closed.load(Ordering::Acquire) {
            return Outcome::Refused { errors: "the gateway is draining".to_owned() };
        }
        let mut read = self.read().await;
        if trigger == Trigger::Watch && read.as_ref().is_some_and(|c| c.loaded.config.is_none()) {
            tokio::time::sleep(SETTLE).await;
            read = self.read().await;
        }
        let Some(candidate) = read else {
            return Outcome::Refused { errors: "the reload task ended early".to_owned() };
        };
        if candidate.loaded.config.is_some() && candidate.hash == self.status.borrow().hash {
            self.unchanged(&candidate);
            return self.tell(trigger);
        }
        self.target.begin();
        let engine = Arc::clone(self);
        let applied = tokio::task::spawn_blocking(move || engine.apply(candidate)).await;
        let outcome = applied.unwrap_or_else(|error| Outcome::Refused {
            errors: format!("the new configuration could not be compiled: {error}"),
        });
        self.report(trigger, &outcome);
        outcome
    }

    /// Nothing has changed by now; the watch may just have been faster.
    fn tell(&self, trigger: Trigger) -> Outcome {
        if trigger != Trigger::Admin {
            return Outcome::Unchanged;
        }
        match self.untold.lock().take() {
            Some((at, diff, warnings)) if at.elapsed() < TELL_WITHIN => {
                Outcome::Applied { diff, warnings }
            }
            _ => Outcome::Unchanged,
        }
    }

    async fn read(self: &Arc<Self>) -> Option<Candidate> {
        let engine = Arc::clone(self);
        let read = move || Candidate::read(&engine.inputs, &engine.env);
        tokio::task::spawn_blocking(read).await.ok()
    }

    /// What is live is what the files say, even if a refused version came between.
    fn unchanged(&self, candidate: &Candidate) {
        *self.files.lock() = candidate.files.clone();
        let recovered = self.status.borrow().error.is_some();
        if recovered {
            self.status.send_modify(|status| status.error = None);
            self.target.end(&self.status());
            tracing::info!("configuration is again the one that is running");
        }
    }

    fn apply(&self, mut candidate: Candidate) -> Outcome {
        let Some(config) = candidate.take() else {
            // Files of the refused version are watched as well: the cure may be in one of them.
            self.files.lock().extend(candidate.files.iter().cloned());
            return Outcome::Refused { errors: candidate.loaded.render(false) };
        };
        let diff = Diff::between(&self.target.config(), &config);
        match self.target.apply(Arc::clone(&config)) {
            Err(problems) => {
                self.files.lock().extend(candidate.files.iter().cloned());
                Outcome::Refused { errors: candidate.render(problems, false) }
            }
            Ok(warnings) => {
                *self.files.lock() = candidate.files.clone();
                self.status.send_modify(|status| {
                    status.hash.clone_from(&candidate.hash);
                    status.routes = config.routes.len();
                    status.applied += 1;
                    status.since = SystemTime::now();
                    status.error = None;
                });
                Outcome::Applied { diff, warnings: candidate.render(warnings, false) }
            }
        }
    }

    fn report(&self, trigger: Trigger, outcome: &Outcome) {
        match outcome {
            Outcome::Unchanged => {}
            Outcome::Applied { diff, warnings } => {
                let told = trigger == Trigger::Admin;
                *self.untold.lock() =
                    (!told).then(|| (Instant::now(), diff.clone(), warnings.clone()));
                let (hash, diff) = (self.status().hash, diff.to_string());
                tracing::info!(trigger = trigger.word(), hash, %diff, %warnings, "configuration applied");
            }
            Outcome::Refused { errors } => {
                self.status.send_modify(|status| {
                    status.refused += 1;
                    status.error = Some(errors.clone());
                });
                let trigger = trigger.word();
                tracing::error!(trigger, %errors, "configuration refused, the old one stays");
            }
        }
        self.target.end(&self.status());
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").field("status", &self.status()).finish_non_exhaustive()
    }
}
