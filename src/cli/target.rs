//! Where the running gateway is: the admin socket that `reload` and `drain` talk to.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use bytes::Bytes;
use clap::builder::NonEmptyStringValueParser;
use http::{Method, StatusCode};
use serde_json::Value;

use super::{complain, exit, files};
use crate::{
    admin::{client, default_path},
    config::{self, Input},
};

/// Where a packaged service has its socket; a shell does not know the unit's `$RUNTIME_DIRECTORY`.
const PACKAGED: &str = "/run/tidegate/tidegate.sock";

/// How to find the socket.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// The admin socket of the gateway [default: `admin.socket` of the file, else the usual place]
    #[arg(long, value_name = "PATH", env = "TIDEGATE_SOCKET",
          value_parser = NonEmptyStringValueParser::new())]
    socket: Option<String>,
    /// The file the gateway was started with, to find its socket
    #[arg(short, long, value_name = "FILE", env = "TIDEGATE_CONFIG")]
    config: Vec<PathBuf>,
}

// === impl Target ===

impl Target {
    /// The files it is found by.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.config
    }

    fn find(&self) -> io::Result<PathBuf> {
        if let Some(socket) = &self.socket {
            return Ok(socket.into());
        }
        let written = files::inputs(&self.config).ok().and_then(|inputs| written(&inputs));
        if let Some(socket) = written {
            return Ok(socket);
        }
        let default = default_path(&|name| std::env::var(name).ok());
        let packaged = Path::new(PACKAGED);
        Ok(if !default.exists() && packaged.exists() { packaged.to_owned() } else { default })
    }

    /// Sends one verb.
    ///
    /// # Errors
    /// The exit code, after having said why.
    pub(super) fn call(
        &self,
        method: Method,
        target: &str,
    ) -> Result<(StatusCode, Value), ExitCode> {
        self.send(method, target, Bytes::new())
    }

    /// The same with a body.
    ///
    /// # Errors
    /// The exit code, after having said why.
    pub(super) fn send(
        &self,
        method: Method,
        target: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Value), ExitCode> {
        let unreachable = |error: &io::Error, socket: &Path| {
            complain(&format!(
                "error: no gateway answers on {}: {error}\nhelp: is it running? `--socket` names \
                 another place; the gateway logs its own as listener=admin-socket",
                socket.display()
            ));
            ExitCode::from(exit::UNREACHABLE)
        };
        let socket = self.find().map_err(|error| unreachable(&error, Path::new("its socket")))?;
        let answer = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .and_then(|runtime| runtime.block_on(client::send(&socket, method, target, body)));
        answer.map_err(|error| unreachable(&error, &socket))
    }
}

/// `admin.socket` of the files. The file may be broken: that is just when somebody reloads it and
/// wants to read the errors, so the key is also looked for by eye.
fn written(inputs: &[Input]) -> Option<PathBuf> {
    let loaded = config::load(inputs, &|name| std::env::var(name).ok());
    if let Some(config) = loaded.config {
        return config.admin.socket;
    }
    inputs.iter().find_map(|input| match input {
        Input::File(path) => socket_line(&std::fs::read_to_string(path).ok()?),
        Input::Text { text, .. } => socket_line(text),
    })
}

/// The value of `socket:` on the line of `admin:` or on the indented lines below it.
fn socket_line(text: &str) -> Option<PathBuf> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("admin:"));
    let first = lines.next()?;
    let below = lines.take_while(|line| line.starts_with(' ') || line.trim().is_empty());
    let value = std::iter::once(first).chain(below).find_map(|line| {
        let at = line.find("socket:")?;
        let value = line[at + "socket:".len()..].trim_start();
        let value = match value.strip_prefix(['"', '\'']) {
            Some(quoted) => quoted.split(['"', '\'']).next()?,
            None => value.split([',', '}', ' ', '#']).next()?,
        };
        (!value.is_empty()).then_some(value)
    })?;
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_of_a_broken_file_is_found() {
        let table = [
            ("admin: { address: none, socket: /a/b.sock }\nroutes: {", Some("/a/b.sock")),
            ("admin: { socket: \"/a b.sock\", address: none }", Some("/a b.sock")),
            ("x: {\nadmin:\n  address: none\n\n  socket: '/c.sock' # here\n", Some("/c.sock")),
            ("admin:\n  address: none\nother:\n  socket: /no\n", None),
            ("routes: { socket: /no }", None),
        ];
        for (text, expected) in table {
            assert_eq!(socket_line(text), expected.map(PathBuf::from), "{text}");
        }
    }
}
