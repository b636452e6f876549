//! A limit for each of many: for each consumer, each address, whatever a policy goes by. Only those who have
//! requests under way, or waiting, take up memory.

use std::{sync::Arc, time::Duration};

use ahash::AHashMap;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::limiter::{Limiter, Permit, Settings, Shed};
use crate::config::model::Class;

/// Limits by key.
#[derive(Debug)]
pub(crate) struct Keyed {
    settings: Settings,
    shards: [Mutex<AHashMap<u64, Arc<Limiter>>>; SHARDS],
}

/// The limit of one key while somebody needs it.
#[derive(Debug)]
pub(super) struct Entry {
    of: Arc<Keyed>,
    key: u64,
    /// There until it is dropped.
    limiter: Option<Arc<Limiter>>,
}

/// Locks the keys are spread over.
const SHARDS: usize = 16;

// === impl Keyed ===

impl Keyed {
    /// For each key so many.
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, shards: Default::default() }
    }

    pub(crate) const fn settings(&self) -> Settings {
        self.settings
    }

    /// A place of this key, if there is one that nobody waits for.
    pub(crate) fn try_enter(self: &Arc<Self>, key: u64) -> Option<Permit> {
        let (entry, limiter) = self.entry(key);
        Some(limiter.try_enter()?.of(entry))
    }

    /// A place of this key, waited for as long as this.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        key: u64,
        class: Class,
        patience: Duration,
    ) -> Result<Permit, Shed> {
        let (entry, limiter) = self.entry(key);
        let permit = limiter.enter(class, patience).await?;
        Ok(permit.of(entry))
    }

    fn entry(self: &Arc<Self>, key: u64) -> (Entry, Arc<Limiter>) {
        let mut shard = self.shard(key).lock();
        let new = || Arc::new(Limiter::new(self.settings, Instant::now()));
        let limiter = Arc::clone(shard.entry(key).or_insert_with(new));
        let entry = Entry { of: Arc::clone(self), key, limiter: Some(Arc::clone(&limiter)) };
        (entry, limiter)
    }

    fn shard(&self, key: u64) -> &Mutex<AHashMap<u64, Arc<Limiter>>> {
        &self.shards[key as usize % SHARDS]
    }

    /// Keys that are remembered.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

// === impl Entry ===

impl Drop for Entry {
    fn drop(&mut self) {
        // Whoever takes one does so under the lock: with none but the map's own, nobody has it.
        drop(self.limiter.take());
        let mut shard = self.of.shard(self.key).lock();
        if shard.get(&self.key).is_some_and(|limiter| Arc::strong_count(limiter) == 1) {
            shard.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Bound;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn each_key_has_its_places_and_who_has_none_is_forgotten() {
        let it = Arc::new(Keyed::new(Settings { bound: Bound::Fixed(1), queue: Some(1) }));
        let (one, two) = (it.try_enter(1).expect("free"), it.try_enter(2).expect("free"));
        assert!(it.try_enter(1).is_none());
        assert_eq!(it.enter(1, Class::Normal, SECOND).await.unwrap_err(), Shed::Late);
        assert_eq!(it.len(), 2);
        let waits = tokio::spawn({
            let it = Arc::clone(&it);
            async move { it.enter(1, Class::Normal, SECOND).await }
        });
        tokio::task::yield_now().await;
        drop((one, two));
        let one = waits.await.expect("no panic").expect("its turn");
        assert_eq!(it.len(), 1);
        drop(one);
        assert_eq!(it.len(), 0);
    }
}
