//! Who may pass.

use std::{collections::BTreeSet, fmt, path::PathBuf, sync::Arc, time::Duration};

use http::HeaderName;
use ipnet::IpNet;

use super::{
    AskedService, External, Introspection, Judge, Located, Name, Place, Takes, UpstreamTls,
};
use crate::{
    auth::{
        api_key::{Form, carrier::Carrier},
        client_cert::Accepted,
        jwt::{Algorithm, Audience, Demand, Published},
        oidc::{scheme::Urls, session::Limits, wanted::Wanted},
        signature,
    },
    authorize::Rules,
};

/// Whether a policy refuses, or only says what it would refuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It refuses.
    #[default]
    Enforce,
    /// It judges, counts and logs, and lets everybody pass.
    Shadow,
}

/// Client addresses that may pass (`ip`).
#[derive(Clone, Debug, PartialEq)]
pub struct IpRules {
    /// Its name; `inline` where it has none.
    pub policy: Name,
    /// Networks let in; empty is every address.
    pub allow: Vec<IpNet>,
    /// Networks kept out, whatever `allow` says.
    pub deny: Vec<IpNet>,
    /// Whether it refuses.
    pub mode: Mode,
}

/// Who may pass (`auth` of a route).
#[derive(Clone, Debug, PartialEq)]
pub struct RouteAuth {
    /// Whether one of the policies is enough.
    pub require: Require,
    /// The policies, in the order written.
    pub policies: Vec<Arc<AuthPolicy>>,
}

/// How many policies of a route must let a request pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Require {
    /// One of them.
    Any,
    /// All of them.
    All,
}

/// What those who are known may do (`authorize` of a route).
#[derive(Clone, Debug)]
pub struct RouteAuthorize {
    /// Where it was written.
    pub place: Place,
    /// The policies, all of which must let a request pass.
    pub policies: Vec<Arc<Authorize>>,
}

/// Rules over a request and who it is from (`policies.authorize`).
#[derive(Debug, PartialEq)]
pub struct Authorize {
    /// Its name; `inline` where it has none.
    pub policy: Name,
    /// The rules.
    pub(crate) rules: Rules,
    /// What a client is told that is refused.
    pub message: Option<String>,
    /// Whether it refuses.
    pub mode: Mode,
}

/// The same rules wherever they were written.
impl PartialEq for RouteAuthorize {
    fn eq(&self, other: &Self) -> bool {
        self.policies == other.policies
    }
}

/// One way to say who a request is from (`policies.auth`).
#[derive(Clone, Debug, PartialEq)]
pub struct AuthPolicy {
    /// Its name; `inline` where it has none.
    pub policy: Name,
    /// How.
    pub scheme: AuthScheme,
    /// The header in which the upstream learns of the consumer.
    pub pass_consumer: Option<HeaderName>,
    /// Whether it refuses.
    pub mode: Mode,
}

/// How a request says who it is from.
#[derive(Clone, Debug, PartialEq)]
pub enum AuthScheme {
    /// By a secret the operator has given to a consumer.
    ApiKey(ApiKey),
    /// By a user name and a password.
    Basic(Basic),
    /// By the certificate its connection was opened with.
    ClientCert(ClientCert),
    /// By a signature of the request.
    Signature(Signature),
    /// A service says it, by the status of its answer.
    External(External),
    /// A service says it that speaks Envoy's `ext_authz`.
    ExtAuthz(Judge),
    /// By a token of which its issuer is asked.
    Introspection(Box<Introspection>),
    /// By a token an issuer has signed.
    Jwt(Box<Jwt>),
    /// By a login with a browser.
    Oidc(Box<Oidc>),
}

/// Logins at an OpenID provider (`oidc`).
#[derive(Clone, Debug, PartialEq)]
pub struct Oidc {
    /// The provider.
    pub issuer: Located<String>,
    /// What it knows the gateway as.
    pub client_id: String,
    /// With what the gateway proves that.
    pub client_secret: Option<Secret>,
    /// What is asked for, `openid` among it.
    pub scopes: Vec<String>,
    /// What else the provider is told with each login.
    pub parameters: Vec<(String, String)>,
    /// Where everything is.
    pub(crate) urls: Urls,
    /// Where `callback` is written, or the policy where it is not.
    pub callback_place: Place,
    /// The first seals sessions, all open them.
    pub secrets: Vec<Secret>,
    /// How long sessions last.
    pub(crate) limits: Limits,
    /// What their cookies are called.
    pub cookie: String,
    /// The claims that are kept, if not all.
    pub claims: Option<BTreeSet<String>>,
    /// What is made of the claims.
    pub(crate) wanted: Wanted,
    /// TLS to the provider.
    pub tls: UpstreamTls,
}

/// HTTP message signatures (`signature`).
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    /// Where keys are known from.
    pub keys: SignatureKeys,
    /// What is asked of a signature.
    pub rules: signature::Rules,
}

/// Where keys that sign are known from.
#[derive(Clone, Debug, PartialEq)]
pub enum SignatureKeys {
    /// The file.
    Inline(Vec<SignatureKey>),
    /// A file of their own, watched.
    File(Located<PathBuf>),
}

