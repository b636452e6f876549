//! Compiles upstreams: endpoints keep their connections and counters as long as what shapes them is
//! the same.

use std::{
    collections::BTreeMap,
    fs,
    hash::{BuildHasher, Hash, Hasher},
    path::Path,
    sync::Arc,
};

use tokio::time::Instant;

use super::{Context, Runtime, found};
use crate::{
    admission::{self, Limiter},
    config::{
        diagnostic::{Diagnostic, Diagnostics},
        model::{self, Adaptive, Balance, Bound, Config, Name, Protocol, Target},
    },
    upstream::{
        Current, Upstream,
        balance::{Balancer, Member},
        breaker::{self, Breaker},
        care::{Care, Learned},
        current::Awaited,
        endpoint::{Endpoint, Shape, TlsClient, Wire},
        health::state::Initial,
        outlier,
        sticky::{self, Sticky},
        tls,
        vitals::Vitals,
        wish::StickyCookie,
    },
};

/// All upstreams of a configuration.
pub(super) fn compile(
    config: &Config,
    previous: Option<&Runtime>,
    context: &Context,
    found: &mut Diagnostics,
) -> BTreeMap<Name, Current> {
    let mut upstreams = BTreeMap::new();
    for (name, settings) in &config.upstreams {
        let before = previous.and_then(|old| Some((old, old.upstreams.get(name)?)));
        let old = before.map(|(_, old)| old.get());
        let compiler = Compiler::new(name, settings, old.as_deref(), context);
        let upstream = match &settings.discover {
            None => Current::Fixed(Arc::new(compiler.upstream(None, found))),
            Some(source) => {
                let known = found::known(source, name, before, found);
                Current::Found(Arc::new(compiler.found(known, before.map(|(_, old)| old), found)))
            }
        };
        upstreams.insert(Arc::clone(name), upstream);
    }
    upstreams
}

/// One upstream while it is compiled.
pub(super) struct Compiler<'c> {
    pub(super) name: &'c Name,
    pub(super) settings: &'c model::Upstream,
    old: Option<&'c Upstream>,
    context: &'c Context,
    now: Instant,
}

impl<'c> Compiler<'c> {
    /// A compiler that takes over what `old` was.
    pub(super) fn new(
        name: &'c Name,
        settings: &'c model::Upstream,
        old: Option<&'c Upstream>,
        context: &'c Context,
    ) -> Self {
        Self { name, settings, old, context, now: Instant::now() }
    }

    /// The same for other settings.
    pub(super) fn of<'s>(&'s self, settings: &'s model::Upstream) -> Compiler<'s> {
        Compiler { settings, ..*self }
    }

    /// The upstream, with those of its endpoints that can be made.
    pub(super) fn upstream(&self, awaited: Option<Awaited>, found: &mut Diagnostics) -> Upstream {
        let settings = self.settings;
        let learned = self.learned();
        let (mut endpoints, mut weights, mut members) = (Vec::new(), Vec::new(), Vec::new());
        for endpoint in &settings.endpoints {
            let Some(compiled) = self.endpoint(endpoint, &learned, found) else { continue };
            endpoints.push(compiled);
            weights.push(endpoint.weight);
            members.push(Member {
                name: &endpoint.url.value,
                weight: endpoint.weight,
                priority: if endpoint.backup { Member::BACKUP } else { endpoint.priority },
            });
        }
        let admission = self.admission();
        let upstream = Upstream {
            name: Arc::clone(self.name),
            balancer: Balancer::new(settings.balance, &members),
            host_header: settings.host_header.clone(),
            connect_timeout: settings.connect_timeout,
            admission,
            care: self.care(&endpoints, learned),
            endpoints,
            weights,
            awaited,
        };
        if self.old.is_none() {
            // Of others it is shown once this has taken their place.
            upstream.show_breaker();
        }
        upstream
    }

    /// Turns taken stay taken, and what was learned of the upstream stays known.
    fn admission(&self) -> Arc<Limiter> {
        let limits = self.settings.limits;
        let bound = match self.settings.adaptive {
            None => Bound::Fixed(limits.requests),
            Some(it) => {
                let (max, min) = (it.max.min(limits.requests), it.min.min(limits.requests));
                Bound::Adaptive(Adaptive { min, max, ..it })
            }
        };
        let settings = admission::Settings { bound, queue: Some(limits.queue) };
        let old = self.old.map(|old| &old.admission).filter(|old| old.settings() == settings);
        old.map_or_else(|| Arc::new(Limiter::new(settings, self.now)), Arc::clone)
    }

