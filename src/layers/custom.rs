//! The operator's own tower layers: registered by name in Rust, named in `layers:` of a route, their
//! settings checked when the file is loaded.

use std::{collections::BTreeMap, fmt, sync::Arc};

use tower::Service;

use super::{Request, Response, shared::SharedService};
use crate::error::Error;

/// The service a layer of one's own wraps and returns.
pub type LayerService = SharedService<Error>;

/// A layer with its settings built in.
pub type Wrap = Arc<dyn Fn(LayerService) -> LayerService + Send + Sync>;

/// Checks the settings of a layer and builds it. The error is shown to the operator beside the
/// settings, and the file is refused.
pub type Factory = Arc<dyn Fn(&serde_json::Value) -> Result<Wrap, String> + Send + Sync>;

/// The layers this binary was built with.
#[derive(Clone, Default)]
pub struct Registry {
    factories: BTreeMap<String, Factory>,
}

// === impl Registry ===

impl Registry {
    /// Registers a layer. `factory` gets the `config` of each use and returns the layer or what is
    /// wrong with the settings.
    pub fn insert<F, L, S>(&mut self, name: impl Into<String>, factory: F)
    where
        F: Fn(&serde_json::Value) -> Result<L, String> + Send + Sync + 'static,
        L: tower::Layer<LayerService, Service = S> + Send + Sync + 'static,
        S: Service<Request, Response = Response, Error = Error> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        let factory: Factory = Arc::new(move |config| {
            let layer = factory(config)?;
            let wrap: Wrap = Arc::new(move |inner| SharedService::new(layer.layer(inner)));
            Ok(wrap)
        });
        self.factories.insert(name.into(), factory);
    }

    /// The layer of this name.
    pub fn find(&self, name: &str) -> Option<&Factory> {
        self.factories.get(name)
    }

    /// All names, for proposals.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.factories.keys().map(String::as_str)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
