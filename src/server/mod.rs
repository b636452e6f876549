//! From socket to request.

pub mod certs;
pub mod dev_ca;
pub mod tls;
