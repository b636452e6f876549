//! Active health checks: the gateway itself asks each endpoint now and then whether it is well.
//! They stand beside the requests; the balancer only reads the outcome.

pub(crate) mod checker;
mod grpc;
mod h2;
mod http;
mod probe;
pub(crate) mod schedule;
pub(crate) mod state;

#[cfg(test)]
mod tests;
