//! `jwt`: tokens of an issuer.

use super::forms::{Form, Grammar, TEXT, TEXTS};
use super::{A_SECOND, ANY_TIME, Field, Section, Type, field, services::UPSTREAM_TLS};

/// The claim that is the consumer, of a token as of what is said about one.
pub(super) const CONSUMER_CLAIM: Field = field(
    "consumer",
    Type::Text,
    "sub",
    "the claim that names the consumer, without which no token passes; or none",
);
/// Claims the upstream is told, of both.
pub(super) const PASS_CLAIMS: Field = field(
    "pass_claims",
    Type::Free,
    "{}",
    "headers and the claims they tell the upstream; never the client's own",
)
.of(&[TEXT]);

pub(crate) static JWT: Section = Section {
    name: "`jwt`",
    fields: &[
        field("issuer", Type::Text, "", "compared with `iss`, letter for letter").needed(),
        field("audience", Type::List, "", "of these `aud` must name one; or any")
            .of(&[TEXT])
            .alone()
            .needed(),
        field(
            "jwks",
            Type::Text,
            "discovery",
            "the keys: a URL, the path of a file, which is watched, or the set itself; by default \
             where the metadata of `issuer` says",
        )
        .or(&[Form::A(&Type::Free)]),
        field(
            "algorithms",
            Type::List,
            "[RS256, ES256, EdDSA]",
            "accepted: RS256-512, PS256-512, ES256, ES384, EdDSA",
        )
        .of(&[TEXT])
        .alone(),
        field("leeway", ANY_TIME, "30s", "by how much the issuer's clock may differ"),
        field(
            "from",
            Type::Text,
            "header:authorization",
            "where the token is: header:NAME, query:NAME, cookie:NAME",
        )
        .is(&[Form::Like(Grammar::Carrier)]),
        field(
            "require",
            Type::Free,
            "{}",
            "claims and their values; all must hold, any value of a list will do",
        )
        .of(&[TEXT, TEXTS]),
        CONSUMER_CLAIM,
        PASS_CLAIMS,
        field("pass_token", Type::Bool, "false", "hand the token to the upstream"),
        field("refresh", A_SECOND, "10m", "how often keys are fetched from a URL"),
        field("plain_http", Type::Bool, "false", "fetch keys over http:// from other machines"),
        field("tls", Type::Map(&UPSTREAM_TLS), "", "TLS to where keys are fetched"),
    ],
};
