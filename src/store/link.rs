//! The connection of one worker to a store, and the task that keeps it. A store that fails, or lets several
//! calls in a row wait in vain, is not asked any more until it has answered the same kind of call in time: so
//! nobody waits for a store of which is known that it does not answer.

use std::{
    error::Error as StdError,
    future::Future,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};

use super::{Redis, counted::probe, dial::Connection};

/// Calls in a row that were not answered, until the store counts as away.
const MOST_MISSED: u32 = 3;
/// The same for a cluster, of which one node may fail while the others answer.
const MOST_MISSED_OF_CLUSTER: u32 = 32;
/// Until the first further try to connect; each later one waits twice as long.
const PAUSE: Duration = Duration::from_millis(20);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// To connect, to say who we are, and to be answered once.
const CONNECT: Duration = Duration::from_secs(2);
/// A connection that has lived so long was a good one.
const GOOD: Duration = Duration::from_secs(5);

/// The connection of one worker.
#[derive(Debug, Default)]
pub(super) struct Link {
    begun: AtomicBool,
    task: Mutex<Option<AbortHandle>>,
    state: Mutex<State>,
    /// Calls in a row that were not answered.
    missed: AtomicU32,
    /// Wakes the task: the connection is no good.
    broken: Notify,
    /// Wakes those who wait for the first connection.
    opened: Notify,
}

#[derive(Debug, Default)]
struct State {
    connection: Option<Connection>,
    /// Which one it is, so that nobody blames the next one for what the last one did.
    number: u64,
    /// Why it is no good.
    why: Option<String>,
    /// It has been tried once, so there is nothing to wait for.
    tried: bool,
    /// When the first of the calls was missed that were in a row.
    missed_since: Option<Instant>,
}

/// What is wrong with a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// The connection is of no use any more.
    Broken,
    /// It was not answered, or not well; others were not for so long, if there are many.
    Missed(Duration),
}

// === impl Link ===

impl Link {
    /// Starts the task, once. On the worker.
    pub(super) fn begin(self: &Arc<Self>, store: &Arc<Redis>) {
        if self.begun.load(Relaxed) || self.begun.swap(true, Relaxed) {
            return;
        }
        let task = tokio::spawn(keep(Arc::downgrade(store), Arc::clone(self)));
        *self.task.lock() = Some(task.abort_handle());
    }

    pub(super) fn end(&self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
        self.state.lock().connection = None;
    }

    /// What to ask over. The first one is waited for.
    pub(super) async fn connection(&self, limit: Duration) -> Option<(Connection, u64)> {
        let opened = self.opened.notified();
        {
            let state = self.state.lock();
            if let Some(connection) = &state.connection {
                return Some((connection.clone(), state.number));
            }
            if state.tried {
                return None;
            }
        }
        let in_time = timeout(limit, opened).await.is_ok();
        let mut state = self.state.lock();
        // Whoever comes next need not wait in vain as well.
        state.tried |= !in_time;
        Some((state.connection.clone()?, state.number))
    }

    pub(super) fn answered(&self) {
        // Nearly always it is 0 already, and a line of the cache stays where it is.
        if self.missed.load(Relaxed) != 0 {
            self.missed.store(0, Relaxed);
        }
    }

    /// A call over this connection was not answered as it should be. Many at once are one moment of
    /// weakness, if it has answered again by the time that calls may take.
    pub(super) fn suspect(&self, number: u64, fault: Fault, why: impl FnOnce() -> String) {
        let mut state = self.state.lock();
        let Some(connection) = &state.connection else { return };
        if state.number != number {
            return;
        }
        let most = if connection.is_cluster() { MOST_MISSED_OF_CLUSTER } else { MOST_MISSED };
        let missed = self.missed.fetch_add(1, Relaxed) + 1;
        if missed == 1 {
            state.missed_since = Some(Instant::now());
        }
        let gone = match fault {
            Fault::Broken => true,
            Fault::Missed(limit) => {
                let silent = state.missed_since.is_none_or(|since| since.elapsed() >= limit);
                missed >= most && silent
            }
        };
        if gone {
            state.connection = None;
            state.why = Some(why());
            self.broken.notify_one();
        }
    }

    fn opened(&self, connection: Connection) {
        let mut state = self.state.lock();
        state.connection = Some(connection);
        state.number += 1;
        state.tried = true;
        self.missed.store(0, Relaxed);
        self.opened.notify_waiters();
    }

    /// Nobody asks over it any more; why.
    fn closed(&self) -> String {
        let mut state = self.state.lock();
        state.connection = None;
        state.why.take().unwrap_or_else(|| "it has closed the connection".to_owned())
    }

    fn failed(&self) {
        self.state.lock().tried = true;
        self.opened.notify_waiters();
    }
}

/// Keeps a worker connected for as long as the store is in use.
async fn keep(store: Weak<Redis>, link: Arc<Link>) {
    let mut pause = PAUSE;
    loop {
        let opened = {
            let Some(store) = store.upgrade() else { return };
            let opened = open(&store).await;
            match &opened {
                Ok(connection) => {
                    link.opened(connection.clone());
                    store.health.connected();
                }
                Err(why) => {
                    link.failed();
                    store.health.away(why);
                }
            }
            opened.ok()
        };
        if let Some(connection) = opened {
            let since = Instant::now();
            tokio::select! {
                () = link.broken.notified() => {}
                () = connection.closed() => {}
            }
            if since.elapsed() > GOOD {
                pause = PAUSE;
            }
            let why = link.closed();
            let Some(store) = store.upgrade() else { return };
            store.health.lost(&why);
        }
        // Many gateways lose it at once, and need not come back at once.
        let share = rand::random_range(0.5..1.0);
        sleep(pause.mul_f64(share)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// A connection over which the store has answered in time.
async fn open(store: &Redis) -> Result<Connection, String> {
    let limit = store.timeout;
    let connect = async {
        let connection = store.dial.connect(CONNECT).await?;
        // The first answer may be late: the script is read, or a loaded machine has just woken up.
        for _ in 0..3 {
            let (command, again) = probe(store.prefix());
            let asked = Instant::now();
            connection.ask(command, again).await.map_err(|error| told(&error))?;
            if asked.elapsed() <= limit {
                return Ok(connection);
            }
        }
        Err(format!("it answers later than within {}ms", limit.as_millis()))
    };
    match timeout(CONNECT, connect).await {
        Ok(opened) => opened,
        Err(_) => Err(format!("no answer within {}s", CONNECT.as_secs())),
    }
}

// === impl Connection ===

impl Connection {
    /// Calls a script by its name; with its text, where nobody knows that name any more.
    pub(super) fn ask(
        &self,
        command: Cmd,
        again: Cmd,
    ) -> impl Future<Output = Result<Value, RedisError>> + Send + use<> {
        let mut this = self.clone();
        async move {
            match this.send(&command).await {
                Err(error) if is_unknown(&error) => this.send(&again).await,
                said => said,
            }
        }
    }
}

fn is_unknown(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// An error with its causes, on one line. Nothing of what was asked is in it.
pub(super) fn told(error: &RedisError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let why = error.to_string();
        if !text.contains(&why) {
            text = format!("{text}: {why}");
        }
        cause = error.source();
    }
    text.chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
