//! The command line: one file per verb. Also the way in for those who build a gateway with layers of
//! their own: [`cli`] collects them and then runs the same verbs.

mod check;
mod completion;
mod demo;
mod diff;
mod drain;
mod dry;
mod explain;
mod files;
mod fmt;
mod format;
mod hash;
mod history;
mod import;
mod init;
mod migrate;
mod plan;
mod process;
mod proxy;
#[cfg(test)]
mod reference;
mod reload;
mod run;
mod schema;
mod serve;
mod services;
mod show;
mod supervise;
mod target;
mod test;
mod version;

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use tower::Service;

use crate::{
    error::Error,
    layers::{
        Request, Response,
        custom::{LayerService, Registry},
    },
};

/// What a command ends with. `0` is success and `2` is wrong usage, which clap reports.
pub mod exit {
    /// The configuration or the check failed.
    pub const FAILED: u8 = 1;
    /// The arguments make no sense together.
    pub const USAGE: u8 = 2;
    /// Nobody answers on the admin socket.
    pub const UNREACHABLE: u8 = 3;
    /// Done, and it is not as it should be: no route takes the request that was asked about, a test
    /// failed, or there is a difference.
    pub const DIFFERENT: u8 = 4;
    /// `run` refused the configuration at its cold start (EX_CONFIG): a restart will not help.
    pub const BAD_CONFIG: u8 = 78;
    /// Ended by a second signal.
    pub const FORCED: u8 = 130;
}

/// The command line of a gateway, with the layers it is built with.
#[derive(Debug, Default)]
pub struct Cli {
    registry: Registry,
}

/// An API gateway and edge proxy: one binary, one file, changed live.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the gateway in the foreground
    Run(run::Arguments),
    /// Say everything that is wrong with the configuration; opens no socket and writes nothing
    Check(check::Arguments),
    /// Say which route takes a request, why, and what it gets there
    Explain(explain::Arguments),
    /// Lay files out: two spaces a level, one space where any is, comments in one column
    Fmt(fmt::Arguments),
    /// Say whether requests get what the tests in the files expect of them
    Test(test::Arguments),
    /// Say what a file would change, what widens access first
    Diff(diff::Arguments),
    /// Say what a file would have done to the requests of an access log
    Plan(plan::Arguments),
    /// Make a routes.yaml from an nginx.conf or an OpenAPI document, and say what was not translated
    Import(import::Arguments),
    /// Make the running gateway read its files now
    Reload(reload::Arguments),
    /// List the last reloads of the running gateway
    History(history::Arguments),
    /// Put an earlier configuration back in the running gateway
    Rollback(history::RollbackArguments),
    /// Make the running gateway finish what it is doing and exit
    Drain(drain::Arguments),
    /// Run three small services and a gateway in front of them, and show what it can do
    Demo(demo::Arguments),
    /// Run a gateway in front of one service, without any file
    Proxy(proxy::Arguments),
    /// Turn a password or an API key into what stands in the file, or make a new key
    Hash(hash::Arguments),
    /// Print what the files say together, and where each value comes from
    Show(show::Arguments),
    /// Write a first file to go on from
    Init(init::Arguments),
    /// Print the language as a JSON Schema, for editors
    Schema(schema::Arguments),
    /// Bring files to the version of the language this build reads
    Migrate(migrate::Arguments),
    /// Print what makes a shell complete verbs and flags
    Completion(completion::Arguments),
    /// Print the version and what is compiled in
    Version(version::Arguments),
}

/// The command line, without layers of one's own.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     tidegate::cli().run()
/// }
/// ```
pub fn cli() -> Cli {
    Cli::default()
}

// === impl Cli ===

