//! The precedence rule: a request takes the matching branch of greatest rank, compared field by
//! field. The order of the fields below is the rule.

use super::{
    branch::Branch,
    host::HostPattern,
    path::{End, PathPattern, Step},
};

/// The rank of a branch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Rank {
    pub(super) host: HostRank,
    /// Segment by segment from the left. The last one is an end, so no rank is a prefix of
    /// another.
    pub(super) path: Vec<StepRank>,
    /// Methods before headers: the other way round was CVE-2024-42487 elsewhere.
    pub(super) has_methods: bool,
    pub(super) headers: usize,
    pub(super) query: usize,
    pub(super) others: usize,
    pub(super) priority: i32,
}

/// Weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum HostRank {
    Any,
    Wildcard { labels: usize, one_label: bool },
    Exact,
}

/// Weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum StepRank {
    Tail,
    PathRegex,
    Any,
    Regex,
    Literal,
    End,
}

// === impl Rank ===

impl Rank {
    pub(super) fn of<T>(branch: &Branch<T>) -> Self {
        Self {
            host: HostRank::of(&branch.host),
            path: path_rank(&branch.path),
            has_methods: branch.methods.is_some(),
            headers: branch.headers.len(),
            query: branch.query.len(),
            others: usize::from(!branch.client_ip.is_empty())
                + usize::from(!branch.listeners.is_empty()),
            priority: branch.priority,
        }
    }
}

// === impl HostRank ===

impl HostRank {
    pub(super) fn of(host: &HostPattern) -> Self {
        let (suffix, one_label) = match host {
            HostPattern::Any => return Self::Any,
            HostPattern::Exact(_) => return Self::Exact,
            HostPattern::OneLabel(suffix) => (suffix, true),
            HostPattern::AnyLabels(suffix) => (suffix, false),
        };
        Self::Wildcard { labels: suffix.split('.').count(), one_label }
    }
}

fn path_rank(path: &PathPattern) -> Vec<StepRank> {
    let steps = path.steps.iter().map(|step| match step {
        Step::Literal(_) => StepRank::Literal,
        Step::Regex { .. } => StepRank::Regex,
        Step::Any { .. } => StepRank::Any,
    });
    let end = match path.end {
        End::Exact => StepRank::End,
        End::Tail => StepRank::Tail,
        End::Regex(_) => StepRank::PathRegex,
    };
    steps.chain([end]).collect()
}
