//! Users and passwords of one policy, ready to be asked.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use tokio::time::Instant;

use super::{
    super::{Denied, Identity, Judged, Judging, Scheme, listed},
    Basic, Passwords, Users, UsersFile, Verdict,
};
use crate::{layers::Request, telemetry::exchange::Exchange};

/// Users and passwords of one policy.
#[derive(Debug)]
pub(crate) struct BasicAuth {
    pub(crate) users: KnownUsers,
    pub(crate) verifier: Arc<Passwords>,
    /// `Basic realm="…"`.
    pub(crate) challenge: HeaderValue,
    /// The upstream sees them.
    pub(crate) pass_credentials: bool,
}

/// Users from the file, or from one of their own.
#[derive(Debug)]
pub(crate) enum KnownUsers {
    Fixed(Arc<Users>),
    File(Arc<UsersFile>),
}

impl BasicAuth {
    async fn user(&self, headers: &HeaderMap) -> Judged {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let shown = match (values.next(), values.next()) {
            (None, _) => return Err(Denied::NOTHING.into()),
            (Some(_), Some(_)) => return Err(Denied::SEVERAL.into()),
            (Some(value), None) => Basic::parse(value.as_bytes()),
        };
        let shown = shown.map_err(|_| Denied::UNKNOWN)?.ok_or(Denied::NOTHING)?;
        let users = match &self.users {
            KnownUsers::Fixed(users) => Arc::clone(users),
            KnownUsers::File(file) => Arc::clone(&file.now()),
        };
        let (user, now) = (shown.user(), Instant::now());
        match self.verifier.verify(&users, user, shown.password(), now).await {
            Verdict::Good => Ok(Identity::named(user.into())),
            Verdict::Bad => Err(Denied::UNKNOWN.into()),
            Verdict::Busy => Err(Denied::busy("too_many_passwords").into()),
        }
    }
}

impl Scheme for BasicAuth {
    fn judge<'a>(&'a self, request: &'a mut Request, _: &'a Arc<Exchange>) -> Judging<'a> {
        Box::pin(self.user(request.headers()))
    }

    fn strip(&self, request: &mut Request) {
        if !self.pass_credentials {
            request.headers_mut().remove(AUTHORIZATION);
        }
    }

    fn could_admit(&self, who: &Identity) -> Result<(), Denied> {
        listed(who, |name| match &self.users {
            KnownUsers::Fixed(users) => users.has(name),
            KnownUsers::File(file) => file.now().has(name),
        })
    }

    fn challenge(&self, _: Denied) -> Option<HeaderValue> {
        Some(self.challenge.clone())
    }
}
