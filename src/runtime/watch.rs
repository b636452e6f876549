//! Watches everything the configuration was read from. Editors rename a new file into place and
//! Kubernetes swaps a symlink several steps away, so what is watched are the directories of every
//! link in the chain; what counts is whether the content changed. A poll stands behind it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc},
    time,
};

use super::{
    candidate::{content, digest},
    reload::{Reloader, Trigger},
};

/// Quiet time after the last event.
const DEBOUNCE: Duration = Duration::from_millis(250);

/// Events that never stop do not put a reload off for longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

/// For file systems that tell nobody of changes.
const POLL: Duration = Duration::from_secs(10);

/// Links followed before a path is taken for a loop, as in the kernel.
const MAX_LINKS: usize = 40;

/// Where the kernel tells of changes.
struct Watch {
    watcher: Option<RecommendedWatcher>,
    found: Arc<Mutex<Chain>>,
    events: mpsc::Receiver<()>,
}

/// What the ways to the files lead through, links resolved.
#[derive(Debug, Default, PartialEq, Eq)]
struct Chain {
    /// Directories of links and files.
    dirs: BTreeSet<PathBuf>,
    /// The files at the end.
    files: BTreeSet<PathBuf>,
}

// === the loop ===

/// Reloads whenever the content of a file has changed. Runs until it is dropped.
pub async fn watch(reloader: Arc<Reloader>) {
    watch_every(reloader, POLL, Arc::new(Notify::new())).await;
}

/// `idle` is told whenever all that was seen has been dealt with.
async fn watch_every(reloader: Arc<Reloader>, poll: Duration, idle: Arc<Notify>) {
    let mut watch = Watch::start();
    // The first look happens after the directories are watched: what changed since the cold start
    // read the files is found by the reload engine, which compares with what is live.
    let mut seen = None;
    loop {
        let files = reloader.files();
        watch.follow(&files);
        let now = fingerprint(files).await;
        if seen != Some(now) {
            reloader.reload(Trigger::Watch).await;
            // The reload may have found files that were not known before.
            let files = reloader.files();
            watch.follow(&files);
            let before = seen.replace(now);
            tracing::debug!(?before, now, "content of watched files changed");
            let known = fingerprint(files).await;
            if known != now {
                seen = Some(known);
                // Either there are more files now, or one changed while it was read: look again.
                reloader.reload(Trigger::Watch).await;
            }
        }
        idle.notify_one();
        let _ = time::timeout(poll, watch.changed()).await;
    }
}

// === impl Watch ===

impl Watch {
    fn start() -> Self {
        let (sender, events) = mpsc::channel(1);
        let found = Arc::new(Mutex::new(Chain::default()));
        let chain = Arc::clone(&found);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.map_or(true, |event| chain.lock().is_touched_by(&event)) {
                // A full channel already says that something happened.
                let _ = sender.try_send(());
            }
        });
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(%error, "files are polled, not watched"))
            .ok();
        Self { watcher, found, events }
    }

    /// Watches the directories on the way to `files`, and no others.
    fn follow(&mut self, files: &BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        let mut wanted = Chain::default();
        files.iter().for_each(|file| wanted.add(file));
        let dirs = wanted.dirs.clone();
        // The lock is let go of before the watcher is asked: its thread takes it for every event.
        let before = std::mem::replace(&mut *self.found.lock(), wanted);
        for gone in before.dirs.difference(&dirs) {
            let _ = watcher.unwatch(gone);
        }
        // All of them, each time: a directory that was removed and made again is a new one.
        for dir in &dirs {
            if let Err(error) = watcher.watch(dir, RecursiveMode::NonRecursive) {
                tracing::debug!(%error, dir = %dir.display(), "directory is polled, not watched");
            }
        }
    }

    /// Waits for a change and for the quiet after it.
    async fn changed(&mut self) {
        if self.events.recv().await.is_none() {
            // No watcher: only the poll ends the wait.
            std::future::pending::<()>().await;
        }
        let _ = time::timeout(PATIENCE, async {
            while let Ok(Some(())) = time::timeout(DEBOUNCE, self.events.recv()).await {}
        })
        .await;
    }
}

// === impl Chain ===

impl Chain {
    /// Whether something may have changed. Our own reading is no change, and neither is writing to
    /// a file that happens to lie beside ours, as log files do.
    fn is_touched_by(&self, event: &notify::Event) -> bool {
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Data(_)) => {
                event.paths.iter().any(|path| self.files.contains(path))
            }
            EventKind::Access(_) => false,
            _ => true,
        }
    }

    /// Adds the directory of every link on the way to `path`, and the one it ends in. What does
    /// not exist (yet) is watched for in the nearest directory that does.
    fn add(&mut self, path: &Path) {
        let Ok(path) = std::path::absolute(path) else { return };
        let mut ahead: Vec<PathBuf> = parts(&path);
        let mut here = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = ahead.pop() {
            if part == Path::new("/") {
                here = part;
                continue;
            }
            if part == Path::new("..") {
                here.pop();
                continue;
            }
            let next = here.join(&part);
            match fs::symlink_metadata(&next) {
                Ok(meta) if meta.is_symlink() && links < MAX_LINKS => {
                    links += 1;
                    self.dirs.insert(here.clone());
                    let Ok(target) = fs::read_link(&next) else { return };
                    ahead.extend(parts(&target));
                }
                Ok(meta) if meta.is_dir() => {
                    here = next;
                    if ahead.is_empty() {
                        // A directory of includes: files come and go in it.
                        self.dirs.insert(here.clone());
                    }
                }
                Ok(_) | Err(_) => {
                    self.dirs.insert(here);
                    self.files.insert(next);
                    return;
                }
            }
        }
    }
}

/// The components of a path, last one first.
fn parts(path: &Path) -> Vec<PathBuf> {
    let part = |component: Component<'_>| PathBuf::from(component.as_os_str());
    path.components().rev().filter(|c| *c != Component::CurDir).map(part).collect()
}

/// A fingerprint of what the files say, and of the configuration files beside them: a new include
/// must be seen although nobody knows it yet.
async fn fingerprint(files: BTreeSet<PathBuf>) -> u64 {
    let work = tokio::task::spawn_blocking(move || {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        let mut dirs = BTreeSet::new();
        for file in &files {
            if file.is_dir() {
                dirs.insert(file.as_path());
                continue;
            }
            dirs.extend(file.parent());
            parts.push(content(file));
        }
        for dir in dirs {
            parts.push(listing(dir));
        }
        digest(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
    });
    work.await.unwrap_or_default()
}

fn listing(dir: &Path) -> Vec<u8> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let names = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let is_yaml = |name: &std::ffi::OsString| {
        Path::new(name).extension().is_some_and(|e| e == "yaml" || e == "yml")
    };
    let names: BTreeSet<_> = names.filter(is_yaml).collect();
    names.into_iter().flat_map(|name| [name.into_encoded_bytes(), vec![0]].concat()).collect()
}

#[cfg(test)]
mod tests;
