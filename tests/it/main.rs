//! End-to-end tests: the real binary between real clients and real upstreams. One binary, one file per
//! feature; `support` holds the parts.

#![allow(clippy::unwrap_used)] // a test may panic anywhere; clippy only knows it inside `#[test]`

mod attacks;
mod auth;
mod authorize;
mod change;
mod check;
mod cli;
mod client_cert;
mod client_leaves;
mod cookbook;
mod data_plane;
mod demo;
mod discovery;
mod errors;
mod examples;
mod explain;
mod external;
mod forwarding;
mod global_limits;
mod grpc;
mod hash;
mod health;
mod http1;
mod http2;
mod identity_headers;
mod import;
mod ip;
mod jwt;
mod lifecycle;
mod listeners;
mod mirror;
mod observability;
mod oidc;
mod overload;
mod parts;
mod rate_limit;
mod reload;
mod routing;
mod scale;
mod secrets;
mod sick;
mod signature;
mod slow_issuers;
mod sse;
mod stress;
mod suite;
mod support;
mod tidy;
mod time_limits;
mod tools;
mod upstream_faults;
mod upstream_tls;
mod upstreams;
mod websocket;
