//! The addresses of the targets of SRV records, for names that only the name server knows which was
//! asked for the records, as it is with Consul. Each address is an endpoint, with the weight and
//! priority of its record, and the name of the target.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use futures_util::future::join_all;

use super::{Set, can_be_connected_to, endpoint};
use crate::{
    config::model::{Endpoint, Scheme, Target},
    upstream::dns::Resolver,
};

/// Names asked for at a time.
const AT_ONCE: usize = 16;

/// The set with addresses instead of names. A target without one is refused; where none has one,
/// that says nothing of the service.
pub(super) async fn resolve(
    set: Set,
    ttl: Duration,
    scheme: Scheme,
    resolver: &Resolver,
) -> Result<(Set, Duration), String> {
    let (mut ttl, mut known, mut last) = (ttl, BTreeMap::new(), None);
    let names: BTreeSet<String> = set.endpoints.iter().filter_map(name).collect();
    let names: Vec<String> = names.into_iter().collect();
    for some in names.chunks(AT_ONCE) {
        let answers = some.iter().map(|name| resolver.addresses(name, true, true));
        for (name, answer) in some.iter().zip(join_all(answers).await) {
            let answer = answer.map(|answer| {
                ttl = ttl.min(answer.ttl);
                answer.records
            });
            known.insert(name.clone(), answer);
        }
    }
    let there_were_some = !set.endpoints.is_empty();
    let mut made = Set { endpoints: Vec::new(), refused: set.refused };
    for record in set.endpoints {
        match name(&record).map(|name| (known.get(&name), name)) {
            None => made.endpoints.push(record),
            Some((Some(Ok(addresses)), name)) => {
                made.endpoints.extend(at(&record, scheme, &name, addresses));
            }
            Some((Some(Err(why)), name)) => {
                last = Some(format!("target `{name}`: {why}"));
                made.refused.extend(last.clone());
            }
            Some((None, _)) => {}
        }
    }
    // Two names may be one machine.
    let mut seen = BTreeSet::new();
    made.endpoints.retain(|it| seen.insert(it.url.value.clone()));
    match last {
        Some(why) if there_were_some && made.endpoints.is_empty() => Err(why),
        _ => Ok((made, ttl)),
    }
}

/// The name to be looked up, if it is one.
fn name(endpoint: &Endpoint) -> Option<String> {
    match &endpoint.target {
        Target::Tcp { host, .. } if host.parse::<IpAddr>().is_err() => Some(host.clone()),
        Target::Tcp { .. } | Target::Unix(_) => None,
    }
}

/// One for each address, with the weight and priority of the record.
fn at(record: &Endpoint, scheme: Scheme, name: &str, addresses: &[IpAddr]) -> Vec<Endpoint> {
    let Target::Tcp { port, .. } = record.target else { return Vec::new() };
    let good: BTreeSet<&IpAddr> = addresses.iter().filter(|ip| can_be_connected_to(ip)).collect();
    let one = |ip: &IpAddr| Endpoint {
        weight: record.weight,
        priority: record.priority,
        host: Some(name.to_owned()),
        ..endpoint(scheme, ip.to_string(), port)
    };
    good.into_iter().map(one).collect()
}
