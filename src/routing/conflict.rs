//! Two branches of equal rank that may take the same request: refused at load, because nothing in
//! the file says which one should win.

use std::collections::HashMap;

use super::{
    branch::Branch,
    condition::ValueCondition,
    example,
    path::{PathPattern, Step},
    rank::Rank,
};

/// Two branches of equal rank that are not provably disjoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The earlier branch, by its place among those the table is built from.
    pub first: usize,
    /// The later one. Each branch is named here at most once.
    pub second: usize,
    /// A request both take, where one could be made: `GET shop.example.com/orders/x`.
    pub example: Option<String>,
}

/// Groups up to this size are compared pair by pair.
const FEW: usize = 16;

/// A condition that sorts branches into groups that exclude each other.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key<'b> {
    Header(&'b str),
    Query(&'b str),
}

/// All conflicts, by second branch. Near-linear: only branches of equal rank, host and literal
/// segments meet, and of those only the ones that no exact value tells apart.
pub(super) fn find<T>(branches: &[Branch<T>]) -> Vec<Conflict> {
    let mut groups: HashMap<_, Vec<usize>, ahash::RandomState> = HashMap::default();
    for (at, branch) in branches.iter().enumerate() {
        let key = (&branch.host, shape(&branch.path), Rank::of(branch));
        groups.entry(key).or_default().push(at);
    }
    let mut search = Search { branches, found: HashMap::default() };
    for members in groups.values() {
        search.group(members, &mut Vec::new());
    }
    let mut found: Vec<(usize, usize)> = search.found.into_iter().collect();
    found.sort_unstable();
    let conflict = |(second, first): (usize, usize)| Conflict {
        first,
        second,
        example: example::request(&branches[first], &branches[second])
            .map(|sample| sample.to_string()),
    };
    found.into_iter().map(conflict).collect()
}

/// What two patterns of equal rank must share to take a common path: the literals. Expressions are
/// never assumed to differ.
fn shape(path: &PathPattern) -> Vec<Option<&str>> {
    let steps = path.steps.iter();
    steps
        .map(|step| match step {
            Step::Literal(text) => Some(&**text),
            Step::Regex { .. } | Step::Any { .. } => None,
        })
        .collect()
}

struct Search<'b, T> {
    branches: &'b [Branch<T>],
    /// First by second.
    found: HashMap<usize, usize, ahash::RandomState>,
}

impl<'b, T> Search<'b, T> {
    fn group(&mut self, members: &[usize], used: &mut Vec<Key<'b>>) {
        let key = if members.len() > FEW { self.best_key(members, used) } else { None };
        let Some(key) = key else {
            self.pairs(members);
            return;
        };
        let mut by_value: HashMap<&str, Vec<usize>, ahash::RandomState> = HashMap::default();
        let mut rest = Vec::new();
        for at in members {
            match exact(&self.branches[*at], &key) {
                Some(value) => by_value.entry(value).or_default().push(*at),
                None => rest.push(*at),
            }
        }
        self.pairs(&rest);
        for (a, b) in rest.iter().flat_map(|a| by_value.values().flatten().map(move |b| (*a, *b))) {
            self.pair(a.min(b), a.max(b));
        }
        used.push(key);
        for same in by_value.values() {
            self.group(same, used);
        }
        used.pop();
    }

    /// The key for which most members want an exact value.
    fn best_key(&self, members: &[usize], used: &[Key<'b>]) -> Option<Key<'b>> {
        let mut counts: HashMap<Key<'b>, usize, ahash::RandomState> = HashMap::default();
        for at in members {
            for key in exact_keys(&self.branches[*at]) {
                *counts.entry(key).or_default() += 1;
            }
        }
        counts.retain(|key, _| !used.contains(key));
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(key, _)| key)
    }

    /// Compares all of `members` (ascending) with each other.
    fn pairs(&mut self, members: &[usize]) {
        let mut open = members.to_vec();
        for first in members {
            open.retain(|second| second > first && !self.pair(*first, *second));
        }
    }

    /// Compares two branches, unless the second has a conflict already. Says whether it has.
    fn pair(&mut self, first: usize, second: usize) -> bool {
        if self.found.contains_key(&second) {
            return true;
        }
        let conflict = !disjoint(&self.branches[first], &self.branches[second]);
        if conflict {
            self.found.insert(second, first);
        }
        conflict
    }
}

fn exact_keys<T>(branch: &Branch<T>) -> impl Iterator<Item = Key<'_>> {
    let is_exact = |condition: &ValueCondition| matches!(condition, ValueCondition::Exact(_));
    let headers = branch.headers.iter().filter(move |(_, c)| is_exact(c));
    let query = branch.query.iter().filter(move |(_, c)| is_exact(c));
    let headers = headers.map(|(name, _)| Key::Header(name.as_str()));
    headers.chain(query.map(|(key, _)| Key::Query(key)))
}

fn exact<'b, T>(branch: &'b Branch<T>, key: &Key<'_>) -> Option<&'b str> {
    let conditions = match key {
        Key::Header(name) => branch
            .headers
            .iter()
            .find(|(n, c)| n.as_str() == *name && matches!(c, ValueCondition::Exact(_)))
            .map(|(_, c)| c),
        Key::Query(key) => branch
            .query
            .iter()
            .find(|(k, c)| **k == **key && matches!(c, ValueCondition::Exact(_)))
            .map(|(_, c)| c),
    };
    match conditions? {
        ValueCondition::Exact(value) => Some(value),
        _ => None,
    }
}

/// Whether no request can be taken by both, as far as methods and conditions prove it: host and path are
/// not looked at.
pub(super) fn disjoint<T>(a: &Branch<T>, b: &Branch<T>) -> bool {
    let methods = match (&a.methods, &b.methods) {
        (Some(a), Some(b)) => a.is_disjoint(b),
        _ => false,
    };
    let addresses = !a.client_ip.is_empty()
        && !b.client_ip.is_empty()
        && !a.client_ip.iter().any(|x| b.client_ip.iter().any(|y| x.contains(y) || y.contains(x)));
    let listeners = !a.listeners.is_empty()
        && !b.listeners.is_empty()
        && !a.listeners.iter().any(|name| b.listeners.contains(name));
    methods
        || addresses
        || listeners
        || values_disjoint(&a.headers, &b.headers)
        || values_disjoint(&a.query, &b.query)
}

fn values_disjoint<K: PartialEq>(a: &[(K, ValueCondition)], b: &[(K, ValueCondition)]) -> bool {
    a.iter().any(|(key, one)| b.iter().any(|(k, other)| k == key && one.is_disjoint(other)))
}
