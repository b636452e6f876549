//! Endpoints that are records of a name: its addresses, or its SRV records. Asked for again when
//! the records say so. An answer is taken whole or not at all: what is gone from it is gone from
//! the upstream.

use std::{net::IpAddr, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{Failure, Set, Source};
use crate::{
    config::{
        diagnostic::Place,
        model::{DiscoverDns, Endpoint, Located, Records, Scheme, Target},
    },
    upstream::dns::{Resolver, bounded, jitter},
};

mod srv;
mod targets;

/// More records are a mistake, or an attack.
const MOST: usize = 10_000;

/// The records of one name.
#[derive(Debug)]
pub(crate) struct Dns {
    settings: DiscoverDns,
    resolver: Result<Resolver, String>,
    /// When the records are asked for again; `None` is at once.
    due: Option<Instant>,
}

// === impl Dns ===

impl Dns {
    pub(crate) fn new(settings: &DiscoverDns, resolver: &Resolver) -> Self {
        let resolver = match settings.server {
            Some(server) => resolver.only(server).map_err(|error| error.to_string()),
            None => Ok(resolver.clone()),
        };
        Self { settings: settings.clone(), resolver, due: None }
    }

    async fn ask(&self) -> Result<(Set, Duration), String> {
        let DiscoverDns { name, scheme, .. } = &self.settings;
        let resolver = self.resolver.as_ref().map_err(Clone::clone)?;
        Ok(match self.settings.records {
            Records::Addresses { v4, v6, port } => {
                let found = resolver.addresses(name, v4, v6).await?;
                within(found.records.len())?;
                (addresses(found.records, name, *scheme, port)?, found.ttl)
            }
            Records::Srv => {
                let found = resolver.services(name).await?;
                within(found.records.len())?;
                let set = srv::endpoints(found.records, *scheme)?;
                match self.settings.server {
                    Some(_) => targets::resolve(set, found.ttl, *scheme, resolver).await?,
                    // As any host name of an endpoint, when it is connected to.
                    None => (set, found.ttl),
                }
            }
        })
    }

    /// What was asked, of whom, and what came of it.
    fn failure(&self, why: &str) -> Failure {
        let what = match self.settings.records {
            Records::Addresses { v4: true, v6: true, .. } => "A and AAAA",
            Records::Addresses { v4: true, .. } => "A",
            Records::Addresses { .. } => "AAAA",
            Records::Srv => "SRV",
        };
        let server = self.settings.server.map(|server| format!(", asked of {server}"));
        let server = server.unwrap_or_default();
        Failure(format!("{what} of `{}`{server}: {why}", self.settings.name))
    }
}

impl Source for Dns {
    async fn next(&mut self) -> Result<Set, Failure> {
        if let Some(due) = self.due {
            sleep_until(due).await;
        }
        // Until there is an answer: a call that is given up, or fails, is made up for at once.
        self.due = None;
        let (set, ttl) = self.ask().await.map_err(|why| self.failure(&why))?;
        let wait = self.settings.refresh.unwrap_or_else(|| bounded(ttl));
        self.due = Some(Instant::now() + jitter(wait));
        Ok(set)
    }
}

fn within(records: usize) -> Result<(), String> {
    if records > MOST {
        return Err(format!("{records} records, more than {MOST}"));
    }
    Ok(())
}

/// Each address once, in order.
fn addresses(mut found: Vec<IpAddr>, name: &str, scheme: Scheme, port: u16) -> Result<Set, String> {
    found.sort_unstable();
    found.dedup();
    let (good, bad): (Vec<IpAddr>, Vec<IpAddr>) = found.into_iter().partition(can_be_connected_to);
    let refused: Vec<_> =
        bad.iter().map(|ip| format!("{ip} is no address of one service")).collect();
    // What a resolver says that blocks a name, for example. Not that the service is gone.
    if let (true, Some(first)) = (good.is_empty(), refused.first()) {
        return Err(first.clone());
    }
    let endpoint = |ip: IpAddr| {
        let host = Some(name.trim_end_matches('.').to_ascii_lowercase());
        Endpoint { host, ..endpoint(scheme, ip.to_string(), port) }
    };
    Ok(Set { endpoints: good.into_iter().map(endpoint).collect(), refused })
}

fn can_be_connected_to(ip: &IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast() && *ip != std::net::Ipv4Addr::BROADCAST
}

/// As it would be written, with the weight and priority of one that says nothing of them. `host` is
/// a name in lower case or an address, without brackets.
fn endpoint(scheme: Scheme, host: String, port: u16) -> Endpoint {
    let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let url = format!("{}://{shown}:{port}", scheme.as_str()).into();
    Endpoint {
        url: Located { value: url, place: Place::default() },
        tls: scheme == Scheme::Https,
        h2c: scheme == Scheme::H2c,
        target: Target::Tcp { host, port },
        weight: 1,
        backup: false,
        priority: 0,
        host: None,
    }
}

#[cfg(test)]
mod tests;
