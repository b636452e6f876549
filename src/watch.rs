//! Tells when files may have changed. Editors rename a new file into place and Kubernetes swaps a
//! symlink several steps away, so what is watched are the directories of every link in the chain;
//! what counts is whether the content changed. Whoever watches has a poll behind it.

use std::{
    collections::BTreeSet,
    fs,
    hash::{BuildHasher, Hasher},
    io::{self, Read},
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};
use parking_lot::Mutex;
use tokio::{sync::mpsc, time};

/// For file systems that tell nobody of changes.
pub(crate) const POLL: Duration = Duration::from_secs(10);

/// Quiet time after the last event.
const DEBOUNCE: Duration = Duration::from_millis(250);

/// Events that never stop do not put a reload off for longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

/// Links followed before a path is taken for a loop, as in the kernel.
const MAX_LINKS: usize = 40;

/// Bytes of a file that are compared.
const MAX_COMPARED: u64 = 32 << 20;

/// Where the kernel tells of changes.
pub(crate) struct Watch {
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

// === impl Watch ===

impl Watch {
    /// Watches nothing yet.
    pub(crate) fn start() -> Self {
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

    /// One that is told of nothing.
    #[cfg(test)]
    pub(crate) fn deaf() -> Self {
        Self { watcher: None, found: Arc::default(), events: mpsc::channel(1).1 }
    }

    /// Watches the directories on the way to `files`, and no others.
    pub(crate) fn follow(&mut self, files: &BTreeSet<PathBuf>) {
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
    pub(crate) async fn changed(&mut self) {
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

/// What a file says, for comparing; why it cannot be read is also something it says. Of a file
/// larger than any that is loaded only the beginning is read, and when it was changed.
pub(crate) fn content(path: &Path) -> Vec<u8> {
    let read = || -> io::Result<Vec<u8>> {
        let meta = fs::metadata(path)?;
        if !meta.is_file() {
            return Err(io::Error::other("not a file"));
        }
        let mut text = Vec::new();
        fs::File::open(path)?.take(MAX_COMPARED).read_to_end(&mut text)?;
        if meta.len() > MAX_COMPARED {
            text.extend(format!("\0{} {:?}", meta.len(), meta.modified()?).into_bytes());
        }
        Ok(text)
    };
    read().unwrap_or_else(|error| format!("\0{error}").into_bytes())
}

/// A fingerprint; the same in every run of this build. It tells changes apart, it does not prove
/// anything to anybody.
pub(crate) fn digest(parts: &[&[u8]]) -> u64 {
    let mut hasher = ahash::RandomState::with_seeds(1, 2, 3, 4).build_hasher();
    for part in parts {
        hasher.write_usize(part.len());
        hasher.write(part);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
