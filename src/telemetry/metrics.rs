//! The metrics of the process. A request counts through handles its route holds; names and labels
//! are only put together when somebody scrapes.
//!
//! The numbers are our own and `prometheus` sees them through one collector, for two reasons: a
//! request must not pay for looking labels up, and the vectors of `prometheus` 0.14 hash label
//! values without a separator, so that route `a` with upstream `bc` and route `ab` with upstream
//! `c` would be one series.

mod admission;
mod asked;
mod decisions;
mod families;
mod histogram;
mod keys;
mod listener;
mod process;
mod route;
mod stores;
mod upstream;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use prometheus::{
    Registry, TextEncoder,
    core::{Collector, Desc},
    proto,
};
use tokio::time::Instant;

pub(crate) use self::process::open_fds;
pub use self::{
    admission::Limited,
    asked::{Asked, Question},
    decisions::{Decisions, Verdict},
    families::{FAMILIES, Family, Kind},
    keys::KeysMetrics,
    listener::{ConnectionGuard, Cut, Handshake, ListenerMetrics, Protocol},
    route::{MirrorResult, Observation, RouteMetrics},
    stores::{Alone, Degraded, StoreCall, StoreMetrics},
    upstream::{EndpointMetrics, UpstreamMetrics},
};
use self::{families::Scrape, histogram::Buckets};
use crate::{config::model::Name, server::overload::Overload};

/// How long the series of a vanished route stay.
pub const KEEP_VANISHED: Duration = Duration::from_secs(300);

/// All numbers of the process.
#[derive(Debug)]
pub struct Metrics {
    numbers: Arc<Numbers>,
    registry: Registry,
}

/// What is counted, as the collector sees it.
#[derive(Debug)]
struct Numbers {
    routes: RwLock<BTreeMap<Name, Slot>>,
    upstreams: Mutex<BTreeMap<Name, Weak<UpstreamMetrics>>>,
    /// By policy.
    asked: Mutex<BTreeMap<Name, Weak<Asked>>>,
    /// By where they come from.
    keys: Mutex<BTreeMap<Name, Weak<KeysMetrics>>>,
    stores: Mutex<BTreeMap<Name, Weak<StoreMetrics>>>,
    /// By id; only ever grows.
    listeners: ArcSwap<Vec<Arc<ListenerMetrics>>>,
    buckets: ArcSwap<Buckets>,
    config: Mutex<ConfigState>,
    certificates: Mutex<BTreeMap<String, i64>>,
    log_dropped: Arc<AtomicU64>,
    limited: Mutex<Vec<Limited>>,
    overload: Arc<Overload>,
}

#[derive(Debug)]
struct Slot {
    metrics: Arc<RouteMetrics>,
    vanished: Option<Instant>,
}

#[derive(Debug, Default)]
struct ConfigState {
    applied: u64,
    refused: u64,
    last_ok: Option<bool>,
    applied_at: Option<f64>,
    rolled_back: bool,
    /// Files and how many routes they have.
    quarantined: Vec<(String, usize)>,
    /// Hash and version.
    info: Option<(String, String)>,
}

/// Gives the numbers to the registry.
struct Numbered {
    numbers: Arc<Numbers>,
    descs: Vec<Desc>,
}

// === impl Metrics ===

impl Metrics {
    /// Metrics whose duration histograms have these upper bounds, in seconds.
    pub fn new(buckets: &[f64]) -> Self {
        let numbers = Arc::new(Numbers {
            routes: RwLock::default(),
            upstreams: Mutex::default(),
            asked: Mutex::default(),
            keys: Mutex::default(),
            stores: Mutex::default(),
            listeners: ArcSwap::default(),
            buckets: ArcSwap::from_pointee(Buckets::new(buckets)),
            config: Mutex::default(),
            certificates: Mutex::default(),
            log_dropped: Arc::default(),
            limited: Mutex::default(),
            overload: Arc::default(),
        });
        let registry = Registry::new();
        let descs = FAMILIES.iter().map(Family::desc).collect();
        registry
            .register(Box::new(Numbered { numbers: Arc::clone(&numbers), descs }))
            .expect("the table holds every name once, as a test shows");
        Self { numbers, registry }
    }

    /// The registry, for the operator's own layers.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The numbers of a route; the same as long as the route lives.
    pub fn route(&self, name: &Name) -> Arc<RouteMetrics> {
        let mut routes = self.numbers.routes.write();
        let slot = routes.entry(Arc::clone(name)).or_insert_with(|| {
            let buckets = self.numbers.buckets.load_full();
            Slot { metrics: Arc::new(RouteMetrics::new(Arc::clone(name), buckets)), vanished: None }
        });
        Arc::clone(&slot.metrics)
    }

