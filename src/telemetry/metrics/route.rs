//! What is counted of one route. The series of a request (listener, upstream, method, code) are
//! looked up in a short sorted list that is copied when a series is seen for the first time; after
//! that a request only adds to numbers it finds there.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use http::Method;
use parking_lot::Mutex;

use super::{
    admission::Sheds,
    decisions::Decisions,
    families::{self, Scrape},
    histogram::{Buckets, Histogram},
};
use crate::{
    config::model::{Class, Name},
    error::Reason,
};

/// Names of methods as labels; what a client invents is `other`.
const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "other"];

/// Names of classes of status codes as labels.
const CLASSES: [&str; 10] = ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx", "6xx", "7xx", "8xx", "9xx"];

/// A finished request, as the metrics see it.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// Name of the listener.
    pub listener: &'a Name,
    /// Its id, see [`super::Metrics::listener`].
    pub listener_id: usize,
    /// Upstream chosen.
    pub upstream: Option<&'a Name>,
    /// Method as received.
    pub method: &'a Method,
    /// Status sent.
    pub status: u16,
    /// From the request's head to the response's end.
    pub total: Duration,
    /// The part of it that was ours.
    pub gateway: Duration,
    /// The upstream's part of it.
    pub upstream_time: Option<Duration>,
    /// Bytes of request body.
    pub bytes_in: u64,
    /// Bytes of response body.
    pub bytes_out: u64,
    /// Why the gateway failed it.
    pub reason: Option<Reason>,
    /// When it ended, in seconds since 1970.
    pub ended: u64,
}

/// The numbers of one route.
#[derive(Debug)]
pub struct RouteMetrics {
    name: Name,
    table: ArcSwap<Table>,
    /// Held while a new table is made.
    grow: Mutex<()>,
    errors: [AtomicU64; Reason::ALL.len()],
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    last_request: AtomicU64,
    /// Further tries by upstream and cause: rare enough for a lock.
    retries: Mutex<BTreeMap<(Name, &'static str), u64>>,
    budget_exhausted: AtomicU64,
    /// By result.
    mirrored: [AtomicU64; MirrorResult::WORDS.len()],
    /// By what differs.
    compared: Mutex<BTreeMap<&'static str, u64>>,
    shed: Sheds,
    /// By kind and name of the policy.
    decisions: Mutex<BTreeMap<(&'static str, Name), Arc<Decisions>>>,
}

/// What became of a copy of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MirrorResult {
    /// It was answered, by whatever status.
    Answered,
    /// It could not be sent, or no whole answer came in time.
    Failed,
    /// Too many were under way.
    Overloaded,
    /// The request body was too large to keep.
    BodyTooLarge,
    /// The request body did not end as it should.
    Cut,
}

#[derive(Debug)]
struct Table {
    buckets: Arc<Buckets>,
    gateway: Arc<Histogram>,
    /// Sorted by key.
    rows: Vec<Row>,
}

/// The series one kind of request counts in.
#[derive(Clone, Debug)]
struct Row {
    key: Key,
    listener: Name,
    upstream: Option<Name>,
    requests: Arc<AtomicU64>,
    /// Shared by the rows of one listener, method and class of codes.
    duration: Arc<Histogram>,
    /// Shared by the rows of one upstream and class of codes.
    attempts: Option<Arc<Histogram>>,
}

/// Listener, method and code in one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u64);

// === impl MirrorResult ===

impl MirrorResult {
    const WORDS: [&'static str; 5] =
        ["answered", "failed", "overloaded", "body_too_large", "body_cut"];
}

// === impl RouteMetrics ===

impl RouteMetrics {
    pub(super) fn new(name: Name, buckets: Arc<Buckets>) -> Self {
        Self {
            name,
            table: ArcSwap::from_pointee(Table::new(buckets, Vec::new())),
            grow: Mutex::new(()),
            errors: [const { AtomicU64::new(0) }; Reason::ALL.len()],
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            last_request: AtomicU64::new(0),
            retries: Mutex::default(),
            budget_exhausted: AtomicU64::new(0),
            mirrored: Default::default(),
            compared: Mutex::default(),
            shed: Sheds::default(),
            decisions: Mutex::default(),
        }
    }

    /// Counts a copy.
    pub fn mirrored(&self, result: MirrorResult) {
        self.mirrored[result as usize].fetch_add(1, Relaxed);
    }

    /// Counts a comparison, by what differs first; `none` if nothing does.
    pub fn compared(&self, difference: &'static str) {
        *self.compared.lock().entry(difference).or_default() += 1;
    }

