//! STAND-IN for the diagnostics log; drop for the real one.

use std::io;

use crate::config::model::Logs;

/// STAND-IN.
#[derive(Debug)]
pub struct Diagnostics;

impl Diagnostics {
    /// STAND-IN.
    pub fn install() -> Result<Self, String> {
        tracing_subscriber::fmt()
            .with_writer(io::stderr)
            .json()
            .flatten_event(true)
            .try_init()
            .map_err(|e| e.to_string())
            .map(|()| Self)
    }

    /// STAND-IN.
    pub fn apply(&self, _: &Logs) {}
}
