//! What happens to a request on the way: one file per layer. `stack` writes their order, once.

pub mod answer;
pub mod body;
pub mod custom;
pub(crate) mod expect;
pub(crate) mod grpc_timeout;
pub mod headers;
pub mod mirror;
pub mod observe;
pub(crate) mod panics;
pub mod respond;
pub mod rewrite;
pub mod shared;
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
