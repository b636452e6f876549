//! systemd: sockets it opened for us, and what it wants to hear. Without systemd every call here does
//! nothing.

use std::{collections::BTreeMap, os::fd::OwnedFd, time::Duration};

use listenfd::ListenFd;
use sd_notify::NotifyState;

use crate::runtime::reload::Status;

/// Listening sockets passed by the service manager, by `FileDescriptorName=`. They stay open, so
/// that a listener may leave the file and come back.
#[derive(Debug, Default)]
pub struct InheritedFds {
    by_name: BTreeMap<String, OwnedFd>,
    /// What went wrong before there was a log to write it to.
    problems: Vec<String>,
}

// === impl InheritedFds ===

impl InheritedFds {
    /// Takes the sockets named in `LISTEN_FDS` and `LISTEN_FDNAMES`. Must be called once, before any
    /// thread starts: the variables are removed, so that no child takes the sockets for its own.
    pub fn take() -> Self {
        let mut taken = Self::default();
        let names: Vec<String> = match sd_notify::listen_fds_with_names() {
            Ok(fds) => fds.map(|(_, name)| name).collect(),
            Err(error) => {
                taken.problems.push(format!("sockets passed to us are ignored: {error}"));
                return taken;
            }
        };
        if names.is_empty() {
            return taken;
        }
        // sd-notify knows the names and listenfd makes owned sockets of the numbers.
        let mut sockets = ListenFd::from_env();
        for (index, name) in names.into_iter().enumerate() {
            match take_one(&mut sockets, index) {
                Some(_) if taken.by_name.contains_key(&name) => {
                    taken.problems.push(format!("a second socket called `{name}` is ignored"));
                }
                Some(fd) => drop(taken.by_name.insert(name, fd)),
                None => taken.problems.push(format!("`{name}` is not a listening socket")),
            }
        }
        taken
    }

    /// Logs what was wrong with the sockets that were passed.
    pub fn report(&self) {
        for problem in &self.problems {
            tracing::warn!("{problem}");
        }
    }

    /// A new descriptor of the socket of this name.
    pub fn get(&self, name: &str) -> Option<OwnedFd> {
        self.by_name.get(name).and_then(|fd| fd.try_clone().ok())
    }

    /// The names that were passed.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}

fn take_one(sockets: &mut ListenFd, index: usize) -> Option<OwnedFd> {
    if let Ok(Some(tcp)) = sockets.take_tcp_listener(index) {
        return Some(tcp.into());
    }
    sockets.take_unix_listener(index).ok().flatten().map(Into::into)
}

// === notify ===

/// Listeners are bound and the configuration is live; also the end of a reload.
pub fn ready(status: &Status) {
    send(&[NotifyState::Ready, NotifyState::Status(&status.to_string())]);
}

/// A reload begins. `Type=notify-reload` waits forever without the time.
pub fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        send(&[NotifyState::Reloading, now]);
    }
}

/// The drain begins; it may take this long.
pub fn stopping(within: Duration) {
    let micros = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
    let status = NotifyState::Status("draining");
    send(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(micros), status]);
}

/// Tells the watchdog that this runtime turns, at half the interval it asks for. Returns at once if
/// there is no watchdog.
pub async fn feed_watchdog() {
    let Some(interval) = sd_notify::watchdog_enabled().filter(|i| !i.is_zero()) else { return };
    let mut ticks = tokio::time::interval(interval / 2);
    loop {
        ticks.tick().await;
        send(&[NotifyState::Watchdog]);
    }
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_socket_can_be_taken_again() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let by_name = BTreeMap::from([("web".to_owned(), socket.into())]);
        let fds = InheritedFds { by_name, problems: Vec::new() };
        for _ in 0..2 {
            let taken = TcpListener::from(fds.get("web").unwrap());
            assert_eq!(taken.local_addr().unwrap(), address);
        }
        assert!(fds.get("other").is_none());
        assert_eq!(fds.names().collect::<Vec<_>>(), ["web"]);
    }
}
