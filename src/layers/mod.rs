//! What happens to a request on the way: one file per layer. `stack` writes their order, once.

pub mod answer;
pub mod auth;
pub mod authorize;
pub mod bandwidth;
pub mod body;
pub mod concurrency;
pub mod custom;
pub(crate) mod expect;
pub(crate) mod grpc_timeout;
pub mod headers;
pub mod ip;
pub mod mirror;
pub mod observe;
pub(crate) mod panics;
pub mod rate_limit;
pub mod respond;
pub mod rewrite;
pub mod shared;
pub(crate) mod shedding;
pub mod template;
pub mod timeout;

use std::sync::Arc;

use crate::{body::Body, telemetry::exchange::Exchange};

/// A request on its way through the layers.
pub type Request = http::Request<Body>;
/// A response on its way back.
pub type Response = http::Response<Body>;

/// The exchange of a request, wherever the gateway has put it.
pub(crate) fn exchange_of(request: &Request) -> Option<&Arc<Exchange>> {
    request.body().exchange().or_else(|| request.extensions().get())
}

/// The same request once more, with this body and without its extensions. What a head lacks (a Host,
/// one line of cookies) depends on its version, so that goes along.
pub(crate) fn copy(request: &Request, body: Body) -> Request {
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}
