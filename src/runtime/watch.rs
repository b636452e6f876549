//! Watches everything the configuration was read from, and reloads when its content has changed.
//! A poll stands behind it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Notify, time};

use super::reload::{Reloader, Trigger};
use crate::watch::{POLL, Watch, content, digest};

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
