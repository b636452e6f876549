//! What the operator wrote: plain data with the place it was written.

pub mod diagnostic;
pub mod model;
mod stand_in;

pub use stand_in::{Input, Loaded, default_config, load};
