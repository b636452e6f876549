//! Which route takes a request: after the head was checked and before any policy runs.
//!
//! Pure: no I/O, no clock, generic over what is found. [`canonical`] gives every path one
//! spelling; [`Table`] holds all branches of all routes and finds the one of greatest rank. The
//! rule itself is one type, `rank::Rank`; everything else only makes it fast.

mod branch;
mod canonical;
mod condition;
mod conflict;
mod example;
mod host;
mod meet;
mod methods;
mod near;
mod path;
mod path_parse;
mod rank;
mod shadow;
mod table;
mod trie;
mod unseen;
mod why;

#[cfg(test)]
pub(crate) mod model;

pub use branch::{Branch, RequestFacts};
pub use canonical::{Normalize, PathError, canonical};
pub use condition::ValueCondition;
pub use conflict::Conflict;
pub use example::Sample;
pub use host::HostPattern;
pub use methods::MethodSet;
pub use path::{Captures, PathPattern, strip_segments};
pub use table::{Found, Near, Table};
pub use unseen::Told;
pub use why::Beaten;
