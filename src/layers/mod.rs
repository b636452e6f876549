//! What happens to a request on the way: one file per layer. `stack` writes their order, once.

pub mod custom;
pub mod shared;

use crate::body::Body;

/// A request on its way through the layers.
pub type Request = http::Request<Body>;
/// A response on its way back.
pub type Response = http::Response<Body>;
