//! `tidegate proxy`: a gateway in front of one service, without any file. The flags are written into
//! a configuration of a few lines, which then runs like any other.

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use clap::{ValueEnum, builder::FalseyValueParser};
use serde_json::json;

use super::{
    complain, exit, say,
    supervise::{Launch, Up, launch},
};
use crate::{
    config::{self, Input, model::ListenerTls},
    layers::custom::Registry,
};

/// Arguments of `proxy`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = ":8080", env = "TIDEGATE_FROM")]
    from: String,
    /// Service to forward to: `localhost:3000`, `https://api.example.com`
    #[arg(long, value_name = "URL", env = "TIDEGATE_TO")]
    to: String,
    /// Serve TLS
    #[arg(long, value_enum, env = "TIDEGATE_TLS")]
    tls: Option<Tls>,
    /// HTTP/2 in plain text: towards the service, and from clients where there is no TLS
    #[arg(long, env = "TIDEGATE_H2C", value_parser = FalseyValueParser::new())]
    h2c: bool,
}

/// Where the certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Tls {
    /// A development CA, made on first use
    Dev,
}

pub(super) fn proxy(arguments: &Arguments, registry: Registry) -> ExitCode {
    // No file the operator knows has these lines: what is wrong with a flag is said of the flag.
    let flags = [
        ("--from", config::judge_listener(&arguments.from)),
        ("--to", config::judge_endpoint(&address(arguments))),
    ];
    for (flag, judged) in flags {
        if let Err((message, help)) = judged {
            let help = match flag {
                "--to" => Some(
                    "scheme, host and port, like `http://127.0.0.1:3000`; a file has more"
                        .to_owned(),
                ),
                _ => help,
            };
            let help = help.map_or_else(String::new, |help| format!("\nhelp: {help}"));
            complain(&format!("error: `{flag}`: {message}{help}"));
            return ExitCode::from(exit::USAGE);
        }
    }
    let input = Input::Text { name: "<proxy>".to_owned(), text: text(arguments) };
    launch(Launch {
        inputs: vec![input],
        env: Arc::new(|_| None),
        registry,
        quarantine: false,
        admin_socket: false,
        on_ready: Some(Box::new(|up| say(&welcome(up)))),
    })
}

/// Where it is, and a line to paste.
fn welcome(up: &Up<'_>) -> String {
    let mut text = String::new();
    for (name, address) in &up.bound {
        let tls = up.config.listeners.get(name).is_some_and(|l| l.tls != ListenerTls::None);
        let scheme = if tls { "https" } else { "http" };
        if let Some(path) = address.strip_prefix("unix:") {
            text.push_str(&format!("\n  curl --unix-socket '{path}' {scheme}://localhost/\n"));
            continue;
        }
        let near = |socket: &SocketAddr| socket.ip().is_unspecified() || socket.ip().is_loopback();
        let place = match address.parse::<SocketAddr>() {
            Ok(socket) if near(&socket) => format!("localhost:{}", socket.port()),
            _ => address.clone(),
        };
        let trust = match up.dev_ca.as_deref().map(std::path::absolute) {
            Some(Ok(ca)) => format!("--cacert '{}' ", ca.display()),
            _ => String::new(),
        };
        text.push_str(&format!("\n  curl {trust}{scheme}://{place}/\n"));
    }
    text
}

/// The address of the service, with a scheme.
fn address(arguments: &Arguments) -> String {
    let is_whole = arguments.to.contains("://") || arguments.to.starts_with("unix:");
    match (is_whole, arguments.h2c) {
        (true, _) => arguments.to.clone(),
        (false, true) => format!("h2c://{}", arguments.to),
        (false, false) => format!("http://{}", arguments.to),
    }
}

/// The flags as a file; JSON is YAML, so nothing on the command line can break out of its place.
fn text(arguments: &Arguments) -> String {
    let plain = |text: &str| text.replace("${", "$${");
    let to = address(arguments);
    let mut listener = json!({ "address": plain(&arguments.from) });
    match arguments.tls {
        Some(Tls::Dev) => listener["tls"] = json!("dev"),
        None if arguments.h2c => listener["protocols"] = json!(["h1", "h2c"]),
        None => {}
    }
    let file = json!({
        "version": 1,
        "listeners": { "proxy": listener },
        "routes": { "proxy": { "to": plain(&to) } },
        "admin": { "address": "none" },
    });
    // One key to a line, so that a mistake is shown beside what it is about.
    format!("{file:#}")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn written(line: &str) -> serde_json::Value {
        let line = Line::try_parse_from(std::iter::once("proxy").chain(line.split(' ')));
        let line = line.map_err(|error| error.to_string()).unwrap();
        serde_json::from_str(&text(&line.arguments)).unwrap()
    }

    #[test]
    fn the_line_to_paste_goes_where_it_listens() {
        let text = "version: 1\nroutes: { a: { respond: 200 } }\n".to_owned();
        let input = Input::Text { name: "f".to_owned(), text };
        let loaded = crate::config::load(&[input], &|_| None);
        let config = loaded.config.as_ref().unwrap();
        let line = |address: &str| {
            let bound = vec![("http".into(), address.to_owned())];
            welcome(&Up { config, bound, admin: None, dev_ca: None }).trim().to_owned()
        };
        assert_eq!(line("[::]:8080"), "curl http://localhost:8080/");
        assert_eq!(line("127.0.0.1:81"), "curl http://localhost:81/");
        assert_eq!(line("192.0.2.7:81"), "curl http://192.0.2.7:81/");
        assert_eq!(line("unix:/run/a"), "curl --unix-socket '/run/a' http://localhost/");
    }

    #[test]
    fn flags_become_a_file() {
        let file = written("--from :8443 --to localhost:3000 --tls dev");
        assert_eq!(file["listeners"]["proxy"], json!({ "address": ":8443", "tls": "dev" }));
        assert_eq!(file["routes"]["proxy"]["to"], "http://localhost:3000");
        let file = written("--to localhost:3000 --h2c");
        assert_eq!(file["listeners"]["proxy"]["protocols"], json!(["h1", "h2c"]));
        assert_eq!(file["routes"]["proxy"]["to"], "h2c://localhost:3000");
        let file = written("--to https://x/${HOME}");
        assert_eq!(file["routes"]["proxy"]["to"], "https://x/$${HOME}");
    }
}
