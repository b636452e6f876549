//! What the claims of somebody must be, who that makes them, and what the upstream is told of them. The
//! same words of the file mean the same for tokens, so [`jwt`](crate::auth::jwt) reads them.

use std::sync::Arc;

use http::HeaderName;

use crate::auth::{
    Claims, Denied, Fields, Identity,
    jwt::{Demand, Flaw, find, is_name, plain, told},
};

/// What is made of claims.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) require: Vec<Demand>,
    /// The claim that names the consumer; without one there is none.
    pub(crate) consumer: Option<String>,
    pub(crate) pass_claims: Vec<(HeaderName, String)>,
}

// === impl Wanted ===

impl Wanted {
    /// Whether these claims are what they must be.
    pub(crate) fn allows(&self, claims: &Claims) -> Result<(), Denied> {
        match self.require.iter().all(|demand| demand.holds(claims)) {
            true => Ok(()),
            false => Err(Flaw::ClaimNotAllowed.into()),
        }
    }

    /// Whose claims these are, if they are what they must be.
    pub(crate) fn identity(&self, claims: Claims, answer: Fields) -> Result<Arc<Identity>, Denied> {
        self.allows(&claims)?;
        // Who has logged in is somebody, whatever the provider says of them: a login would not help.
        let consumer = match &self.consumer {
            None => None,
            Some(claim) => {
                let name = find(&claims, claim).and_then(plain).filter(|name| is_name(name));
                let name = name.ok_or(Denied::forbidden("no_consumer"))?;
                Some(name.as_ref().into())
            }
        };
        let tells = told::fields(&self.pass_claims, &claims);
        let claims = Some(Arc::new(claims));
        Ok(Arc::new(Identity { consumer, claims, tells, answer, ..Identity::default() }))
    }
}