    /// Counts a request that was refused because there was too much to do.
    pub fn shed(&self, class: Class, why: &'static str) {
        self.shed.count(class, why);
    }

    /// What a policy of this kind has decided here; the same over reloads.
    pub fn decisions(&self, kind: &'static str, policy: &Name) -> Arc<Decisions> {
        Arc::clone(self.decisions.lock().entry((kind, Arc::clone(policy))).or_default())
    }

    /// Counts a further try, by the word for what failed before.
    pub fn retried(&self, upstream: &Name, reason: &'static str) {
        *self.retries.lock().entry((Arc::clone(upstream), reason)).or_default() += 1;
    }

    /// Counts a further try that the budget did not allow.
    pub fn budget_exhausted(&self) {
        self.budget_exhausted.fetch_add(1, Relaxed);
    }

    /// Counts a finished request.
    pub fn record(&self, seen: &Observation<'_>) {
        let key = Key::of(seen);
        let table = self.table.load();
        match table.find(key, seen.upstream) {
            Some(row) => row.count(&table.gateway, seen),
            None => self.grow(key, seen),
        }
        if let Some(reason) = seen.reason {
            self.errors[reason as usize].fetch_add(1, Relaxed);
        }
        if seen.bytes_in > 0 {
            self.bytes_in.fetch_add(seen.bytes_in, Relaxed);
        }
        if seen.bytes_out > 0 {
            self.bytes_out.fetch_add(seen.bytes_out, Relaxed);
        }
        // Only once a second, so that workers do not fight for the cache line.
        if self.last_request.load(Relaxed) != seen.ended {
            self.last_request.store(seen.ended, Relaxed);
        }
    }

    /// Counts the first request of its kind.
    #[cold]
    fn grow(&self, key: Key, seen: &Observation<'_>) {
        let _one_at_a_time = self.grow.lock();
        let mut table = self.table.load_full();
        if table.find(key, seen.upstream).is_none() {
            let mut rows = table.rows.clone();
            let row = table.row(key, seen);
            rows.insert(rows.partition_point(|r| r.key <= key), row);
            let buckets = Arc::clone(&table.buckets);
            table = Arc::new(Table { buckets, gateway: Arc::clone(&table.gateway), rows });
            self.table.store(Arc::clone(&table));
        }
        if let Some(row) = table.find(key, seen.upstream) {
            row.count(&table.gateway, seen);
        }
    }

    /// Empty histograms with new buckets; counters go on.
    pub(super) fn rebucket(&self, buckets: &Arc<Buckets>) {
        let _one_at_a_time = self.grow.lock();
        let old = self.table.load();
        let mut table = Table::new(Arc::clone(buckets), Vec::with_capacity(old.rows.len()));
        for row in &old.rows {
            let duration = table.duration(row.key, &row.listener);
            let attempts = row.upstream.as_ref().map(|name| table.attempts(row.key, name));
            table.rows.push(Row { duration, attempts, ..row.clone() });
        }
        self.table.store(Arc::new(table));
    }

