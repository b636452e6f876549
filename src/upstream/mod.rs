//! Where a request goes: one upstream is one service, its endpoints, and the bounds on using it.

pub(crate) mod attempt;
pub mod balance;
pub(crate) mod breaker;
pub(crate) mod care;
pub(crate) mod checkout;
pub(crate) mod choice;
pub mod connect;
pub(crate) mod direct;
pub mod dns;
pub mod endpoint;
pub(crate) mod fixed;
pub mod forward;
pub(crate) mod health;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod incoming;
pub(crate) mod latency;
pub(crate) mod outgoing;
pub(crate) mod outlier;
pub(crate) mod pool;
pub(crate) mod response_body;
pub(crate) mod retry;
pub(crate) mod sendable;
pub(crate) mod sticky;
pub(crate) mod switch;
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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::{balance::Balancer, care::Care, endpoint::Endpoint};
use crate::{
    config::model::{HostHeader, Name},
    error::{Error, Reason},
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
    pub admission: Arc<Admission>,
    /// What it does about failures.
    pub(crate) care: Care,
}

/// Bounds the requests in flight of one upstream.
#[derive(Debug)]
pub struct Admission {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Permits in all.
    pub(crate) requests: usize,
    /// Most that may wait.
    pub(crate) queue: usize,
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

// === impl Admission ===

impl Admission {
    /// At most `requests` in flight and `queue` waiting.
    pub fn new(requests: usize, queue: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(requests)),
            waiting: AtomicUsize::new(0),
            requests,
            queue,
        }
    }

    /// Takes a turn if there is one.
    pub(crate) fn try_enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    /// Takes a turn, waiting at most `patience` for it.
    pub(crate) async fn enter(&self, patience: Duration) -> Result<OwnedSemaphorePermit, Error> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let waiter = Waiter::join(&self.waiting, self.queue)
            .ok_or_else(|| Error::new(Reason::Overloaded, "the queue of the upstream is full"))?;
        let permit =
            tokio::time::timeout(patience, Arc::clone(&self.permits).acquire_owned()).await;
        drop(waiter);
        match permit {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => {
                Err(Error::new(Reason::Overloaded, "no turn at the upstream in time"))
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn beyond_the_limit_requests_wait_and_beyond_the_queue_they_are_refused() {
        let admission = Arc::new(Admission::new(1, 1));
        let first = admission.enter(Duration::from_secs(1)).await.expect("free");
        let second = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.enter(Duration::from_secs(1)).await.map(drop) }
        });
        tokio::task::yield_now().await;
        let third = admission.enter(Duration::from_secs(1)).await;
        assert_eq!(third.expect_err("full").reason(), Reason::Overloaded);
        drop(first);
        assert!(second.await.expect("no panic").is_ok());
        let _held = admission.enter(Duration::from_secs(1)).await.expect("free again");
        let late = admission.enter(Duration::from_secs(1)).await;
        assert_eq!(late.expect_err("nobody left").reason(), Reason::Overloaded);
    }
}
