//! What we run on: the compiled route table with a finished stack per route, swapped in whole, and
//! the state that outlives a swap, found by the operator's names.

mod admission;
mod asked;
mod auth;
pub mod candidate;
pub mod compile;
pub mod diff;
mod discovery;
mod found;
pub mod history;
mod hosts;
mod limits;
pub mod live;
mod logins;
pub mod reload;
mod routes;
mod stack;
mod stores;
mod upstreams;
pub mod watch;

use std::{collections::BTreeMap, convert::Infallible, fmt, path::PathBuf, sync::Arc};

pub use compile::compile;
pub(crate) use stack::rewrite;
pub(crate) use stores::Silence;

use crate::{
    auth::{oidc::logins::Logins, password::Passwords, signature::Nonces},
    config::model::{Config, Name},
    layers::{custom::Registry, shared::SharedService},
    routing::{PathPattern, Table},
    server::{forwarding::Own, gate, material::TlsMaterial},
    telemetry::{
        access_log::AccessLog,
        exchange::RouteInfo,
        metrics::{Limited, Metrics},
    },
    upstream::{Current, dns::Resolver},
};

/// One compiled configuration.
pub struct Runtime {
    /// What it was compiled from.
    pub config: Arc<Config>,
    /// Finds the route of a request.
    pub table: Table<RouteTarget>,
    /// Routes by name, without the disabled ones.
    pub routes: BTreeMap<Name, Arc<RouteEntry>>,
    /// Answers what no route takes and what the gate refuses, through the same outer layers.
    pub builtin: RouteEntry,
    /// Upstreams by name.
    pub upstreams: BTreeMap<Name, Current>,
    /// The access log, if there is one.
    pub access_log: Option<Arc<AccessLog>>,
    /// Certificates for the listeners.
    pub material: TlsMaterial,
    pub(crate) own: Own,
    pub(crate) gate: gate::Rules,
    pub(crate) schemes: auth::Schemes,
    pub(crate) limiters: limits::Limiters,
    pub(crate) stores: stores::Stores,
    pub(crate) places: admission::Places,
}

/// What a branch of the table leads to.
#[derive(Clone, Debug)]
pub struct RouteTarget {
    /// The route.
    pub route: Arc<RouteEntry>,
    /// The pattern, for routes that use what it captures.
    pub(crate) pattern: Option<Arc<PathPattern>>,
}

/// One route, ready to be called.
#[derive(Clone, Debug)]
pub struct RouteEntry {
    /// What records say of it.
    pub info: Arc<RouteInfo>,
    /// Only the innermost service looks at the request's head, and writes our own fields.
    pub(crate) late: bool,
    /// The same of the answer's head.
    pub(crate) late_answer: bool,
    /// Its stack.
    pub(crate) service: SharedService<Infallible>,
}

/// What compiling needs besides the configuration. It is the same for the life of the process.
#[derive(Clone, Debug)]
pub struct Context {
    /// Nothing will run on it: no log file is opened and no development CA is made.
    pub(crate) dry: bool,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// The operator's own layers.
    pub registry: Registry,
    /// Names of upstreams.
    pub resolver: Resolver,
    /// Signs sticky cookies where the file has no secret for it; made at start.
    pub(crate) secret: Arc<[u8; 32]>,
    /// Verifies passwords, off the workers.
    pub(crate) passwords: Arc<Passwords>,
    /// What logins with a browser share.
    pub(crate) logins: Arc<Logins>,
    /// Nonces that were used.
    pub(crate) nonces: Arc<Nonces>,
    /// Keys that issuers publish.
    pub(crate) issuers: Arc<auth::Issuers>,
}

// === impl Runtime ===

impl Runtime {
    /// Where the certificate of the development CA is, if one is in use.
    pub fn dev_ca_cert(&self) -> Option<PathBuf> {
        self.material.dev.as_ref().map(|dev| dev.cert_path().to_owned())
    }

    /// Limits on concurrency, as metrics show them.
    fn limited(&self) -> Vec<Limited> {
        let adaptive = self.config.upstreams.iter().filter(|(_, it)| it.adaptive.is_some());
        let of_upstreams = adaptive.filter_map(|(name, _)| {
            let upstream = self.upstreams.get(name)?.get();
            Some(Limited::new("upstream", Arc::clone(name), &upstream.admission))
        });
        self.places.shown().into_iter().chain(of_upstreams).collect()
    }

    /// Closes idle upstream connections of a worker that are over their time, and looks after what else
    /// only time changes. On that worker.
    pub(crate) fn sweep_pools(&self, worker: usize) {
        for upstream in self.upstreams.values() {
            let upstream = upstream.get();
            for endpoint in &upstream.endpoints {
                endpoint.pool.sweep(worker);
            }
            upstream.tend();
        }
        self.stores.tend(worker);
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("routes", &self.routes.len())
            .field("upstreams", &self.upstreams.len())
            .finish_non_exhaustive()
    }
}
