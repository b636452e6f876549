//! All branches of all routes, ready for matching.

use super::{
    branch::{Branch, RequestFacts},
    conflict::{self, Conflict},
    methods::MethodSet,
    rank::Rank,
    shadow,
    trie::{Entry, Index, Leaf, RankNumber, Visit},
};

/// Finds the branch of greatest rank that takes a request.
pub struct Table<T> {
    branches: Vec<Branch<T>>,
    /// By branch; equal ranks have equal numbers.
    ranks: Vec<RankNumber>,
    index: Index,
}

/// What was found for a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'t, T> {
    /// A branch takes it.
    Match {
        /// The target of the branch.
        target: &'t T,
        /// Its place among the branches the table was built from.
        branch: usize,
    },
    /// Some branch takes all of it but the method.
    MethodNotAllowed {
        /// The value of `Allow`.
        allow: String,
    },
    /// No branch takes it.
    Nothing,
}

/// A branch that nearly took a request.
#[derive(Debug)]
pub struct Near<'t, T> {
    /// The target of the branch.
    pub target: &'t T,
    /// Its place among the branches the table was built from.
    pub branch: usize,
    /// The first thing that differed: `host: wants api.example.com, got shop.example.com`.
    pub difference: String,
}

// === impl Table ===

impl<T> Table<T> {
    /// Builds the table; the order of the branches plays no part.
    ///
    /// # Errors
    /// Every branch that has the same rank as an earlier one and may take the same request.
    pub fn build(branches: Vec<Branch<T>>) -> Result<Self, Vec<Conflict>> {
        let conflicts = conflict::find(&branches);
        if !conflicts.is_empty() {
            return Err(conflicts);
        }
        let keys: Vec<Rank> = branches.iter().map(Rank::of).collect();
        let mut order: Vec<usize> = (0..branches.len()).collect();
        order.sort_by(|a, b| keys[*a].cmp(&keys[*b]));
        let mut ranks = vec![0; branches.len()];
        let mut number: RankNumber = 0;
        for (at, branch) in order.iter().enumerate() {
            if at == 0 || keys[order[at - 1]] != keys[*branch] {
                number += 1;
            }
            ranks[*branch] = number;
        }
        let mut index = Index::default();
        for at in order.into_iter().rev() {
            let branch = &branches[at];
            let entry = Entry {
                rank: ranks[at],
                branch: u32::try_from(at).expect("branches are fewer than 2^32"),
                plain: branch.is_plain(),
            };
            index.insert(&branch.host, &branch.path, entry);
        }
        index.finish();
        Ok(Self { branches, ranks, index })
    }

    /// The branch that takes the request. Allocates nothing for a match (but for paths with
    /// parameters, or with eight and more whole-path expressions below one prefix).
    pub fn find(&self, facts: &RequestFacts<'_>) -> Found<'_, T> {
        let mut best =
            Best { branches: &self.branches, facts, rank: 0, branch: 0, method_differs: false };
        self.index.walk(facts.host, facts.path, &mut best);
        if best.rank > 0 {
            let branch = best.branch as usize;
            return Found::Match { target: &self.branches[branch].target, branch };
        }
        if best.method_differs {
            return self.other_methods(facts);
        }
        Found::Nothing
    }

    /// The branches the table was built from, in their order.
    pub fn branches(&self) -> &[Branch<T>] {
        &self.branches
    }

    /// Whether some branch names this host or a wildcard that takes it. Branches for any host do
    /// not count: they say nothing about which names are served.
    pub fn known_host(&self, host: &str) -> bool {
        self.index.knows_host(host)
    }

    /// The `count` branches that came nearest to taking a request, with the first thing that
    /// differed. Looks at every branch: for people, not for every 404.
    pub fn nearest(&self, facts: &RequestFacts<'_>, count: usize) -> Vec<Near<'_, T>> {
        let mut scored: Vec<_> = self
            .branches
            .iter()
            .enumerate()
            .filter_map(|(at, branch)| Some((branch.distance(facts)?, at)))
            .collect();
        scored.sort_by_key(|(distance, at)| (*distance, std::cmp::Reverse(self.ranks[*at]), *at));
        scored.truncate(count);
        let near = |(_, at): (_, usize)| Near {
            target: &self.branches[at].target,
            branch: at,
            difference: self.branches[at].difference(facts).unwrap_or_default(),
        };
        scored.into_iter().map(near).collect()
    }

    /// Branches that never get a request because another takes all of theirs, as (shadowed, by).
    /// Says nothing of a branch shadowed by several others together.
    pub fn shadowed(&self) -> Vec<(usize, usize)> {
        shadow::find(&self.branches, &self.ranks)
    }

    #[cold]
    fn other_methods(&self, facts: &RequestFacts<'_>) -> Found<'_, T> {
        let mut allowed =
            Allowed { branches: &self.branches, facts, methods: MethodSet::default() };
        self.index.walk(facts.host, facts.path, &mut allowed);
        if allowed.methods.is_empty() {
            return Found::Nothing;
        }
        Found::MethodNotAllowed { allow: allowed.methods.allow() }
    }
}

// === visitors ===

/// Keeps the best branch seen.
struct Best<'a, T> {
    branches: &'a [Branch<T>],
    facts: &'a RequestFacts<'a>,
    rank: RankNumber,
    branch: u32,
    method_differs: bool,
}

impl<T> Visit for Best<'_, T> {
    #[inline]
    fn wants(&self, best: RankNumber) -> bool {
        best > self.rank
    }

    #[inline]
    fn leaf(&mut self, leaf: &Leaf) {
        for entry in &leaf.entries {
            if entry.rank <= self.rank {
                return;
            }
            if !entry.plain {
                let branch = &self.branches[entry.branch as usize];
                if !branch.takes_method(self.facts) {
                    self.method_differs = true;
                    continue;
                }
                if !branch.conditions_hold(self.facts) {
                    continue;
                }
            }
            self.rank = entry.rank;
            self.branch = entry.branch;
            return;
        }
    }
}

/// Collects the methods of all branches that differ in nothing else.
struct Allowed<'a, T> {
    branches: &'a [Branch<T>],
    facts: &'a RequestFacts<'a>,
    methods: MethodSet,
}

impl<T> Visit for Allowed<'_, T> {
    fn wants(&self, _: RankNumber) -> bool {
        true
    }

    fn leaf(&mut self, leaf: &Leaf) {
        for entry in &leaf.entries {
            let branch = &self.branches[entry.branch as usize];
            if let Some(methods) = &branch.methods
                && branch.conditions_hold(self.facts)
            {
                self.methods.extend(methods);
            }
        }
    }
}
