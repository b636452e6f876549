//! Every way the gateway itself fails a request: one reason word, the same in log, metric, header
//! and body; the status; the `Proxy-Status` error of RFC 9209; the gRPC status; whose fault it was.

use http::{HeaderName, HeaderValue, StatusCode};

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client's.
    Client,
    /// The upstream's.
    Upstream,
    /// Ours, or the operator's.
    Gateway,
}

/// Why the gateway failed a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // the words are documented where operators read them: docs/reasons.md
pub enum Reason {
    NoRoute,
    MethodNotAllowed,
    Misdirected,
    BadRequest,
    BadHost,
    BadPath,
    BadFraming,
    BadBody,
    BodyTooLarge,
    BodyTimeout,
    HeaderTooLarge,
    HeaderTimeout,
    UriTooLong,
    UnsupportedMethod,
    UnsupportedVersion,
    UpgradeRefused,
    IpDenied,
    Unauthenticated,
    Forbidden,
    AuthUnavailable,
    RateLimited,
    LimitUnavailable,
    ClientGone,
    DnsError,
    DnsTimeout,
    ConnectRefused,
    ConnectTimeout,
    UpstreamTls,
    UpstreamReset,
    UpstreamTimeout,
    RequestTimeout,
    BadResponse,
    ResponseTooLarge,
    NoEndpoint,
    NoHealthyEndpoint,
    BreakerOpen,
    Overloaded,
    Draining,
    Quarantined,
    Loop,
    LayerFailed,
    ConfigError,
    Internal,
}

/// What each reason means on the wire.
struct Row {
    /// Read by the test that proves the order of the table.
    #[cfg_attr(not(test), expect(dead_code))]
    reason: Reason,
    word: &'static str,
    status: u16,
    proxy_status: &'static str,
    grpc: u8,
    fault: Fault,
    title: &'static str,
}

