//! Where things were written, for people who ask why something is as it is. Nothing that serves requests
//! looks here, and two configurations that say the same in different places are the same.

use std::{borrow::Cow, fmt, path::PathBuf, sync::Arc};

use super::Place;
use crate::config::diagnostic::Sources;

/// The keys that hold for one thing, weakest level first: `defaults`, those of an included file, its own.
#[derive(Clone, Default)]
pub struct Origins {
    /// Shared by all that inherit it.
    inherited: Option<Arc<Self>>,
    own: Vec<Origin>,
}

/// One key and where its value was written.
#[derive(Clone, Debug)]
pub struct Origin {
    /// `timeouts.request`.
    pub key: Cow<'static, str>,
    /// Where it was written.
    pub place: Place,
    /// Where the policy was named that it is part of.
    pub via: Option<Place>,
    /// It was written in `defaults`.
    pub inherited: bool,
    /// It takes the place of everything inherited under this key.
    whole: bool,
}

/// The lines of all files, so that a place can be told when the files are no longer what they were.
#[derive(Clone, Default)]
pub struct Lines(Arc<[File]>);

struct File {
    path: PathBuf,
    /// Where each line ends.
    ends: Box<[u32]>,
}

// === impl Origins ===

impl Origins {
    /// Everything so far is inherited from now on.
    pub(crate) fn settle(&mut self) {
        if !self.own.is_empty() {
            self.own.iter_mut().for_each(|origin| origin.inherited = true);
            self.inherited = Some(Arc::new(std::mem::take(self)));
        }
    }

    /// A key that merges with what is inherited.
    pub(crate) fn add(&mut self, key: Cow<'static, str>, place: Place, via: Option<Place>) {
        self.own.push(Origin { key, place, via, inherited: false, whole: false });
    }

    /// A key that takes the place of all that is inherited under it.
    pub(crate) fn replace(&mut self, key: &'static str, place: Place, via: Option<Place>) {
        let key = Cow::Borrowed(key);
        self.own.push(Origin { key, place, via, inherited: false, whole: true });
    }

    /// What holds of a key and of those below it, each once, in the order written.
    pub fn of(&self, key: &str) -> Vec<&Origin> {
        let mut found = match &self.inherited {
            Some(inherited) if !self.replaces(key) => inherited.of(key),
            _ => Vec::new(),
        };
        let below = |origin: &&Origin| {
            let rest = origin.key.strip_prefix(key);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let own: Vec<&Origin> = self.own.iter().filter(below).collect();
        found.retain(|old| own.iter().all(|new| new.key != old.key));
        found.extend(own);
        found
    }

    /// Where a key was written, itself and not one below it.
    pub fn at(&self, key: &str) -> Option<&Origin> {
        let own = self.own.iter().find(|origin| origin.key == key);
        own.or_else(|| {
            let above = key.split_once('.').is_some_and(|(kind, _)| self.replaces(kind));
            self.inherited.as_ref().filter(|_| !above)?.at(key)
        })
    }

    fn replaces(&self, key: &str) -> bool {
        self.own.iter().any(|origin| origin.whole && origin.key == key)
    }
}

/// The same is the same wherever it was written.
impl PartialEq for Origins {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origins").finish_non_exhaustive()
    }
}

// === impl Lines ===

impl Lines {
    /// Those of the files that were read.
    pub(crate) fn of(sources: &Sources) -> Self {
        let one = |(path, text): &(PathBuf, Arc<str>)| File {
            path: path.clone(),
            ends: memchr::memchr_iter(b'\n', text.as_bytes())
                .map(|at| u32::try_from(at).unwrap_or(u32::MAX))
                .collect(),
        };
        Self(sources.files.iter().map(one).collect())
    }

    /// `routes.yaml:39`; nothing for what nobody wrote.
    pub fn show(&self, place: Place) -> Option<String> {
        if place == Place::default() {
            return None;
        }
        let file = self.0.get(place.file as usize)?;
        let line = file.ends.partition_point(|end| *end < place.start) + 1;
        Some(format!("{}:{line}", file.path.display()))
    }
}

/// The same is the same wherever it was written.
impl PartialEq for Lines {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("files", &self.0.len()).finish()
    }
}
