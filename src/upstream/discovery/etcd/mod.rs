//! Endpoints that stand in etcd (v3): all keys under a prefix are read once, then watched over one
//! stream. Runs on control.
//!
//! `client` connection to a member → `messages` what goes over it → `keys` what is known → [`Set`]

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout, timeout_at};

use self::{
    client::{Changes, Client, Member},
    keys::Keys,
    messages::{RangeRequest, WatchCreateRequest, WatchResponse},
};
use super::{Failure, Set, Source};
use crate::{
    config::{
        diagnostic::Diagnostic,
        model::{DiscoverEtcd, Protocol},
    },
    upstream::tls,
};

mod client;
mod keys;
mod messages;

#[cfg(test)]
mod tests;

/// A member has so long from the first byte until its watch runs.
const BEGIN: Duration = Duration::from_secs(5);

/// Changes are gathered until it is quiet for so long, …
const QUIET: Duration = Duration::from_millis(100);

/// … but not longer than this.
const GATHER: Duration = Duration::from_secs(1);

/// The endpoints under a prefix.
pub(crate) struct Etcd {
    members: Vec<Member>,
    /// Whose turn it is.
    at: usize,
    prefix: Vec<u8>,
    user: Option<(String, String)>,
    /// The watch, if it runs.
    watch: Option<Watch>,
}

/// A watch that runs, and what it told.
struct Watch {
    keys: Keys,
    changes: Changes,
    /// Whether nothing was told yet: that is told at once.
    fresh: bool,
}

// === impl Etcd ===

impl Etcd {
    /// Connects to nobody yet.
    ///
    /// # Errors
    /// TLS files that cannot be read, and names no certificate can have.
    pub(crate) fn new(settings: &DiscoverEtcd) -> Result<Self, Vec<Diagnostic>> {
        let config = if settings.endpoints.iter().any(|endpoint| endpoint.tls) {
            Some(tls::client_config(&settings.tls, Protocol::H2)?)
        } else {
            None
        };
        let (mut members, mut found) = (Vec::new(), Vec::new());
        for endpoint in &settings.endpoints {
            match Member::new(endpoint, &settings.tls, config.as_ref()) {
                Ok(member) => members.push(member),
                Err(wrong) => found.push(wrong),
            }
        }
        if !found.is_empty() {
            return Err(found);
        }
        // Else the first of the list would carry the watches of all gateways.
        let at = rand::random_range(0..members.len().max(1));
        let prefix = settings.prefix.clone().into_bytes();
        Ok(Self { members, at, prefix, user: settings.user.clone(), watch: None })
    }

    async fn told(&mut self) -> Result<Set, String> {
        let watch = match &mut self.watch {
            Some(watch) => watch,
            none => {
                let member = self.members.get(self.at).ok_or("no member is named")?;
                let began = Watch::begin(member, self.user.as_ref(), &self.prefix);
                let late = |_| format!("no answer within {} s", BEGIN.as_secs());
                none.insert(timeout(BEGIN, began).await.map_err(late)??)
            }
        };
        watch.told().await
    }
}

impl Source for Etcd {
    /// May be given up at any time: the watch goes on with the next call, and nothing is lost.
    async fn next(&mut self) -> Result<Set, Failure> {
        let told = self.told().await;
        told.map_err(|why| {
            self.watch = None;
            let name = self.members.get(self.at).map_or_else(Arc::default, |it| it.name.clone());
            self.at = (self.at + 1) % self.members.len().max(1);
            Failure(format!("etcd at {name}: {why}"))
        })
    }
}

// === impl Watch ===

impl Watch {
    async fn begin(
        member: &Member,
        user: Option<&(String, String)>,
        prefix: &[u8],
    ) -> Result<Self, String> {
        let mut client = member.connect().await?;
        if let Some((name, password)) = user {
            // Every connection anew, so no token outlives its time.
            client.authenticate(name, password).await?;
        }
        let (key, range_end) = keys::range(prefix);
        let limit = keys::MAX_KEYS as i64 + 1;
        let ask = RangeRequest { key, range_end, limit };
        let all = client.range(ask).await?;
        if all.kvs.len() > keys::MAX_KEYS {
            return Err(keys::too_many(all.count));
        }
        let keys = Keys::new(&all.kvs)?;
        let revision = all.header.map_or(0, |header| header.revision);
        Self::since(client, prefix, keys, revision + 1).await
    }

    /// Begins with what changed at this revision.
    async fn since(
        client: Client,
        prefix: &[u8],
        keys: Keys,
        start_revision: i64,
    ) -> Result<Self, String> {
        let (key, range_end) = keys::range(prefix);
        let ask = WatchCreateRequest { key, range_end, start_revision };
        let mut watch = Self { keys, changes: client.watch(ask).await?, fresh: true };
        loop {
            let answer = watch.changes.next().await?;
            if watch.take(&answer)? {
                return Ok(watch);
            }
        }
    }

    /// The keys as they are when something has changed.
    async fn told(&mut self) -> Result<Set, String> {
        if !self.fresh {
            self.wait().await?;
        }
        self.fresh = false;
        Ok(self.keys.set())
    }

    async fn wait(&mut self) -> Result<(), String> {
        while !self.keys.changed() {
            let answer = self.changes.next().await?;
            self.take(&answer)?;
        }
        let end = Instant::now() + GATHER;
        while Instant::now() < end {
            let quiet = (Instant::now() + QUIET).min(end);
            let Ok(answer) = timeout_at(quiet, self.changes.next()).await else { break };
            self.take(&answer?)?;
        }
        Ok(())
    }

    /// Takes in what the member said. Whether it was that the watch runs.
    fn take(&mut self, answer: &WatchResponse) -> Result<bool, String> {
        if answer.compact_revision != 0 {
            // Between our range and our watch, or while the member was behind.
            let oldest = answer.compact_revision;
            return Err(format!("the changes before revision {oldest} were compacted"));
        }
        if answer.canceled {
            let why = keys::one_line(&answer.cancel_reason);
            return Err(format!("the watch was canceled: {why}"));
        }
        answer.events.iter().try_for_each(|event| self.keys.apply(event))?;
        Ok(answer.created)
    }
}
