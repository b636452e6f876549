//! What operators and their tools talk to: metrics and probes over HTTP, and the verbs of the command
//! line over a Unix socket. All of it runs on the control runtime, never on a worker.

pub mod client;
mod health;
mod http;
mod probes;
mod socket;
mod verbs;

use std::sync::Arc;

use tokio::sync::mpsc;

pub use self::{
    health::Health,
    http::{Admin, PreparedAdmin},
    socket::{AdminSocket, default_path},
};
use crate::{
    explain::{Asked, Explanation, Running},
    runtime::reload::Reloader,
};

/// Says what becomes of a request. Blocks.
pub type Explainer = Arc<dyn Fn(&Asked, Running) -> Result<Explanation, String> + Send + Sync>;

/// What the admin side knows of the gateway.
pub struct Control {
    /// Whether it is fit to serve.
    pub health: Arc<Health>,
    /// The reload engine.
    pub reloader: Arc<Reloader>,
    /// All metrics as text.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// Open connections.
    pub connections: Box<dyn Fn() -> usize + Send + Sync>,
    /// Says what becomes of a request.
    pub explain: Explainer,
    /// Asks for a drain.
    pub drain: mpsc::Sender<()>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("health", &self.health).finish_non_exhaustive()
    }
}
