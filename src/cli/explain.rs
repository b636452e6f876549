//! `tidegate explain`: which route takes a request, why, and what it gets; by the files or by the running
//! gateway.

use std::{net::IpAddr, process::ExitCode};

use clap::builder::{FalseyValueParser, NonEmptyStringValueParser};
use http::{Method, StatusCode};

use super::{complain, dry, exit, format::Format, say, target::Target};
use crate::{
    explain::{self, Asked, Caller, Explanation, Outcome},
    layers::custom::Registry,
};

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Method of the request
    #[arg(value_name = "METHOD")]
    pub(super) method: String,
    /// https://host[:port]/path?query
    #[arg(value_name = "URL")]
    pub(super) url: String,
    /// Header field, as `name: value`; may repeat
    #[arg(short = 'H', long, value_name = "FIELD", env = "TIDEGATE_HEADER")]
    pub(super) header: Vec<String>,
    /// Address the request comes from
    #[arg(long, value_name = "IP", env = "TIDEGATE_CLIENT_IP")]
    pub(super) client_ip: Option<IpAddr>,
    /// Listener it comes through [default: one that fits the URL]
    #[arg(long, value_name = "NAME", env = "TIDEGATE_LISTENER",
          value_parser = NonEmptyStringValueParser::new())]
    pub(super) listener: Option<String>,
    /// Whom it is from: `auth` lets it in without credentials
    #[arg(long, value_name = "NAME", env = "TIDEGATE_CONSUMER",
          value_parser = NonEmptyStringValueParser::new())]
    pub(super) consumer: Option<String>,
    /// What an issuer says of them, as a JSON object
    #[arg(long, value_name = "JSON", env = "TIDEGATE_CLAIMS")]
    pub(super) claims: Option<String>,
    /// Ask the running gateway, which knows its endpoints and breakers
    #[arg(long, env = "TIDEGATE_LIVE", value_parser = FalseyValueParser::new())]
    pub(super) live: bool,
    /// As `run --quarantine` would: broken included files do not refuse everything
    #[arg(long, env = "TIDEGATE_QUARANTINE", value_parser = FalseyValueParser::new())]
    quarantine: bool,
    /// How it is printed
    #[arg(long, value_enum, default_value = "human", env = "TIDEGATE_FORMAT")]
    pub(super) format: Format,
    #[command(flatten)]
    target: Target,
}

/// `http` takes no longer target.
const LONGEST: usize = 60_000;

pub(super) fn explain(arguments: &Arguments, registry: &Registry) -> ExitCode {
    let asked = match asked(arguments) {
        Ok(asked) => asked,
        Err(problem) => return usage(&problem),
    };
    let found = match arguments.live {
        true => live(arguments, &asked),
        false => offline(arguments, &asked, registry),
    };
    let found = match found {
        Ok(found) => found,
        Err(code) => return code,
    };
    match arguments.format {
        Format::Human => say(&explain::human(&found)),
        Format::Json => match serde_json::to_string_pretty(&found) {
            Ok(text) => say(&text),
            Err(error) => complain(&format!("error: {error}")),
        },
    }
    match found.result {
        Outcome::Route => ExitCode::SUCCESS,
        Outcome::Refused | Outcome::HttpsRedirect => ExitCode::from(exit::DIFFERENT),
    }
}

fn asked(arguments: &Arguments) -> Result<Asked, String> {
    let asked = Asked::new(&arguments.method, &arguments.url, &arguments.header)?;
    let caller = Caller::new(arguments.consumer.as_deref(), arguments.claims.as_deref())?;
    let (client_ip, listener) = (arguments.client_ip, arguments.listener.clone());
    Ok(Asked { client_ip, listener, caller, ..asked })
}

fn usage(problem: &str) -> ExitCode {
    complain(&format!("error: {problem}"));
    ExitCode::from(exit::USAGE)
}

/// By the files.
fn offline(
    arguments: &Arguments,
    asked: &Asked,
    registry: &Registry,
) -> Result<Explanation, ExitCode> {
    let dry = dry::compile(arguments.target.files(), registry, arguments.quarantine)?;
    let found = explain::explain(&dry.compiled, asked, dry.runtime.handle(), None);
    found.map_err(|problem| usage(&problem))
}

/// By the running gateway.
fn live(arguments: &Arguments, asked: &Asked) -> Result<Explanation, ExitCode> {
    let path = format!("/explain?{}", asked.to_query());
    if path.len() > LONGEST {
        return Err(usage("this request is too long to ask a running gateway about"));
    }
    let (status, answer) = arguments.target.call(Method::GET, &path)?;
    if status == StatusCode::BAD_REQUEST {
        return Err(usage(answer["errors"].as_str().unwrap_or("the gateway cannot answer that")));
    }
    serde_json::from_value(answer).map_err(|_| {
        complain("error: the gateway does not know `explain`: it is of another version");
        ExitCode::from(exit::FAILED)
    })
}