    /// Removes the series of routes that are not among `live`, have been missing for
    /// [`KEEP_VANISHED`] and have no request left. To be called after a reload and now and then.
    pub fn retain_routes(&self, live: &BTreeSet<Name>, now: Instant) {
        self.numbers.routes.write().retain(|name, slot| {
            if live.contains(name) {
                slot.vanished = None;
                return true;
            }
            let since = *slot.vanished.get_or_insert(now);
            now.saturating_duration_since(since) < KEEP_VANISHED
                || Arc::strong_count(&slot.metrics) > 1
        });
    }

    /// The numbers of an upstream; the same as long as somebody holds them.
    pub fn upstream(&self, name: &Name) -> Arc<UpstreamMetrics> {
        let mut upstreams = self.numbers.upstreams.lock();
        upstreams.retain(|_, known| known.strong_count() > 0);
        if let Some(known) = upstreams.get(name).and_then(Weak::upgrade) {
            return known;
        }
        let new = Arc::new(UpstreamMetrics::new(Arc::clone(name)));
        upstreams.insert(Arc::clone(name), Arc::downgrade(&new));
        new
    }

    /// The questions of a policy; the same as long as somebody holds them.
    pub fn asked(&self, policy: &Name) -> Arc<Asked> {
        let mut asked = self.numbers.asked.lock();
        asked.retain(|_, known| known.strong_count() > 0);
        if let Some(known) = asked.get(policy).and_then(Weak::upgrade) {
            return known;
        }
        let new = Arc::new(Asked::new(Arc::clone(policy)));
        asked.insert(Arc::clone(policy), Arc::downgrade(&new));
        new
    }

    /// The numbers of the keys from there; the same as long as somebody holds them.
    pub fn keys(&self, source: &Name) -> Arc<KeysMetrics> {
        let mut keys = self.numbers.keys.lock();
        keys.retain(|_, known| known.strong_count() > 0);
        if let Some(known) = keys.get(source).and_then(Weak::upgrade) {
            return known;
        }
        let new = Arc::new(KeysMetrics::new(Arc::clone(source)));
        keys.insert(Arc::clone(source), Arc::downgrade(&new));
        new
    }

    /// The numbers of a store; the same as long as somebody holds them.
    pub fn store(&self, name: &Name) -> Arc<StoreMetrics> {
        let mut stores = self.numbers.stores.lock();
        stores.retain(|_, known| known.strong_count() > 0);
        if let Some(known) = stores.get(name).and_then(Weak::upgrade) {
            return known;
        }
        let new = Arc::new(StoreMetrics::new(Arc::clone(name)));
        stores.insert(Arc::clone(name), Arc::downgrade(&new));
        new
    }

    /// The numbers of a listener; the same for as long as the process runs.
    pub fn listener(&self, name: &Name) -> Arc<ListenerMetrics> {
        // The map of routes serves as the lock: this is as rare as a reload.
        let _one_at_a_time = self.numbers.routes.write();
        let mut all = Vec::clone(&self.numbers.listeners.load());
        if let Some(found) = all.iter().find(|listener| listener.name() == name) {
            return Arc::clone(found);
        }
        let new = Arc::new(ListenerMetrics::new(Arc::clone(name), all.len()));
        all.push(Arc::clone(&new));
        self.numbers.listeners.store(Arc::new(all));
        new
    }

    /// The numbers of the listener with this id.
    pub(crate) fn listener_of(&self, id: usize) -> Option<Arc<ListenerMetrics>> {
        self.numbers.listeners.load().get(id).cloned()
    }

    /// Other upper bounds for the duration histograms. If they differ, the histograms start again
    /// from nothing, which Prometheus reads like a restart; counters go on.
    pub fn set_buckets(&self, seconds: &[f64]) {
        let buckets = Arc::new(Buckets::new(seconds));
        let routes = self.numbers.routes.write();
        if **self.numbers.buckets.load() == *buckets {
            return;
        }
        self.numbers.buckets.store(Arc::clone(&buckets));
        routes.values().for_each(|slot| slot.metrics.rebucket(&buckets));
    }

