//! `tests`: what the operator expects of requests. Nothing that serves requests looks here.

use http::StatusCode;

use super::{Located, Name, Place};
use crate::{error::Reason, explain::Asked};

/// One request and what is expected of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// Where its request was written.
    pub place: Place,
    /// What it is called: its name, or its request.
    pub name: String,
    /// The request.
    pub asked: Asked,
    /// What is expected, in the order of the table.
    pub expected: Vec<Located<Expected>>,
}

/// One thing that is expected. `None` is the word `none`.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// The route that takes it.
    Route(Option<Name>),
    /// All upstreams it may go to are among these.
    Upstream(Option<Vec<Located<Name>>>),
    /// The path the upstream sees; with the query, if there is one here.
    Path(String),
    /// The policies of `auth` it meets, in any order; empty is none.
    Auth(Vec<Located<Name>>),
    /// The policies of `rate_limit` it meets, in any order; empty is none.
    RateLimit(Vec<Located<Name>>),
    /// The status the gateway itself answers.
    Status(Option<StatusCode>),
    /// Why the gateway refuses it.
    Reason(Option<Reason>),
    /// Where the gateway sends the client instead.
    Redirect(String),
}

// === impl Expected ===

impl Expected {
    /// Its key in the file.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Route(_) => "route",
            Self::Upstream(_) => "upstream",
            Self::Path(_) => "path",
            Self::Auth(_) => "auth",
            Self::RateLimit(_) => "rate_limit",
            Self::Status(_) => "status",
            Self::Reason(_) => "reason",
            Self::Redirect(_) => "redirect",
        }
    }
}