    /// What was learned before, whatever the settings are now.
    fn learned(&self) -> Arc<Learned> {
        let new = || Arc::new(Learned::new(self.context.metrics.upstream(self.name), self.now));
        self.old.map_or_else(new, |old| Arc::clone(&old.care.learned))
    }

    fn care(&self, endpoints: &[Arc<Endpoint>], learned: Arc<Learned>) -> Care {
        let settings = self.settings;
        let breaker = settings.breaker.clone().map(|settings| {
            let old = self.old.and_then(|old| old.care.breaker.as_ref());
            let kept = old.filter(|(_, old)| *old == settings).map(|(kept, _)| Arc::clone(kept));
            let new = || Arc::new(Breaker::new(breaker_settings(&settings), self.now));
            (kept.unwrap_or_else(new), settings)
        });
        let by_latency = settings.balance == Balance::PeakEwma;
        Care {
            watches: breaker.is_some()
                || settings.outlier.is_some()
                || settings.hash_on.is_some()
                || settings.sticky.is_some()
                || by_latency,
            breaker,
            outlier: settings.outlier.map(|it| outlier::Settings {
                after: it.after,
                eject_for: it.eject_for,
                max_ejected: it.max_ejected,
            }),
            health: settings.health.clone(),
            slow_start: settings.slow_start,
            hash_on: settings.hash_on.clone(),
            sticky: settings.sticky.as_ref().map(|it| self.sticky(it, endpoints)),
            by_latency,
            learned,
        }
    }

    fn sticky(&self, settings: &model::Sticky, endpoints: &[Arc<Endpoint>]) -> StickyCookie {
        let secret =
            settings.secret.as_deref().map_or(self.context.secret.as_slice(), str::as_bytes);
        let names = endpoints.iter().map(|endpoint| &*endpoint.name);
        StickyCookie {
            name: settings.cookie.clone(),
            life: settings
                .ttl
                .map_or_else(String::new, |ttl| format!("; Max-Age={}", ttl.as_secs())),
            values: Sticky::new(&sticky::key(secret), self.name, names),
        }
    }

    /// What is known of an endpoint, whatever else of it changes.
    fn vitals(&self, name: &Name, learned: &Learned) -> Arc<Vitals> {
        let mut known = self.old.iter().flat_map(|old| &old.endpoints);
        if let Some(known) = known.find(|known| known.name == *name) {
            return Arc::clone(&known.vitals);
        }
        let initial = match self.settings.health.as_ref().map(|health| health.initial) {
            Some(model::Initial::Unhealthy) => Initial::Unhealthy,
            Some(model::Initial::Healthy) | None => Initial::Healthy,
        };
        let vitals = Vitals::new(initial, self.now, learned.metrics.endpoint(name));
        if self.old.is_some_and(|old| !old.endpoints.is_empty()) {
            // The others are warm.
            vitals.is_new(self.now);
            learned.somebody_ramps();
        }
        Arc::new(vitals)
    }

    fn endpoint(
        &self,
        endpoint: &model::Endpoint,
        learned: &Learned,
        found: &mut Diagnostics,
    ) -> Option<Arc<Endpoint>> {
        let settings = self.settings;
        let shape = Shape {
            target: endpoint.target.clone(),
            host: endpoint.host.clone(),
            protocol: Wire::of(endpoint, settings.protocol),
            tls: endpoint.tls.then(|| settings.tls.clone()),
            tls_contents: if endpoint.tls { contents(&settings.tls) } else { 0 },
            connect_timeout: settings.connect_timeout,
            pool: settings.pool,
            limits: settings.limits,
        };
        let name = &endpoint.url.value;
        let same = |old: &&Arc<Endpoint>| old.name == *name && old.shape == shape;
        if let Some(kept) = self.old.and_then(|old| old.endpoints.iter().find(same)) {
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
            Target::Tcp { host, .. } => Some(self.context.resolver.entry(host)),
            Target::Unix(_) => None,
        };
        let vitals = self.vitals(name, learned);
        Some(Arc::new(Endpoint::new(Arc::clone(name), shape, tls, resolved, vitals)))
    }
}

fn breaker_settings(it: &model::Breaker) -> breaker::Settings {
    breaker::Settings {
        errors: it.errors,
        min_requests: it.min_requests,
        window: it.window,
        open_for: it.open_for,
        probes: it.probes,
    }
}

fn tls_client(
    endpoint: &model::Endpoint,
    settings: &model::Upstream,
) -> Result<Option<TlsClient>, Vec<Diagnostic>> {
    if !endpoint.tls {
        return Ok(None);
    }
    let host = match (&endpoint.host, &endpoint.target) {
        (Some(host), _) | (None, Target::Tcp { host, .. }) => host.as_str(),
        (None, Target::Unix(_)) => "localhost",
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
