//! A limit that is counted outside of this process, so that several gateways count together. Who counts is
//! [`Remote`]: it is asked on the worker of the request, for each request, or by [`Leases`] for some at
//! once. While it does not answer, this process judges alone, as the operator says. Stands behind
//! `layers/rate_limit/stored`, beside the limits that are counted here.

mod lease;
mod leases;
mod level;

#[cfg(test)]
mod tests;

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use smallvec::SmallVec;

pub(crate) use self::{leases::Leases, level::Window};
use super::{Limiter, Now, Standings};
use crate::{
    config::model::OnStoreError,
    telemetry::{
        exchange::Exchange,
        metrics::{Alone, Degraded},
    },
};

/// What requests of a bucket have in common: one value for each part of the key, nothing where it lacks.
pub(crate) type Entries = SmallVec<[Option<Box<[u8]>>; 1]>;

/// A future of a party outside.
pub(crate) type Asking<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A party outside of this process that counts one limit.
pub(crate) trait Remote: fmt::Debug + Send + Sync {
    /// Takes out of a bucket as many as it may, no more than `amount.most`; none, if that is fewer than
    /// `amount.least`. Answers within its time, or not at all. `of` is the request, if it is for one.
    fn take(
        &self,
        entries: &Entries,
        amount: Amount,
        of: Option<&Exchange>,
    ) -> Asking<Result<Taken, Away>>;

    /// Takes more out, whether it is there or not, or puts something back that was taken at that time on
    /// the clock of the party; none is now.
    fn correct(
        &self,
        entries: &Entries,
        by: i64,
        taken: Option<u64>,
        of: Option<&Exchange>,
    ) -> Asking<Result<Taken, Away>>;
}

/// How many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) least: u32,
    pub(crate) most: u32,
}

/// What a party says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// So many were taken.
    pub(crate) granted: u32,
    /// How things stand after that.
    pub(crate) standings: Standings,
    /// Until one more, or the least that was wanted, may be there.
    pub(crate) wait: Duration,
    /// Until a day or month ends that it was taken of.
    pub(crate) ends: Option<Duration>,
    /// Seconds since 1970, on its clock.
    pub(crate) unix: u64,
}

/// It did not answer; it has counted that itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Away;

/// What is said of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// How things stand, and who has counted it.
    Counted(Standings, Counter),
    /// Nobody counted, and it passes.
    Open,
    /// Nobody counted, and it does not.
    Closed,
}

/// Who has counted a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    /// Those outside.
    Remote,
    /// This process.
    Local,
}

/// An answer, at once or later.
pub(crate) enum Answer {
    Now(Verdict),
    Later(Asking<Verdict>),
}

/// A limit that is counted outside.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) remote: Arc<dyn Remote>,
    /// What was taken ahead, if some are at once.
    pub(crate) leases: Option<Arc<Leases>>,
    pub(crate) on_error: OnStoreError,
    /// The buckets of this process, with its share of the limit.
    pub(crate) share: Arc<Limiter>,
    pub(crate) degraded: Arc<Degraded>,
}

/// What is judged: the bucket, as this process and as others know it, and what it costs.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) key: u64,
    pub(crate) entries: Arc<Entries>,
    pub(crate) cost: u32,
    pub(crate) now: Now,
}

// === impl Amount ===

impl Amount {
    /// So many and no fewer.
    pub(crate) fn exactly(cost: u32) -> Self {
        Self { least: cost, most: cost }
    }
}

// === impl Stored ===

impl Stored {
    /// Takes what a request costs.
    pub(crate) fn take(self: &Arc<Self>, question: Question, of: &Exchange) -> Answer {
        let Some(leases) = &self.leases else {
            let amount = Amount::exactly(question.cost);
            let asking = self.remote.take(&question.entries, amount, Some(of));
            let this = Arc::clone(self);
            return Answer::Later(Box::pin(async move {
                match asking.await {
                    Ok(taken) => Verdict::Counted(taken.standings, Counter::Remote),
                    Err(Away) => this.alone(&question),
                }
            }));
        };
        match leases.take(&self.remote, &question) {
            leases::Step::Said(standings) => {
                Answer::Now(Verdict::Counted(standings, Counter::Remote))
            }
            leases::Step::Wait(waiting) => {
                let (this, leases) = (Arc::clone(self), Arc::clone(leases));
                Answer::Later(Box::pin(async move {
                    match leases.wait(&this.remote, &question, waiting).await {
                        Ok(standings) => Verdict::Counted(standings, Counter::Remote),
                        Err(Away) => this.alone(&question),
                    }
                }))
            }
        }
    }

    /// Judges without those outside.
    #[cold]
    fn alone(&self, question: &Question) -> Verdict {
        match self.on_error {
            OnStoreError::Local => {
                self.degraded.count(Alone::Local);
                let standings = self.share.take(question.key, question.cost, question.now);
                Verdict::Counted(standings, Counter::Local)
            }
            OnStoreError::Allow => {
                self.degraded.count(Alone::Allowed);
                Verdict::Open
            }
            OnStoreError::Deny => {
                self.degraded.count(Alone::Denied);
                Verdict::Closed
            }
        }
    }

    /// Takes more out for a request that has passed, or puts something back; how things stand after that,
    /// as far as it is known.
    pub(crate) async fn correct(
        &self,
        question: &Question,
        by: i64,
        (counter, of): (Counter, &Exchange),
    ) -> Option<Standings> {
        if counter == Counter::Local {
            self.share.correct(question.key, by, question.now);
            return Some(self.share.take(question.key, 0, question.now));
        }
        let rest = match &self.leases {
            Some(leases) => leases.correct(question, by),
            None => by,
        };
        if rest != 0 {
            let taken = self.remote.correct(&question.entries, rest, None, Some(of)).await.ok()?;
            return Some(taken.standings);
        }
        self.leases.as_ref()?.standings(question)
    }
}
