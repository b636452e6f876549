//! The functions a rule may call. Patterns and networks, which are compiled at load, are steps of their own.

use std::borrow::Cow;

use super::{
    Failed,
    facts::Facts,
    kind::Kind,
    time,
    value::{List, Map, Value},
};

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    StartsWith,
    EndsWith,
    Contains,
    LowerAscii,
    UpperAscii,
    Split,
    Int,
    Double,
    Text,
    Timestamp,
    Year,
    Month,
    DayOfMonth,
    DayOfWeek,
    Hours,
    Minutes,
}

/// A function, how it is called, what it takes and what it gives.
pub(super) struct Signature {
    pub(super) name: &'static str,
    pub(super) function: Function,
    /// Whether it can be called as `f(x)`, and as `x.f()`.
    pub(super) forms: (bool, bool),
    /// What each argument may be, the one before the dot first.
    pub(super) takes: &'static [&'static [Kind]],
    pub(super) gives: Kind,
}

const TEXT: &[Kind] = &[Kind::Text];
const TIME: &[Kind] = &[Kind::Time];
const NUMBER: &[Kind] = &[Kind::Int, Kind::Uint, Kind::Double];

/// All of them.
pub(super) const ALL: [Signature; 17] = [
    Signature {
        name: "size",
        function: Function::Size,
        forms: (true, true),
        takes: &[&[Kind::Text, Kind::List, Kind::Map]],
        gives: Kind::Int,
    },
    member("startsWith", Function::StartsWith, &[TEXT, TEXT], Kind::Bool),
    member("endsWith", Function::EndsWith, &[TEXT, TEXT], Kind::Bool),
    member("contains", Function::Contains, &[TEXT, TEXT], Kind::Bool),
    member("lowerAscii", Function::LowerAscii, &[TEXT], Kind::Text),
    member("upperAscii", Function::UpperAscii, &[TEXT], Kind::Text),
    member("split", Function::Split, &[TEXT, TEXT], Kind::List),
    global(
        "int",
        Function::Int,
        &[&[Kind::Int, Kind::Uint, Kind::Double, Kind::Text, Kind::Time]],
        Kind::Int,
    ),
    global(
        "double",
        Function::Double,
        &[&[Kind::Int, Kind::Uint, Kind::Double, Kind::Text]],
        Kind::Double,
    ),
    global(
        "string",
        Function::Text,
        &[&[Kind::Text, Kind::Bool, Kind::Int, Kind::Uint]],
        Kind::Text,
    ),
    global("timestamp", Function::Timestamp, &[NUMBER], Kind::Time),
    member("getFullYear", Function::Year, &[TIME], Kind::Int),
    member("getMonth", Function::Month, &[TIME], Kind::Int),
    member("getDate", Function::DayOfMonth, &[TIME], Kind::Int),
    member("getDayOfWeek", Function::DayOfWeek, &[TIME], Kind::Int),
    member("getHours", Function::Hours, &[TIME], Kind::Int),
    member("getMinutes", Function::Minutes, &[TIME], Kind::Int),
];

const fn member(
    name: &'static str,
    function: Function,
    takes: &'static [&'static [Kind]],
    gives: Kind,
) -> Signature {
    Signature { name, function, forms: (false, true), takes, gives }
}

const fn global(
    name: &'static str,
    function: Function,
    takes: &'static [&'static [Kind]],
    gives: Kind,
) -> Signature {
    Signature { name, function, forms: (true, false), takes, gives }
}

// === impl Function ===

