//! Tidegate: an API gateway and edge proxy. See the README for what it does and `docs/` for how to
//! run it.

pub mod admin;
pub mod body;
pub mod cli;
pub mod config;
pub mod error;
pub mod gateway;
pub mod layers;
pub mod routing;
pub mod runtime;
pub mod server;
pub mod telemetry;

pub use cli::cli;
