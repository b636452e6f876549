//! A service that counts, asked as Envoy asks one (`envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit`):
//! through the pools of an upstream, on the worker of the request. One descriptor for each window of a limit. It
//! lets all pass that is asked for, or none, and takes nothing back.

mod messages;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

use self::messages::{Descriptor, Entry, Override, RateLimitRequest, RateLimitResponse};
use super::health::Health;
use crate::{
    auth::asked::{Service, Silent, grpc},
    config::model::{KeyPart, Name, Period, RateLimit},
    limit::{
        Standing,
        stored::{Amount, Asking, Away, Entries, Remote, Taken},
    },
    telemetry::{
        exchange::Exchange,
        metrics::{StoreCall, StoreMetrics},
    },
};

/// Where it is asked.
pub(crate) const PATH: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

/// Bytes of an answer.
const MOST: usize = 64 << 10;
/// Questions in a row without an answer, until it is left alone.
const MOST_MISSED: u32 = 3;
/// One that is left alone is asked again so often.
const AGAIN: Duration = Duration::from_millis(250);
/// It lets pass.
const OK: i32 = 1;
/// It does not.
const OVER_LIMIT: i32 = 2;

/// One service.
#[derive(Debug)]
pub(crate) struct Rls {
    service: Service,
    domain: String,
    state: State,
    health: Health,
    metrics: Arc<StoreMetrics>,
}

/// Whether it answers.
#[derive(Debug)]
struct State {
    /// Questions in a row that were not answered.
    missed: AtomicU32,
    /// When it is asked again that is left alone, in milliseconds since the epoch.
    again: AtomicU64,
    epoch: Instant,
}

/// One limit of a service.
#[derive(Debug)]
pub(crate) struct Asked {
    rls: Arc<Rls>,
    policy: Name,
    keys: Box<[String]>,
    windows: Box<[Option<Override>]>,
}

// === impl Rls ===

impl Rls {
    pub(crate) fn new(
        name: &Name,
        service: Service,
        domain: &str,
        metrics: Arc<StoreMetrics>,
    ) -> Arc<Self> {
        let state =
            State { missed: AtomicU32::new(0), again: AtomicU64::new(0), epoch: Instant::now() };
        let health = Health::new(name, 1, Arc::clone(&metrics));
        health.connected();
        Arc::new(Self { service, domain: domain.to_owned(), state, health, metrics })
    }

    /// Whether it is asked.
    pub(crate) fn is_up(&self) -> bool {
        self.metrics.is_up()
    }

    /// Asks, unless it is known not to answer.
    async fn ask(
        self: Arc<Self>,
        message: RateLimitRequest,
        of: Arc<Exchange>,
    ) -> Result<RateLimitResponse, Away> {
        if !self.state.may_ask() {
            self.metrics.count(StoreCall::Away);
            return Err(Away);
        }
        let asked = Instant::now();
        let question = grpc::question(&self.service, &message);
        let answer = self.service.clone().ask(question, of, MOST).await;
        let windows = message.descriptors.len();
        let said = answer.and_then(|answer| {
            let response: RateLimitResponse =
                grpc::message(answer).map_err(|why| Silent::new("service_bad_answer", why))?;
            let clear = matches!(response.overall_code, OK | OVER_LIMIT);
            match clear && response.statuses.len() == windows {
                true => Ok(response),
                false => {
                    Err(Silent::new("service_bad_answer", "it says nothing of what was asked"))
                }
            }
        });
        match said {
            Ok(response) => {
                self.metrics.answered(asked.elapsed());
                if self.state.missed.swap(0, Relaxed) >= MOST_MISSED {
                    self.health.connected();
                }
                Ok(response)
            }
            Err(Silent { word, why }) => {
                let late = word == "service_timeout";
                self.metrics.count(if late { StoreCall::Timeout } else { StoreCall::Failed });
                if self.state.miss() {
                    self.health.lost(&why);
                }
                Err(Away)
            }
        }
    }
}

// === impl State ===

