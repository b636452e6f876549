//! Ways to say who one is by what was signed.

use super::forms::{Form, TEXT};
use super::{A_SECOND, ANY_TIME, Section, Type, field};

pub(crate) static CLIENT_CERT: Section = Section {
    name: "`client_cert`",
    fields: &[
        field(
            "san",
            Type::List,
            "",
            "accepted names: URIs, dns:NAME, email:NAME; `spiffe://…/*` is any last segment; by default all",
        ).of(&[TEXT]).alone(),
        field("pass_cert", Type::Bool, "false", "hand it to the upstream, as `Client-Cert`"),
    ],
};

pub(crate) static SIGNATURE: Section = Section {
    name: "`signature`",
    fields: &[
        field(
            "keys",
            Type::Free,
            "",
            "consumer and key, or a list of keys: { id, secret } or { id, public_key }",
        )
        .of(&[Form::Map(&SIGNATURE_KEY), Form::List(&[Form::Map(&SIGNATURE_KEY)])])
        .filled()
        .one_of("keys"),
        field(
            "keys_file",
            Type::Text,
            "",
            "path of a file with lines `consumer id algorithm base64`; watched",
        )
        .one_of("keys"),
        field(
            "components",
            Type::List,
            "[\"@method\", \"@authority\", \"@path\", \"@query\"]",
            "what must be signed; with a body always content-digest too",
        )
        .of(&[TEXT])
        .alone(),
        field("max_age", A_SECOND, "5m", "time since `created`"),
        field("skew", ANY_TIME, "30s", "how far `created` may lie ahead"),
        field(
            "nonce",
            Type::Word(&["any", "once"], &[]),
            "any",
            "once: each signature counts once",
        ),
        field("tag", Type::Text, "", "what the signature must be made for"),
        field("label", Type::Text, "", "its name in the request; by default there is one only"),
        field("pass_signature", Type::Bool, "false", "hand it to the upstream"),
    ],
};

/// One key of `signature.keys`.
pub(crate) static SIGNATURE_KEY: Section = Section {
    name: "a key",
    fields: &[
        field("id", Type::Text, "", "what requests call it: `keyid`").needed(),
        field("secret", Type::Text, "", "32 bytes or more, or `base64:…`").one_of("material"),
        field("public_key", Type::Text, "", "path of a PEM file; watched").one_of("material"),
        field(
            "algorithm",
            Type::Word(
                &[
                    "hmac-sha256",
                    "ed25519",
                    "ecdsa-p256-sha256",
                    "ecdsa-p384-sha384",
                    "rsa-pss-sha512",
                    "rsa-v1_5-sha256",
                ],
                &[],
            ),
            "",
            "the one of the key; RSA: rsa-pss-sha512",
        ),
    ],
};