/// One line for each reason, in the order of [`Reason::ALL`].
#[rustfmt::skip]
static TABLE: [Row; Reason::ALL.len()] = {
    use Fault::{Client, Gateway, Upstream};
    [
        row(Reason::NoRoute, "no_route", 404, "destination_not_found", 12, Client, "No route"),
        row(Reason::MethodNotAllowed, "method_not_allowed", 405, "http_request_error", 12, Client, "Method not allowed"),
        row(Reason::Misdirected, "misdirected", 421, "http_request_error", 14, Client, "Misdirected request"),
        row(Reason::BadRequest, "bad_request", 400, "http_request_error", 13, Client, "Bad request"),
        row(Reason::BadHost, "bad_host", 400, "http_request_error", 13, Client, "Bad Host"),
        row(Reason::BadPath, "bad_path", 400, "http_request_error", 13, Client, "Bad path"),
        row(Reason::BadFraming, "bad_framing", 400, "http_request_error", 13, Client, "Ambiguous message framing"),
        row(Reason::BadBody, "bad_body", 400, "http_request_error", 13, Client, "Bad request body"),
        row(Reason::BodyTooLarge, "body_too_large", 413, "http_request_error", 8, Client, "Request body too large"),
        row(Reason::BodyTimeout, "body_timeout", 408, "http_request_error", 4, Client, "Request body timed out"),
        row(Reason::HeaderTooLarge, "header_too_large", 431, "http_request_error", 13, Client, "Request header too large"),
        row(Reason::HeaderTimeout, "header_timeout", 408, "http_request_error", 4, Client, "Request header timed out"),
        row(Reason::UriTooLong, "uri_too_long", 414, "http_request_error", 13, Client, "Request target too long"),
        row(Reason::UnsupportedMethod, "unsupported_method", 405, "http_request_error", 12, Client, "Method not supported"),
        row(Reason::UnsupportedVersion, "unsupported_version", 505, "http_request_error", 13, Client, "HTTP version not supported"),
        row(Reason::UpgradeRefused, "upgrade_refused", 403, "http_request_denied", 7, Client, "Upgrade refused"),
        row(Reason::IpDenied, "ip_denied", 403, "http_request_denied", 7, Client, "Not from this address"),
        row(Reason::Unauthenticated, "unauthenticated", 401, "http_request_error", 16, Client, "Authentication required"),
        row(Reason::Forbidden, "forbidden", 403, "http_request_denied", 7, Client, "Not allowed"),
        row(Reason::AuthUnavailable, "auth_unavailable", 503, "destination_unavailable", 14, Gateway, "Nobody can say who may pass"),
        row(Reason::RateLimited, "rate_limited", 429, "http_request_error", 8, Client, "Quota exceeded"),
        row(Reason::LimitUnavailable, "limit_unavailable", 503, "destination_unavailable", 14, Gateway, "Nobody can say how often"),
        row(Reason::ClientGone, "client_gone", 499, "http_request_error", 1, Client, "Client closed the request"),
        row(Reason::DnsError, "dns_error", 502, "dns_error", 14, Upstream, "Upstream name not found"),
        row(Reason::DnsTimeout, "dns_timeout", 504, "dns_timeout", 14, Upstream, "Upstream name lookup timed out"),
        row(Reason::ConnectRefused, "connect_refused", 502, "connection_refused", 14, Upstream, "Upstream refused the connection"),
        row(Reason::ConnectTimeout, "connect_timeout", 504, "connection_timeout", 14, Upstream, "Upstream connect timed out"),
        row(Reason::UpstreamTls, "upstream_tls", 502, "tls_protocol_error", 14, Upstream, "TLS to the upstream failed"),
        row(Reason::UpstreamReset, "upstream_reset", 502, "connection_terminated", 14, Upstream, "Upstream closed the connection"),
        row(Reason::UpstreamTimeout, "upstream_timeout", 504, "http_response_timeout", 4, Upstream, "Upstream timed out"),
        row(Reason::RequestTimeout, "request_timeout", 504, "http_response_timeout", 4, Upstream, "Request timed out"),
        row(Reason::BadResponse, "bad_response", 502, "http_protocol_error", 14, Upstream, "Upstream answer not understood"),
        row(Reason::ResponseTooLarge, "response_too_large", 502, "http_response_header_section_size", 14, Upstream, "Upstream answer too large"),
        row(Reason::NoEndpoint, "no_endpoint", 503, "destination_unavailable", 14, Upstream, "No endpoint available"),
        row(Reason::NoHealthyEndpoint, "no_healthy_endpoint", 503, "destination_unavailable", 14, Upstream, "No healthy endpoint"),
        row(Reason::BreakerOpen, "breaker_open", 503, "destination_unavailable", 14, Upstream, "Upstream left alone for a while"),
        row(Reason::Overloaded, "overloaded", 503, "connection_limit_reached", 14, Gateway, "Overloaded"),
        row(Reason::Draining, "draining", 503, "destination_unavailable", 14, Gateway, "Shutting down"),
        row(Reason::Quarantined, "quarantined", 503, "destination_unavailable", 14, Gateway, "Not configured rightly"),
        row(Reason::Loop, "loop", 502, "proxy_loop_detected", 14, Gateway, "Request loops"),
        row(Reason::LayerFailed, "layer_failed", 500, "proxy_internal_error", 13, Gateway, "A layer failed"),
        row(Reason::ConfigError, "config_error", 500, "proxy_configuration_error", 13, Gateway, "Configuration error"),
        row(Reason::Internal, "internal", 500, "proxy_internal_error", 13, Gateway, "Internal error"),
    ]
};

const fn row(
    reason: Reason,
    word: &'static str,
    status: u16,
    proxy_status: &'static str,
    grpc: u8,
    fault: Fault,
    title: &'static str,
) -> Row {
    Row { reason, word, status, proxy_status, grpc, fault, title }
}

