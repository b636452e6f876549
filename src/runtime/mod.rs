//! What we run on: the compiled route table with a finished stack per route, swapped in whole, and
//! the state that outlives a swap, found by the operator's names.

pub mod candidate;
pub mod compile;
pub mod diff;
pub mod live;
pub mod reload;
mod routes;
mod stack;
mod upstreams;
pub mod watch;

use std::{collections::BTreeMap, convert::Infallible, fmt, path::PathBuf, sync::Arc};

pub use compile::compile;

use crate::{
    config::model::{Config, Name},
    layers::{custom::Registry, shared::SharedService},
    routing::{PathPattern, Table},
    server::{forwarding::Own, gate, material::TlsMaterial},
    telemetry::{access_log::AccessLog, exchange::RouteInfo, metrics::Metrics},
    upstream::{Upstream, dns::Resolver},
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
    pub upstreams: BTreeMap<Name, Arc<Upstream>>,
    /// The access log, if there is one.
    pub access_log: Option<Arc<AccessLog>>,
    /// Certificates for the listeners.
    pub material: TlsMaterial,
    pub(crate) own: Own,
    pub(crate) gate: gate::Rules,
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
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// The operator's own layers.
    pub registry: Registry,
    /// Names of upstreams.
    pub resolver: Resolver,
    /// Signs sticky cookies where the file has no secret for it; made at start.
    pub(crate) secret: Arc<[u8; 32]>,
}

// === impl Runtime ===

impl Runtime {
    /// Where the certificate of the development CA is, if one is in use.
    pub fn dev_ca_cert(&self) -> Option<PathBuf> {
        self.material.dev.as_ref().map(|dev| dev.cert_path().to_owned())
    }

    /// Closes idle upstream connections of a worker that are over their time, and looks after what else
    /// only time changes.
    pub(crate) fn sweep_pools(&self, worker: usize) {
        for upstream in self.upstreams.values() {
            for endpoint in &upstream.endpoints {
                endpoint.pool.sweep(worker);
            }
            upstream.tend();
        }
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
