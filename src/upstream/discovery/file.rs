//! Endpoints that stand in a file of their own, a list as it would be after `endpoints:`. It is
//! read again when it changes, links and renames included. A writer that takes its time should
//! write beside it and rename: half a list can be a list.

use std::{
    collections::BTreeSet,
    fs, mem,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{task::spawn_blocking, time};

use super::{Failure, Set, Source};
use crate::{
    config,
    watch::{POLL, Watch, content, digest},
};

/// What is broken is read again this soon: it may be half written, or on its way.
const AGAIN: Duration = Duration::from_secs(1);

/// The endpoints in one file.
pub(crate) struct EndpointsFile {
    path: PathBuf,
    /// From the first call on.
    watch: Option<Watch>,
    poll: Duration,
    again: Duration,
    /// Whether to read before waiting: at first, and after a call that was given up.
    look: bool,
    /// The fingerprint of the endpoints that were read last, if what was read last were endpoints.
    good: Option<u64>,
}

// === impl EndpointsFile ===

impl EndpointsFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, watch: None, poll: POLL, again: AGAIN, look: true, good: None }
    }
}

impl Source for EndpointsFile {
    async fn next(&mut self) -> Result<Set, Failure> {
        let watch = self.watch.get_or_insert_with(Watch::start);
        let files = BTreeSet::from([self.path.clone()]);
        // Only a call that ends takes that back.
        let mut look = mem::replace(&mut self.look, true);
        let outcome = loop {
            if !look {
                let wait = if self.good.is_some() { self.poll } else { self.again };
                let _ = time::timeout(wait, watch.changed()).await;
            }
            look = false;
            // Before it is read: what changes from now on is told.
            watch.follow(&files);
            let (path, known) = (self.path.clone(), self.good);
            let work = spawn_blocking(move || read(&path, known)).await;
            if let Some(outcome) = work.unwrap_or_else(|error| Some(Err(error.to_string()))) {
                break outcome;
            }
        };
        self.look = false;
        self.good = outcome.as_ref().ok().map(|(found, _)| *found);
        outcome.map(|(_, set)| set).map_err(Failure)
    }
}

/// What is in the file, and its fingerprint; nothing if that is `known`.
fn read(path: &Path, known: Option<u64>) -> Option<Result<(u64, Set), String>> {
    // Before the endpoints are read: a change in between is found the next time.
    let found = digest(&[&content(path)]);
    if Some(found) == known {
        return None;
    }
    // Who opens a pipe waits for its writer.
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
        return Some(Err(format!("cannot read `{}`: it is not a file", path.display())));
    }
    let endpoints = config::endpoints(path);
    Some(endpoints.map(|endpoints| (found, Set { endpoints, refused: Vec::new() })))
}

#[cfg(test)]
mod tests;
