//! End-to-end tests: the real binary between real clients and real upstreams. One binary, one file per
//! feature; `support` holds the parts.

#![allow(clippy::unwrap_used)] // a test may panic anywhere; clippy only knows it inside `#[test]`

mod attacks;
mod cli;
mod client_leaves;
mod data_plane;
mod demo;
mod errors;
mod examples;
mod forwarding;
mod grpc;
mod health;
mod http1;
mod http2;
mod lifecycle;
mod listeners;
mod mirror;
mod observability;
mod parts;
mod reload;
mod routing;
mod scale;
mod sick;
mod sse;
mod stress;
mod support;
mod tidy;
mod time_limits;
mod upstream_faults;
mod upstream_tls;
mod upstreams;
mod websocket;
