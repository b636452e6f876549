//! What is done when the machine's means run short.

use std::time::Duration;

/// What is watched, and from how much on something is done (`server.overload`).
#[derive(Clone, Debug, PartialEq)]
pub struct Overload {
    /// Memory of the process that is all there is; `None` is the limit of its cgroup, if there is one.
    pub memory: Option<u64>,
    /// Timers of a worker that are so late are as bad as no memory.
    pub delay: Duration,
    /// From what share of the scarcest on each step is taken.
    pub steps: OverloadSteps,
}

/// Shares of what there is, rising.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OverloadSteps {
    /// Idle connections are closed sooner.
    pub shrink: f64,
    /// Requests of class low are refused.
    pub shed_low: f64,
    /// Those of class normal, too.
    pub shed_normal: f64,
    /// No new connections are accepted.
    pub refuse: f64,
}

impl Default for Overload {
    fn default() -> Self {
        let steps = OverloadSteps { shrink: 0.8, shed_low: 0.88, shed_normal: 0.94, refuse: 0.98 };
        Self { memory: None, delay: Duration::from_secs(1), steps }
    }
}
