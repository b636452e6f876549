//! The names a policy is for. Names are equal or they are not; only the last segment of a SPIFFE id may be
//! left open, and never the trust domain: who runs that decides what its names mean.

use std::fmt;

use ahash::AHashSet;

use crate::{
    config::model::Name,
    server::peer::{Facts, San},
};

const SPIFFE: &str = "spiffe://";

/// A name as the operator writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// This one.
    Name(San),
    /// One segment after this, which ends in `/`.
    Below(Name),
}

/// The names of one policy.
#[derive(Debug, Default)]
pub(super) struct Names {
    exact: AHashSet<San>,
    below: AHashSet<Name>,
}

// === impl Accepted ===

impl Accepted {
    /// Reads `spiffe://domain/path`, another URI, `uri:URI`, `dns:NAME` or `email:NAME`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a name in a certificate is ASCII without white space");
        }
        if text.starts_with(SPIFFE) {
            return Self::spiffe(text);
        }
        let san = if let Some(name) = text.strip_prefix("dns:") {
            San::dns(name)
        } else if let Some(mailbox) = text.strip_prefix("email:") {
            San::email(mailbox)
        } else if let Some(uri) = text.strip_prefix("uri:") {
            (!uri.is_empty()).then(|| San::Uri(uri.into()))
        } else if text.contains("://") {
            Some(San::Uri(text.into()))
        } else {
            None
        };
        match san {
            Some(_) if text.contains('*') => {
                Err("`*` is the last segment of a SPIFFE id, and nothing else")
            }
            Some(san) => Ok(Self::Name(san)),
            None => Err("a name is a URI, `dns:NAME` or `email:NAME`"),
        }
    }

    fn spiffe(text: &str) -> Result<Self, &'static str> {
        let Some((domain, path)) = text[SPIFFE.len()..].split_once('/') else {
            return Err("a SPIFFE id has a path: `spiffe://domain/path`");
        };
        let in_domain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        if domain.is_empty() || !domain.bytes().all(in_domain) {
            return Err("a trust domain is a-z, 0-9, `.`, `-` and `_`, never a wildcard");
        }
        let (parents, last) = path.rsplit_once('/').unwrap_or(("", path));
        let good = parents.is_empty() || parents.split('/').all(is_segment);
        if !good || !(last == "*" || is_segment(last)) {
            return Err(
                "segments of a SPIFFE id are letters, digits, `.`, `-` and `_`; only the last may be `*`",
            );
        }
        Ok(match text.strip_suffix('*') {
            Some(parent) => Self::Below(parent.into()),
            None => Self::Name(San::Uri(text.into())),
        })
    }
}

/// As the operator writes it.
impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below(parent) => write!(f, "{parent}*"),
            Self::Name(San::Dns(name)) => write!(f, "dns:{name}"),
            Self::Name(San::Email(mailbox)) => write!(f, "email:{mailbox}"),
            Self::Name(San::Uri(uri)) if uri.contains("://") => f.write_str(uri),
            Self::Name(San::Uri(uri)) => write!(f, "uri:{uri}"),
        }
    }
}

// === impl Names ===

impl Names {
    pub(super) fn new(accepted: &[Accepted]) -> Self {
        let mut names = Self::default();
        for one in accepted {
            match one {
                Accepted::Name(san) => _ = names.exact.insert(san.clone()),
                Accepted::Below(parent) => _ = names.below.insert(parent.clone()),
            }
        }
        names
    }

    /// The first name of a certificate that is among them.
    pub(super) fn find<'f>(&self, facts: &'f Facts) -> Option<&'f San> {
        facts.names.iter().find(|name| self.exact.contains(*name) || self.is_below(name))
    }

    fn is_below(&self, name: &San) -> bool {
        let San::Uri(uri) = name else { return false };
        let Some((parent, last)) = uri.rsplit_once('/') else { return false };
        is_segment(last) && self.below.contains(&uri[..=parent.len()])
    }
}

/// A segment of a SPIFFE id. Nothing that somebody could read as two, as none or as another.
fn is_segment(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !matches!(text, "" | "." | "..") && text.bytes().all(inner)
}

/// Whether a URI is meant as a SPIFFE id.
pub(super) fn is_spiffe(uri: &str) -> bool {
    uri.get(..SPIFFE.len()).is_some_and(|start| start.eq_ignore_ascii_case(SPIFFE))
}
