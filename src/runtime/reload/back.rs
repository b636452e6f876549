//! `tidegate rollback`: an earlier configuration is put back, as it was read then. It goes the way of every
//! reload: compiled beside what runs, swapped in whole or refused whole.

use std::sync::Arc;

use super::{Outcome, Reloader, RolledBack, Trigger};
use crate::{config::Snapshot, runtime::candidate::Candidate};

/// What became of a rollback.
#[derive(Clone, Debug)]
pub struct WentBack {
    /// The number of what was put back.
    pub to: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// The files say something else than what runs now.
    pub apart: bool,
}

/// What operators should know then.
pub const NOTE: &str = "the files on disk say something else now: a restart, SIGHUP or `tidegate reload` takes \
                        what they say; the watch leaves things as they are until a file changes";

// === impl Reloader ===

impl Reloader {
    /// Puts an earlier configuration back: a number or the beginning of a hash of the history, or the one
    /// before. Whoever asked may go away.
    ///
    /// # Errors
    /// There is no such configuration.
    pub async fn roll_back(self: &Arc<Self>, which: Option<String>) -> Result<WentBack, String> {
        let engine = Arc::clone(self);
        let task = tokio::spawn(async move { engine.back_in_turn(which).await });
        task.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    async fn back_in_turn(self: &Arc<Self>, which: Option<String>) -> Result<WentBack, String> {
        let _turn = self.turn.lock().await;
        if self.is_closed() {
            return Err("the gateway is draining".to_owned());
        }
        let (to, snapshot) = self.meant(which.as_deref())?;
        // What the files say now; if they cannot be read, that too is what they say.
        let files = self.read().await.ok_or("the reload task ended early")?;
        let left = self.status().hash;
        let candidate = self.again(snapshot).await?;
        let apart = files.loaded.hash != candidate.loaded.hash;
        let back = apart.then_some(RolledBack { to, files: files.loaded.hash });
        let outcome = self.run(Trigger::Rollback, candidate, back).await;
        // They are watched as before: a change of them counts again.
        self.files.lock().extend(files.files);
        if matches!(outcome, Outcome::Applied { .. }) {
            self.history.lock().left(&left, to);
            match apart {
                true => tracing::warn!(to, "rolled back: {NOTE}"),
                false => tracing::info!(to, "rolled back to what the files on disk say"),
            }
        }
        Ok(WentBack { to, outcome, apart })
    }

    fn meant(&self, which: Option<&str>) -> Result<(u64, Arc<Snapshot>), String> {
        let live = self.status().hash;
        let history = self.history.lock();
        let entry = history.find(which, &live)?;
        if entry.hash == live {
            return Err(format!("number {} is what runs", entry.number));
        }
        let snapshot = entry.snapshot.clone().ok_or("it is no longer kept")?;
        Ok((entry.number, snapshot))
    }

    /// What was read for an earlier configuration, read again.
    async fn again(&self, snapshot: Arc<Snapshot>) -> Result<Candidate, String> {
        let read = tokio::task::spawn_blocking(move || Candidate::again(&snapshot));
        read.await.map_err(|error| error.to_string())
    }

    /// What was put back, if the files say what they said then: they do not undo it.
    pub(super) fn holds_back(&self, candidate: &Candidate) -> Option<RolledBack> {
        let status = self.status.borrow();
        status.rolled_back.clone().filter(|back| back.files == candidate.loaded.hash)
    }

    /// The watch has seen that something else has changed: certificates and keys, which the earlier
    /// configuration reads from the disk as any other does.
    pub(super) async fn back_with_new_material(self: &Arc<Self>, back: RolledBack) -> Outcome {
        let live = Arc::clone(&self.live.lock());
        match self.again(live).await {
            Ok(candidate) if candidate.hash != self.status().hash => {
                let files = self.files();
                let outcome = self.run(Trigger::Watch, candidate, Some(back)).await;
                self.files.lock().extend(files);
                outcome
            }
            Ok(_) => Outcome::Unchanged,
            Err(errors) => Outcome::Refused { errors },
        }
    }
}
