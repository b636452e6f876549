//! Services that are asked who may pass.

use std::{path::PathBuf, time::Duration};

use http::{HeaderName, Method};

use super::{Endpoint, Located, Name, Secret};
use crate::auth::{
    api_key::carrier::Carrier,
    decisions::Life,
    jwt::{Audience, Demand},
};

/// A service that is asked for each request.
#[derive(Clone, Debug, PartialEq)]
pub struct AskedService {
    /// The upstream it is.
    pub to: Located<Name>,
    /// The endpoint of that upstream, where it was written as a URL.
    pub endpoint: Option<Endpoint>,
    /// Path and query of the question.
    pub path: String,
    /// From the question to the end of its answer.
    pub timeout: Duration,
    /// Whether requests pass while it cannot say.
    pub on_error: OnError,
}

/// What becomes of requests while nobody can say whether they may pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// They are refused.
    #[default]
    Deny,
    /// They pass.
    Allow,
}

/// An HTTP service that says by its status who may pass (`external`).
#[derive(Clone, Debug, PartialEq)]
pub struct External {
    /// What it is shown, and what of its answers counts.
    pub judge: Judge,
    /// How it is asked.
    pub method: Method,
}

/// A service that is shown requests and says who may pass: in HTTP (`external`), or in the gRPC of Envoy
/// (`ext_authz`).
#[derive(Clone, Debug, PartialEq)]
pub struct Judge {
    /// The service.
    pub service: AskedService,
    /// Request headers it sees; `None` is all.
    pub request_headers: Option<Vec<HeaderName>>,
    /// What of its answer counts.
    pub takes: Takes,
    /// Bytes of the request's body it sees; none, if it sees none.
    pub body: Option<u64>,
    /// What it said is kept.
    pub cache: Option<DecisionCache>,
}

/// Tokens of which their issuer is asked (`introspection`).
#[derive(Clone, Debug, PartialEq)]
pub struct Introspection {
    /// The endpoint of the issuer.
    pub service: AskedService,
    /// Who asks; nobody where the connection says it.
    pub client: Option<Client>,
    /// Where in the request the token is.
    pub from: Carrier,
    /// Who must have issued it.
    pub issuer: Option<String>,
    /// For whom it must be.
    pub audience: Option<Audience>,
    /// What the claims must hold.
    pub require: Vec<Demand>,
    /// The claim that names the consumer.
    pub consumer: Option<String>,
    /// Headers and the claims in them.
    pub pass_claims: Vec<(HeaderName, String)>,
    /// The upstream sees the token.
    pub pass_token: bool,
    /// What the issuer said is kept this long.
    pub cache: Option<Life>,
}

/// Who asks an issuer.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// Its name there.
    pub id: String,
    /// Its password there.
    pub secret: ClientSecret,
}

/// Where a password is.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientSecret {
    /// In the file.
    Inline(Secret),
    /// In a file of its own, watched.
    File(Located<PathBuf>),
}

/// Headers that are taken from the answer of a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Takes {
    /// For the upstream; what the client says there never gets to it.
    pub response_headers: Vec<HeaderName>,
    /// For the client.
    pub answer_headers: Vec<HeaderName>,
    /// The one that names the consumer.
    pub consumer: Option<HeaderName>,
}

/// For which requests an answer is kept, and for how long (`cache`).
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionCache {
    /// What tells requests apart.
    pub key: Vec<AlikePart>,
    /// How long.
    pub life: Life,
}

/// One thing that tells requests apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlikePart {
    /// `method`.
    Method,
    /// `scheme` of the connection.
    Scheme,
    /// `host`.
    Host,
    /// `path`, without the query.
    Path,
    /// `query`.
    Query,
    /// `client_ip`.
    ClientIp,
    /// `header:NAME`, all its values.
    Header(HeaderName),
    /// `cookie:NAME`.
    Cookie(String),
}

// === impl AlikePart ===

impl AlikePart {
    /// Reads a part as it is written.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text.split_once(':') {
            None => match text {
                "method" => Self::Method,
                "scheme" => Self::Scheme,
                "host" => Self::Host,
                "path" => Self::Path,
                "query" => Self::Query,
                "client_ip" => Self::ClientIp,
                _ => return None,
            },
            Some(("header", name)) => Self::Header(HeaderName::from_bytes(name.as_bytes()).ok()?),
            Some(("cookie", name)) if HeaderName::from_bytes(name.as_bytes()).is_ok() => {
                Self::Cookie(name.to_owned())
            }
            Some(_) => return None,
        })
    }

    /// Whether requests that differ in this header are told apart. Who names a cookie says that the
    /// others do not count.
    pub(crate) fn covers(&self, header: &HeaderName) -> bool {
        match self {
            Self::Header(name) => name == header,
            Self::Cookie(_) => *header == http::header::COOKIE,
            _ => false,
        }
    }
}

// === impl Takes ===

impl Takes {
    /// Fields in which the service says who it is.
    pub(crate) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.response_headers.iter().chain(&self.consumer)
    }
}
