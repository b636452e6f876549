//! The addresses of upstream hosts. Looked up on the control runtime and again when the records
//! say so, never by a request: a request reads the last answer. One entry per host name, shared by
//! all who use it; its task ends with the last of them.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Weak},
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::watch};

use self::lookup::{Answer, Failure, Lookup};
pub(crate) use self::records::Service;
use crate::error::Reason;

mod lookup;
mod records;
#[cfg(test)]
pub(crate) mod served;

/// Bounds on what a record may ask for.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5 * 60);
/// Waiting after a failure doubles from `SHORTEST` up to this.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Knows the entries and how to look up. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Resolver {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    handle: Handle,
    lookup: Arc<Lookup>,
    entries: Mutex<HashMap<Box<str>, Weak<Resolved>>>,
}

/// A host and the addresses it has now.
#[derive(Debug)]
pub struct Resolved {
    host: Box<str>,
    addresses: ArcSwap<Vec<IpAddr>>,
    failure: ArcSwapOption<Failure>,
    /// Becomes true with the first answer or failure. Its sender is the task's, which thereby
    /// also learns that nobody holds the entry any more.
    ready: watch::Receiver<bool>,
    /// The sender until the task is started; none for what needs no task.
    waiting: Mutex<Option<watch::Sender<bool>>>,
}

// === impl Resolver ===

impl Resolver {
    /// Asks the servers of `/etc/resolv.conf`, after `/etc/hosts`; tasks run on `handle`. Where
    /// that file cannot be used, only `/etc/hosts` answers and every other name fails with that
    /// error, until the file changes.
    pub fn new(handle: Handle) -> io::Result<Self> {
        Ok(Self::with_lookup(handle, Lookup::system()))
    }

    /// Asks this one server and nothing else.
    pub fn with_nameserver(handle: Handle, server: SocketAddr) -> io::Result<Self> {
        Ok(Self::with_lookup(handle, Lookup::server(server, Duration::from_secs(1), 2)?))
    }

