//! Where it goes.

pub mod dns;
pub mod tls;
