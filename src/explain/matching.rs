//! Which branch takes a request, which it beats, and which came near.

use super::{
    arrive::Arrived,
    place,
    report::{Near, RankField, Winner},
};
use crate::{
    routing::Found,
    runtime::{RouteTarget, Runtime},
};

/// So many near ones are told.
const NEAR: usize = 3;
/// So many beaten ones are told.
const BEATEN: usize = 10;

/// The winner and why.
pub(super) fn winner(runtime: &Runtime, arrived: &Arrived) -> Option<Winner> {
    let facts = arrived.facts();
    let Found::Match { target, branch } = runtime.table.find(&facts) else { return None };
    let won = &runtime.table.branches()[branch];
    let beaten = runtime.table.beaten(&facts, branch);
    let rank = won.rank_in_words().into_iter();
    Some(Winner {
        name: target.route.info.name.to_string(),
        at: at(runtime, target),
        matched: won.describe(),
        rank: rank.map(|(field, is)| RankField { field: field.to_owned(), is }).collect(),
        fell_through: runtime.table.fell_through(&facts, branch),
        beats_in_all: beaten.len(),
        beats: beaten
            .into_iter()
            .take(BEATEN)
            .map(|it| near_of(runtime, it.target, it.branch, it.lost))
            .collect(),
    })
}

/// The branches that came nearest. Nothing for a request that never got to the table.
pub(super) fn near(runtime: &Runtime, arrived: &Arrived) -> Vec<Near> {
    if !arrived.looked_for {
        return Vec::new();
    }
    let near = runtime.table.nearest(&arrived.facts(), NEAR).into_iter();
    near.map(|it| near_of(runtime, it.target, it.branch, it.difference)).collect()
}

/// What a route wants and did not get, by the branch that came nearest.
pub(super) fn difference(runtime: &Runtime, arrived: &Arrived, route: &str) -> Option<String> {
    if !arrived.looked_for {
        return None;
    }
    let near = runtime.table.nearest(&arrived.facts(), usize::MAX).into_iter();
    let mut of_route = near.filter(|it| *it.target.route.info.name == *route);
    of_route.next().map(|it| it.difference)
}

fn near_of(runtime: &Runtime, target: &RouteTarget, branch: usize, because: String) -> Near {
    Near {
        route: target.route.info.name.to_string(),
        at: at(runtime, target),
        matched: runtime.table.branches()[branch].describe(),
        because,
    }
}

fn at(runtime: &Runtime, target: &RouteTarget) -> Option<String> {
    let route = runtime.config.routes.get(&target.route.info.name)?;
    place(&runtime.config, route.place)
}
