//! Tidegate: an API gateway and edge proxy. See the README for what it does and `docs/` for how to
//! run it.

pub mod body;
pub mod config;
pub mod error;
pub mod layers;
pub mod routing;
pub mod server;
pub mod telemetry;
mod tls;
pub mod upstream;