impl State {
    /// Of those that would ask one that does not answer, one may, now and then.
    fn may_ask(&self) -> bool {
        if self.missed.load(Relaxed) < MOST_MISSED {
            return true;
        }
        let (now, again) = (self.now(), self.again.load(Relaxed));
        now >= again
            && self.again.compare_exchange(again, now + millis(AGAIN), Relaxed, Relaxed).is_ok()
    }

    /// Another one was not answered; whether it is left alone from now on.
    fn miss(&self) -> bool {
        self.again.store(self.now() + millis(AGAIN), Relaxed);
        self.missed.fetch_add(1, Relaxed) + 1 == MOST_MISSED
    }

    fn now(&self) -> u64 {
        millis(self.epoch.elapsed())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

// === impl Asked ===

impl Asked {
    /// A limit of this name.
    pub(crate) fn new(rls: &Arc<Rls>, policy: &str, limit: &RateLimit) -> Self {
        let unit = |period| match period {
            Period::Every(time) => match time.as_secs() {
                _ if time.subsec_nanos() > 0 => None,
                1 => Some(1),
                60 => Some(2),
                3600 => Some(3),
                _ => None,
            },
            Period::Day => Some(4),
            Period::Month => Some(5),
        };
        let windows = limit.windows.iter().map(|window| {
            let unit = unit(window.period)?;
            Some(Override { requests_per_unit: window.limit.get(), unit })
        });
        Self {
            rls: Arc::clone(rls),
            policy: policy.into(),
            keys: limit.key.iter().map(KeyPart::to_string).collect(),
            windows: windows.collect(),
        }
    }

    fn message(&self, entries: &Entries, cost: u32) -> RateLimitRequest {
        let pair = |key: &str, value: &str| Entry { key: key.to_owned(), value: value.to_owned() };
        let mut all = vec![pair("policy", &self.policy)];
        for (key, value) in self.keys.iter().zip(entries) {
            let value = value.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            all.push(pair(key, &value));
        }
        let descriptors =
            self.windows.iter().map(|limit| Descriptor { entries: all.clone(), limit: *limit });
        RateLimitRequest {
            domain: self.rls.domain.clone(),
            descriptors: descriptors.collect(),
            hits_addend: cost,
        }
    }

    fn ask(
        &self,
        entries: &Entries,
        cost: u32,
        of: Option<&Exchange>,
    ) -> Asking<Result<Taken, Away>> {
        // None would be one there, and without a request there is nobody to ask for.
        let (Some(of), 1..) = (of, cost) else { return Box::pin(async { Err(Away) }) };
        let of = of.detached(Instant::now(), true, true);
        let asking = Arc::clone(&self.rls).ask(self.message(entries, cost), of);
        Box::pin(async move { Ok(taken(&asking.await?, cost)) })
    }
}

/// What an answer says.
fn taken(response: &RateLimitResponse, cost: u32) -> Taken {
    let over = response.overall_code == OVER_LIMIT;
    let known = response.statuses.iter().any(|status| status.code == OVER_LIMIT);
    let standings = response.statuses.iter().map(|status| {
        let refused = over && (status.code == OVER_LIMIT || !known);
        let time = status.duration_until_reset.unwrap_or_default();
        let seconds = time.seconds.saturating_add(i64::from(time.nanos > 0));
        let reset = u32::try_from(seconds.max(i64::from(refused))).unwrap_or(u32::MAX);
        Standing { left: status.limit_remaining, reset, refused }
    });
    Taken {
        granted: if over { 0 } else { cost },
        standings: standings.collect(),
        wait: Duration::ZERO,
        ends: None,
        unix: 0,
    }
}

impl Remote for Asked {
    fn take(
        &self,
        entries: &Entries,
        amount: Amount,
        of: Option<&Exchange>,
    ) -> Asking<Result<Taken, Away>> {
        self.ask(entries, amount.most, of)
    }

    /// It can take more, and gives nothing back.
    fn correct(
        &self,
        entries: &Entries,
        by: i64,
        _: Option<u64>,
        of: Option<&Exchange>,
    ) -> Asking<Result<Taken, Away>> {
        self.ask(entries, u32::try_from(by).unwrap_or(0), of)
    }
}
