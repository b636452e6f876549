//! The connections of one worker, and the sweep that ends what lasts too long. One look at every
//! connection per second costs less than one timer per request.

use std::{sync::Arc, time::Duration};

use ahash::AHashMap;
use parking_lot::Mutex;

use super::{
    client::{Ages, Connection, Order, now_nanos},
    listener::{Listener, Place},
};
use crate::telemetry::metrics::Protocol;

/// All connections of a worker.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    connections: AHashMap<u64, (Arc<Connection>, Arc<Listener>)>,
}

/// Takes the connection out of the registry when its socket is closed.
#[derive(Debug)]
pub(crate) struct Registration {
    registry: Arc<Registry>,
    id: u64,
    place: Place,
}

/// A quiet connection gives back the memory of its protocol after this long.
const PARK_AFTER: Duration = Duration::from_secs(3);
/// A client that takes nothing for this long is cut off.
pub(crate) const WRITE_IDLE: Duration = Duration::from_secs(60);
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
        inner.connections.insert(id, (connection, listener));
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
                .filter(|(_, its)| listener.is_none_or(|listener| Arc::ptr_eq(listener, its)));
            chosen.map(|(connection, _)| Arc::clone(connection)).collect()
        };
        for connection in connections {
            connection.state.order(order);
        }
    }

    /// Ends what lasts too long and parks what is quiet.
    pub(crate) fn sweep(&self) {
        let now = now_nanos();
        let mut orders = Vec::new();
        for (connection, listener) in self.inner.lock().connections.values() {
            connection.state.check_due(now);
            let settings = listener.settings();
            if let Some(order) = judge(connection, settings.timeouts, now) {
                orders.push((Arc::clone(connection), order));
            }
        }
        for (connection, order) in orders {
            connection.state.order(order);
        }
    }
}

fn judge(
    connection: &Connection,
    limits: crate::config::model::ListenerTimeouts,
    now: u64,
) -> Option<Order> {
    use std::sync::atomic::Ordering::Relaxed;
    let state = &connection.state;
    let Ages { idle, head, blocked, stuck } = state.ages(now);
    if blocked.max(stuck).is_some_and(|age| age > WRITE_IDLE) {
        return Some(Order::Kill);
    }
    if state.tunnel.load(Relaxed) || state.in_flight() > 0 {
        return None;
    }
    if let Some(age) = head {
        let late = age > limits.header + CLOSE_GRACE;
        return (age > limits.header).then_some(if late {
            Order::Kill
        } else {
            Order::HeadTimeout
        });
    }
    let limit = if state.served.load(Relaxed) { limits.idle } else { limits.header };
    if idle > limit + CLOSE_GRACE {
        Some(Order::Kill)
    } else if idle > limit || (state.ordered(Order::Drain) && !state.served.load(Relaxed)) {
        // Asked again, a new connection no longer waits for its first request.
        Some(Order::Drain)
    } else {
        (idle > PARK_AFTER && blocked.is_none() && !state.parked.load(Relaxed))
            .then_some(Order::Park)
    }
}

// === impl Registration ===

impl Registration {
    /// Counts the connection as something else from now on.
    pub(crate) fn is_now(&mut self, protocol: Protocol) {
        self.place.is_now(protocol);
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
    use crate::config::model::ListenerTimeouts;

    const LIMITS: ListenerTimeouts = ListenerTimeouts {
        handshake: Duration::from_secs(10),
        header: Duration::from_secs(10),
        idle: Duration::from_secs(75),
    };

    fn in_seconds(connection: &Connection, seconds: u64) -> Option<Order> {
        judge(connection, LIMITS, now_nanos() + seconds * 1_000_000_000)
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
        assert_eq!(in_seconds(&connection, 150), Some(Order::Kill));
        connection.state.streams.set_wire(0, false);
        assert_eq!(in_seconds(&connection, 150), None);
    }

    #[test]
    fn a_new_connection_is_asked_again_when_it_sends_nothing_while_draining() {
        let connection = connection();
        connection.state.order(Order::Drain);
        assert!(connection.state.is_fresh());
        assert_eq!(in_seconds(&connection, 2), Some(Order::Drain));
    }
}
