//! The record of one request, kept until its answer has ended: dropped early, it says that the
//! client is gone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{HeaderMap, Method, Version};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Observe;
use crate::{
    body::BoxError,
    error::{Error, Reason},
    layers::Response,
    server::client::Connection,
    telemetry::{
        access_log::{AccessLog, Fields, Record},
        exchange::{Exchange, Late, Outcome},
        metrics::Observation,
    },
};

/// Writes the record when finished or dropped, once.
#[derive(Debug)]
pub(super) struct Recorder {
    observe: Arc<Observe>,
    exchange: Arc<Exchange>,
    /// Status sent, and when.
    head: Option<(u16, Instant)>,
    bytes_out: u64,
    /// Everything that was to be sent is sent.
    complete: bool,
    request_headers: Fields,
    response_headers: Fields,
}

/// Keeps the record of an upgraded connection open: whoever answers an upgrade puts an
/// `Arc<Tunnel>` into the extensions of the response and keeps another until the tunnel ends.
#[derive(Debug, Default)]
pub struct Tunnel {
    sent: AtomicU64,
    recorder: Mutex<Option<Recorder>>,
}

// === impl Recorder ===

impl Recorder {
    pub(super) fn start(
        observe: Arc<Observe>,
        exchange: Arc<Exchange>,
        headers: &HeaderMap,
    ) -> Self {
        let connection = &exchange.connection;
        if let Some(listener) = connection.metrics(&observe.metrics) {
            listener.request_started();
        }
        let request_headers = match wanted_log(&observe, &exchange) {
            Some(log) => log.of_request(headers),
            None => Fields::new(),
        };
        Self {
            observe,
            exchange,
            head: None,
            bytes_out: 0,
            complete: false,
            request_headers,
            response_headers: Fields::new(),
        }
    }

    /// The head of the answer is there.
    pub(super) fn head(&mut self, response: &mut Response) {
        self.head = Some((response.status().as_u16(), Instant::now()));
        if let Some(log) = wanted_log(&self.observe, &self.exchange) {
            self.response_headers = log.of_response(response.headers());
        }
        if !self.exchange.owes(Late::Answer) {
            let id = self.exchange.id.to_header();
            response.headers_mut().insert(self.observe.own.request_id.clone(), id);
            self.write_own(response.headers_mut());
        }
    }

    /// Writes what is left to be written of our own fields.
    pub(super) fn write_own(&self, headers: &mut HeaderMap) {
        self.observe.own.insert_answer(headers, &self.exchange);
    }

    /// The same as lines.
    pub(super) fn write_lines(&self, text: &mut Vec<u8>) {
        self.observe.own.write_answer(text, &self.exchange);
    }

    pub(super) fn method(&self) -> &Method {
        &self.exchange.method
    }

    /// The connection the answer goes to, if it is one of many there.
    pub(super) fn h2_connection(&self) -> Option<Arc<Connection>> {
        let h2 = self.exchange.version == Version::HTTP_2;
        h2.then(|| Arc::clone(&self.exchange.connection))
    }

    /// Bytes of the body went out.
    pub(super) fn sent(&mut self, bytes: u64) {
        self.bytes_out += bytes;
    }

    /// How many went out.
    pub(super) fn bytes_out(&self) -> u64 {
        self.bytes_out
    }

    /// The body failed; whoever made it may have said why.
    pub(super) fn failed(mut self, error: &BoxError) {
        self.complete = true;
        self.exchange.note(|outcome| {
            if outcome.reason.is_none() {
                let ours = error.downcast_ref::<Error>().map(Error::reason);
                let theirs = || match outcome.upstream {
                    Some(_) => Reason::UpstreamReset,
                    None => Reason::Internal,
                };
                outcome.reason = Some(ours.unwrap_or_else(theirs));
                outcome.detail = Some(error.to_string().into());
            }
        });
    }

    /// The body has ended as it should.
    pub(super) fn finish(mut self) {
        self.complete = true;
    }

    fn write(&mut self) {
        let exchange = &*self.exchange;
        let now = Instant::now();
        if let Some(listener) = exchange.connection.metrics(&self.observe.metrics) {
            listener.request_ended();
        }
        exchange.conclude(|outcome| {
            if !self.complete && outcome.reason.is_none() {
                outcome.reason = Some(Reason::ClientGone);
            }
            self.write_outcome(outcome, now);
        });
    }

    fn write_outcome(&self, outcome: &Outcome, now: Instant) {
        let (observe, exchange) = (&*self.observe, &*self.exchange);
        // Without a head nothing was sent: the status is that of the reason.
        let reason = outcome.reason.unwrap_or(Reason::ClientGone);
        let (status, head) = self.head.unwrap_or_else(|| (reason.status().as_u16(), now));
        let total = now.saturating_duration_since(exchange.started);
        let upstream_time = outcome.upstream_time.unwrap_or_default();
        let gateway =
            head.saturating_duration_since(exchange.started).saturating_sub(upstream_time);
        let bytes_in = exchange.bytes_in.load(Relaxed);
        let started = exchange.started_unix;
        observe.route.record(&Observation {
            listener: &exchange.connection.listener,
            listener_id: exchange.connection.listener_id,
            upstream: outcome.upstream.as_ref(),
            method: &exchange.method,
            status,
            total,
            gateway,
            upstream_time: outcome.upstream_time,
            bytes_in,
            bytes_out: self.bytes_out,
            reason: outcome.reason,
            ended: ended_second(started, total),
        });
        if let Some(log) = wanted_log(observe, exchange) {
            log.write(&Record {
                exchange,
                outcome,
                status,
                bytes_in,
                bytes_out: self.bytes_out,
                started,
                total,
                gateway,
                request_headers: &self.request_headers,
                response_headers: &self.response_headers,
            });
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.write();
    }
}

/// The log the record goes to, unless the route wants none.
fn wanted_log<'a>(observe: &'a Observe, exchange: &Exchange) -> Option<&'a AccessLog> {
    observe.access_log.as_deref().filter(|_| exchange.route.access_log)
}

fn ended_second(started_micros: u64, total: Duration) -> u64 {
    Duration::from_micros(started_micros).saturating_add(total).as_secs()
}

// === impl Tunnel ===

impl Tunnel {
    /// Bytes went to the client.
    pub fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Relaxed);
    }

    /// The record ends with this.
    pub(super) fn hold(&self, recorder: Recorder) {
        *self.recorder.lock() = Some(recorder);
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        if let Some(mut recorder) = self.recorder.get_mut().take() {
            recorder.sent(self.sent.load(Relaxed));
            recorder.finish();
        }
    }
}
