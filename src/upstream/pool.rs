//! Connections to one endpoint that wait for a request: one shard per worker, so that a request
//! finds one on its own core and no lock is ever contended.

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    http1::Connection,
    http2::{Channel, Lease},
};
use crate::{
    config::model,
    server::worker::{shard, shards},
};

/// Idle HTTP/1.1 and open HTTP/2 connections.
#[derive(Debug)]
pub(crate) struct Pool {
    settings: model::Pool,
    shards: Box<[Shard]>,
}

#[derive(Debug, Default)]
struct Shard {
    idle: Mutex<Vec<Idle>>,
    h2: Mutex<Vec<Channel>>,
    /// One task at a time opens an HTTP/2 connection; the others wait for it and share it.
    opening: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

/// Streams on one connection beyond which another is opened. A peer that allows fewer makes the
/// rest wait inside h2.
const STREAMS: usize = 100;

// === impl Pool ===

impl Pool {
    pub(crate) fn new(settings: model::Pool) -> Self {
        Self { settings, shards: (0..shards()).map(|_| Shard::default()).collect() }
    }

    fn shard(&self) -> &Shard {
        &self.shards[shard() % self.shards.len()]
    }

    /// Takes an idle connection.
    pub(crate) fn take(&self, now: Instant) -> Option<Box<Connection>> {
        let mut idle = self.shard().idle.lock();
        // The last one used is the least likely to have been closed by the other side.
        while let Some(mut entry) = idle.pop() {
            if now.saturating_duration_since(entry.since) >= self.settings.idle {
                return None;
            }
            if entry.connection.is_quiet() {
                return Some(entry.connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub(crate) fn put(&self, connection: Box<Connection>) {
        let mut idle = self.shard().idle.lock();
        if idle.len() < self.settings.max_idle {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }

    /// Closes what has idled too long on this worker.
    pub(crate) fn sweep(&self, worker: usize) {
        let Some(shard) = self.shards.get(worker) else { return };
        let keep = self.settings.idle;
        let mut idle = shard.idle.lock();
        idle.retain_mut(|entry| entry.since.elapsed() < keep && entry.connection.is_quiet());
        drop(idle);
        shard.h2.lock().retain(|channel| !channel.is_closed());
    }

    /// Closes one idle connection of any worker, to make room.
    pub(crate) fn close_one_idle(&self) {
        for shard in &self.shards {
            if shard.idle.lock().pop().is_some() {
                return;
            }
        }
        for shard in &self.shards {
            let mut open = shard.h2.lock();
            if let Some(at) = open.iter().position(|channel| channel.load() == 0) {
                open.swap_remove(at);
                return;
            }
        }
    }

    /// A place on the least used HTTP/2 connection of any worker, for when no more may be opened.
    pub(crate) fn any_h2(&self) -> Option<Lease> {
        let open = self.shards.iter().flat_map(|shard| shard.h2.lock().clone());
        open.filter(|channel| !channel.is_closed()).min_by_key(Channel::load)?.lease()
    }

    /// A place on an HTTP/2 connection with room for one more stream.
    pub(crate) fn take_h2(&self) -> Option<Lease> {
        let mut open = self.shard().h2.lock();
        loop {
            open.retain(|channel| !channel.is_closed());
            let channel = open.iter().find(|channel| channel.load() < STREAMS)?;
            // Without one it turns out to be closed.
            if let Some(lease) = channel.lease() {
                return Some(lease);
            }
        }
    }

    /// Shares a new HTTP/2 connection.
    pub(crate) fn put_h2(&self, channel: Channel) {
        self.shard().h2.lock().push(channel);
    }

    /// The right to open an HTTP/2 connection for this worker.
    pub(crate) async fn opening(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.shard().opening.lock().await
    }
}
