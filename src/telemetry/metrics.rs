//! STAND-IN for the metrics; drop for the real one.

use parking_lot::Mutex;

/// STAND-IN.
#[derive(Debug, Default)]
pub struct Metrics {
    last: Mutex<String>,
}

impl Metrics {
    /// STAND-IN.
    pub fn new(_: &crate::config::model::Metrics) -> Self {
        Self::default()
    }

    /// STAND-IN.
    pub fn render(&self) -> String {
        self.last.lock().clone()
    }

    /// STAND-IN.
    pub fn config_reload(&self, ok: bool, hash: &str) {
        *self.last.lock() = format!(
            "tidegate_config_last_reload_successful {}\ntidegate_config_info{{hash=\"{hash}\"}} 1\n",
            u8::from(ok)
        );
    }
}
