//! What happens on the way.

pub mod observe;
pub mod respond;

/// A request on its way.
pub type Request = http::Request<crate::body::Body>;

/// An answer on its way.
pub type Response = http::Response<crate::body::Body>;
