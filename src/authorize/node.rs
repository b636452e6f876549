//! A rule as it is evaluated.

use ipnet::IpNet;
use regex::Regex;

use super::{functions::Function, value::Value, vars::Var};

/// One step.
pub(super) enum Op {
    Const(Value<'static>),
    Var(Var),
    /// What a macro is at, by its depth.
    Local(usize),
    Field(Box<Self>, Box<str>),
    Index(Box<[Self; 2]>),
    /// Whether a map has a key.
    Has(Box<Self>, Box<str>),
    List(Box<[Self]>),
    Not(Box<Self>),
    Negate(Box<Self>),
    /// `&&` (decided by false) and `||` (decided by true).
    Logic(bool, Box<[Self; 2]>),
    Binary(Binary, Box<[Self; 2]>),
    In(Box<[Self; 2]>),
    Choice(Box<[Self; 3]>),
    Each(Box<Each>),
    Call(Function, Box<[Self]>),
    Matches(Box<Self>, Regex),
    InNetwork(Box<Self>, Box<[IpNet]>),
}

/// An operator with two sides that are always both evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// A macro: something asked of each item of a list, or of each key of a map.
pub(super) struct Each {
    pub(super) how: How,
    pub(super) range: Op,
    /// Which items, of `map` with three arguments.
    pub(super) only: Option<Op>,
    pub(super) body: Op,
}

/// What is made of the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}