impl Cli {
    /// Adds a layer that routes may name under `layers:`. `factory` gets the settings of each use
    /// and returns the layer, or what is wrong with them.
    #[must_use]
    pub fn layer<F, L, S>(mut self, name: impl Into<String>, factory: F) -> Self
    where
        F: Fn(&serde_json::Value) -> Result<L, String> + Send + Sync + 'static,
        L: tower::Layer<LayerService, Service = S> + Send + Sync + 'static,
        S: Service<Request, Response = Response, Error = Error> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        self.registry.insert(name, factory);
        self
    }

    /// Does what the arguments of this process say.
    #[must_use = "return it from main"]
    pub fn run(self) -> ExitCode {
        self.run_with(std::env::args_os())
    }

    /// Does what `arguments` say; the first is the name of the program.
    #[must_use = "return it from main"]
    pub fn run_with<I>(self, arguments: I) -> ExitCode
    where
        I: IntoIterator<Item: Into<OsString> + Clone>,
    {
        let arguments = match Arguments::try_parse_from(arguments) {
            Ok(arguments) => arguments,
            Err(error) => {
                let _ = error.print();
                return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
            }
        };
        match arguments.verb {
            Verb::Run(arguments) => run::run(&arguments, self.registry),
            Verb::Check(arguments) => check::check(&arguments, &self.registry),
            Verb::Explain(arguments) => explain::explain(&arguments, &self.registry),
            Verb::Fmt(arguments) => fmt::fmt(&arguments),
            Verb::Test(arguments) => test::test(&arguments, &self.registry),
            Verb::Diff(arguments) => diff::diff(&arguments),
            Verb::Plan(arguments) => plan::plan(&arguments, &self.registry),
            Verb::Import(arguments) => import::import(&arguments, &self.registry),
            Verb::Reload(arguments) => reload::reload(&arguments),
            Verb::History(arguments) => history::history(&arguments),
            Verb::Rollback(arguments) => history::rollback(&arguments),
            Verb::Drain(arguments) => drain::drain(&arguments),
            Verb::Demo(arguments) => demo::demo(&arguments, self.registry),
            Verb::Proxy(arguments) => proxy::proxy(&arguments, self.registry),
            Verb::Hash(arguments) => hash::hash(&arguments),
            Verb::Show(arguments) => show::show(&arguments),
            Verb::Init(arguments) => init::init(&arguments),
            Verb::Schema(arguments) => schema::schema(&arguments),
            Verb::Migrate(arguments) => migrate::migrate(&arguments),
            Verb::Completion(arguments) => completion::completion(&arguments),
            Verb::Version(arguments) => version::version(&arguments),
        }
    }
}

// === writing to people ===

/// Standard output. A reader that has gone away is no reason to panic.
fn say(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{}", text.trim_end());
}

/// Standard error.
fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", text.trim_end());
}

/// Whether what goes to standard error may be coloured.
fn color() -> bool {
    io::stderr().is_terminal() && colors()
}

/// Whether what goes to standard output may be coloured.
fn out_color() -> bool {
    io::stdout().is_terminal() && colors()
}

fn colors() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// `1 route`, `2 routes`.
fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_flag_has_a_variable() {
        for verb in Arguments::command().get_subcommands() {
            let flags = verb.get_arguments().filter(|a| !a.is_positional());
            for flag in flags.filter(|a| !["help", "version"].contains(&a.get_id().as_str())) {
                let variable = flag.get_env().and_then(|env| env.to_str()).unwrap_or_default();
                assert!(variable.starts_with("TIDEGATE_"), "{} {flag}", verb.get_name());
            }
        }
    }

    #[test]
    fn flags_are_read() {
        let parse = |line: &str| Arguments::try_parse_from(line.split(' ')).map(|a| a.verb);
        let Ok(Verb::Run(run)) = parse("tidegate run -c a.yaml -c -") else { panic!("run") };
        assert_eq!(run.config, ["a.yaml", "-"].map(std::path::PathBuf::from));
        let Ok(Verb::Reload(reload)) = parse("tidegate reload --wait --socket /s") else {
            panic!("reload")
        };
        assert!(reload.wait);
        assert!(matches!(parse("tidegate check --strict"), Ok(Verb::Check(c)) if c.strict));
        let Ok(Verb::Explain(explain)) = parse("tidegate explain GET a.com/x -H a:b -H c:d --live")
        else {
            panic!("explain")
        };
        assert!(explain.live && explain.header == ["a:b", "c:d"] && explain.url == "a.com/x");
        let Err(error) = parse("tidegate proxy") else { panic!("--to is required") };
        assert_eq!(error.exit_code(), 2);
        assert_eq!(parse("tidegate jump").map_err(|e| e.exit_code()).err(), Some(2));
    }

    #[test]
    fn things_are_counted_as_people_do() {
        assert_eq!((count(1, "route"), count(0, "route")), ("1 route".into(), "0 routes".into()));
    }
}
