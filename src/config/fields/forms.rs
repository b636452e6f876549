//! What may stand in the place of a value beside its type: short forms, `none`, the items of lists. The
//! decoder reads them by hand; the schema is made of these, and its tests hold the two together.

use super::{Section, Type, policies::RETRY_TIMES};

/// One form a value may have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// A value of this type.
    A(&'static Type),
    /// A map with these keys.
    Map(&'static Section),
    /// One of these words.
    Words(&'static [&'static str]),
    /// `none`, or its synonym `false`.
    Nothing,
    /// Text that may be empty.
    Empty,
    /// Text of a grammar.
    Like(Grammar),
    /// A list of these.
    List(&'static [Self]),
    /// Whatever the operator likes.
    Anything,
}

/// Texts with a grammar that can be told in a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grammar {
    /// A name of the operator.
    Name,
    /// `100/min`.
    Rate,
    /// `10MiB/s`.
    Bytes,
    /// An endpoint.
    Url,
    /// An address or a network.
    Network,
    /// A status or a range of them.
    Status,
    /// A path.
    Path,
    /// Where in a request something is.
    Carrier,
    /// What requests have in common that count together.
    Part,
    /// What a request costs.
    Cost,
    /// What `lb: hash` hashes.
    Hashed,
    /// `GET https://host/path`.
    Request,
}

/// How a key stands beside others of its map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// It may be left out.
    No,
    /// It may not.
    Yes,
    /// Exactly one key of those with this word is written.
    OneOf(&'static str),
    /// At least one of them is.
    SomeOf(&'static str),
    /// It is known here for the sake of messages: it belongs somewhere else.
    Elsewhere,
}

pub(super) const TEXT: Form = Form::A(&Type::Text);
pub(super) const TEXTS: Form = Form::List(&[TEXT]);
pub(super) const NONE: Form = Form::Nothing;
pub(super) const NAME: Form = Form::Like(Grammar::Name);
pub(super) const RATE: Form = Form::Like(Grammar::Rate);
pub(super) const BYTES: Form = Form::Like(Grammar::Bytes);
pub(super) const URL: Form = Form::Like(Grammar::Url);
pub(super) const NETWORK: Form = Form::Like(Grammar::Network);
pub(super) const STATUS: Form = Form::Like(Grammar::Status);

pub(super) const HEALTH_FORMS: &[Form] = &[Form::Like(Grammar::Path), NONE];
pub(super) const ADAPTIVE_FORMS: &[Form] = &[Form::Words(&["true"]), NONE];
pub(super) const CAUSES: &[Form] = &[Form::Words(&["connect", "reset", "timeout", "5xx"]), STATUS];
const PLACES: &Type = &Type::Int(1, 1_000_000);

// What stands in a route and in `defaults`.
pub(super) const AUTH_FORMS: &[Form] = &[NAME, NONE, Form::Map(&super::AUTH)];
pub(super) const AUTHORIZE_FORMS: &[Form] = &[NAME, NONE, Form::Map(&super::AUTHORIZE)];
pub(super) const NAME_OR_NONE: &[Form] = &[NAME, NONE];
pub(super) const RATE_LIMIT_FORMS: &[Form] =
    &[NAME, RATE, NONE, Form::List(&[NAME, RATE, Form::Map(&super::RATE_LIMIT)])];
pub(super) const BANDWIDTH_FORMS: &[Form] = &[NAME, BYTES, NONE];
pub(super) const CONCURRENCY_FORMS: &[Form] = &[
    NAME,
    Form::A(PLACES),
    NONE,
    Form::List(&[NAME, Form::A(PLACES), Form::Map(&super::CONCURRENCY)]),
];
pub(super) const CLASS_FORMS: &[Form] = &[Form::A(&super::CLASS)];
pub(super) const BODY_FORMS: &[Form] = &[NAME, Form::A(&super::ANY_SIZE), NONE];
pub(super) const RETRY_FORMS: &[Form] = &[NAME, Form::A(&RETRY_TIMES), NONE];
pub(super) const PLACES_FORMS: &[Form] = &[Form::A(PLACES)];
