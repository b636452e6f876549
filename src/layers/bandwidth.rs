//! `bandwidth`: so many bytes of bodies a second, of a connection and of all together, each way. Guard zone,
//! around the body limit. A connection is what shares its limit, with all its streams: over HTTP/2 a
//! client would otherwise have as many shares as it opens streams. Tunnels are not bodies.

#[cfg(test)]
mod tests;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use smallvec::SmallVec;
use tokio::time::{Instant, Sleep};
use tower::{Layer, Service};

use super::{Request, Response, custom::LayerService, exchange_of, shared::BoxFuture};
use crate::{
    admission::{Bucket, Buckets},
    body::{Body, BoxError},
    config::model::Rates,
    error::Error,
};

/// Limits the bandwidth of a route.
#[derive(Clone, Debug)]
pub struct BandwidthLayer(Arc<Settings>);

/// The service of [`BandwidthLayer`].
#[derive(Clone, Debug)]
pub struct Bandwidth {
    inner: LayerService,
    settings: Arc<Settings>,
}

/// How much of what.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Of a connection.
    pub(crate) connection: Rates,
    /// Of all together.
    pub(crate) total: Arc<Buckets>,
}

/// A body that flows no faster than its buckets let it.
struct Throttled {
    body: Body,
    buckets: Shares,
    /// Nothing flows until then.
    pause: Option<Pin<Box<Sleep>>>,
}

type Shares = SmallVec<[Arc<Bucket>; 2]>;

/// Shorter pauses are made up for by the next one: timers are not as fine.
const LEAST: Duration = Duration::from_millis(2);

// === impl BandwidthLayer ===

impl BandwidthLayer {
    pub(crate) fn new(settings: Settings) -> Self {
        Self(Arc::new(settings))
    }
}

impl Layer<LayerService> for BandwidthLayer {
    type Service = Bandwidth;

    fn layer(&self, inner: LayerService) -> Bandwidth {
        Bandwidth { inner, settings: Arc::clone(&self.0) }
    }
}

// === impl Bandwidth ===

impl Service<Request> for Bandwidth {
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> BoxFuture<Error> {
        let exchange = exchange_of(&request).map(Arc::clone);
        let Some(exchange) = exchange else { return self.inner.call(request) };
        let Settings { connection, total } = &*self.settings;
        let its = exchange.connection.buckets(total.id(), *connection);
        let of = |both: [Option<&Arc<Bucket>>; 2]| -> Shares {
            both.into_iter().flatten().map(Arc::clone).collect()
        };
        let up = of([total.request.as_ref(), its.request.as_ref()]);
        let down = of([total.response.as_ref(), its.response.as_ref()]);
        let answer = self.inner.call(request.map(|body| throttled(body, up)));
        if down.is_empty() {
            return answer;
        }
        Box::pin(async move { Ok(answer.await?.map(|body| throttled(body, down))) })
    }
}

fn throttled(body: Body, buckets: Shares) -> Body {
    if buckets.is_empty() || body.is_empty() {
        return body;
    }
    Body::wrap(Throttled { body, buckets, pause: None })
}

// === impl Throttled ===

impl http_body::Body for Throttled {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Some(pause) = &mut this.pause {
            ready!(pause.as_mut().poll(cx));
            this.pause = None;
        }
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let now = Instant::now();
            let flow = this.buckets.iter().map(|bucket| bucket.flow(data.len(), now));
            let wait = flow.max().unwrap_or_default();
            if wait >= LEAST {
                this.pause = Some(Box::pin(tokio::time::sleep(wait)));
            }
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
