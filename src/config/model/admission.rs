//! How many requests at once, and who goes first.

use std::{collections::BTreeMap, time::Duration};

use http::HeaderName;

use super::{KeyPart, Mode, Name};
use crate::auth::api_key::carrier::Carrier;

/// How much a request matters when not all of them can be served. The first is the most important.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Served first, shed last.
    High,
    /// What nobody has said anything about.
    #[default]
    Normal,
    /// Served last, shed first.
    Low,
}

/// How much the requests of a route matter (`priority_class`).
#[derive(Clone, Debug, PartialEq)]
pub enum PriorityClass {
    /// All of them alike.
    Fixed(Class),
    /// By who they are from.
    By {
        /// What is looked at.
        by: ClassBy,
        /// What each value is worth.
        classes: BTreeMap<String, Class>,
        /// What any other is worth.
        default: Class,
    },
}

/// What says how much a request matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClassBy {
    /// Who it is from.
    Consumer,
    /// What an issuer says of them.
    Claim(String),
    /// What a trusted proxy says in this header; nobody else is believed.
    Header(HeaderName),
}

/// How many requests at once (`concurrency`).
#[derive(Clone, Debug, PartialEq)]
pub struct Concurrency {
    /// Its name; `inline` where it has none.
    pub policy: Name,
    /// It has a name: all routes that say it share its places.
    pub named: bool,
    /// How many.
    pub bound: Bound,
    /// Requests that are alike in all of these have so many of their own; empty is all together.
    pub key: Vec<KeyPart>,
    /// How many may wait; `None` is as many as the limit.
    pub queue: Option<usize>,
    /// How long one may wait.
    pub patience: Duration,
    /// Whether it refuses.
    pub mode: Mode,
}

impl Concurrency {
    /// Whether it must be known who a request is from.
    pub(crate) fn needs_identity(&self) -> bool {
        self.key.iter().any(|part| matches!(part, KeyPart::Consumer | KeyPart::Claim(_)))
    }

    /// Whether it looks at fields of the request's head.
    pub(crate) fn looks_at_headers(&self) -> bool {
        self.key.iter().any(|part| matches!(part, KeyPart::Request(Carrier::Header(_))))
    }
}

/// How many at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// So many.
    Fixed(usize),
    /// As many as the service answers without becoming slower.
    Adaptive(Adaptive),
}

/// How a limit is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adaptive {
    /// Never less.
    pub min: usize,
    /// Never more.
    pub max: usize,
    /// How much slower than unloaded is still well, as a share.
    pub tolerance: f64,
    /// How often is looked how fast the service is without load, while there is load.
    pub probe: Duration,
}

// === impl Class ===

impl Class {
    /// All of them, the most important first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// Its word in the file and in metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

// === impl PriorityClass ===

impl Default for PriorityClass {
    fn default() -> Self {
        Self::Fixed(Class::default())
    }
}

impl PriorityClass {
    /// What a request is worth before anything is known of it.
    pub const fn at_first(&self) -> Class {
        match self {
            Self::Fixed(class) | Self::By { default: class, .. } => *class,
        }
    }

    /// Whether it has to be looked up for each request.
    pub const fn is_looked_up(&self) -> bool {
        matches!(self, Self::By { .. })
    }

    /// Whether it must be known who a request is from.
    pub const fn needs_identity(&self) -> bool {
        matches!(self, Self::By { by: ClassBy::Consumer | ClassBy::Claim(_), .. })
    }
}

/// How much at once, in bytes a second (`bandwidth`).
#[derive(Clone, Debug, PartialEq)]
pub struct Bandwidth {
    /// Its name; `inline` where it has none.
    pub policy: Name,
    /// It has a name: all routes that say it share its total.
    pub named: bool,
    /// Of one connection.
    pub connection: Rates,
    /// Of all together.
    pub total: Rates,
}

/// Bytes of bodies a second; `None` is as many as come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Of requests.
    pub request: Option<u64>,
    /// Of answers.
    pub response: Option<u64>,
}