/// A failed request: the reason, what may be told to the client, what belongs in the log.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: {detail}", reason.word())]
pub struct Error {
    reason: Reason,
    /// For the log only; may name addresses.
    detail: String,
    /// For the client, in the problem's `detail`.
    public: Option<String>,
    /// Header fields of the answer.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What kind of problem it is, where that has a name of its own and members.
    problem: Option<Box<Problem>>,
}

/// A problem (RFC 9457) with more to say than its reason.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Its type, a URI.
    pub kind: &'static str,
    /// A member of its own: name and value.
    pub member: (&'static str, serde_json::Value),
}

// === impl Reason ===

impl Reason {
    /// Every reason, for metrics and for the tests of the table.
    pub const ALL: [Self; 43] = [
        Self::NoRoute,
        Self::MethodNotAllowed,
        Self::Misdirected,
        Self::BadRequest,
        Self::BadHost,
        Self::BadPath,
        Self::BadFraming,
        Self::BadBody,
        Self::BodyTooLarge,
        Self::BodyTimeout,
        Self::HeaderTooLarge,
        Self::HeaderTimeout,
        Self::UriTooLong,
        Self::UnsupportedMethod,
        Self::UnsupportedVersion,
        Self::UpgradeRefused,
        Self::IpDenied,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::AuthUnavailable,
        Self::RateLimited,
        Self::LimitUnavailable,
        Self::ClientGone,
        Self::DnsError,
        Self::DnsTimeout,
        Self::ConnectRefused,
        Self::ConnectTimeout,
        Self::UpstreamTls,
        Self::UpstreamReset,
        Self::UpstreamTimeout,
        Self::RequestTimeout,
        Self::BadResponse,
        Self::ResponseTooLarge,
        Self::NoEndpoint,
        Self::NoHealthyEndpoint,
        Self::BreakerOpen,
        Self::Overloaded,
        Self::Draining,
        Self::Quarantined,
        Self::Loop,
        Self::LayerFailed,
        Self::ConfigError,
        Self::Internal,
    ];

    /// The word of the reason.
    pub fn word(self) -> &'static str {
        self.row().word
    }

    /// The status a client sees.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The `error` of `Proxy-Status` (RFC 9209 section 2.3).
    pub fn proxy_status(self) -> &'static str {
        self.row().proxy_status
    }

    /// The `grpc-status` a gRPC client sees.
    pub fn grpc(self) -> u8 {
        self.row().grpc
    }

    /// Whose fault it is.
    pub fn fault(self) -> Fault {
        self.row().fault
    }

    /// A title for people.
    pub fn title(self) -> &'static str {
        self.row().title
    }

    const fn row(self) -> &'static Row {
        // The table is in the order of the variants, as a test shows.
        &TABLE[self as usize]
    }
}

// === impl Error ===

impl Error {
    /// An error with what the log should say.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), public: None, headers: Vec::new(), problem: None }
    }

    /// What the client may be told.
    #[must_use]
    pub fn public(mut self, text: impl Into<String>) -> Self {
        self.public = Some(text.into());
        self
    }

    /// A header field of the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// What kind of problem it is, if not only one of its reason.
    #[must_use]
    pub fn problem(mut self, problem: Problem) -> Self {
        self.problem = Some(Box::new(problem));
        self
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// For the log.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// For the client.
    pub fn public_detail(&self) -> Option<&str> {
        self.public.as_deref()
    }

    /// What kind of problem it is, if not only one of its reason.
    pub fn kind(&self) -> Option<&Problem> {
        self.problem.as_deref()
    }

    /// Header fields of the answer.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }
}

impl From<Reason> for Error {
    fn from(reason: Reason) -> Self {
        Self::new(reason, String::new())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_its_own_word_and_an_error_status() {
        let words: HashSet<_> = Reason::ALL.iter().map(|r| r.word()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert_eq!(reason.row().reason, reason, "the table is in order");
            assert!(reason.status().as_u16() >= 400, "{reason:?}");
            assert!(reason.grpc() > 0 && reason.grpc() <= 16, "{reason:?}");
        }
    }
}
