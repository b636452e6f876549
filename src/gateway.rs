//! STAND-IN for the gateway; drop for the real one.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::runtime::Runtime;

/// STAND-IN.
#[derive(Debug)]
pub struct Gateway {
    current: ArcSwap<Runtime>,
}

impl Gateway {
    /// STAND-IN.
    pub fn new(first: Runtime) -> Arc<Self> {
        Arc::new(Self { current: ArcSwap::from_pointee(first) })
    }

    /// STAND-IN.
    pub fn current(&self) -> Arc<Runtime> {
        self.current.load_full()
    }

    /// STAND-IN.
    pub fn store(&self, next: Runtime) {
        self.current.store(Arc::new(next));
    }
}
