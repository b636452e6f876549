//! Metrics, access log, request ids: what operators see of each request.

pub mod access_log;
pub mod exchange;
pub mod log;
pub mod metrics;
pub mod request_id;
