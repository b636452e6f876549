//! Diagnostics: what the gateway says of itself, on standard error. Rare by design (no span and no
//! event per request above `debug`), so they are written where they arise.

use std::{
    fmt::{Debug, Formatter},
    io::{self, IsTerminal as _},
};

use tracing::{Level, field::Field};
use tracing_subscriber::{
    Layer, Registry,
    field::MakeExt as _,
    filter::{LevelFilter, Targets},
    fmt::{
        self,
        format::{self, Writer},
    },
    layer::{Layered, SubscriberExt as _},
    reload,
    util::SubscriberInitExt as _,
};

use crate::{
    config::model::{LogFormat, Logs},
    layers::panics,
};

/// Libraries that are chatty below `warn`; they speak up at `trace`.
const CHATTY: [&str; 8] =
    ["h2", "hickory_net", "hickory_resolver", "hyper", "hyper_util", "notify", "rustls", "tower"];

type Filtered = Layered<reload::Layer<Targets, Registry>, Registry>;
type Output = Box<dyn Layer<Filtered> + Send + Sync>;

/// Changes the diagnostics of the running process.
#[derive(Clone)]
pub struct Diagnostics {
    level: reload::Handle<Targets, Registry>,
    output: reload::Handle<Output, Filtered>,
}

/// The diagnostics cannot be set up, because somebody else did.
#[derive(Debug, thiserror::Error)]
#[error("diagnostics are set up already")]
pub struct AlreadySetUp;

// === impl Diagnostics ===

impl Diagnostics {
    /// Sets up the diagnostics of the process, before there is a configuration: `info`, pretty on
    /// a terminal and JSON elsewhere.
    ///
    /// # Errors
    ///
    /// If the process has a tracing subscriber.
    pub fn install() -> Result<Self, AlreadySetUp> {
        let (filter, level) = reload::Layer::new(targets(Level::INFO));
        let (output, handle) = reload::Layer::new(output(None));
        let subscriber = tracing_subscriber::registry().with(filter).with(output);
        subscriber.try_init().map_err(|_| AlreadySetUp)?;
        panics::log_them();
        Ok(Self { level, output: handle })
    }

    /// Takes over level and form of a configuration.
    pub fn apply(&self, logs: &Logs) {
        self.set_level(logs.level);
        // An error means that the subscriber is gone, and with it the need.
        let _ = self.output.reload(output(logs.format));
    }

    /// Another level, until the next configuration.
    pub fn set_level(&self, level: Level) {
        let _ = self.level.reload(targets(level));
    }
}

impl Debug for Diagnostics {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Diagnostics").finish_non_exhaustive()
    }
}

/// What is written at a level.
fn targets(level: Level) -> Targets {
    let quiet = if level == Level::TRACE { level } else { level.min(Level::WARN) };
    let chatty = CHATTY.iter().map(|name| (*name, LevelFilter::from_level(quiet)));
    let targets = Targets::new().with_default(level).with_targets(chatty);
    if level == Level::TRACE {
        return targets;
    }
    // It warns of what clients do: whoever floods would write the log. The metrics count them.
    targets.with_target("h2", LevelFilter::ERROR)
}

/// How it is written; `None` decides by what standard error is.
fn output(format: Option<LogFormat>) -> Output {
    let terminal = io::stderr().is_terminal();
    let default = if terminal { LogFormat::Pretty } else { LogFormat::Json };
    let base = fmt::layer().with_writer(io::stderr).log_internal_errors(false);
    match format.unwrap_or(default) {
        LogFormat::Json => base.json().flatten_event(true).boxed(),
        LogFormat::Pretty => {
            let fields = format::debug_fn(field).delimited("");
            base.fmt_fields(fields).with_ansi(terminal && colour()).boxed()
        }
    }
}

/// One field for a person. A difference or a list of errors has lines of its own, and is shown so.
fn field(out: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    let text = format!("{value:?}");
    let name = field.name();
    if name == "message" {
        return out.write_str(&text);
    }
    let text = text.trim_end();
    if !text.contains('\n') {
        return if text.is_empty() { Ok(()) } else { write!(out, " {name}={text}") };
    }
    for line in text.lines() {
        write!(out, "\n    {line}")?;
    }
    Ok(())
}

/// `NO_COLOR` with any text switches colour off (no-color.org).
fn colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    /// What was written so far.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn people_see_lines_as_lines() {
        let written = Written::default();
        let to = written.clone();
        let layer = fmt::layer()
            .fmt_fields(format::debug_fn(field).delimited(""))
            .without_time()
            .with_ansi(false)
            .with_target(false)
            .with_writer(move || to.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let (diff, empty) = ("~ route a  to\n= 2 upstreams\n", "");
            tracing::info!(trigger = "watch", %diff, warnings = %empty, "applied");
            tracing::info!(name = "two\nlines", "a value cannot begin a line of its own");
        });
        let text = String::from_utf8(written.0.lock().clone()).unwrap();
        assert_eq!(
            text,
            " INFO applied trigger=\"watch\"\n    ~ route a  to\n    = 2 upstreams\n \
             INFO a value cannot begin a line of its own name=\"two\\nlines\"\n"
        );
    }

    #[test]
    fn libraries_stay_quiet_unless_asked_for_everything() {
        let at = |level, target| targets(level).would_enable(target, &Level::DEBUG);
        assert!(at(Level::DEBUG, "tidegate::gateway"));
        assert!(at(Level::DEBUG, "layer_of_somebody"));
        assert!(!at(Level::DEBUG, "hyper::proto"));
        assert!(at(Level::TRACE, "hyper::proto"));
        assert!(!at(Level::INFO, "tidegate::gateway"));
        assert!(!targets(Level::ERROR).would_enable("hyper", &Level::WARN));
        assert!(targets(Level::DEBUG).would_enable("hyper", &Level::WARN));
        assert!(!targets(Level::DEBUG).would_enable("h2::proto", &Level::WARN), "a client's doing");
        assert!(at(Level::TRACE, "h2::proto"));
    }
}
