//! Metrics, access log, request ids.
