//! How often.

use std::{fmt, num::NonZeroU32, time::Duration};

use http::{HeaderName, Method};
use ipnet::IpNet;

use super::{Mode, Name, OnStoreError, Stored};
use crate::auth::api_key::carrier::Carrier;

/// How often requests may come (`rate_limit`).
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimit {
    /// Its name; `inline` where it has none.
    pub policy: Name,
    /// It has a name: all routes that say it share its buckets.
    pub named: bool,
    /// What must hold, all of it, in the order written. Never empty.
    pub windows: Vec<Window>,
    /// Requests that are alike in all of these share a bucket. Never empty.
    pub key: Vec<KeyPart>,
    /// IPv6 addresses that begin with as many equal bits count as one.
    pub ipv6_prefix: u8,
    /// Keys that are remembered, about.
    pub keys: usize,
    /// What a request costs.
    pub cost: Cost,
    /// What clients are told.
    pub headers: LimitHeaders,
    /// Clients that are not limited.
    pub exempt: Vec<IpNet>,
    /// Whether it refuses.
    pub mode: Mode,
    /// Where it is counted; by default in this process.
    pub stored: Option<Stored>,
}

/// So many in such a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How many.
    pub limit: NonZeroU32,
    /// In what time.
    pub period: Period,
    /// How many at once, where time flows; a day of the calendar has no such thing.
    pub burst: NonZeroU32,
}

/// The time of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Any that long: what is used up comes back bit by bit.
    Every(Duration),
    /// A day of the calendar, in UTC.
    Day,
    /// A month of the calendar, in UTC.
    Month,
}

/// What requests of one bucket have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPart {
    /// The address of the client.
    ClientIp,
    /// Who it is.
    Consumer,
    /// What an issuer says of them.
    Claim(String),
    /// A header, cookie or query parameter.
    Request(Carrier),
    /// The route.
    Route,
}

/// What a request costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cost {
    /// As much as any other; nothing where it is 0.
    Fixed(u32),
    /// By method; 1 for those that are not there.
    Methods(Vec<(Method, u32)>),
    /// What this field of the answer says, when it is there.
    Answer(HeaderName),
}

/// The form in which clients are told of a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimitHeaders {
    /// `RateLimit` and `RateLimit-Policy`.
    #[default]
    Draft,
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`.
    Legacy,
    /// All of them.
    Both,
    /// None.
    None,
}

// === impl RateLimit ===

impl RateLimit {
    /// Whether buckets of both mean the same, so that what one has counted is true for the other.
    pub(crate) fn counts_like(&self, other: &Self) -> bool {
        self.windows == other.windows
            && self.key == other.key
            && self.ipv6_prefix == other.ipv6_prefix
            && self.keys == other.keys
            && self.store() == other.store()
    }

    /// What holds while that is away.
    pub(crate) fn on_store_error(&self) -> Option<OnStoreError> {
        self.stored.as_ref().map(|stored| stored.on_error)
    }

    /// The store it is counted in.
    pub(crate) fn store(&self) -> Option<&Name> {
        self.stored.as_ref().map(|stored| &stored.store.value)
    }

    /// What may come at once, at most, of all its windows.
    pub(crate) fn at_once(&self) -> u32 {
        self.windows.iter().map(Window::at_once).min().unwrap_or(1)
    }

    /// Whether it must be known who a request is from.
    pub(crate) fn needs_identity(&self) -> bool {
        self.key.iter().any(|part| matches!(part, KeyPart::Consumer | KeyPart::Claim(_)))
    }

    /// Whether it looks at fields of the request's head.
    pub(crate) fn looks_at_headers(&self) -> bool {
        self.key.iter().any(|part| matches!(part, KeyPart::Request(Carrier::Header(_))))
    }
}

// === impl KeyPart ===

impl fmt::Display for KeyPart {
    /// As it is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientIp => f.write_str("client_ip"),
            Self::Consumer => f.write_str("consumer"),
            Self::Route => f.write_str("route"),
            Self::Claim(name) => write!(f, "claim:{name}"),
            Self::Request(Carrier::Header(name)) => write!(f, "header:{name}"),
            Self::Request(Carrier::Cookie(name)) => write!(f, "cookie:{name}"),
            Self::Request(Carrier::Query(name)) => write!(f, "query:{name}"),
        }
    }
}

// === impl Window ===

impl Window {
    /// What may come at once.
    pub(crate) fn at_once(&self) -> u32 {
        match self.period {
            Period::Every(_) => self.burst.get(),
            Period::Day | Period::Month => self.limit.get(),
        }
    }
}

// === impl LimitHeaders ===

impl LimitHeaders {
    /// Whether the fields of the draft are among them.
    pub(crate) fn draft(self) -> bool {
        matches!(self, Self::Draft | Self::Both)
    }

    /// Whether the older ones are among them.
    pub(crate) fn legacy(self) -> bool {
        matches!(self, Self::Legacy | Self::Both)
    }
}
