//! Compiles upstreams: endpoints keep their connections and counters as long as what shapes them is
//! the same.

use std::{
    collections::BTreeMap,
    fs,
    hash::{BuildHasher, Hash, Hasher},
    path::Path,
    sync::Arc,
};

use super::Runtime;
use crate::{
    config::{
        diagnostic::{Diagnostic, Diagnostics},
        model::{self, Config, Name, Protocol, Target},
    },
    upstream::{
        Admission, Upstream,
        balance::{Balancer, Member},
        dns::Resolver,
        endpoint::{Endpoint, Shape, TlsClient, Wire},
        tls,
    },
};

/// All upstreams of a configuration.
pub(super) fn compile(
    config: &Config,
    previous: Option<&Runtime>,
    resolver: &Resolver,
    found: &mut Diagnostics,
) -> BTreeMap<Name, Arc<Upstream>> {
    let mut upstreams = BTreeMap::new();
    for (name, settings) in &config.upstreams {
        let old = previous.and_then(|old| old.upstreams.get(name));
        let upstream = compile_one(name, settings, old, resolver, found);
        upstreams.insert(Arc::clone(name), Arc::new(upstream));
    }
    upstreams
}

fn compile_one(
    name: &Name,
    settings: &model::Upstream,
    old: Option<&Arc<Upstream>>,
    resolver: &Resolver,
    found: &mut Diagnostics,
) -> Upstream {
    let mut endpoints = Vec::new();
    let mut members = Vec::new();
    for endpoint in &settings.endpoints {
        if let Some(compiled) = compile_endpoint(endpoint, settings, old, resolver, found) {
            endpoints.push(compiled);
            members.push(Member {
                name: &endpoint.url.value,
                weight: endpoint.weight,
                priority: if endpoint.backup { Member::BACKUP } else { 0 },
            });
        }
    }
    let limits = settings.limits;
    let admission = old
        .map(|old| &old.admission)
        .filter(|old| old.requests == limits.requests && old.queue == limits.queue)
        .map_or_else(|| Arc::new(Admission::new(limits.requests, limits.queue)), Arc::clone);
    Upstream {
        name: Arc::clone(name),
        endpoints,
        balancer: Balancer::new(settings.balance, &members),
        host_header: settings.host_header.clone(),
        connect_timeout: settings.connect_timeout,
        admission,
    }
}

fn compile_endpoint(
    endpoint: &model::Endpoint,
    settings: &model::Upstream,
    old: Option<&Arc<Upstream>>,
    resolver: &Resolver,
    found: &mut Diagnostics,
) -> Option<Arc<Endpoint>> {
    let shape = Shape {
        target: endpoint.target.clone(),
        protocol: Wire::of(endpoint, settings.protocol),
        tls: endpoint.tls.then(|| settings.tls.clone()),
        tls_contents: if endpoint.tls { contents(&settings.tls) } else { 0 },
        connect_timeout: settings.connect_timeout,
        pool: settings.pool,
        limits: settings.limits,
    };
    let same = |old: &&Arc<Endpoint>| old.name == endpoint.url.value && old.shape == shape;
    if let Some(kept) = old.and_then(|old| old.endpoints.iter().find(same)) {
        return Some(Arc::clone(kept));
    }
    let tls = match tls_client(endpoint, settings) {
        Ok(tls) => tls,
        Err(problems) => {
            found.items.extend(problems);
            return None;
        }
    };
    let resolved = match &endpoint.target {
        Target::Tcp { host, .. } => Some(resolver.entry(host)),
        Target::Unix(_) => None,
    };
    Some(Arc::new(Endpoint::new(Arc::clone(&endpoint.url.value), shape, tls, resolved)))
}

fn tls_client(
    endpoint: &model::Endpoint,
    settings: &model::Upstream,
) -> Result<Option<TlsClient>, Vec<Diagnostic>> {
    if !endpoint.tls {
        return Ok(None);
    }
    let host = match &endpoint.target {
        Target::Tcp { host, .. } => host.as_str(),
        Target::Unix(_) => "localhost",
    };
    Ok(Some(TlsClient {
        config: tls::client_config(&settings.tls, settings.protocol)?,
        h1_config: tls::client_config(&settings.tls, Protocol::H1)?,
        server_name: tls::server_name(host, &settings.tls).map_err(|_| {
            let message = "this is no name a certificate can be checked against";
            vec![Diagnostic::error(endpoint.url.place, message).help("write `tls.server_name`")]
        })?,
    }))
}

/// Identity of the TLS files of an upstream, so that new contents make new connections.
fn contents(tls: &model::UpstreamTls) -> u64 {
    let mut hasher = ahash::RandomState::with_seeds(1, 2, 3, 4).build_hasher();
    let files = tls.ca.iter().chain(tls.client.iter().flat_map(|(cert, key)| [cert, key]));
    for file in files {
        read(&file.value).hash(&mut hasher);
    }
    hasher.finish()
}

fn read(path: &Path) -> Option<Vec<u8>> {
    fs::read(path).ok()
}
