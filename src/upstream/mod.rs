//! Where a request goes: one upstream is one service, its endpoints, and the bounds on using it.

pub(crate) mod attempt;
pub mod balance;
pub(crate) mod breaker;
pub(crate) mod care;
pub(crate) mod checkout;
pub(crate) mod choice;
pub mod connect;
pub(crate) mod current;
pub(crate) mod direct;
pub(crate) mod discovery;
pub mod dns;
pub mod endpoint;
pub(crate) mod fixed;
pub mod forward;
pub(crate) mod health;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod incoming;
pub(crate) mod latency;
pub(crate) mod line;
pub(crate) mod outgoing;
pub(crate) mod outlier;
pub(crate) mod pool;
pub(crate) mod response_body;
pub(crate) mod retry;
pub(crate) mod sendable;
pub(crate) mod sticky;
pub(crate) mod switch;
pub(crate) mod tape;
pub(crate) mod ticks;
pub mod tls;
pub(crate) mod trial;
pub(crate) mod tries;
pub(crate) mod tunnel;
pub(crate) mod upgrade;
pub(crate) mod vitals;
pub(crate) mod wish;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::HeaderValue;

pub use self::current::Current;
use self::{balance::Balancer, care::Care, current::Awaited, endpoint::Endpoint};
use crate::{
    admission::Limiter,
    config::model::{HostHeader, Name},
};

/// One service.
#[derive(Debug)]
pub struct Upstream {
    /// Its name in the file.
    pub name: Name,
    /// Where it answers, in the order of the balancer.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Their weights.
    pub(crate) weights: Vec<u32>,
    /// Chooses among them.
    pub balancer: Balancer,
    /// The Host it sees.
    pub host_header: HostHeader,
    /// Connect limit, which is also how long a request may wait for its turn.
    pub connect_timeout: Duration,
    /// Requests in flight and waiting.
    pub(crate) admission: Arc<Limiter>,
    /// What it does about failures.
    pub(crate) care: Care,
    /// Its endpoints are yet to be found.
    pub(crate) awaited: Option<Awaited>,
}

// === impl Upstream ===

impl Upstream {
    /// The `Host` an endpoint sees instead of the client's, if the upstream wants one.
    pub(crate) fn host_for(&self, endpoint: &Endpoint) -> Option<HeaderValue> {
        match &self.host_header {
            HostHeader::Client => None,
            HostHeader::Upstream => Some(endpoint.authority.clone()),
            HostHeader::Literal(value) => Some(value.clone()),
        }
    }
}

/// A place in a queue of bounded length.
pub(crate) struct Waiter<'q> {
    waiting: &'q AtomicUsize,
}

impl<'q> Waiter<'q> {
    /// Joins unless `most` wait already.
    pub(crate) fn join(waiting: &'q AtomicUsize, most: usize) -> Option<Self> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let waiter = Self { waiting };
        (before < most).then_some(waiter)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
