//! What an expression is evaluated to. Almost everything is borrowed from the request or from the rule.

use std::{borrow::Cow, cmp::Ordering, collections::BTreeMap, sync::Arc};

use http::HeaderMap;
use serde_json::Value as Json;

use crate::auth::Claims;

/// A value. Times are microseconds since 1970, durations microseconds.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Cow<'a, str>),
    Time(i64),
    Duration(i64),
    List(List<'a>),
    Map(Map<'a>),
}

/// A list.
#[derive(Clone, Debug)]
pub(super) enum List<'a> {
    /// Of a claim.
    Json(&'a [Json]),
    /// Of the rule itself.
    Made(Arc<[Value<'a>]>),
}

/// A map from text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Map<'a> {
    Json(&'a Claims),
    Headers(&'a HeaderMap),
    /// The query as it was sent.
    Query(&'a str),
    Labels(&'a BTreeMap<String, String>),
}

// === impl Value ===

impl<'a> Value<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// The same without a copy of its text.
    pub(super) fn lend(&'a self) -> Self {
        match self {
            Self::Text(text) => Self::text(text),
            other => other.clone(),
        }
    }

    pub(super) fn list(items: Vec<Self>) -> Self {
        Self::List(List::Made(items.into()))
    }
}

impl<'a> From<&'a Json> for Value<'a> {
    fn from(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(it) => Self::Bool(*it),
            Json::Number(it) => match (it.as_i64(), it.as_u64()) {
                (Some(it), _) => Self::Int(it),
                (None, Some(it)) => Self::Uint(it),
                (None, None) => it.as_f64().map_or(Self::Null, Self::Double),
            },
            Json::String(it) => Self::text(it),
            Json::Array(it) => Self::List(List::Json(it)),
            Json::Object(it) => Self::Map(Map::Json(it)),
        }
    }
}

// === impl List ===

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(items) => items.len(),
            Self::Made(items) => items.len(),
        }
    }

    pub(super) fn get(&self, at: usize) -> Option<Value<'a>> {
        match self {
            Self::Json(items) => items.get(at).map(Value::from),
            Self::Made(items) => items.get(at).cloned(),
        }
    }
}

/// Numbers of whatever type by their size; `None` for what is no number.
pub(super) fn numbers(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    use Value::{Double, Int, Uint};
    match (a, b) {
        (Int(a), Int(b)) => Some(a.cmp(b)),
        (Uint(a), Uint(b)) => Some(a.cmp(b)),
        (Int(a), Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Uint(a), Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Double(a), Double(b)) => a.partial_cmp(b),
        (Int(a), Double(b)) => whole(i128::from(*a), *b),
        (Uint(a), Double(b)) => whole(i128::from(*a), *b),
        (Double(a), Int(b)) => whole(i128::from(*b), *a).map(Ordering::reverse),
        (Double(a), Uint(b)) => whole(i128::from(*b), *a).map(Ordering::reverse),
        _ => None,
    }
}

/// A whole number beside one that need not be, without rounding.
fn whole(a: i128, b: f64) -> Option<Ordering> {
    if b.is_nan() {
        return None;
    }
    // Saturates, far beyond both.
    #[allow(clippy::cast_possible_truncation)]
    let floor = b.floor() as i128;
    Some(a.cmp(&floor).then(if b.fract() == 0.0 { Ordering::Equal } else { Ordering::Less }))
}
