//! What a reload is asked by, what becomes of it, and where things stand after it.

use std::{fmt, time::SystemTime};

use crate::{
    config::model::{Config, Quarantined},
    runtime::diff::Diff,
};

/// Who asked for a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The start: no reload at all.
    Start,
    /// A file changed.
    Watch,
    /// SIGHUP.
    Signal,
    /// `tidegate reload`.
    Admin,
    /// `tidegate rollback`.
    Rollback,
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
    /// What runs is an earlier configuration that was put back: the files say something else.
    pub rolled_back: Option<RolledBack>,
    /// Included files that are broken; their routes answer 503.
    pub quarantined: Vec<Quarantined>,
}

/// An earlier configuration that was put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolledBack {
    /// Its number in the history.
    pub to: u64,
    /// Fingerprint of what the files of the configuration said then: they count again when they say
    /// something else.
    pub files: String,
}

// === impl Trigger ===

impl Trigger {
    /// What the log and the history call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Watch => "watch",
            Self::Signal => "signal",
            Self::Admin => "admin",
            Self::Rollback => "rollback",
        }
    }
}

// === impl Status ===

impl Status {
    /// The state right after the first load.
    pub fn first(hash: String, config: &Config) -> Self {
        let since = SystemTime::now();
        let routes = config.routes.len();
        let quarantined = config.quarantined.clone();
        Self {
            hash,
            routes,
            applied: 0,
            refused: 0,
            since,
            error: None,
            rolled_back: None,
            quarantined,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = self.hash.get(..4).unwrap_or(&self.hash);
        let Self { routes, refused, .. } = self;
        let s = |number: u64| if number == 1 { "" } else { "s" };
        let (these, those) = (s(*routes as u64), s(*refused));
        write!(f, "{routes} route{these}, config {hash}, {refused} failed reload{those}")?;
        if let Some(back) = &self.rolled_back {
            write!(f, "; rolled back to number {}, the files say something else", back.to)?;
        }
        for it in &self.quarantined {
            write!(f, "; {} is quarantined", it.file.display())?;
        }
        if self.error.is_some() { f.write_str("; the last reload was refused") } else { Ok(()) }
    }
}
