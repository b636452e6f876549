//! Why somebody may not pass: what kind of refusal it is, and one word for log and metric. The words are
//! fixed in the code, so that there are never more series than words.

use crate::error::Reason;

/// Why a policy does not let a request pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Denied {
    /// What becomes of the request.
    pub(crate) kind: Kind,
    /// The reason, in words that may be a label.
    pub(crate) word: &'static str,
}

/// Kinds of refusal. The later ones came closer to a request that may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// It shows nothing: 401.
    Nothing,
    /// What it shows is not true: 401.
    Wrong,
    /// It is known who it is from, and that is not enough: 403.
    Forbidden,
    /// Nobody could find out, as those who know cannot be asked: 503 `auth_unavailable`.
    Unavailable,
    /// Nobody could find out, as too many want to know: 503 `overloaded`.
    Busy,
    /// Nobody could find out, as the body that has to be seen cannot be read.
    Body(Reason),
}

// === impl Denied ===

impl Denied {
    /// It shows nothing.
    pub(crate) const NOTHING: Self = Self { kind: Kind::Nothing, word: "no_credentials" };
    /// It shows two at once.
    pub(crate) const SEVERAL: Self = Self::wrong("several_credentials");
    /// What it shows belongs to nobody.
    pub(crate) const UNKNOWN: Self = Self::wrong("wrong_credentials");

    /// What it shows is not true, for this reason.
    pub(crate) const fn wrong(word: &'static str) -> Self {
        Self { kind: Kind::Wrong, word }
    }

    /// It is known who it is from, and that is not enough.
    pub(crate) const fn forbidden(word: &'static str) -> Self {
        Self { kind: Kind::Forbidden, word }
    }

    /// Those who know cannot be asked.
    pub(crate) const fn unavailable(word: &'static str) -> Self {
        Self { kind: Kind::Unavailable, word }
    }

    /// The body that has to be seen cannot be read.
    pub(crate) const fn body(reason: Reason, word: &'static str) -> Self {
        Self { kind: Kind::Body(reason), word }
    }

    /// Too many want to know.
    pub(crate) const fn busy(word: &'static str) -> Self {
        Self { kind: Kind::Busy, word }
    }
}

// === impl Kind ===

impl Kind {
    /// Nobody knows who it is from: a login would help.
    pub(crate) const fn is_unknown(self) -> bool {
        matches!(self, Self::Nothing | Self::Wrong)
    }
}
