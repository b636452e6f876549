//! Which endpoint of an upstream gets the next request: the last choice before a connection is taken
//! from its pool.
//!
//! Pure. A balancer knows the names, weights and priorities of its members; what changes from request
//! to request (load, usability, latency, slow start) it asks of a [`View`], and random numbers and
//! the hash of a key are handed in. There is no clock here. Members are positions in the list it was
//! made from.
//!
//! Whatever the way, the shares follow the weights, also while some members cannot be used: what
//! these would have got is spread over all others by weight, not given to a neighbour.

mod dice;
pub mod hash;
mod least_requests;
mod peak_ewma;
mod random;
mod round_robin;
mod shares;
pub mod slow_start;
#[cfg(test)]
mod tests;
mod two_choices;

pub use peak_ewma::Latency;

use self::{hash::Table, round_robin::Rounds, shares::Shares};
use crate::config::model::Balance;

/// Chooses endpoints by their position.
#[derive(Debug)]
pub struct Balancer {
    /// The only member there is.
    only: Option<usize>,
    /// The first one used first.
    groups: Vec<Group>,
}

/// One endpoint, as its balancer sees it.
#[derive(Clone, Copy, Debug)]
pub struct Member<'n> {
    /// What it is called, whatever its position: `hash` finds it again by this.
    pub name: &'n str,
    /// Share of the load; 0 takes it out of rotation.
    pub weight: u32,
    /// Members of a higher number are used only when none of a lower number is usable.
    pub priority: u32,
}

/// What may change from one request to the next.
pub trait View {
    /// Requests in flight at a position.
    fn load(&self, at: usize) -> usize;

    /// Whether a position may be chosen at all.
    fn usable(&self, at: usize) -> bool;

    /// Whether this choice is for a request that has had one before. It takes no turn of a round: with
    /// two endpoints, a sick one would else get the first turn of every request.
    fn is_further(&self) -> bool {
        false
    }

    /// What a request costs at a position that has so many in flight, in any unit. Only `peak_ewma`
    /// asks; see [`Latency::cost`].
    fn cost(&self, _at: usize, in_flight: usize) -> u64 {
        in_flight as u64
    }

    /// Whether any endpoint is in its slow start. While none is, `ramp` is not asked.
    fn is_ramping(&self) -> bool {
        false
    }

    /// The part of its weight a position has, out of [`slow_start::FULL`].
    fn ramp(&self, _at: usize) -> u32 {
        slow_start::FULL
    }
}

/// Members that are used together: one priority.
#[derive(Debug)]
struct Group {
    /// Positions with a weight above 0.
    members: Vec<usize>,
    shares: Shares,
    way: Way,
}

/// A way of balancing and what it remembers.
#[derive(Debug)]
enum Way {
    RoundRobin(Rounds),
    LeastRequests,
    Random,
    PeakEwma,
    Hash(Table),
}

// === impl Member ===

impl Member<'_> {
    /// The priority of `backup: true`: after all others.
    pub const BACKUP: u32 = u32::MAX;
}

// === impl Balancer ===

impl Balancer {
    /// A balancer over the members in this order.
    pub fn new(kind: Balance, members: &[Member<'_>]) -> Self {
        let in_use = || members.iter().enumerate().filter(|(_, member)| member.weight > 0);
        let mut priorities: Vec<u32> = in_use().map(|(_, member)| member.priority).collect();
        priorities.sort_unstable();
        priorities.dedup();
        let group = |priority: &u32| {
            Group::new(kind, in_use().filter(|(_, member)| member.priority == *priority))
        };
        let groups: Vec<Group> = priorities.iter().map(group).collect();
        let only = match &groups[..] {
            [group] if group.members.len() == 1 => Some(group.members[0]),
            _ => None,
        };
        Self { only, groups }
    }

    /// The next endpoint; none if none is usable. `key` is the hash of what `hash` goes by (without
    /// one, it chooses at random); `random` is any number.
    pub fn pick(&self, view: &impl View, key: Option<u64>, random: u64) -> Option<usize> {
        if let Some(only) = self.only {
            return view.usable(only).then_some(only);
        }
        self.groups.iter().find_map(|group| group.pick(view, key, random))
    }
}

// === impl Group ===

impl Group {
    fn new<'m>(kind: Balance, chosen: impl Iterator<Item = (usize, &'m Member<'m>)>) -> Self {
        let (members, chosen): (Vec<usize>, Vec<&Member<'_>>) = chosen.unzip();
        let shares = Shares::new(chosen.iter().map(|member| member.weight).collect());
        let way = match kind {
            Balance::RoundRobin => Way::RoundRobin(Rounds::new(shares.weights())),
            Balance::LeastRequests => Way::LeastRequests,
            Balance::Random => Way::Random,
            Balance::PeakEwma => Way::PeakEwma,
            Balance::Hash => {
                Way::Hash(Table::new(chosen.iter().map(|member| (member.name, member.weight))))
            }
        };
        Self { members, shares, way }
    }

    fn pick(&self, view: &impl View, key: Option<u64>, random: u64) -> Option<usize> {
        let member = match &self.way {
            Way::RoundRobin(rounds) => round_robin::pick(self, rounds, view, random),
            Way::LeastRequests => least_requests::pick(self, view, random),
            Way::Random => random::pick(self, view, random),
            Way::PeakEwma => peak_ewma::pick(self, view, random),
            Way::Hash(table) => table.pick(key.unwrap_or(random), |it| self.usable(view, it)),
        };
        member.map(|member| self.members[member])
    }

    fn usable(&self, view: &impl View, member: usize) -> bool {
        view.usable(self.members[member])
    }

    /// The weight a member has for this request: 0 if it is not usable, less in its slow start.
    fn part(&self, view: &impl View, member: usize) -> u64 {
        if !self.usable(view, member) {
            return 0;
        }
        let weight = u64::from(self.shares.weights()[member]);
        if view.is_ramping() { weight * self.ramp(view, member) } else { weight }
    }

    /// Never 0: a usable member can always be chosen.
    fn ramp(&self, view: &impl View, member: usize) -> u64 {
        u64::from(view.ramp(self.members[member]).clamp(1, slow_start::FULL))
    }
}
