//! Tidegate: an API gateway and edge proxy. See the README for what it does and `docs/` for how to
//! run it.
//!
//! The path of a request, by module: [`server`] accepts it, [`gateway`] loads the [`runtime`] and
//! finds its route in [`routing`], the route's stack of [`layers`] ends in an [`upstream`], and
//! [`telemetry`] closes the record when the body ends. [`config`] is what the operator wrote;
//! [`admin`] and [`mod@cli`] are how it is operated.
//!
//! To add a tower layer of your own, start with [`cli`](fn@cli) and [`Cli::layer`](cli::Cli::layer). A
//! layer wraps a [`LayerService`] and passes on [`Request`] and [`Response`];
//! `examples/own_layer.rs` is a whole one.

pub mod admin;
mod admission;
mod auth;
mod authorize;
pub mod body;
pub mod cli;
pub mod config;
#[cfg(test)]
mod documentation;
pub mod error;
pub mod explain;
mod fetch;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub mod gateway;
pub(crate) mod http1;
pub mod import;
pub mod layers;
mod limit;
pub mod plan;
pub mod routing;
pub mod runtime;
pub mod server;
mod store;
mod suite;
pub mod telemetry;
mod tls;
pub mod upstream;
mod watch;

pub use body::Body;
pub use cli::cli;
pub use error::{Error, Reason};
pub use layers::{Request, Response, custom::LayerService};
