//! STAND-IN for the compiled runtime; drop everything but the `mod` lines for the real one.

pub mod candidate;
pub mod diff;
pub mod live;
pub mod reload;
pub mod watch;

use std::sync::Arc;

use crate::{
    config::{
        diagnostic::{Diagnostic, Diagnostics},
        model::Config,
    },
    layers::custom::Registry,
    telemetry::{access_log::AccessLog, metrics::Metrics},
};

/// STAND-IN.
#[derive(Debug)]
pub struct Runtime {
    /// STAND-IN.
    pub config: Arc<Config>,
    /// STAND-IN.
    pub access_log: Arc<AccessLog>,
}

impl Runtime {
    /// STAND-IN.
    pub fn dev_ca_cert(&self) -> Option<std::path::PathBuf> {
        self.config.server.via.then_some(())?;
        None
    }
}

/// STAND-IN.
#[derive(Debug)]
pub struct Context {
    /// STAND-IN.
    pub metrics: Arc<Metrics>,
    /// STAND-IN.
    pub registry: Registry,
    /// STAND-IN.
    pub resolver: tokio::runtime::Handle,
}

/// STAND-IN.
pub fn compile(
    config: Arc<Config>,
    _: Option<&Runtime>,
    context: &Context,
) -> Result<(Runtime, Diagnostics), Diagnostics> {
    let mut problems = Diagnostics::default();
    for layer in config.routes.values().flat_map(|r| &r.layers) {
        if context.registry.find(&layer.name.value).is_none() {
            problems.push(Diagnostic::error(layer.name.place, "unknown layer"));
        }
    }
    if problems.has_errors() {
        return Err(problems);
    }
    Ok((Runtime { config, access_log: Arc::new(AccessLog) }, problems))
}