impl Function {
    /// Calls it.
    pub(super) fn call<'a>(
        self,
        facts: &Facts<'_>,
        arguments: [Value<'a>; 2],
    ) -> Result<Value<'a>, Failed> {
        use Value::{Bool, Double, Int, Text, Time, Uint};
        let [first, second] = arguments;
        if let Text(text) = &first {
            facts.spend(text.len() / 32)?;
        }
        Ok(match (self, first, second) {
            (Self::Size, value, _) => Int(size(&value)?),
            (Self::StartsWith, Text(a), Text(b)) => Bool(a.starts_with(&*b)),
            (Self::EndsWith, Text(a), Text(b)) => Bool(a.ends_with(&*b)),
            (Self::Contains, Text(a), Text(b)) => {
                Bool(memchr::memmem::find(a.as_bytes(), b.as_bytes()).is_some())
            }
            (Self::LowerAscii, Text(mut text), _) => {
                if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
                    text.to_mut().make_ascii_lowercase();
                }
                Text(text)
            }
            (Self::UpperAscii, Text(mut text), _) => {
                if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
                    text.to_mut().make_ascii_uppercase();
                }
                Text(text)
            }
            (Self::Split, Text(text), Text(by)) => split(facts, text, &by)?,
            (Self::Int, value, _) => Int(int(&value)?),
            (Self::Double, value, _) => Double(double(&value)?),
            (Self::Text, Text(text), _) => Text(text),
            (Self::Text, Bool(it), _) => Value::text(if it { "true" } else { "false" }),
            (Self::Text, Int(it), _) => Text(Cow::Owned(it.to_string())),
            (Self::Text, Uint(it), _) => Text(Cow::Owned(it.to_string())),
            (Self::Timestamp, value, _) => Time(time::of_seconds(&value)?),
            (_, Time(at), _) => Int(self.part(at)?),
            _ => return Err(Failed::WrongType),
        })
    }

    /// A part of a moment, in UTC.
    fn part(self, at: i64) -> Result<i64, Failed> {
        let date = time::Date::of(at);
        Ok(match self {
            Self::Year => date.year,
            Self::Month => date.month - 1,
            Self::DayOfMonth => date.day,
            Self::DayOfWeek => date.weekday,
            Self::Hours => date.second_of_day / 3600,
            Self::Minutes => date.second_of_day / 60 % 60,
            _ => return Err(Failed::WrongType),
        })
    }
}

fn size(value: &Value<'_>) -> Result<i64, Failed> {
    let size = match value {
        Value::Text(text) => text.chars().count(),
        Value::List(list) => list.len(),
        Value::Map(Map::Json(map)) => map.len(),
        Value::Map(Map::Labels(map)) => map.len(),
        Value::Map(Map::Headers(map)) => map.keys_len(),
        _ => return Err(Failed::WrongType),
    };
    i64::try_from(size).map_err(|_| Failed::OutOfRange)
}

fn split<'a>(facts: &Facts<'_>, text: Cow<'a, str>, by: &str) -> Result<Value<'a>, Failed> {
    if by.is_empty() {
        return Err(Failed::WrongType); // into characters: nobody needs it here
    }
    let mut parts = Vec::new();
    match text {
        Cow::Borrowed(text) => {
            for part in text.split(by) {
                facts.spend(1)?;
                parts.push(Value::text(part));
            }
        }
        Cow::Owned(text) => {
            for part in text.split(by) {
                facts.spend(1 + part.len() / 32)?;
                parts.push(Value::Text(Cow::Owned(part.to_owned())));
            }
        }
    }
    Ok(Value::List(List::Made(parts.into())))
}

fn int(value: &Value<'_>) -> Result<i64, Failed> {
    match value {
        Value::Int(it) => Ok(*it),
        Value::Uint(it) => i64::try_from(*it).map_err(|_| Failed::OutOfRange),
        // Towards zero, and never at the very ends, where a double does not say which number it is.
        #[allow(clippy::cast_possible_truncation)]
        Value::Double(it) if it.abs() < 9.2e18 => Ok(*it as i64),
        Value::Double(_) => Err(Failed::OutOfRange),
        Value::Text(text) => text.parse().map_err(|_| Failed::WrongType),
        Value::Time(at) => Ok(at.div_euclid(time::SECOND)),
        _ => Err(Failed::WrongType),
    }
}

fn double(value: &Value<'_>) -> Result<f64, Failed> {
    #[allow(clippy::cast_precision_loss)] // what a double is
    match value {
        Value::Int(it) => Ok(*it as f64),
        Value::Uint(it) => Ok(*it as f64),
        Value::Double(it) => Ok(*it),
        Value::Text(text) => text.parse().map_err(|_| Failed::WrongType),
        _ => Err(Failed::WrongType),
    }
}
