//! From socket to request: listeners, TLS, connections, workers.

pub(crate) mod accept;
pub mod certs;
pub mod client;
pub(crate) mod client_addr;
pub(crate) mod connection;
pub mod dev_ca;
pub(crate) mod farewell;
pub(crate) mod forwarding;
pub(crate) mod frames;
pub(crate) mod gate;
#[doc(hidden)]
pub mod gate_bench;
pub(crate) mod http1;
pub mod limits;
pub(crate) mod linger;
pub mod listener;
pub mod material;
pub(crate) mod overload;
pub mod peer;
pub(crate) mod registry;
pub(crate) mod scan;
pub(crate) mod shares;
pub mod signals;
pub(crate) mod streams;
pub mod systemd;
pub mod tls;
pub mod trust;
pub(crate) mod wire;
pub(crate) mod worker;

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{Arc, atomic::Ordering},
};

use parking_lot::Mutex;

use self::{
    listener::{Listener, Sockets},
    material::TlsMaterial,
    systemd::InheritedFds,
    worker::Worker,
};
use crate::{
    config::{
        diagnostic::{Diagnostic, Diagnostics},
        model::{self, Config, ListenerTls, Name},
    },
    gateway::Gateway,
    telemetry::metrics::Metrics,
};

/// The workers and their listeners.
pub struct Server {
    workers: Mutex<Vec<Worker>>,
    count: usize,
    metrics: Arc<Metrics>,
    listeners: Arc<Mutex<Listeners>>,
}

/// How full the listeners are, for who watches that.
pub(crate) struct Fullness(Arc<Mutex<Listeners>>);

#[derive(Default)]
struct Listeners {
    by_name: BTreeMap<Name, Arc<Listener>>,
}

/// Listeners that are bound and do not accept yet.
pub struct Prepared {
    fresh: Vec<(Arc<Listener>, Sockets)>,
    kept: Vec<(Arc<Listener>, model::Listener)>,
    material: TlsMaterial,
}

// === impl Server ===

impl Server {
    /// Starts the workers.
    pub fn start(
        gateway: &Arc<Gateway>,
        workers: usize,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let threads: io::Result<Vec<_>> =
            (0..workers).map(|index| Worker::start(index, gateway, metrics.overload())).collect();
        Ok(Self {
            workers: Mutex::new(threads?),
            count: workers,
            metrics,
            listeners: Arc::default(),
        })
    }

    /// Says how many workers there will be; pools are sharded by it, so it comes before `compile`.
    pub fn plan_workers(count: usize) {
        worker::set_shards(count);
    }

    /// Binds what `config` asks for and is not bound yet. Nothing is accepted and nothing changes
    /// until [`Self::commit`].
    ///
    /// # Errors
    /// An address that cannot be bound, with its place.
    pub fn prepare(
        &self,
        config: &Config,
        material: TlsMaterial,
        inherited: &InheritedFds,
    ) -> Result<Prepared, Diagnostics> {
        let mut prepared = Prepared { fresh: Vec::new(), kept: Vec::new(), material };
        let mut problems = Diagnostics::default();
        let listeners = self.listeners.lock();
        for (name, settings) in &config.listeners {
            if let Some(listener) =
                listeners.by_name.get(name).filter(|old| can_stay(old, settings, config))
            {
                prepared.kept.push((Arc::clone(listener), settings.clone()));
                continue;
            }
            // The same address in another TLS mode is bound beside the old sockets.
            let ours = listeners.by_name.values().any(|old| old.address == settings.address.value);
            match listener::bind(&settings.address.value, self.count, ours, inherited) {
                Ok(sockets) => {
                    let tls = prepared.material.terminator(name, settings, &config.tls);
                    let listener = Listener::new(
                        Arc::clone(name),
                        settings.clone(),
                        &sockets,
                        tls,
                        &self.metrics,
                    );
                    prepared.fresh.push((Arc::new(listener), sockets));
                }
                Err(error) => problems.push(cannot_bind(name, settings, &error)),
            }
        }
        if problems.has_errors() { Err(problems) } else { Ok(prepared) }
    }

