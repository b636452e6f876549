//! `tidegate init`: a first file to go on from, with its schema beside it. It is checked before it is
//! written, so what is written loads, and its tests hold.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::builder::{FalseyValueParser, NonEmptyStringValueParser};

use super::{color, complain, exit, say, schema};
use crate::config::{self, Input};

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The file to write; one that is there is left alone
    #[arg(value_name = "FILE", default_value = "routes.yaml")]
    file: PathBuf,
    /// The service behind the gateway
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000",
          env = "TIDEGATE_UPSTREAM", value_parser = NonEmptyStringValueParser::new())]
    upstream: String,
    /// Serve TLS, with certificates of a development CA
    #[arg(long, env = "TIDEGATE_TLS", value_parser = FalseyValueParser::new())]
    tls: bool,
}

/// What the schema is called that is written beside the file.
const SCHEMA: &str = "routes.schema.json";

const PLAIN: (&str, &str) = (
    "  http: \":8080\"",
    "  - { request: GET http://localhost/anything, route: app, upstream: app, path: /anything }\n  \
     - { request: GET http://localhost/ping, route: ping, status: 200 }\n  \
     - { request: POST http://localhost/ping, route: app }\n",
);

const SECURE: (&str, &str) = (
    "  http: { address: \":8080\", https_redirect: true }\n  \
     # `dev` is a CA of this machine. For real certificates: `tls: true`, and\n  \
     # `tls: { certificates: [{ cert: chain.pem, key: key.pem }] }` at the top level.\n  \
     https: { address: \":8443\", tls: dev }",
    "  - { request: GET https://localhost/anything, route: app, upstream: app, path: /anything }\n  \
     - { request: GET https://localhost/ping, route: ping, status: 200 }\n  \
     - { request: POST https://localhost/ping, route: app }\n  \
     - { request: GET http://localhost/ping, redirect: \"https://localhost:8443/ping\" }\n",
);

const FILE: &str = r#"# yaml-language-server: $schema=routes.schema.json
#
# A gateway in front of one service.
#   tidegate check     says whether this file is good, and what it opens to whom
#   tidegate test      runs the tests at its end
#   tidegate run       starts the gateway; saving the file changes it while it runs
#   tidegate explain GET http://localhost/ping     says what becomes of a request, and why
version: 1

# Where requests come in.
listeners:
LISTENERS

# Where they go. A list of URLs shares the load between several.
upstreams:
  app:
    endpoints: [ENDPOINT]
    # health: { path: /healthz, every: 5s }          # only healthy ones get requests
    # breaker: { errors: 50%, open_for: 30s }        # leave it alone for a while if it fails

# What every route inherits, unless it says otherwise.
defaults:
  timeouts: { request: 30s }
  # retry: 1                                         # one more try of what may be sent twice

# Which request goes where. The most specific one wins, whatever the order.
routes:
  # Whatever no other route takes.
  app:
    to: app
    # rate_limit: 100/min                            # of each client address
  ping:
    match: GET /ping
    respond: { status: 200, body: "pong\n" }

# Metrics and probes.
admin: { address: "127.0.0.1:9900" }

# What requests shall get: `tidegate test`.
tests:
TESTS"#;

pub(super) fn init(arguments: &Arguments) -> ExitCode {
    let text = text(arguments);
    let input = Input::Text { name: arguments.file.display().to_string(), text: text.clone() };
    let loaded = config::load(&[input], &|_| None);
    if loaded.config.is_none() {
        complain(&loaded.render(color()));
        return ExitCode::from(exit::FAILED);
    }
    let beside = arguments.file.with_file_name(SCHEMA);
    let written = write_new(&arguments.file, &text)
        .map_err(|error| (&arguments.file, error))
        // It is generated: an old one is of no use.
        .and_then(|()| fs::write(&beside, schema::text(false)).map_err(|error| (&beside, error)));
    if let Err((path, error)) = written {
        let help = match error.kind() {
            io::ErrorKind::AlreadyExists => "it is left as it is; name another file to write to",
            _ => "nothing else was tried",
        };
        complain(&format!("error: cannot write {}: {error}\nhelp: {help}", path.display()));
        return ExitCode::from(exit::FAILED);
    }
    let (file, beside) = (arguments.file.display(), beside.display());
    say(&format!(
        "wrote {file}, and {beside} for your editor\n\n  tidegate test -c {file}\n  tidegate run -c {file}"
    ));
    ExitCode::SUCCESS
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    File::create_new(path)?.write_all(text.as_bytes())
}

fn text(arguments: &Arguments) -> String {
    let url = match arguments.upstream.contains("://") || arguments.upstream.starts_with("unix:") {
        true => arguments.upstream.clone(),
        false => format!("http://{}", arguments.upstream),
    };
    // JSON is YAML: nothing on the command line can break out of its place, or be a variable.
    let url = serde_json::Value::from(url.replace("${", "$${")).to_string();
    let (listeners, tests) = if arguments.tls { SECURE } else { PLAIN };
    FILE.replace("LISTENERS", listeners).replace("TESTS", tests).replace("ENDPOINT", &url)
}
