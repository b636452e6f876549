//! A limit all workers share. Nearly always there is a place, and taking it is one atomic exchange; only
//! those who have to wait meet at a lock. A place is held until the answer has ended.

#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Duration,
};

use http::StatusCode;
use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;
use tokio::{sync::oneshot, time::Instant};

use super::{
    adaptive::{Adaptive, Answer},
    keyed::Entry,
    queue::{Joined, Place, Queue},
};
use crate::config::model::{Bound, Class};

/// How many, and how many more wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) bound: Bound,
    /// `None`: as many as the limit.
    pub(crate) queue: Option<usize>,
}

/// A limit on requests in flight, with those who wait for it.
#[derive(Debug)]
pub(crate) struct Limiter {
    settings: Settings,
    limit: AtomicUsize,
    in_flight: AtomicUsize,
    /// How many wait: who finds none takes a place without the lock.
    waiting: AtomicUsize,
    queue: Mutex<Queue<Turn>>,
    /// Nobody waits for this lock: what a request took is not told when another is just telling.
    adaptive: Option<Mutex<Adaptive>>,
}

/// How one who waits is told.
type Turn = oneshot::Sender<Result<Permit, Shed>>;

/// A place, given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    limiter: Arc<Limiter>,
    /// Since when, until it is told what came of it; only where somebody wants to know.
    began: Option<Instant>,
    /// Where the limit is one of many, what keeps it among them; dropped after the rest.
    _entry: Option<Box<Entry>>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shed {
    /// As many wait as may.
    Full,
    /// Somebody came who matters more.
    Outranked,
    /// It took too long.
    Late,
}

/// Waits in the queue until dropped.
struct Waiting<'l> {
    limiter: &'l Limiter,
    place: Place,
    turn: oneshot::Receiver<Result<Permit, Shed>>,
}

// === impl Shed ===

impl Shed {
    /// Its word in metrics.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Full => "queue_full",
            Self::Outranked => "outranked",
            Self::Late => "queue_timeout",
        }
    }
}

// === impl Limiter ===

impl Limiter {
    pub(crate) fn new(settings: Settings, now: Instant) -> Self {
        let (limit, adaptive) = match settings.bound {
            Bound::Fixed(limit) => (limit, None),
            Bound::Adaptive(settings) => {
                let adaptive = Adaptive::new(settings, now, rand::random());
                (adaptive.limit(), Some(Mutex::new(adaptive)))
            }
        };
        Self {
            settings,
            limit: AtomicUsize::new(limit),
            in_flight: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            queue: Mutex::default(),
            adaptive,
        }
    }

    pub(crate) const fn settings(&self) -> Settings {
        self.settings
    }

    /// Most in flight, now.
    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// In flight, now.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Waiting, now.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// What the service takes without load, where that is watched.
    pub(crate) fn baseline(&self) -> Option<Duration> {
        self.adaptive.as_ref()?.lock().baseline()
    }

    /// Takes a place, if there is one that nobody waits for.
    pub(crate) fn try_enter(self: &Arc<Self>) -> Option<Permit> {
        if self.waiting.load(SeqCst) > 0 || !self.take() {
            return None;
        }
        Some(self.permit())
    }

