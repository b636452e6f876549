//! The connections of one worker, and the sweep that ends what lasts too long. One look at every
//! connection per second costs less than one timer per request.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use ahash::AHashMap;
use parking_lot::Mutex;

use super::{
    client::{Ages, Connection, Order, now_nanos},
    listener::{Listener, Place},
    overload::SHRUNK_IDLE,
};
use crate::{
    config::model::ListenerTimeouts,
    telemetry::metrics::{Cut, Protocol},
};

/// All connections of a worker.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    connections: AHashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    connection: Arc<Connection>,
    listener: Arc<Listener>,
    /// When it was added, in nanoseconds since the epoch of [`now_nanos`].
    since: u64,
    /// It was counted as cut: that is done once, however often it must be asked.
    cut: bool,
}

/// What is to happen to a connection, and why if it is cut off.
type Verdict = (Order, Option<Cut>);

/// Takes the connection out of the registry when its socket is closed.
#[derive(Debug)]
pub(crate) struct Registration {
    registry: Arc<Registry>,
    id: u64,
    place: Place,
}

/// A quiet connection gives back the memory of its protocol after this long.
const PARK_AFTER: Duration = Duration::from_secs(3);
/// How long a connection that was asked to close may take.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

// === impl Registry ===

impl Registry {
    /// Adds a connection.
    pub(crate) fn add(
        self: &Arc<Self>,
        connection: Arc<Connection>,
        listener: Arc<Listener>,
        place: Place,
    ) -> Registration {
        let mut inner = self.inner.lock();
        inner.next += 1;
        let id = inner.next;
        let entry = Entry { connection, listener, since: now_nanos(), cut: false };
        inner.connections.insert(id, entry);
        Registration { registry: Arc::clone(self), id, place }
    }

    /// Connections open, tunnels included.
    pub(crate) fn len(&self) -> usize {
        self.inner.lock().connections.len()
    }

    /// Asks something of every connection of `listener`, or of all.
    pub(crate) fn order(&self, order: Order, listener: Option<&Arc<Listener>>) {
        let connections: Vec<_> = {
            let inner = self.inner.lock();
            let chosen = inner
                .connections
                .values()
                .filter(|entry| listener.is_none_or(|it| Arc::ptr_eq(it, &entry.listener)));
            chosen.map(|entry| Arc::clone(&entry.connection)).collect()
        };
        for connection in connections {
            connection.state.order(order);
        }
    }

    /// Ends what lasts too long and parks what is quiet. `short`: there are too many connections.
    pub(crate) fn sweep(&self, short: bool) {
        let now = now_nanos();
        let mut orders = Vec::new();
        for entry in self.inner.lock().connections.values_mut() {
            let Entry { connection, listener, since, cut } = entry;
            connection.state.check_due(now);
            let mut limits = listener.settings().timeouts;
            if short {
                limits.idle = limits.idle.min(SHRUNK_IDLE);
            }
            let Some((order, why)) = judge(connection, *since, limits, now) else { continue };
            if let Some(why) = why.filter(|_| !*cut) {
                *cut = true;
                listener.metrics.cut(why);
            }
            orders.push((Arc::clone(connection), order));
        }
        for (connection, order) in orders {
            connection.state.order(order);
        }
    }
}

fn judge(
    connection: &Connection,
    since: u64,
    limits: ListenerTimeouts,
    now: u64,
) -> Option<Verdict> {
    let state = &connection.state;
    let Ages { idle, head, blocked, stuck } = state.ages(now);
    if blocked.max(stuck).is_some_and(|age| age > limits.write) {
        return Some((Order::Kill, Some(Cut::WriteTimeout)));
    }
    if state.tunnel.load(Relaxed) || state.in_flight() > 0 {
        return None;
    }
    if let Some(age) = head {
        let late = age > limits.header + CLOSE_GRACE;
        let order = if late { Order::Kill } else { Order::HeadTimeout };
        return (age > limits.header).then_some((order, Some(Cut::HeaderTimeout)));
    }
    let served = state.served.load(Relaxed);
    // Bytes that are no request do not make the first one late.
    let (age, limit, why) = if served {
        (idle, limits.idle, None)
    } else {
        let age = Duration::from_nanos(now.saturating_sub(since));
        (age, limits.header, Some(Cut::HeaderTimeout))
    };
    if age > limit + CLOSE_GRACE {
        Some((Order::Kill, why))
    } else if age > limit {
        Some((Order::Drain, why))
    } else if state.ordered(Order::Drain) && !served {
        // Asked again, a new connection no longer waits for its first request.
        Some((Order::Drain, None))
    } else {
        (idle > PARK_AFTER && blocked.is_none() && !state.parked.load(Relaxed))
            .then_some((Order::Park, None))
    }
}

// === impl Registration ===

impl Registration {
    /// Counts the connection as something else from now on.
    pub(crate) fn is_now(&mut self, protocol: Protocol) {
        self.place.is_now(protocol);
    }

    /// Counts the connection as cut.
    pub(crate) fn cut(&self, why: Cut) {
        self.place.cut(why);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.inner.lock().connections.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ListenerTimeouts = ListenerTimeouts {
        handshake: Duration::from_secs(10),
        header: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        write: Duration::from_secs(60),
    };

    fn in_seconds(connection: &Connection, seconds: u64) -> Option<Verdict> {
        judge(connection, now_nanos(), LIMITS, now_nanos() + seconds * 1_000_000_000)
    }

    fn connection() -> Connection {
        let connection = Connection::new("web".into(), 0, None, 0, None);
        connection.state.touch();
        connection
    }

    #[test]
    fn answers_that_do_not_move_on_the_wire_are_cut_off() {
        let connection = connection();
        connection.state.begin_request();
        assert_eq!(in_seconds(&connection, 600), None, "waiting for an upstream is no fault");
        connection.state.streams.set_wire(1, false);
        assert_eq!(in_seconds(&connection, 10), None);
        assert_eq!(in_seconds(&connection, 60), None);
        connection.state.streams.note_progress();
        assert_eq!(in_seconds(&connection, 80), None);
        assert_eq!(in_seconds(&connection, 81), None);
        let cut = Some((Order::Kill, Some(Cut::WriteTimeout)));
        assert_eq!(in_seconds(&connection, 150), cut);
        connection.state.streams.set_wire(0, false);
        assert_eq!(in_seconds(&connection, 150), None);
    }

    #[test]
    fn a_new_connection_is_asked_again_when_it_sends_nothing_while_draining() {
        let connection = connection();
        connection.state.order(Order::Drain);
        assert!(connection.state.is_fresh());
        assert_eq!(in_seconds(&connection, 2), Some((Order::Drain, None)));
    }

    #[test]
    fn a_first_request_is_late_whatever_else_was_sent() {
        let connection = connection();
        let start = now_nanos();
        let after =
            |seconds: u64| judge(&connection, start, LIMITS, start + seconds * 1_000_000_000);
        connection.state.touch();
        assert_eq!(after(2), None);
        for (seconds, order) in [(11, Order::Drain), (16, Order::Kill)] {
            assert_eq!(after(seconds), Some((order, Some(Cut::HeaderTimeout))), "{seconds}");
        }
    }
}
