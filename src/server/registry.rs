//! The connections of one worker, and the sweep that ends what lasts too long. One look at every
//! connection per second costs less than one timer per request.

use std::{sync::Arc, time::Duration};

use ahash::AHashMap;
use parking_lot::Mutex;

use super::{
    client::{Ages, Connection, Order, now_nanos},
    listener::Listener,
};
use crate::telemetry::metrics::{ConnectionGuard, Protocol};

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
    counted: ConnectionGuard,
}

/// A quiet connection gives back the memory of its protocol after this long.
const PARK_AFTER: Duration = Duration::from_secs(3);
/// A client that takes nothing for this long is cut off.
const WRITE_IDLE: Duration = Duration::from_secs(60);
/// How long a connection of a closed listener may take to begin its request.
const LATE_GRACE: Duration = Duration::from_secs(1);
/// How long a connection that was asked to close may take.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

// === impl Registry ===

impl Registry {
    /// Adds a connection.
    pub(crate) fn add(
        self: &Arc<Self>,
        connection: Arc<Connection>,
        listener: Arc<Listener>,
        counted: ConnectionGuard,
    ) -> Registration {
        let mut inner = self.inner.lock();
        inner.next += 1;
        let id = inner.next;
        listener.opened(&connection);
        inner.connections.insert(id, (connection, listener));
        Registration { registry: Arc::clone(self), id, counted }
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
            let settings = listener.settings();
            let closing = listener.is_closing();
            if let Some(order) = judge(connection, settings.timeouts, closing, now) {
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
    closing: bool,
    now: u64,
) -> Option<Order> {
    use std::sync::atomic::Ordering::Relaxed;
    let state = &connection.state;
    let Ages { idle, head, blocked } = state.ages(now);
    if blocked.is_some_and(|age| age > WRITE_IDLE) {
        return Some(Order::Kill);
    }
    if state.tunnel.load(Relaxed) {
        return None;
    }
    // The listener closed before this connection came out of its backlog: everybody else was told.
    let busy = state.in_flight() > 0 || state.served.load(Relaxed);
    if closing && !state.ordered(Order::Drain) && (busy || idle > LATE_GRACE) {
        return Some(Order::Drain);
    }
    if state.in_flight() > 0 {
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
    } else if idle > limit {
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
        self.counted.set(protocol);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let removed = self.registry.inner.lock().connections.remove(&self.id);
        if let Some((connection, listener)) = removed {
            listener.closed(&connection);
        }
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

    #[test]
    fn a_connection_that_came_after_the_drain_is_drained_too() {
        let connection = Connection::new("http".into(), 0, None, 80, None, false);
        let since = connection.state.touch();
        let after = |ms: u64| since + ms * 1_000_000;
        assert_eq!(judge(&connection, LIMITS, true, after(500)), None, "its request may come");
        assert_eq!(judge(&connection, LIMITS, true, after(1500)), Some(Order::Drain));
        assert_eq!(judge(&connection, LIMITS, false, after(1500)), None);
        connection.state.begin_request();
        assert_eq!(judge(&connection, LIMITS, true, after(500)), Some(Order::Drain));
        connection.state.order(Order::Drain);
        assert_eq!(judge(&connection, LIMITS, true, after(1500)), None, "told once");
    }
}
