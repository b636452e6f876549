//! Whether this process is fit to serve. It must not depend on the health of upstreams: a gateway
//! taken out of rotation because a service behind it is down only makes things worse.

use std::sync::atomic::{AtomicBool, Ordering};

/// The facts behind `/readyz` and `/startupz`.
#[derive(Debug, Default)]
pub struct Health {
    started: AtomicBool,
    draining: AtomicBool,
}

impl Health {
    /// Listeners are bound and a configuration is live.
    pub fn started(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// No new traffic, please. Returns whether it was already so.
    pub fn drain(&self) -> bool {
        self.draining.swap(true, Ordering::AcqRel)
    }

    /// Whether [`Self::started`] has been called.
    pub fn is_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// Whether [`Self::drain`] has been called.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}
