//! A file of secrets that is read again when it changes, links and renames included. What was read
//! last and was right stays in use while the file is broken or away. A writer that takes its time
//! should write beside it and rename: half a list can be a list.

use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use tokio::{task::spawn_blocking, time};

use crate::watch::{POLL, Watch, content, digest};

/// What is broken is read again this soon: it may be half written, or on its way.
const AGAIN: Duration = Duration::from_secs(1);

/// Bytes of a file.
const MOST: u64 = 16 << 20;

/// What a text means, or what is wrong with it on one line that shows no secret. The first argument
/// is what the file is called.
type Parse<T> = dyn Fn(&str, &str) -> Result<T, String> + Send + Sync;

/// What stands in a file.
pub(crate) struct Watched<T> {
    path: PathBuf,
    parse: Box<Parse<T>>,
    now: ArcSwap<T>,
    /// The fingerprint of what was read at first.
    first: u64,
    poll: Duration,
    again: Duration,
}

// === impl Watched ===

impl<T: Send + Sync + 'static> Watched<T> {
    /// Reads it for the first time. It blocks.
    ///
    /// # Errors
    /// What is wrong with it, on one line.
    pub(crate) fn load(
        path: PathBuf,
        parse: impl Fn(&str, &str) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        // Before it is read: a change in between is found the next time.
        let first = digest(&[&content(&path)]);
        let now = ArcSwap::from_pointee(read(&path, &parse)?);
        Ok(Self { path, parse: Box::new(parse), now, first, poll: POLL, again: AGAIN })
    }

    /// What was right last.
    pub(crate) fn now(&self) -> Guard<Arc<T>> {
        self.now.load()
    }

    /// Follows the file as long as this is polled. `told` hears of each change, and of each other
    /// way in which the file is broken.
    pub(crate) async fn follow(self: Arc<Self>, mut told: impl FnMut(Result<&T, &str>)) {
        let mut watch = Watch::start();
        let files = BTreeSet::from([self.path.clone()]);
        let mut good = Some(self.first);
        let mut problem = None;
        loop {
            // Before it is read: what changes from now on is told.
            watch.follow(&files);
            let this = Arc::clone(&self);
            let work = spawn_blocking(move || this.again(good)).await;
            match work.unwrap_or_else(|error| Some(Err(error.to_string()))) {
                None => {}
                Some(Ok((found, value))) => {
                    good = Some(found);
                    problem = None;
                    let value = Arc::new(value);
                    self.now.store(Arc::clone(&value));
                    told(Ok(&value));
                }
                Some(Err(why)) => {
                    good = None;
                    if problem.as_ref() != Some(&why) {
                        told(Err(&why));
                        problem = Some(why);
                    }
                }
            }
            let wait = if good.is_some() { self.poll } else { self.again };
            let _ = time::timeout(wait, watch.changed()).await;
        }
    }

    /// What is in the file, and its fingerprint; nothing if that is `known`.
    fn again(&self, known: Option<u64>) -> Option<Result<(u64, T), String>> {
        let found = digest(&[&content(&self.path)]);
        if Some(found) == known {
            return None;
        }
        Some(read(&self.path, &self.parse).map(|value| (found, value)))
    }
}

fn read<T>(path: &Path, parse: impl Fn(&str, &str) -> Result<T, String>) -> Result<T, String> {
    let name = path.display().to_string();
    let bytes = bytes(path).map_err(|why| format!("cannot read `{name}`: {why}"))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{name}: not UTF-8 text"))?;
    parse(&name, &text)
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let text = |error: std::io::Error| error.to_string();
    // Who opens a pipe waits for its writer.
    if !fs::metadata(path).map_err(text)?.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(text)?.take(MOST + 1).read_to_end(&mut bytes).map_err(text)?;
    if bytes.len() as u64 > MOST {
        return Err(format!("it is larger than {} MiB", MOST >> 20));
    }
    Ok(bytes)
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
