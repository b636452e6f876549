//! STAND-IN for the diagnostics log; drop for the real one.

use crate::config::model::{LogFormat, Logs};

/// STAND-IN.
pub fn init(logs: &Logs) {
    let json = logs.format != Some(LogFormat::Pretty);
    let builder = tracing_subscriber::fmt().with_max_level(logs.level);
    let _ = if json { builder.json().flatten_event(true).try_init() } else { builder.try_init() };
}