    pub(super) fn scrape(&self, out: &mut Scrape) {
        let route = &*self.name;
        let table = self.table.load();
        let mut seen: Vec<*const Histogram> = Vec::new();
        let mut first = |histogram: &Arc<Histogram>| {
            let new = !seen.contains(&Arc::as_ptr(histogram));
            seen.push(Arc::as_ptr(histogram));
            new
        };
        for (word, count) in MirrorResult::WORDS.iter().zip(&self.mirrored) {
            let count = count.load(Relaxed);
            if count > 0 {
                out.counter(families::MIRRORED, &[route, word], count as f64);
            }
        }
        for (difference, count) in &*self.compared.lock() {
            out.counter(families::COMPARED, &[route, difference], *count as f64);
        }
        self.shed.scrape(route, out);
        for ((kind, policy), decisions) in &*self.decisions.lock() {
            decisions.scrape([route, kind, policy], out);
        }
        for ((upstream, reason), count) in &*self.retries.lock() {
            out.counter(families::RETRIES, &[route, upstream, reason], *count as f64);
        }
        let exhausted = self.budget_exhausted.load(Relaxed);
        if exhausted > 0 {
            out.counter(families::BUDGET_EXHAUSTED, &[route], exhausted as f64);
        }
        for row in &table.rows {
            let (method, class) = (METHODS[row.key.method()], CLASSES[row.key.class()]);
            let upstream = row.upstream.as_deref().unwrap_or_default();
            let code = row.key.code().to_string();
            let labels = [&*row.listener, route, upstream, method, &code];
            out.counter(families::REQUESTS, &labels, float(&row.requests));
            if let (true, Some(value)) = (first(&row.duration), row.duration.proto()) {
                out.histogram(families::DURATION, &[&row.listener, route, method, class], value);
            }
            let Some(attempts) = &row.attempts else { continue };
            if let (true, Some(value)) = (first(attempts), attempts.proto()) {
                out.histogram(families::UPSTREAM_DURATION, &[route, upstream, class], value);
            }
        }
        if let Some(value) = table.gateway.proto() {
            out.histogram(families::GATEWAY_DURATION, &[route], value);
            out.counter(families::REQUEST_BYTES, &[route], float(&self.bytes_in));
            out.counter(families::RESPONSE_BYTES, &[route], float(&self.bytes_out));
        }
        out.gauge(families::LAST_REQUEST, &[route], float(&self.last_request));
        for (reason, count) in Reason::ALL.iter().zip(&self.errors) {
            if count.load(Relaxed) > 0 {
                out.counter(families::ERRORS, &[route, reason.word()], float(count));
            }
        }
    }
}

// === impl Table ===

impl Table {
    fn new(buckets: Arc<Buckets>, rows: Vec<Row>) -> Self {
        let gateway = Arc::new(Histogram::new(Arc::clone(&buckets)));
        Self { buckets, gateway, rows }
    }

    fn find(&self, key: Key, upstream: Option<&Name>) -> Option<&Row> {
        let from = self.rows.partition_point(|row| row.key < key);
        let same = self.rows[from..].iter().take_while(|row| row.key == key);
        same.into_iter().find(|row| match (&row.upstream, upstream) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a == b,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        })
    }

    fn row(&self, key: Key, seen: &Observation<'_>) -> Row {
        Row {
            key,
            listener: Arc::clone(seen.listener),
            upstream: seen.upstream.cloned(),
            requests: Arc::new(AtomicU64::new(0)),
            duration: self.duration(key, seen.listener),
            attempts: seen.upstream.map(|name| self.attempts(key, name)),
        }
    }

    /// The histogram the rows of this listener, method and class share.
    fn duration(&self, key: Key, listener: &Name) -> Arc<Histogram> {
        let kin = |row: &&Row| {
            row.listener == *listener
                && (row.key.method(), row.key.class()) == (key.method(), key.class())
        };
        let found = self.rows.iter().find(kin).map(|row| Arc::clone(&row.duration));
        found.unwrap_or_else(|| Arc::new(Histogram::new(Arc::clone(&self.buckets))))
    }

    /// The histogram the rows of this upstream and class share.
    fn attempts(&self, key: Key, upstream: &Name) -> Arc<Histogram> {
        let kin =
            |row: &&Row| row.upstream.as_ref() == Some(upstream) && row.key.class() == key.class();
        let found = self.rows.iter().find(kin).and_then(|row| row.attempts.clone());
        found.unwrap_or_else(|| Arc::new(Histogram::new(Arc::clone(&self.buckets))))
    }
}

// === impl Row ===

impl Row {
    fn count(&self, gateway: &Histogram, seen: &Observation<'_>) {
        self.requests.fetch_add(1, Relaxed);
        self.duration.observe(seen.total);
        gateway.observe(seen.gateway);
        if let (Some(attempts), Some(time)) = (&self.attempts, seen.upstream_time) {
            attempts.observe(time);
        }
    }
}

// === impl Key ===

impl Key {
    fn of(seen: &Observation<'_>) -> Self {
        let method = match *seen.method {
            Method::GET => 0,
            Method::HEAD => 1,
            Method::POST => 2,
            Method::PUT => 3,
            Method::DELETE => 4,
            Method::CONNECT => 5,
            Method::OPTIONS => 6,
            Method::TRACE => 7,
            Method::PATCH => 8,
            _ => 9,
        };
        Self((seen.listener_id as u64) << 32 | method << 16 | u64::from(seen.status.min(999)))
    }

    fn method(self) -> usize {
        (self.0 >> 16 & 0xffff) as usize
    }

    fn code(self) -> u64 {
        self.0 & 0xffff
    }

    fn class(self) -> usize {
        (self.code() / 100) as usize
    }
}

#[allow(clippy::cast_precision_loss)] // Prometheus counts in floating point anyway
fn float(value: &AtomicU64) -> f64 {
    value.load(Relaxed) as f64
}
