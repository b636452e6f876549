//! Users and passwords. The layer reads what a request shows ([`basic`]) and asks [`verifier::Passwords`],
//! which all policies share, whether it is right for the [`Users`] of one of them.

pub(crate) mod basic;
pub(crate) mod hash;
mod recent;
mod scheme;
pub(crate) mod users;
pub(crate) mod verifier;

pub(crate) use self::{
    basic::Basic,
    scheme::{BasicAuth, KnownUsers},
    users::Users,
    verifier::{Limits, Passwords, Verdict},
};
use super::watched::Watched;

/// A htpasswd file that is read again when it changes.
pub(crate) type UsersFile = Watched<Users>;
