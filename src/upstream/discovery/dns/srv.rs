//! SRV records as endpoints (RFC 2782): priorities become ranks, weights are scaled into ours.

use std::collections::{BTreeMap, HashMap};

use super::endpoint;
use crate::{
    config::model::{Endpoint, Scheme},
    upstream::{discovery::Set, dns::Service},
};

/// The last rank an endpoint can have, and the largest weight.
const LAST_RANK: u32 = 100;
const HEAVIEST: u64 = 1000;

/// A record that is an endpoint.
struct Good {
    service: Service,
    /// Of all records for the same port of the same host.
    weight: u64,
}

/// Endpoints in the order in which they are used.
pub(super) fn endpoints(mut records: Vec<Service>, scheme: Scheme) -> Result<Set, String> {
    if let [Service { target, .. }] = &records[..]
        && target.is_empty()
    {
        // "A Target of '.' means that the service is decidedly not available at this domain."
        return Ok(Set::default());
    }
    let order = |s: &Service| (s.priority, s.target.clone(), s.port, s.weight);
    records.sort_by_cached_key(order);
    let (good, refused) = judge(records);
    if let (true, Some(first)) = (good.is_empty(), refused.first()) {
        return Err(first.clone());
    }
    let priorities: Vec<u16> = good.iter().map(|good| good.service.priority).collect();
    let mut ranked: BTreeMap<u32, Vec<Good>> = BTreeMap::new();
    for (good, rank) in good.into_iter().zip(ranks(&priorities)) {
        ranked.entry(rank).or_default().push(good);
    }
    let mut endpoints = Vec::new();
    for (priority, group) in ranked {
        let weights: Vec<u64> = group.iter().map(|good| good.weight).collect();
        for (good, weight) in group.into_iter().zip(scaled(&weights)) {
            let plain = endpoint(scheme, good.service.target, good.service.port);
            endpoints.push(Endpoint { weight, priority, ..plain });
        }
    }
    Ok(Set { endpoints, refused })
}

/// Records sorted by priority, those of one endpoint made one. What is used first counts: a second
/// record adds its weight where it has the same priority.
fn judge(records: Vec<Service>) -> (Vec<Good>, Vec<String>) {
    let mut good: Vec<Good> = Vec::with_capacity(records.len());
    let mut refused = Vec::new();
    let mut known: HashMap<(String, u16), usize> = HashMap::with_capacity(records.len());
    for service in records {
        let Service { priority, weight, port, target } = &service;
        let shown = format!("`{priority} {weight} {port} {target}.`");
        if let Some(why) = wrong(target, *port) {
            refused.push(format!("{shown}: {why}"));
            continue;
        }
        let index = *known.entry((target.clone(), *port)).or_insert(good.len());
        match good.get_mut(index) {
            Some(first) if first.service.priority == *priority => {
                refused.push(format!("{shown}: this port of this host again, weights are added"));
                first.weight += u64::from(*weight);
            }
            Some(first) => {
                let before = first.service.priority;
                refused.push(format!("{shown}: it has the priority {before} already"));
            }
            None => good.push(Good { weight: u64::from(*weight), service }),
        }
    }
    (good, refused)
}

/// Why a record is no endpoint.
fn wrong(target: &str, port: u16) -> Option<&'static str> {
    let character = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if target.is_empty() {
        Some("the root is no host")
    } else if !target.chars().all(character) {
        Some("it is not the name of a host")
    } else if port == 0 {
        Some("port 0 is no port")
    } else {
        None
    }
}

/// Priorities in ascending order as 0, 1, 2 … without gaps; what is beyond the last rank shares it.
fn ranks(priorities: &[u16]) -> Vec<u32> {
    let mut rank = 0;
    let mut ranks = Vec::with_capacity(priorities.len());
    for (index, priority) in priorities.iter().enumerate() {
        if index > 0 && priorities[index - 1] != *priority {
            rank = (rank + 1).min(LAST_RANK);
        }
        ranks.push(rank);
    }
    ranks
}

/// Weights of one rank as whole numbers from 1 to 1000 in the same ratios: exactly where such
/// numbers exist, otherwise each within 1/2000 of the largest. A weight of 0 among others is the
/// smallest there is ("a very small chance of being selected").
fn scaled(weights: &[u64]) -> Vec<u32> {
    let most = weights.iter().copied().max().unwrap_or_default();
    let shared = weights.iter().copied().fold(0, gcd);
    if most == 0 {
        return vec![1; weights.len()];
    }
    let zero = weights.contains(&0);
    let (times, by) = if most / shared > HEAVIEST {
        (HEAVIEST, most)
    } else if zero {
        // As far from 0 as can be.
        (HEAVIEST / (most / shared), shared)
    } else if most > HEAVIEST {
        (1, shared)
    } else {
        (1, 1)
    };
    let scale = |weight: u64| ((weight * times + by / 2) / by).clamp(1, HEAVIEST);
    weights.iter().map(|weight| u32::try_from(scale(*weight)).unwrap_or(1)).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests;
