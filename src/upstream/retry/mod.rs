//! Further tries: how many an upstream can bear, and how long to wait before one. They stand around
//! forwarding, which makes each try.

pub(crate) mod backoff;
pub(crate) mod budget;
