//! The admin socket: where the verbs of the command line reach the running gateway. Only its owner
//! can open it, and there is no other protection.

use std::{
    convert::Infallible,
    fs, io,
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::{net::UnixListener, task::JoinHandle, time};

use super::{Control, http::remove_stale, verbs};

/// File name in whichever directory it is.
const FILE: &str = "tidegate.sock";

/// See `http.rs`.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Commands waiting to be accepted.
const BACKLOG: i32 = 128;

/// The admin socket, wherever it is now.
#[derive(Debug, Default)]
pub struct AdminSocket {
    now: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    path: PathBuf,
    /// Device and inode of our socket: only that one is removed in the end.
    identity: (u64, u64),
    task: JoinHandle<()>,
}

// === impl Running ===

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino()))
}

// === impl AdminSocket ===

impl AdminSocket {
    /// Listens at `written`, or at the default place, unless it does so already. Failing that is a
    /// warning: the gateway serves without it. Must be called inside the control runtime.
    pub fn follow(&self, written: Option<&Path>, control: &Arc<Control>) {
        let path = match written {
            Some(path) => path.to_owned(),
            None => default_path(&|name| std::env::var(name).ok()),
        };
        let mut now = self.now.lock();
        if now.as_ref().is_some_and(|running| running.path == path) {
            return;
        }
        match listen(&path, written.is_none(), control) {
            Ok(running) => {
                let path = running.path.display();
                tracing::info!(
                    listener = "admin-socket",
                    address = format!("unix:{path}"),
                    "listening"
                );
                *now = Some(running);
            }
            Err(error) => {
                tracing::warn!(%error, "no admin socket: `tidegate reload` cannot reach this process");
            }
        }
    }

    /// Stops to listen and removes the file.
    pub fn close(&self) {
        *self.now.lock() = None;
    }
}

/// The place where it is when nothing is written, for both sides.
pub fn default_path(env: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    for variable in ["RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"] {
        // systemd separates several runtime directories by colons; the first is the unit's own.
        let value = env(variable).unwrap_or_default();
        if let Some(dir) = value.split(':').next().filter(|dir| dir.starts_with('/')) {
            return Path::new(dir).join(FILE);
        }
    }
    shared_place().join(FILE)
}

fn listen(path: &Path, default: bool, control: &Arc<Control>) -> io::Result<Running> {
    let shared = shared_place();
    if default && path.parent() == Some(&shared) {
        private_directory(&shared)?;
    }
    let at =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    remove_stale(path).map_err(at)?;
    let socket = bind_private(path).map_err(at)?;
    let identity = identity(path)?;
    let task = tokio::spawn(accept(socket, Arc::clone(control)));
    Ok(Running { path: path.to_owned(), identity, task })
}

/// The directory when nobody names one; `/tmp` is open to all, so this one must be proven ours.
fn shared_place() -> PathBuf {
    PathBuf::from(format!("/tmp/tidegate-{}", rustix::process::getuid().as_raw()))
}

/// Makes a directory nobody else can look into, or makes sure that it is one: anybody may have made
/// one of this name before us.
fn private_directory(dir: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let meta = fs::symlink_metadata(dir)?;
    let ours = meta.is_dir()
        && meta.uid() == rustix::process::getuid().as_raw()
        && meta.permissions().mode() & 0o077 == 0;
    if ours {
        return Ok(());
    }
    let message = format!("{} belongs to somebody else or is open to others", dir.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

/// Binds under another name, closes it to others, then listens and moves it into place: there is no
/// moment in which somebody else could connect.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    let mut hidden = path.as_os_str().to_owned();
    hidden.push(format!(".{}", std::process::id()));
    let hidden = PathBuf::from(hidden);
    let _ = fs::remove_file(&hidden);
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(&hidden)?)?;
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)?;
    fs::rename(&hidden, path)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(OwnedFd::from(socket).into())
}

async fn accept(socket: UnixListener, control: Arc<Control>) {
    loop {
        match socket.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, Arc::clone(&control)))),
            Err(error) => {
                tracing::warn!(%error, "the admin socket cannot accept");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: tokio::net::UnixStream, control: Arc<Control>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let control = Arc::clone(&control);
        async move { Ok::<_, Infallible>(verbs::answer(&control, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an admin socket connection ended early");
    }
}

#[cfg(test)]
mod tests;
