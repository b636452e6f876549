//! Who may pass: what a request shows to say who it is, and whether that is true. Nothing here knows
//! of the file; `layers/auth` asks, `runtime/auth` makes what it asks of what the file says. Each way to
//! say who one is is a [`Scheme`] with a file of its own.

pub(crate) mod api_key;
pub(crate) mod asked;
pub(crate) mod client_cert;
pub(crate) mod decisions;
pub(crate) mod denied;
pub(crate) mod jwt;
pub(crate) mod oidc;
pub(crate) mod password;
pub(crate) mod signature;
pub(crate) mod watched;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use http::{HeaderName, HeaderValue};

pub(crate) use self::denied::Denied;
use crate::{
    config::model::Name,
    layers::{Request, Response},
    telemetry::exchange::Exchange,
};

/// What an issuer says of somebody, by name.
pub(crate) type Claims = serde_json::Map<String, serde_json::Value>;

/// Fields of a head.
pub(crate) type Fields = Vec<(HeaderName, HeaderValue)>;

/// Who a request is from. Schemes that remember whom they know share it between requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    /// The consumer: by the operator's name, or by what the issuer calls it.
    pub(crate) consumer: Option<Name>,
    /// What else is known, for `authorize` and for limits.
    pub(crate) claims: Option<Arc<Claims>>,
    /// Fields of the client that the upstream is not to see.
    pub(crate) removes: Vec<HeaderName>,
    /// What the upstream is told, in fields among [`Scheme::tells`].
    pub(crate) tells: Fields,
    /// What the client is told with the answer.
    pub(crate) answer: Fields,
}

/// Why a request does not pass.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Nobody knows that it may.
    Denied(Denied),
    /// The client is answered so instead: sent to a login, or told what a service said that was asked.
    Answer(Box<Response>, Meaning),
}

/// What it means that a client is answered instead.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Meaning {
    /// It is a step of a login, where nothing is wrong.
    Step(Step),
    /// It may not pass, for this reason.
    No(Denied),
}

/// A step of a login.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Somebody is sent to log in.
    Login,
    /// Somebody has logged in, and is sent to where they wanted to go.
    LoggedIn,
    /// Somebody logs out.
    Logout,
}

/// What comes of a question.
pub(crate) type Judged = Result<Arc<Identity>, Refused>;

/// A question that is being answered.
pub(crate) type Judging<'a> = Pin<Box<dyn Future<Output = Judged> + Send + 'a>>;

/// One way to find out who a request is from, ready to be asked.
pub(crate) trait Scheme: fmt::Debug + Send + Sync {
    /// Who this request is from. Its head stays as it is; whoever reads its body puts it back.
    fn judge<'a>(&'a self, request: &'a mut Request, exchange: &'a Arc<Exchange>) -> Judging<'a>;

    /// Takes the credentials out, unless the upstream is to see them.
    fn strip(&self, request: &mut Request);

    /// Fields in which the upstream is told who it is: what the client says there never reaches it.
    fn tells(&self) -> &[HeaderName] {
        &[]
    }

    /// Whether the query of a request for this path may hold what nobody may read in a log.
    fn is_in_query(&self, _path: &str) -> bool {
        false
    }

    /// Whether it can let in somebody who is called so, or of whom that is said, as far as this is known
    /// without credentials. For those who only want to know; requests are never judged by it.
    fn could_admit(&self, _who: &Identity) -> Result<(), Denied> {
        Ok(())
    }

    /// What a client is told to show (RFC 9110 section 11.6.1).
    fn challenge(&self, denied: Denied) -> Option<HeaderValue>;
}

/// Whether a policy that has a list of consumers can let this one in.
pub(crate) fn listed(who: &Identity, knows: impl FnOnce(&str) -> bool) -> Result<(), Denied> {
    match &who.consumer {
        Some(name) if !knows(name) => Err(Denied::UNKNOWN),
        _ => Ok(()),
    }
}

// === impl Identity ===

impl Identity {
    /// Somebody of whom nothing but the name is known.
    pub(crate) fn named(consumer: Name) -> Arc<Self> {
        Arc::new(Self { consumer: Some(consumer), ..Self::default() })
    }

    /// About as many bytes as it takes.
    pub(crate) fn weight(&self) -> usize {
        let fields = self.tells.iter().chain(&self.answer);
        let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + 96);
        let claims = self
            .claims
            .as_ref()
            .map_or(0, |claims| serde_json::to_vec(&**claims).map_or(0, |text| text.len() * 4));
        fields.sum::<usize>() + claims + self.removes.len() * 64
    }
}

// === impl Refused ===

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}
