//! Compares the answer a client got with the answer to the copy. Whichever comes second compares. Every
//! comparison is counted; of those that differ one a second is told to the log.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use aws_lc_rs::digest::Digest;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;

use super::{super::Response, body::Digesting};
use crate::{
    body::{Body, BoxError},
    config::model::{Compare, Name},
    server::client::now_nanos,
    telemetry::{exchange::Exchange, metrics::RouteMetrics},
};

/// One of the two answers.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) digest: Option<Digest>,
}

/// The comparison of two answers, shared by those who bring them.
#[derive(Clone, Debug)]
pub(super) struct Comparison(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    compare: Compare,
    /// What the log says of the request.
    method: http::Method,
    path: String,
    route: Name,
    to: Name,
    metrics: Arc<RouteMetrics>,
    first: Mutex<Option<(Which, Answer)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Original,
    Copy,
}

/// The body of the original, on its way to the client.
struct Watched {
    body: Digesting,
    /// `None` once the answer has been handed in.
    answer: Option<(Comparison, StatusCode, HeaderMap)>,
}

/// When a difference was told last, in nanoseconds.
static TOLD: AtomicU64 = AtomicU64::new(0);
/// How long the log is left alone after it.
const QUIET: u64 = 1_000_000_000;

// === impl Comparison ===

impl Comparison {
    pub(super) fn new(
        compare: Compare,
        exchange: &Exchange,
        to: &Name,
        metrics: &Arc<RouteMetrics>,
    ) -> Self {
        Self(Arc::new(Inner {
            compare,
            method: exchange.method.clone(),
            path: exchange.uri.path().to_owned(),
            route: Arc::clone(&exchange.route.name),
            to: Arc::clone(to),
            metrics: Arc::clone(metrics),
            first: Mutex::new(None),
        }))
    }

    /// Watches the answer of the original on its way.
    pub(super) fn with_original(self, response: Response) -> Response {
        let (status, headers) = (response.status(), response.headers().clone());
        if response.body().is_empty() || !self.0.compare.body {
            let digest = Digesting::new(Body::empty(), self.0.compare.body).digest();
            self.hand_in(Which::Original, Answer { status, headers, digest });
            return response;
        }
        response.map(|body| {
            let answer = Some((self, status, headers));
            Body::wrap(Watched { body: Digesting::new(body, true), answer })
        })
    }

    /// The copy was answered.
    pub(super) fn copy_answered(self, answer: Answer) {
        self.hand_in(Which::Copy, answer);
    }

    fn hand_in(&self, which: Which, answer: Answer) {
        let mut first = self.0.first.lock();
        match first.take() {
            Some((other, before)) if other != which => {
                drop(first);
                match which {
                    Which::Original => self.0.judge(&answer, &before),
                    Which::Copy => self.0.judge(&before, &answer),
                }
            }
            _ => *first = Some((which, answer)),
        }
    }
}

// === impl Inner ===

impl Inner {
    fn judge(&self, original: &Answer, copy: &Answer) {
        let found = difference(&self.compare, original, copy);
        self.metrics.compared(found.as_ref().map_or("none", |found| found.what()));
        let Some(found) = found else { return };
        let (now, last) = (now_nanos(), TOLD.load(Ordering::Relaxed));
        let quiet = last != 0 && now.saturating_sub(last) < QUIET;
        let mine = || TOLD.compare_exchange(last, now.max(1), Ordering::Relaxed, Ordering::Relaxed);
        if quiet || mine().is_err() {
            return;
        }
        let (route, mirror, method, path) = (&*self.route, &*self.to, &self.method, &*self.path);
        tracing::warn!(
            route, mirror, %method, path, difference = %found,
            "the mirror answers something else"
        );
    }
}

/// What differs first.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    Status(StatusCode, StatusCode),
    Header(http::HeaderName),
    Body,
}

impl Difference {
    fn what(&self) -> &'static str {
        match self {
            Self::Status(..) => "status",
            Self::Header(_) => "header",
            Self::Body => "body",
        }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(original, copy) => {
                write!(f, "status {} instead of {}", copy.as_u16(), original.as_u16())
            }
            // Values may be secret.
            Self::Header(name) => write!(f, "header {name}"),
            Self::Body => f.write_str("body"),
        }
    }
}

fn bytes(answer: &Answer) -> Option<&[u8]> {
    answer.digest.as_ref().map(AsRef::as_ref)
}

/// Compares two answers.
pub(super) fn difference(by: &Compare, original: &Answer, copy: &Answer) -> Option<Difference> {
    if by.status && original.status != copy.status {
        return Some(Difference::Status(original.status, copy.status));
    }
    let differs = |name: &&http::HeaderName| {
        original.headers.get_all(*name).iter().ne(copy.headers.get_all(*name).iter())
    };
    if let Some(name) = by.headers.iter().find(differs) {
        return Some(Difference::Header(name.clone()));
    }
    (by.body && bytes(original) != bytes(copy)).then_some(Difference::Body)
}

// === impl Watched ===

impl Watched {
    fn over(&mut self) {
        if let Some((comparison, status, headers)) = self.answer.take() {
            let answer = Answer { status, headers, digest: self.body.digest() };
            comparison.hand_in(Which::Original, answer);
        }
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            // What was cut cannot be compared.
            Some(Err(_)) => self.answer = None,
            Some(Ok(_)) if !self.body.is_end_stream() => {}
            Some(Ok(_)) | None => self.over(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