    /// Accepts on what was prepared and drains what is gone.
    pub fn commit(&self, prepared: Prepared) {
        let mut listeners = self.listeners.lock();
        let (mut now, mut distrusted) = (BTreeMap::new(), Vec::new());
        for (listener, settings) in prepared.kept {
            if let Some(terminator) = &listener.tls
                && prepared.material.update(&listener.name, terminator)
            {
                distrusted.push(Arc::clone(&listener));
            }
            listener.update(settings);
            now.insert(Arc::clone(&listener.name), listener);
        }
        let workers = self.workers.lock();
        // Whoever is let in by other rules now has to come in again.
        for listener in &distrusted {
            workers.iter().for_each(|worker| worker.drain(Some(listener)));
        }
        for (listener, sockets) in prepared.fresh {
            for (worker, socket) in workers.iter().zip(sockets.sockets) {
                worker.accept(socket, Arc::clone(&listener));
            }
            now.insert(Arc::clone(&listener.name), listener);
        }
        let before = std::mem::replace(&mut listeners.by_name, now);
        for old in before.values() {
            let stays = listeners.by_name.values().any(|new| Arc::ptr_eq(new, old));
            if !stays {
                old.close();
                workers.iter().for_each(|worker| worker.drain(Some(old)));
            }
        }
        let secure = listeners.by_name.values().find(|listener| listener.tls.is_some());
        let port = secure.map_or(443, |listener| listener.port);
        for listener in listeners.by_name.values() {
            listener.redirect_port.store(port, Ordering::Relaxed);
        }
    }

    /// Names and addresses of what is bound.
    pub fn bound(&self) -> Vec<(Name, String)> {
        let listeners = self.listeners.lock();
        let all = listeners.by_name.values();
        all.map(|listener| (Arc::clone(&listener.name), listener.bound.clone())).collect()
    }

    /// Closes the listeners and asks every connection to finish and close.
    pub fn start_drain(&self) {
        for listener in self.listeners.lock().by_name.values() {
            listener.close();
        }
        self.workers.lock().iter().for_each(|worker| worker.drain(None));
    }

    /// Connections open, tunnels included.
    pub fn connections(&self) -> usize {
        self.workers.lock().iter().map(Worker::connections).sum()
    }

    /// How full the listeners are.
    pub(crate) fn fullness(&self) -> Fullness {
        Fullness(Arc::clone(&self.listeners))
    }

    /// Ends the workers, and with them every connection.
    pub fn stop(&self) {
        self.workers.lock().iter_mut().for_each(Worker::stop);
    }
}

// === impl Fullness ===

impl Fullness {
    /// The share of its places that the fullest has taken.
    pub(crate) fn share(&self) -> f64 {
        self.0.lock().by_name.values().map(|it| it.fullness()).fold(0.0, f64::max)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("workers", &self.count).finish_non_exhaustive()
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("fresh", &self.fresh.len()).finish_non_exhaustive()
    }
}

/// Whether the sockets and the TLS sessions of a listener can go on under new settings.
fn can_stay(old: &Listener, new: &model::Listener, config: &Config) -> bool {
    let tls = match &old.tls {
        None => new.tls == ListenerTls::None,
        Some(terminator) => terminator.same_shape(&new.tls, new.protocols, &config.tls),
    };
    old.address == new.address.value && tls
}

fn cannot_bind(name: &Name, settings: &model::Listener, error: &io::Error) -> Diagnostic {
    let diagnostic = Diagnostic::error(
        settings.address.place,
        format!("listener `{name}` cannot listen here: {error}"),
    );
    match error.kind() {
        io::ErrorKind::AddrInUse => diagnostic
            .help("another process listens on this address; stop it or choose another port"),
        io::ErrorKind::PermissionDenied => diagnostic.help(
            "ports below 1024 need CAP_NET_BIND_SERVICE, root, or a socket passed by systemd",
        ),
        _ => diagnostic,
    }
}
