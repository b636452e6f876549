//! A worker: one thread, one current-thread runtime, its own sockets, its own connections. A request
//! lives and dies here.

use std::{
    cell::Cell,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::{
    net::{TcpListener, UnixListener},
    sync::mpsc,
    time::MissedTickBehavior,
};

use super::{
    accept,
    client::Order,
    listener::{Bound, Listener},
    overload::{BEAT, Overload},
    registry::Registry,
};
use crate::gateway::Gateway;

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(0) };
}

/// How many shards there are: one for each worker.
static SHARDS: AtomicUsize = AtomicUsize::new(1);

/// The shard of every pool that belongs to this thread. Threads that are no workers use the first.
pub(crate) fn shard() -> usize {
    SHARD.with(Cell::get)
}

/// How many shards a pool needs.
pub(crate) fn shards() -> usize {
    SHARDS.load(Ordering::Relaxed)
}

/// Says how many workers there will be, before any pool is made.
pub(crate) fn set_shards(count: usize) {
    SHARDS.store(count.max(1), Ordering::Relaxed);
}

/// A running worker, seen from outside.
#[derive(Debug)]
pub(crate) struct Worker {
    commands: mpsc::UnboundedSender<Command>,
    registry: Arc<Registry>,
    thread: Option<JoinHandle<()>>,
}

/// What a worker is told.
#[derive(Debug)]
enum Command {
    Accept(Bound, Arc<Listener>),
    Stop,
}

/// What a worker works with.
struct Shared {
    gateway: Arc<Gateway>,
    registry: Arc<Registry>,
    overload: Arc<Overload>,
}

/// How often a worker looks at its connections.
const SWEEP: Duration = Duration::from_secs(1);

// === impl Worker ===

impl Worker {
    /// Starts the thread.
    pub(crate) fn start(
        index: usize,
        gateway: &Arc<Gateway>,
        overload: &Arc<Overload>,
    ) -> io::Result<Self> {
        let (commands, receiver) = mpsc::unbounded_channel();
        let registry = Arc::new(Registry::default());
        let shared = Shared {
            gateway: Arc::clone(gateway),
            registry: Arc::clone(&registry),
            overload: Arc::clone(overload),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread =
            std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
                SHARD.with(|shard| shard.set(index));
                runtime.block_on(run(receiver, shared));
                // Connections still open are dropped with the runtime.
                runtime.shutdown_background();
            })?;
        Ok(Self { commands, registry, thread: Some(thread) })
    }

    /// Accepts connections on another socket.
    pub(crate) fn accept(&self, socket: Bound, listener: Arc<Listener>) {
        // A worker that has stopped accepts nothing any more, which is what was asked.
        let _ = self.commands.send(Command::Accept(socket, listener));
    }

    /// Asks all connections, or those of one listener, to finish and close.
    pub(crate) fn drain(&self, listener: Option<&Arc<Listener>>) {
        self.registry.order(Order::Drain, listener);
    }

    /// Connections open.
    pub(crate) fn connections(&self) -> usize {
        self.registry.len()
    }

    /// Ends the thread, and with it every connection.
    pub(crate) fn stop(&mut self) {
        let _ = self.commands.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            // A worker that panicked has said so already.
            let _ = thread.join();
        }
    }
}

async fn run(mut commands: mpsc::UnboundedReceiver<Command>, shared: Shared) {
    let Shared { gateway, registry, overload } = &shared;
    let mut sweep = tokio::time::interval(SWEEP);
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Accept(socket, listener)) => {
                    accept_on(socket, &listener, &shared);
                }
                Some(Command::Stop) | None => break,
            },
            _ = sweep.tick() => {
                registry.sweep(overload.frees());
                gateway.current().sweep_pools(shard());
                give_back();
            }
            due = beat.tick() => overload.beat(shard(), due.elapsed()),
        }
    }
}

/// What a flood of connections left is free, but mimalloc returns it to the system only when it next
/// gets memory back, and only blocks this large at once. A process that has become quiet would keep
/// it for ever.
fn give_back() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(1 << 20)));
}

fn accept_on(socket: Bound, listener: &Arc<Listener>, shared: &Shared) {
    let shared = accept::Shared {
        gateway: Arc::clone(&shared.gateway),
        registry: Arc::clone(&shared.registry),
        listener: Arc::clone(listener),
        overload: Arc::clone(&shared.overload),
    };
    let result = match socket {
        Bound::Tcp(socket) => TcpListener::from_std(socket)
            .map(|socket| drop(tokio::spawn(accept::tcp(socket, shared)))),
        Bound::Unix(socket) => UnixListener::from_std(socket)
            .map(|socket| drop(tokio::spawn(accept::unix(socket, shared)))),
    };
    if let Err(error) = result {
        tracing::error!(listener = %listener.name, error = %error, "cannot accept on this socket");
    }
}
