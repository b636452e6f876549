//! Login of people with a browser at an OpenID provider: the authorization code flow with PKCE. Who has
//! logged in holds a sealed cookie, and nothing about them is kept here, so any gateway with the same
//! secrets knows them. The parts, from the inside:
//!
//! | | |
//! |---|---|
//! | [`seal`] | what browsers keep and can neither read nor change |
//! | [`session`], [`flow`] | who has logged in, and logins under way |
//! | [`cookies`], [`site`], [`page`], [`form`] | how all that looks to a browser |
//! | [`provider`], [`tokens`] | what is asked of the provider, and what is believed of its answers |
//! | [`flight`], [`renewals`], [`logins`] | nothing is asked twice, not even after a reload |
//! | [`scheme`], [`login`], [`logout`], [`wanted`] | what becomes of a request |

pub(crate) mod cookies;
pub(crate) mod flight;
pub(crate) mod flow;
pub(crate) mod form;
pub(crate) mod login;
pub(crate) mod logins;
pub(crate) mod logout;
pub(crate) mod page;
pub(crate) mod provider;
pub(crate) mod renewals;
pub(crate) mod scheme;
pub(crate) mod seal;
pub(crate) mod session;
pub(crate) mod site;
pub(crate) mod tokens;
pub(crate) mod wanted;

use tokio::time::Instant;

use crate::telemetry::clock::unix_micros;

/// Seconds since 1970.
pub(crate) type Seconds = u64;

/// The time, for what is done on control; a request has its own.
fn now() -> Seconds {
    unix_micros(Instant::now()) / 1_000_000
}
