//! The choice of an endpoint: what the balancer may choose from, by what this request has tried and
//! what is known of the endpoints.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Upstream,
    balance::{View, slow_start},
    care::seconds,
    endpoint::Endpoint,
    forward::random,
    wish::Wish,
};
use crate::{
    config::model::NoneHealthy,
    error::{Error, Reason},
};

/// The endpoints as the balancer sees them.
struct Seen<'u> {
    upstream: &'u Upstream,
    /// Positions this request has tried.
    tried: &'u [usize],
    /// Whatever is known of them.
    all: bool,
}

impl View for Seen<'_> {
    fn load(&self, at: usize) -> usize {
        self.upstream.endpoints[at].load()
    }

    fn usable(&self, at: usize) -> bool {
        !self.tried.contains(&at) && (self.all || self.upstream.endpoints[at].vitals.is_in())
    }

    fn is_further(&self) -> bool {
        !self.tried.is_empty()
    }

    fn cost(&self, at: usize, in_flight: usize) -> u64 {
        self.upstream.endpoints[at].vitals.cost(in_flight, Instant::now())
    }

    fn is_ramping(&self) -> bool {
        self.upstream.care.is_ramping()
    }

    fn ramp(&self, at: usize) -> u32 {
        let Some(window) = self.upstream.care.slow_start else { return slow_start::FULL };
        self.upstream.endpoints[at].vitals.ramp(window, Instant::now())
    }
}

/// An endpoint that this request has not tried.
pub(super) fn choose<'u>(
    upstream: &'u Arc<Upstream>,
    tried: &[usize],
    wish: Wish,
) -> Result<(&'u Arc<Endpoint>, usize), Error> {
    // Asked first, and not after a choice in vain: that would take every other turn of a round.
    let seen = Seen { upstream, tried, all: uses_all(upstream) };
    let sticky = wish.sticky.filter(|at| upstream.weights[*at] > 0 && seen.usable(*at));
    let at = sticky.or_else(|| upstream.balancer.pick(&seen, wish.key, random()));
    match at {
        Some(at) => Ok((&upstream.endpoints[at], at)),
        None => Err(none(upstream)),
    }
}

/// Whether there is any endpoint to choose, or what a request is told. Takes no turn of a round.
pub(crate) fn possible(upstream: &Upstream) -> Result<(), Error> {
    if has_other(upstream, &[]) { Ok(()) } else { Err(none(upstream)) }
}

/// Whether there is an endpoint that this request has not tried. Takes no turn of a round.
pub(super) fn has_other(upstream: &Upstream, tried: &[usize]) -> bool {
    let seen = Seen { upstream, tried, all: uses_all(upstream) };
    serving(upstream).any(|at| seen.usable(at))
}

/// Whether none is healthy, and all are used then. That a request has tried all healthy ones does
/// not make the others better.
fn uses_all(upstream: &Upstream) -> bool {
    upstream.care.on_none_healthy() == NoneHealthy::UseAll
        && !serving(upstream).any(|at| upstream.endpoints[at].vitals.is_in())
}

/// The positions that have a weight.
fn serving(upstream: &Upstream) -> impl Iterator<Item = usize> {
    let weights = upstream.weights.iter().enumerate();
    weights.filter(|(_, weight)| **weight > 0).map(|(at, _)| at)
}

#[cold]
fn none(upstream: &Upstream) -> Error {
    if upstream.endpoints.iter().all(|endpoint| endpoint.vitals.is_in()) {
        return Error::new(Reason::NoEndpoint, "no endpoint has a weight");
    }
    let again = upstream.care.health.as_ref().map_or_else(Default::default, |health| health.every);
    let detail = format!("no endpoint of {} is healthy", upstream.name);
    Error::new(Reason::NoHealthyEndpoint, detail).header(http::header::RETRY_AFTER, seconds(again))
}