    fn with_lookup(handle: Handle, lookup: Lookup) -> Self {
        let inner = Inner { handle, lookup: Arc::new(lookup), entries: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// The entry of a host name or IP address, the same one for the same name. Asks nobody and
    /// starts nothing: addresses and `localhost` are known at once, for other names a task is
    /// started by [`Self::start`].
    pub fn entry(&self, host: &str) -> Arc<Resolved> {
        if let Some(addresses) = known(host) {
            return Arc::new(Resolved::known(host, addresses));
        }
        let host = host.to_ascii_lowercase().into_boxed_str();
        let mut entries = self.inner.entries.lock();
        if let Some(entry) = entries.get(&host).and_then(Weak::upgrade) {
            return entry;
        }
        let entry = Arc::new(Resolved::waiting(host.clone()));
        entries.insert(host, Arc::downgrade(&entry));
        entry
    }

    /// Starts the tasks of entries that have none yet. For after a successful compile; entries of a
    /// refused one are gone by then and ask nothing.
    pub fn start(&self) {
        self.inner.entries.lock().retain(|_, entry| {
            let Some(entry) = entry.upgrade() else { return false };
            let sender = entry.waiting.lock().take();
            if let Some(sender) = sender {
                let task =
                    keep_fresh(Arc::downgrade(&entry), sender, Arc::clone(&self.inner.lookup));
                self.inner.handle.spawn(task);
            }
            true
        });
    }

    /// [`Self::entry`] and its task at once, for what is not part of a compile.
    pub fn watch(&self, host: &str) -> Arc<Resolved> {
        let entry = self.entry(host);
        self.start();
        entry
    }
}

// === impl Resolved ===

impl Resolved {
    fn known(host: &str, addresses: Vec<IpAddr>) -> Self {
        let (_, ready) = watch::channel(true);
        Self {
            host: host.into(),
            addresses: ArcSwap::from_pointee(addresses),
            failure: ArcSwapOption::empty(),
            ready,
            waiting: Mutex::new(None),
        }
    }

    fn waiting(host: Box<str>) -> Self {
        let (sender, ready) = watch::channel(false);
        Self {
            host,
            addresses: ArcSwap::default(),
            failure: ArcSwapOption::empty(),
            ready,
            waiting: Mutex::new(Some(sender)),
        }
    }

    /// The name as it is looked up.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The last addresses known, IPv4 first; empty before the first answer.
    pub fn addresses(&self) -> Guard<Arc<Vec<IpAddr>>> {
        self.addresses.load()
    }

    /// Why there is no address. `None` while there is one, however old, and before the first answer.
    pub fn error(&self) -> Option<Reason> {
        if !self.addresses.load().is_empty() {
            return None;
        }
        self.failure.load().as_ref().map(|failure| failure.reason)
    }

    /// What the last lookup failed with, for the log; `None` if it succeeded.
    pub fn failure(&self) -> Option<String> {
        self.failure.load().as_ref().map(|failure| failure.detail.clone())
    }

    /// Done once there is an answer or a failure; at once for all but the first moments after
    /// start. An entry that was never started is never ready: bound the wait.
    pub fn ready(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut ready = self.ready.clone();
        async move {
            // Fails when the task ended, with its runtime: nothing more will come.
            let _ = ready.wait_for(|ready| *ready).await;
        }
    }

    /// Whether [`Self::ready`] would not wait.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    fn learn(&self, answer: Result<Vec<IpAddr>, Failure>) {
        match answer {
            Ok(addresses) => {
                self.failure.store(None);
                if **self.addresses.load() != addresses {
                    tracing::debug!(host = %self.host, ?addresses, "resolved");
                    self.addresses.store(Arc::new(addresses));
                }
            }
            Err(failure) => {
                // Said when it begins, not with every retry.
                if self.failure.load().is_none() {
                    let kept = self.addresses.load().len();
                    tracing::warn!(host = %self.host, error = %failure.detail, kept, "not resolved");
                }
                self.failure.store(Some(Arc::new(failure)));
            }
        }
    }
}

/// Looks the host up for as long as somebody holds the entry.
async fn keep_fresh(entry: Weak<Resolved>, ready: watch::Sender<bool>, lookup: Arc<Lookup>) {
    let Some(host) = entry.upgrade().map(|entry| entry.host.clone()) else { return };
    let mut failures = 0;
    loop {
        let answer = tokio::select! {
            answer = lookup.addresses(&host) => answer,
            () = ready.closed() => return,
        };
        let Some(entry) = entry.upgrade() else { return };
        let wait = match answer {
            Ok(Answer { addresses, ttl }) => {
                failures = 0;
                entry.learn(Ok(addresses));
                bounded(ttl)
            }
            Err(failure) => {
                entry.learn(Err(failure));
                failures += 1;
                back_off(failures)
            }
        };
        drop(entry);
        // Not `send`, which does nothing where a receiver is being made just now.
        ready.send_replace(true);
        tokio::select! {
            () = tokio::time::sleep(jitter(wait)) => {}
            () = ready.closed() => return,
        }
    }
}

/// The pause after so many failures in a row.
pub(crate) fn pause(failures: u32) -> Duration {
    jitter(back_off(failures))
}

/// 1, 2, 4 … seconds after the first, second, third … failure in a row.
fn back_off(failures: u32) -> Duration {
    SHORTEST.saturating_mul(1 << failures.saturating_sub(1).min(8)).min(LONGEST_RETRY)
}

/// How long a record is kept that asks for this.
pub(crate) fn bounded(ttl: Duration) -> Duration {
    ttl.clamp(SHORTEST, LONGEST)
}

/// ±10 %, so that the hosts of one file, or many gateways, do not ask in step.
pub(crate) fn jitter(wait: Duration) -> Duration {
    wait.mul_f64(0.9 + 0.2 * f64::from(rand::random::<u16>()) / f64::from(u16::MAX))
}

/// What is not for DNS to say: addresses, and `localhost` (RFC 6761 section 6.3).
fn known(host: &str) -> Option<Vec<IpAddr>> {
    if let Ok(ip) = host.parse() {
        return Some(vec![ip]);
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let localhost = name.eq_ignore_ascii_case("localhost");
    localhost.then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
}

#[cfg(test)]
mod tests;
