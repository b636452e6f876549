//! Branches that never get a request. With ranks from specific to general that takes a
//! `priority`: everything else that ranks higher also takes less.

use std::collections::HashMap;

use super::{branch::Branch, condition::ValueCondition, trie::RankNumber};

/// (shadowed, by), by shadowed branch. Sound, not complete: one branch must take all the requests,
/// by the same host, path and values.
pub(super) fn find<T>(branches: &[Branch<T>], ranks: &[RankNumber]) -> Vec<(usize, usize)> {
    let mut groups: HashMap<_, Vec<usize>, ahash::RandomState> = HashMap::default();
    for (at, branch) in branches.iter().enumerate() {
        let mut names: Vec<&str> = branch.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        groups.entry((&branch.host, branch.path.as_str(), names)).or_default().push(at);
    }
    let mut found = Vec::new();
    for members in groups.values_mut() {
        members.sort_by_key(|at| std::cmp::Reverse(ranks[*at]));
        for (place, at) in members.iter().enumerate() {
            let by = members[..place]
                .iter()
                .find(|by| ranks[**by] > ranks[*at] && covers(&branches[**by], &branches[*at]));
            found.extend(by.map(|by| (*at, *by)));
        }
    }
    found.sort_unstable();
    found
}

/// Whether `a` takes every request that `b` takes, where both have the same host and path.
pub(super) fn covers<T>(a: &Branch<T>, b: &Branch<T>) -> bool {
    let methods = match (&a.methods, &b.methods) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(a), Some(b)) => a.covers(b),
    };
    let addresses = a.client_ip.is_empty()
        || (!b.client_ip.is_empty()
            && b.client_ip.iter().all(|net| a.client_ip.iter().any(|wide| wide.contains(net))));
    let listeners = a.listeners.is_empty()
        || (!b.listeners.is_empty() && b.listeners.iter().all(|name| a.listeners.contains(name)));
    methods
        && addresses
        && listeners
        && values_cover(&a.headers, &b.headers)
        && values_cover(&a.query, &b.query)
}

/// Whether each of a's conditions is also one of b's.
fn values_cover<K: PartialEq>(a: &[(K, ValueCondition)], b: &[(K, ValueCondition)]) -> bool {
    a.iter().all(|(key, want)| b.iter().any(|(k, other)| k == key && want.is_same(other)))
}