/// A key that signs.
#[derive(Clone, Debug, PartialEq)]
pub struct SignatureKey {
    /// Whose it is.
    pub consumer: Name,
    /// What requests call it.
    pub id: String,
    /// The key itself.
    pub material: KeyMaterial,
    /// How it signs, where that does not follow from the key.
    pub algorithm: Option<signature::Algorithm>,
    /// Where it was written.
    pub place: Place,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyMaterial {
    /// A secret both sides have.
    Secret(Secret),
    /// A PEM file, watched.
    Public(Located<PathBuf>),
}

/// Client certificates (`client_cert`).
#[derive(Clone, Debug, PartialEq)]
pub struct ClientCert {
    /// Names that may pass; empty is all.
    pub san: Vec<Accepted>,
    /// The upstream sees the certificate.
    pub pass_cert: bool,
}

/// JSON web tokens (`jwt`).
#[derive(Clone, Debug, PartialEq)]
pub struct Jwt {
    /// Who signs them.
    pub issuer: String,
    /// For whom they are.
    pub audience: Audience,
    /// Where the keys of the issuer are known from.
    pub keys: JwtKeys,
    /// The algorithms accepted.
    pub algorithms: Vec<Algorithm>,
    /// By how much clocks may differ.
    pub leeway: Duration,
    /// Where in the request the token is.
    pub from: Carrier,
    /// What the claims must hold.
    pub require: Vec<Demand>,
    /// The claim that names the consumer.
    pub consumer: Option<String>,
    /// Headers and the claims in them.
    pub pass_claims: Vec<(HeaderName, String)>,
    /// The upstream sees the token.
    pub pass_token: bool,
}

/// Where the keys of an issuer are known from.
#[derive(Clone, Debug, PartialEq)]
pub enum JwtKeys {
    /// The file: a set, as JSON.
    Inline(String),
    /// A file of their own, watched.
    File(Located<PathBuf>),
    /// The issuer.
    Published(Box<Published>),
}

// === impl RouteAuth ===

impl RouteAuth {
    /// Whether requests show something that whoever has read it can show as well. Certificates and
    /// signatures are proofs, and prove nothing for others.
    pub(crate) fn shows_secrets(&self) -> bool {
        let enforced = self.policies.iter().filter(|policy| policy.mode == Mode::Enforce);
        enforced.map(|policy| &policy.scheme).any(|scheme| match scheme {
            AuthScheme::ClientCert(_) | AuthScheme::Signature(_) => false,
            // Without headers it judges by what is no secret.
            AuthScheme::External(External { judge, .. }) | AuthScheme::ExtAuthz(judge) => {
                judge.body.is_some()
                    || judge.request_headers.as_ref().is_none_or(|names| !names.is_empty())
            }
            AuthScheme::ApiKey(_)
            | AuthScheme::Basic(_)
            | AuthScheme::Introspection(_)
            | AuthScheme::Jwt(_)
            | AuthScheme::Oidc(_) => true,
        })
    }
}

// === impl AuthPolicy ===

impl AuthPolicy {
    /// The headers in which the upstream learns who it is: nobody else may set these.
    pub(crate) fn tells(&self) -> impl Iterator<Item = &HeaderName> {
        let claims = match &self.scheme {
            AuthScheme::Jwt(jwt) => jwt.pass_claims.as_slice(),
            AuthScheme::Oidc(oidc) => oidc.wanted.pass_claims.as_slice(),
            AuthScheme::Introspection(it) => it.pass_claims.as_slice(),
            _ => &[],
        };
        let taken = self.judge().map(|it| &it.takes).into_iter().flat_map(Takes::names);
        claims.iter().map(|(name, _)| name).chain(taken).chain(&self.pass_consumer)
    }

    /// The headers that a service is shown: the upstream must not read others as these.
    pub(crate) fn shows(&self) -> &[HeaderName] {
        self.judge().and_then(|it| it.request_headers.as_deref()).unwrap_or_default()
    }

    /// The service that is asked for each request, if one is.
    pub(crate) fn service(&self) -> Option<&AskedService> {
        match &self.scheme {
            AuthScheme::Introspection(it) => Some(&it.service),
            _ => self.judge().map(|it| &it.service),
        }
    }

    /// The service that is shown each request, if one is.
    fn judge(&self) -> Option<&Judge> {
        match &self.scheme {
            AuthScheme::External(it) => Some(&it.judge),
            AuthScheme::ExtAuthz(it) => Some(it),
            _ => None,
        }
    }

    /// Whom it trusts that it asks itself.
    pub(crate) fn fetch_tls(&self) -> Option<&UpstreamTls> {
        match &self.scheme {
            AuthScheme::Jwt(jwt) => match &jwt.keys {
                JwtKeys::Published(published) => Some(&published.tls),
                JwtKeys::Inline(_) | JwtKeys::File(_) => None,
            },
            AuthScheme::Oidc(oidc) => Some(&oidc.tls),
            _ => None,
        }
    }
}

/// User names and passwords (`basic`).
#[derive(Clone, Debug, PartialEq)]
pub struct Basic {
    /// Where the users are known from.
    pub users: BasicUsers,
    /// What a browser shows when it asks for them.
    pub realm: String,
    /// The upstream sees them.
    pub pass_credentials: bool,
}

/// Where users are known from.
#[derive(Clone, Debug, PartialEq)]
pub enum BasicUsers {
    /// The file: user and hash, each with its place.
    Inline(Vec<(String, Located<Secret>)>),
    /// A file as htpasswd writes it, watched.
    File(Located<PathBuf>),
}

/// API keys (`api_key`).
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKey {
    /// Where in the request the key is.
    pub from: Carrier,
    /// Where the keys are known from.
    pub keys: ApiKeys,
    /// In what form they are written.
    pub form: Form,
    /// The upstream sees the key.
    pub pass_key: bool,
}

/// Where API keys are known from.
#[derive(Clone, Debug, PartialEq)]
pub enum ApiKeys {
    /// The file: consumer and secret, each with its place.
    Inline(Vec<(Name, Located<Secret>)>),
    /// A file of their own, watched.
    File(Located<PathBuf>),
}

/// Text nobody may see.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("«redacted»")
    }
}
