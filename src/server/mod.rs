//! STAND-IN for the listeners and workers; drop everything but the `mod` lines for the real one.

pub mod limits;
pub mod signals;
pub mod systemd;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use self::systemd::InheritedFds;
use crate::{
    config::{
        diagnostic::{Diagnostic, Diagnostics},
        model::{Address, Config, Name},
    },
    gateway::Gateway,
    telemetry::metrics::Metrics,
};

/// STAND-IN.
#[derive(Debug)]
pub struct Server {
    bound: Mutex<BTreeMap<Name, (Address, Arc<std::net::TcpListener>)>>,
}

/// STAND-IN.
#[derive(Debug)]
pub struct Prepared(BTreeMap<Name, (Address, Arc<std::net::TcpListener>)>);

impl Server {
    /// STAND-IN.
    pub fn start(_: &Arc<Gateway>, _: usize, _: Arc<Metrics>) -> io::Result<Self> {
        Ok(Self { bound: Mutex::default() })
    }

    /// STAND-IN.
    pub fn prepare(&self, config: &Config, fds: &InheritedFds) -> Result<Prepared, Diagnostics> {
        let old = self.bound.lock().expect("no panic while locked");
        let mut next = BTreeMap::new();
        let mut problems = Diagnostics::default();
        for (name, listener) in &config.listeners {
            if let Some(kept) = old.get(name).filter(|k| k.0 == listener.address.value) {
                next.insert(Arc::clone(name), kept.clone());
                continue;
            }
            let socket = match &listener.address.value {
                Address::Tcp { host, port } => std::net::TcpListener::bind((
                    host.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into()),
                    *port,
                )),
                Address::Fd(fd) => {
                    fds.get(fd).map(Into::into).ok_or_else(|| io::ErrorKind::NotFound.into())
                }
                Address::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
            };
            match socket {
                Ok(socket) => {
                    let entry = (listener.address.value.clone(), Arc::new(socket));
                    next.insert(Arc::clone(name), entry);
                }
                Err(error) => problems.push(Diagnostic::error(
                    listener.address.place,
                    format!("listener `{name}` cannot listen here: {error}"),
                )),
            }
        }
        if problems.has_errors() { Err(problems) } else { Ok(Prepared(next)) }
    }

    /// STAND-IN.
    pub fn commit(&self, prepared: Prepared) {
        *self.bound.lock().expect("no panic while locked") = prepared.0;
    }

    /// STAND-IN.
    pub fn bound(&self) -> Vec<(Name, String)> {
        let bound = self.bound.lock().expect("no panic while locked");
        let address = |s: &std::net::TcpListener| {
            s.local_addr().map_or_else(|e| e.to_string(), |a| a.to_string())
        };
        bound.iter().map(|(n, (_, s))| (Arc::clone(n), address(s))).collect()
    }

    /// STAND-IN.
    pub fn start_drain(&self) {
        self.bound.lock().expect("no panic while locked").clear();
    }

    /// STAND-IN.
    pub fn connections(&self) -> usize {
        0
    }

    /// STAND-IN.
    pub fn plan_workers(_: usize) {}

    /// STAND-IN.
    pub fn stop(&self) {}
}
