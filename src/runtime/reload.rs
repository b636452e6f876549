//! The one way a changed file takes effect, whoever asked for it: the watch, SIGHUP or the admin
//! socket. Everything is read and judged beside the running configuration; then it is swapped in
//! whole or refused whole. Reloads never overlap.

mod back;
mod outcome;

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

pub use self::{
    back::{NOTE, WentBack},
    outcome::{Outcome, RolledBack, Status, Trigger},
};
use super::{
    candidate::{Candidate, Env},
    diff::Diff,
    history::{Entry, History},
};
use crate::config::{
    Input, Snapshot,
    diagnostic::Diagnostics,
    model::{Config, Quarantined},
};

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
    history: Mutex<History>,
    /// Broken included files are kept apart.
    quarantine: bool,
    /// What was read for what is live.
    live: Mutex<Arc<Snapshot>>,
}

/// How long a difference is kept for whoever asks.
const TELL_WITHIN: Duration = Duration::from_secs(10);
/// A file that an editor has half written is whole after this.
const SETTLE: Duration = Duration::from_secs(1);

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
        let live = Arc::new(first.loaded.snapshot.clone());
        let mut history = History::default();
        let start = Ok(Diff::default());
        history.push(Trigger::Start, &first.hash, start, Some(Arc::clone(&live)));
        Arc::new(Self {
            inputs,
            env,
            target,
            turn: tokio::sync::Mutex::new(()),
            status: watch::channel(status).0,
            files: Mutex::new(first.files.clone()),
            closed: AtomicBool::new(false),
            untold: Mutex::default(),
            history: Mutex::new(history),
            quarantine: first.loaded.snapshot.may_quarantine(),
            live: Mutex::new(live),
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

    /// The files it was started with, as they were named; a text has none.
    pub fn inputs(&self) -> Vec<String> {
        let name = |input: &Input| match input {
            Input::File(path) => Some(path.display().to_string()),
            Input::Text { .. } => None,
        };
        self.inputs.iter().filter_map(name).collect()
    }

    /// Whether broken included files are kept apart.
    pub fn may_quarantine(&self) -> bool {
        self.quarantine
    }

    /// What a configuration would change that somebody else has read. Blocks.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn compare(&self, snapshot: &Snapshot) -> Result<Diff, String> {
        let mut candidate = match self.quarantine {
            false => Candidate::again(snapshot),
            true => {
                // What was found to be broken when it was compiled is so again.
                let live = Arc::clone(&self.live.lock());
                let apart = self.status().quarantined.into_iter().map(|it| it.file);
                let apart = apart.filter(|path| snapshot.reads_alike(&live, path));
                Candidate::again(&snapshot.with_apart(apart.collect()))
            }
        };
        let config = candidate.take().ok_or_else(|| candidate.loaded.render(false))?;
        Ok(Diff::between(&self.config(), &config))
    }

    /// The last reloads, the newest first.
    pub fn history(&self) -> Vec<Entry> {
        self.history.lock().entries().cloned().collect()
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
        if self.is_closed() {
            return Outcome::Refused { errors: "the gateway is draining".to_owned() };
        }
        let mut read = self.read().await;
        if trigger == Trigger::Watch
            && let Some(back) = read.as_ref().and_then(|it| self.holds_back(it))
        {
            return self.back_with_new_material(back).await;
        }
        if trigger == Trigger::Watch && read.as_ref().is_some_and(|c| c.loaded.config.is_none()) {
            tokio::time::sleep(SETTLE).await;
            read = self.read().await;
        }
        let Some(candidate) = read else {
            return Outcome::Refused { errors: "the reload task ended early".to_owned() };
        };
        // Whoever asks may have cured what a quarantined file lacks, in a file that is not read here.
        let cured = trigger != Trigger::Watch && !self.status.borrow().quarantined.is_empty();
        let same = candidate.hash == self.status.borrow().hash;
        if candidate.loaded.config.is_some() && same && !cured {
            self.unchanged(&candidate);
            return self.tell(trigger);
        }
        self.run(trigger, candidate, None).await
    }

    /// Lets a candidate take effect, and tells everybody.
    async fn run(
        self: &Arc<Self>,
        trigger: Trigger,
        mut candidate: Candidate,
        back: Option<RolledBack>,
    ) -> Outcome {
        self.target.begin();
        let engine = Arc::clone(self);
        let hash = candidate.hash.clone();
        let work = move || (engine.apply(&mut candidate, back), candidate.loaded.snapshot);
        let (outcome, snapshot) = match tokio::task::spawn_blocking(work).await {
            Ok((outcome, snapshot)) => (outcome, Some(Arc::new(self.shared(snapshot)))),
            Err(error) => {
                let errors = format!("the new configuration could not be compiled: {error}");
                (Outcome::Refused { errors }, None)
            }
        };
        self.remember(trigger, &hash, &outcome, snapshot);
        self.report(trigger, &outcome);
        outcome
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// What is as it was is kept once.
    fn shared(&self, mut snapshot: Snapshot) -> Snapshot {
        snapshot.share(&self.live.lock());
        snapshot
    }

    /// Puts a reload into the history.
    fn remember(
        &self,
        trigger: Trigger,
        hash: &str,
        outcome: &Outcome,
        snapshot: Option<Arc<Snapshot>>,
    ) {
        let (result, snapshot) = match outcome {
            Outcome::Unchanged => return,
            Outcome::Applied { diff, .. } => (Ok(diff.clone()), snapshot),
            Outcome::Refused { errors } => (Err(errors.clone()), None),
        };
        if let Some(snapshot) = &snapshot {
            *self.live.lock() = Arc::clone(snapshot);
        }
        self.history.lock().push(trigger, hash, result, snapshot);
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
        let may = self.quarantine;
        let read = move || Candidate::read_quarantining(&engine.inputs, &engine.env, may);
        tokio::task::spawn_blocking(read).await.ok()
    }

    /// What is live is what the files say, even if a refused version came between.
    fn unchanged(&self, candidate: &Candidate) {
        *self.files.lock() = candidate.files.clone();
        let status = self.status();
        if status.error.is_some() || status.rolled_back.is_some() {
            self.status.send_modify(|status| {
                status.error = None;
                status.rolled_back = None;
            });
            self.target.end(&self.status());
            tracing::info!("configuration is again the one that is running");
        }
    }

    fn apply(&self, candidate: &mut Candidate, rolled_back: Option<RolledBack>) -> Outcome {
        let old = self.target.config();
        let applied = candidate.settle(|config| self.target.apply(Arc::clone(config)));
        let (config, warnings) = match applied {
            Ok(applied) => applied,
            Err(problems) => {
                // Files of the refused version are watched as well: the cure may be in one of them.
                self.files.lock().extend(candidate.files.iter().cloned());
                return Outcome::Refused { errors: candidate.render(problems, false) };
            }
        };
        *self.files.lock() = candidate.files.clone();
        self.status.send_modify(|status| {
            status.hash.clone_from(&candidate.hash);
            status.routes = config.routes.len();
            status.applied += 1;
            status.since = SystemTime::now();
            status.error = None;
            status.rolled_back = rolled_back;
            status.quarantined.clone_from(&config.quarantined);
        });
        let diff = Diff::between(&old, &config);
        Outcome::Applied { diff, warnings: candidate.render(warnings, false) }
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
                tell_quarantined(&self.status().quarantined);
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

/// A line of the log for each file that is kept apart.
pub fn tell_quarantined(quarantined: &[Quarantined]) {
    for Quarantined { file, routes } in quarantined {
        let (file, routes) = (file.display(), routes.join(", "));
        tracing::error!(%file, routes, "file quarantined: its routes answer 503");
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").field("status", &self.status()).finish_non_exhaustive()
    }
}
