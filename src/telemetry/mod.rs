//! Metrics, access log, request ids: what operators see of each request.

pub mod exchange;
pub mod request_id;
