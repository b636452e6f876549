//! STAND-IN for the body type; drop for the real one.

/// STAND-IN.
#[derive(Debug)]
pub struct Body;