    /// A configuration is in use, at the start or by a reload.
    pub fn config_in_use(&self, hash: &str, version: &str) {
        let mut config = self.numbers.config.lock();
        config.last_ok = Some(true);
        config.applied_at =
            SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs_f64());
        config.info = Some((hash.to_owned(), version.to_owned()));
    }

    /// A reload ended; after one that was applied comes [`Metrics::config_in_use`].
    pub fn reloaded(&self, applied: bool) {
        let mut config = self.numbers.config.lock();
        config.last_ok = Some(applied);
        *(if applied { &mut config.applied } else { &mut config.refused }) += 1;
    }

    /// Whether an earlier configuration was put back.
    pub fn rolled_back(&self, back: bool) {
        self.numbers.config.lock().rolled_back = back;
    }

    /// The broken files that are kept apart, and how many routes each has.
    pub fn set_quarantined(&self, quarantined: Vec<(String, usize)>) {
        self.numbers.config.lock().quarantined = quarantined;
    }

    /// When the certificates of these hosts expire, in seconds since 1970.
    pub fn set_certificates(&self, expiries: impl IntoIterator<Item = (String, i64)>) {
        *self.numbers.certificates.lock() = expiries.into_iter().collect();
    }

    /// How much too much there is to do.
    pub(crate) fn overload(&self) -> &Arc<Overload> {
        &self.numbers.overload
    }

    /// The limits on concurrency there are.
    pub fn set_limited(&self, limited: Vec<Limited>) {
        *self.numbers.limited.lock() = limited;
    }

    /// The counter of access log lines that were lost.
    pub fn log_dropped(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.numbers.log_dropped)
    }

    /// Everything in the text format of Prometheus.
    pub fn render(&self) -> String {
        let families = self.registry.gather();
        TextEncoder::new().encode_to_string(&families).unwrap_or_else(|error| {
            // Only a collector of the operator's own can come here.
            tracing::warn!(%error, "metrics cannot be written");
            String::new()
        })
    }
}

// === impl Numbered ===

impl Collector for Numbered {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    #[allow(clippy::cast_precision_loss)] // Prometheus counts in floating point anyway
    fn collect(&self) -> Vec<proto::MetricFamily> {
        let mut out = Scrape::new();
        self.numbers.routes.read().values().for_each(|slot| slot.metrics.scrape(&mut out));
        let upstreams = self.numbers.upstreams.lock().clone();
        upstreams.values().filter_map(Weak::upgrade).for_each(|it| it.scrape(&mut out));
        let asked = self.numbers.asked.lock().clone();
        asked.values().filter_map(Weak::upgrade).for_each(|it| it.scrape(&mut out));
        let keys = self.numbers.keys.lock().clone();
        keys.values().filter_map(Weak::upgrade).for_each(|it| it.scrape(&mut out));
        let stores = self.numbers.stores.lock().clone();
        stores.values().filter_map(Weak::upgrade).for_each(|it| it.scrape(&mut out));
        self.numbers.listeners.load().iter().for_each(|listener| listener.scrape(&mut out));
        self.numbers.config.lock().scrape(&mut out);
        for (host, expiry) in &*self.numbers.certificates.lock() {
            out.gauge(families::CERTIFICATE, &[host], *expiry as f64);
        }
        admission::scrape_overload(&self.numbers.overload, &mut out);
        self.numbers.limited.lock().iter().for_each(|limited| limited.scrape(&mut out));
        let dropped = self.numbers.log_dropped.load(Relaxed);
        out.counter(families::LOG_DROPPED, &[], dropped as f64);
        out.gauge(families::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
        process::scrape(&mut out);
        out.finish()
    }
}

// === impl ConfigState ===

impl ConfigState {
    #[allow(clippy::cast_precision_loss)] // Prometheus counts in floating point anyway
    fn scrape(&self, out: &mut Scrape) {
        out.counter(families::RELOADS, &["applied"], self.applied as f64);
        out.counter(families::RELOADS, &["refused"], self.refused as f64);
        if let Some(ok) = self.last_ok {
            out.gauge(families::RELOAD_OK, &[], f64::from(u8::from(ok)));
        }
        if let Some(at) = self.applied_at {
            out.gauge(families::RELOAD_TIME, &[], at);
        }
        out.gauge(families::ROLLED_BACK, &[], f64::from(u8::from(self.rolled_back)));
        for (file, routes) in &self.quarantined {
            out.gauge(families::QUARANTINED, &[file], *routes as f64);
        }
        if let Some((hash, version)) = &self.info {
            out.gauge(families::CONFIG_INFO, &[hash, version], 1.0);
        }
    }
}
