//! `tests`: what is expected of requests.

use super::forms::{Form, Grammar, NONE, TEXT};
use super::{Section, Type, field, moved};

pub(crate) static TEST: Section = Section {
    name: "`tests`",
    fields: &[
        field("name", Type::Text, "", "what the report calls it; its request without it"),
        field("request", Type::Text, "", "method and URL: `GET https://host/path`")
            .is(&[Form::Like(Grammar::Request)])
            .needed(),
        field("headers", Type::Free, "{}", "header fields it has; never printed")
            .of(&[Form::Empty]),
        field("client_ip", Type::Text, "", "address it comes from; nobody's unless written"),
        field("listener", Type::Text, "", "listener it comes through; by default one that fits"),
        field(
            "consumer",
            Type::Text,
            "",
            "who it is from: `auth` lets it pass without credentials, and takes it for theirs",
        ),
        field("claims", Type::Free, "{}", "the same, with what an issuer says of them"),
        field("route", Type::Text, "", "the route that takes it, or none"),
        field("upstream", Type::List, "", "upstream or list: it goes to no other; or none")
            .of(&[TEXT])
            .alone()
            .or(&[NONE]),
        field("path", Type::Text, "", "the path the upstream sees; with a `?` the query too"),
        field("auth", Type::List, "", "policy or list: exactly these of its route; or none")
            .of(&[TEXT])
            .alone()
            .or(&[NONE]),
        field("rate_limit", Type::List, "", "policy or list: exactly these of its route; or none")
            .of(&[TEXT])
            .alone()
            .or(&[NONE]),
        field(
            "status",
            Type::Int(100, 599),
            "",
            "what the gateway answers itself, or none: it goes to the upstream",
        )
        .or(&[NONE]),
        field("reason", Type::Text, "", "why the gateway refuses it, or none"),
        field("redirect", Type::Text, "", "the URL the client is sent to"),
        moved("url", "request"),
        moved("location", "redirect"),
        moved("expect", "status"),
        moved("limits", "rate_limit"),
    ],
};