    /// Takes a place, and waits for it as long as this.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        class: Class,
        patience: Duration,
    ) -> Result<Permit, Shed> {
        if let Some(permit) = self.try_enter() {
            return Ok(permit);
        }
        let mut waiting = self.join(class)?;
        match tokio::time::timeout(patience, &mut waiting.turn).await {
            Ok(Ok(turn)) => turn,
            // Whoever holds the other end says something before it lets go.
            Ok(Err(_)) | Err(_) => Err(Shed::Late),
        }
    }

    fn join(self: &Arc<Self>, class: Class) -> Result<Waiting<'_>, Shed> {
        let (turn, receiver) = oneshot::channel();
        let mut queue = self.queue.lock();
        let joined = queue.join(class, turn, self.most_waiting());
        let Joined::Waits(place, outranked) = joined else { return Err(Shed::Full) };
        // A place that became free before this was seen by nobody else.
        self.serve(queue);
        if let Some(turn) = outranked {
            // One that is gone need not be told.
            let _ = turn.send(Err(Shed::Outranked));
        }
        Ok(Waiting { limiter: self, place, turn: receiver })
    }

    fn most_waiting(&self) -> usize {
        self.settings.queue.unwrap_or_else(|| match &self.adaptive {
            Some(adaptive) => adaptive.lock().usual_limit(),
            None => self.limit(),
        })
    }

    /// Gives the places that are free to those whose turn it is.
    fn serve(self: &Arc<Self>, mut queue: MutexGuard<'_, Queue<Turn>>) {
        self.waiting.store(queue.len(), SeqCst);
        let mut turns: SmallVec<[Turn; 1]> = SmallVec::new();
        while !queue.is_empty() && self.take() {
            turns.extend(queue.pop());
        }
        self.waiting.store(queue.len(), SeqCst);
        drop(queue);
        for turn in turns {
            // One that has just gone gives its place back as it is dropped.
            let _ = turn.send(Ok(self.permit()));
        }
    }

    fn take(&self) -> bool {
        let limit = self.limit.load(Relaxed);
        let more = |count| (count < limit).then_some(count + 1);
        self.in_flight.fetch_update(SeqCst, SeqCst, more).is_ok()
    }

    fn permit(self: &Arc<Self>) -> Permit {
        let began = self.adaptive.is_some().then(Instant::now);
        Permit { limiter: Arc::clone(self), began, _entry: None }
    }

    fn serve_if_waited_for(self: &Arc<Self>) {
        // Whoever joins counts itself and then looks for a place: one of both sees the other.
        if self.waiting.load(SeqCst) > 0 {
            self.serve(self.queue.lock());
        }
    }

    fn saw(self: &Arc<Self>, answer: Answer, began: Instant) {
        let Some(mut adaptive) = self.adaptive.as_ref().and_then(Mutex::try_lock) else { return };
        adaptive.saw(answer, began, self.in_flight(), Instant::now());
        let (before, now) = (self.limit(), adaptive.limit());
        if now != before {
            self.limit.store(now, Relaxed);
            drop(adaptive);
            if now > before {
                self.serve_if_waited_for();
            }
        }
    }
}

// === impl Permit ===

impl Permit {
    /// The same place, which is one of a key.
    pub(super) fn of(mut self, entry: Entry) -> Self {
        self._entry = Some(Box::new(entry));
        self
    }

    /// Whether somebody wants to know what comes of it.
    pub(crate) const fn is_measured(&self) -> bool {
        self.began.is_some()
    }

    /// The service has answered, with this status; `None` if it was not asked.
    pub(crate) fn answered(&mut self, took: Option<Duration>, status: StatusCode) {
        let Some(began) = self.began.take() else { return };
        let answer = match (took, status) {
            // A tunnel that was opened, or an answer of somebody else.
            (_, StatusCode::SWITCHING_PROTOCOLS) | (None, _) => return,
            (_, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) => {
                Answer::Overloaded
            }
            (Some(took), _) => Answer::After(took),
        };
        self.limiter.saw(answer, began);
    }

    /// How long this takes says nothing of the service.
    pub(crate) const fn is_no_measure(&mut self) {
        self.began = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(began) = self.began.take() {
            self.limiter.saw(Answer::NotIn(began.elapsed()), began);
        }
        self.limiter.in_flight.fetch_sub(1, SeqCst);
        self.limiter.serve_if_waited_for();
    }
}

// === impl Waiting ===

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut queue = self.limiter.queue.lock();
        queue.leave(self.place);
        self.limiter.waiting.store(queue.len(), SeqCst);
    }
}
