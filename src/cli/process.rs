//! The running gateway, as the reload engine sees it: the data plane, the admin listener and the
//! admin socket change together or not at all.

use std::sync::{Arc, OnceLock};

use crate::{
    admin::{Admin, AdminSocket, Control},
    config::{
        diagnostic::Diagnostics,
        model::{Config, Name},
    },
    runtime::{
        live::Live,
        reload::{Status, Target},
    },
    server::systemd,
};

/// The running gateway, as the reload engine sees it.
pub(super) struct Process {
    pub(super) live: Live,
    pub(super) admin: Admin,
    pub(super) socket: Option<AdminSocket>,
    /// Set right after the reload engine exists, before anything can reload.
    pub(super) control: OnceLock<Arc<Control>>,
}

// === impl Process ===

impl Process {
    /// Logs the listeners that are not in `before`; tools read the addresses from these lines.
    pub(super) fn announce(&self, before: &[(Name, String)]) {
        for new in self.live.bound().iter().filter(|now| !before.contains(now)) {
            let (listener, address) = (&*new.0, &*new.1);
            tracing::info!(listener, address, "listening");
        }
    }

    pub(super) fn follow_socket(&self, config: &Config, control: &Arc<Control>) {
        if let Some(socket) = &self.socket {
            socket.follow(config.admin.socket.as_deref(), control);
        }
    }
}

impl Target for Process {
    fn config(&self) -> Arc<Config> {
        self.live.config()
    }

    fn apply(&self, config: Arc<Config>) -> Result<Diagnostics, Diagnostics> {
        let admin = self.admin.prepare(&config.admin, self.live.inherited());
        let ready = self.live.prepare(&config);
        let (admin, ready) = match (admin, ready) {
            (Ok(admin), Ok(ready)) => (admin, ready),
            (Err(mut one), Err(other)) => {
                one.items.extend(other.items);
                return Err(one);
            }
            (Err(problems), Ok(_)) | (Ok(_), Err(problems)) => return Err(problems),
        };
        let before = self.live.bound();
        let warnings = self.live.commit(ready);
        self.announce(&before);
        if let Some(control) = self.control.get() {
            if let Some(address) = self.admin.commit(admin, control) {
                tracing::info!(listener = "admin", address, "listening");
            }
            self.follow_socket(&config, control);
        }
        Ok(warnings)
    }

    fn begin(&self) {
        systemd::reloading();
    }

    fn end(&self, status: &Status) {
        let applied = status.error.is_none();
        self.live.count_reload(applied);
        self.live.count_rolled_back(status.rolled_back.is_some());
        if applied {
            self.live.count_in_use(&status.hash);
        }
        systemd::ready(status);
    }
}
