//! `least_requests`: the one with fewer requests in flight of two members taken by weight.

use super::{Group, View, two_choices};

/// The next member; none if none is usable.
pub(super) fn pick(group: &Group, view: &impl View, random: u64) -> Option<usize> {
    two_choices::pick(group, view, random, |first, second| second.load < first.load)
}
