//! What the operator wrote: plain data with the place it was written.

pub mod diagnostic;
pub mod model;
