//! `tidegate plan`: the requests of an access log, replayed through two configurations. What would become of
//! each is found as it is when traffic is served: the gate and the table of each configuration are asked
//! ([`gateway::judge`](crate::gateway)). Nothing is sent.
//!
//! `read` cuts the log into pieces for all processors → `line` reads a line of any format → `fate` asks a
//! configuration → `tally` compares and counts → `human` for people. Memory does not grow with the log.

mod fate;
mod human;
mod line;
mod read;
mod tally;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, io, path::Path};

use serde::Serialize;

use self::{fate::Judge, tally::Tally};
pub use self::{human::human, read::Progress};
use crate::runtime::Runtime;

/// How a log is replayed.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The host of requests whose log does not say it.
    pub host: Option<String>,
    /// Examples of each group.
    pub samples: usize,
}

/// What would become of the requests of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Lines of the log.
    pub lines: u64,
    /// Requests that were replayed.
    pub replayed: u64,
    /// Those that would get something else.
    pub changed: u64,
    /// Those another route would take, or none where one did.
    pub route: u64,
    /// Those that would go to other upstreams, or to the same ones in other shares.
    pub upstream: u64,
    /// Those of whom others would be let in.
    pub auth: u64,
    /// Those that other limits would count.
    pub limits: u64,
    /// Those that would be refused and are not now.
    pub refused: u64,
    /// Those that would be refused by the gate, the table or `auth`, and were turned away by the log as well:
    /// 401, 403 or 429.
    pub refused_already: u64,
    /// Those that would pass and are refused now.
    pub let_in: u64,
    /// Those the log says another route took than the current configuration does: it was not this one.
    pub logged_otherwise: u64,
    /// Lines that could not be replayed, by why.
    pub not_replayed: BTreeMap<String, u64>,
    /// What changes, the most frequent first.
    pub groups: Vec<Group>,
}

/// Requests to which the same happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// How many.
    pub requests: u64,
    /// What becomes of them now.
    pub now: Fate,
    /// What would become of them.
    pub then: Fate,
    /// What that means: `route`, `upstream`, `auth`, `limits`, `refused`, `refused_already`, `let_in`.
    pub means: Vec<&'static str>,
    /// The first of them.
    pub samples: Vec<String>,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fate {
    /// The route that takes it.
    pub route: Option<String>,
    /// Why it is refused; a [reason word](crate::error::Reason).
    pub refused: Option<&'static str>,
    /// Where it goes: `orders 90, canary 10`, `redirect 308`.
    pub to: String,
    /// Who may pass.
    pub auth: String,
    /// What limits count it.
    pub limits: String,
}

/// Replays a log, gzip or not, or standard input. Uses all processors.
///
/// # Errors
/// It cannot be read.
pub fn replay(
    (now, then): (&Runtime, &Runtime),
    log: &Path,
    settings: &Settings,
    progress: &dyn Progress,
) -> io::Result<Plan> {
    let judges = (Judge::new(now, &then.config), Judge::new(then, &now.config));
    let tallies = read::pieces(log, progress, || Tally::new(&judges, settings))?;
    Ok(tally::plan(tallies, settings.samples))
}
