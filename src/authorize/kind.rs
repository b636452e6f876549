//! Types, as far as they are known before there is a request. What can never work is refused at load.

use super::node::Binary;

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It depends on the request: claims, and what is made of them.
    Any,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Time,
    Duration,
    List,
    Map,
}

// === impl Kind ===

impl Kind {
    /// For messages.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Any => "anything",
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Int => "a whole number",
            Self::Uint => "an unsigned number",
            Self::Double => "a number",
            Self::Text => "text",
            Self::Time => "a time",
            Self::Duration => "a duration",
            Self::List => "a list",
            Self::Map => "a map",
        }
    }

    /// Whether it may turn out to be one of these.
    pub(super) fn may_be(self, kinds: &[Self]) -> bool {
        self == Self::Any || kinds.contains(&self)
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// Either of two.
    pub(super) fn or(self, other: Self) -> Self {
        if self == other { self } else { Self::Any }
    }
}

/// What an operator makes of two values; `None` if it can do nothing with them.
pub(super) fn of(operator: Binary, a: Kind, b: Kind) -> Option<Kind> {
    use Kind::{Any, Bool, Duration, Int, List, Null, Text, Time, Uint};
    let unknown = a == Any || b == Any;
    let numbers = a.is_number() && b.is_number();
    match operator {
        Binary::Equal | Binary::Unequal => {
            (unknown || numbers || a == b || a == Null || b == Null).then_some(Bool)
        }
        Binary::Less | Binary::LessEqual | Binary::Greater | Binary::GreaterEqual => {
            let ordered =
                |kind: Kind| kind.is_number() || kind.may_be(&[Bool, Text, Time, Duration]);
            (ordered(a) && ordered(b) && (unknown || numbers || a == b)).then_some(Bool)
        }
        Binary::Add => match (a, b) {
            (Any, _) | (_, Any) => Some(Any),
            (Time, Duration) | (Duration, Time) => Some(Time),
            (Text | List | Duration, _) if a == b => Some(a),
            _ => (a.is_number() && a == b).then_some(a),
        },
        Binary::Subtract => match (a, b) {
            (Any, _) | (_, Any) => Some(Any),
            (Time, Time) | (Duration, Duration) => Some(Duration),
            (Time, Duration) => Some(Time),
            _ => (a.is_number() && a == b).then_some(a),
        },
        Binary::Multiply | Binary::Divide | Binary::Remainder if unknown => Some(Any),
        Binary::Multiply | Binary::Divide => (a.is_number() && a == b).then_some(a),
        Binary::Remainder => (a == b && matches!(a, Int | Uint)).then_some(a),
    }
}
