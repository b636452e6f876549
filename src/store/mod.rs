//! Where several gateways count together: Redis or Valkey, and in [`rls`] a service that is asked. Of Redis, every worker has a connection of its own, on
//! its own runtime, and asks over it; nothing hops between threads. One task per worker keeps it open,
//! notices when the store is away, and comes back by itself.

mod counted;
mod dial;
mod health;
mod link;
pub(crate) mod rls;

#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc, time::Duration};

use redis::{Cmd, Value};
use tokio::time::{Instant, timeout};

pub(crate) use self::counted::Counted;
use self::{
    dial::Dial,
    health::Health,
    link::{Fault, Link},
};
use crate::{
    config::{
        diagnostic::{Diagnostic, Place},
        model::{Name, RedisStore, Store},
    },
    limit::stored::Away,
    server::worker::{shard, shards},
    telemetry::metrics::{StoreCall, StoreMetrics},
    watch::{content, digest},
};

/// One store, as it runs.
#[derive(Debug)]
pub(crate) struct Redis {
    settings: RedisStore,
    /// A request waits no longer for it.
    timeout: Duration,
    /// What was in its certificate files.
    material: u64,
    dial: Dial,
    /// One for each worker.
    links: Box<[Arc<Link>]>,
    health: Health,
    metrics: Arc<StoreMetrics>,
}

// === impl Redis ===

impl Redis {
    /// A store nobody has spoken to yet. The files of its TLS are read.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn new(
        name: &Name,
        store: &Store,
        settings: &RedisStore,
        metrics: Arc<StoreMetrics>,
    ) -> Result<Arc<Self>, Vec<Diagnostic>> {
        let dial = Dial::new(settings, store.place)?;
        Ok(Arc::new(Self {
            settings: settings.clone(),
            timeout: store.timeout,
            material: material(settings),
            dial,
            links: (0..shards()).map(|_| Arc::default()).collect(),
            health: Health::new(name, shards(), Arc::clone(&metrics)),
            metrics,
        }))
    }

    /// Whether it would be the same with these settings.
    pub(crate) fn is_like(&self, store: &Store, settings: &RedisStore) -> bool {
        let same = self.settings == *settings && self.timeout == store.timeout;
        same && self.material == material(settings)
    }

    /// Whether all workers can ask it.
    pub(crate) fn is_up(&self) -> bool {
        self.metrics.is_up()
    }

    /// What its keys begin with.
    fn prefix(&self) -> &str {
        &self.settings.prefix
    }

    /// Connects this worker, if it is none yet.
    pub(crate) fn begin(self: &Arc<Self>) {
        if let Some(link) = self.links.get(shard()) {
            link.begin(self);
        }
    }

    /// Asks, and waits no longer than the file says.
    async fn call(self: Arc<Self>, command: Cmd, again: Cmd) -> Result<Value, Away> {
        let Some(link) = self.links.get(shard()) else { return Err(Away) };
        link.begin(&self);
        let asked = Instant::now();
        let Some((connection, number)) = link.connection(self.timeout).await else {
            self.metrics.count(StoreCall::Away);
            return Err(Away);
        };
        let answer = connection.ask(command, again);
        let left = self.timeout.saturating_sub(asked.elapsed());
        match timeout(left, answer).await {
            Ok(Ok(value)) => {
                self.metrics.answered(asked.elapsed());
                link.answered();
                Ok(value)
            }
            Ok(Err(error)) => {
                self.metrics.count(StoreCall::Failed);
                let fault = match self.dial.is_cluster() {
                    true => Fault::Missed(self.timeout),
                    false => Fault::Broken,
                };
                link.suspect(number, fault, || link::told(&error));
                Err(Away)
            }
            Err(_) => {
                self.metrics.count(StoreCall::Timeout);
                let time = self.timeout;
                let why = || format!("no answer within {}ms", time.as_millis());
                link.suspect(number, Fault::Missed(time), why);
                Err(Away)
            }
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.links.iter().for_each(|link| link.end());
    }
}

/// Connects to a store, says who we are, and waits for one answer. Nothing is written.
///
/// # Errors
/// It is not there, or does not know us.
pub(crate) async fn greet(redis: &RedisStore, limit: Duration) -> Result<(), String> {
    let wrong = |found: Vec<Diagnostic>| found.first().map(ToString::to_string).unwrap_or_default();
    let dial = Dial::new(redis, Place::default()).map_err(wrong)?;
    let greeted = async {
        let mut connection = dial.connect(limit).await?;
        let answer = connection.send(&redis::cmd("PING")).await;
        answer.map(drop).map_err(|error| link::told(&error))
    };
    timeout(limit, greeted).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

/// What stands in the files it names.
fn material(redis: &RedisStore) -> u64 {
    let Some(tls) = &redis.tls else { return 0 };
    let client = tls.client.iter().flat_map(|(cert, key)| [&cert.value, &key.value]);
    let files = tls.ca.iter().map(|ca| &ca.value).chain(client);
    let parts: Vec<Vec<u8>> = files.map(|path: &PathBuf| content(path)).collect();
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    digest(&parts)
}
