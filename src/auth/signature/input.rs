//! What a request says of its signatures (RFC 9421 section 4): `Signature-Input` and `Signature`, read as
//! structured fields and strictly. Where the standard lets the last of two win, both are refused: whoever
//! reads them elsewhere might take the first.

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, FieldType, InnerList, Item, List, ListEntry, Parameters, Parser};

use super::super::Denied;

/// What is signed, and how.
pub(super) const INPUT: HeaderName = HeaderName::from_static("signature-input");
/// The signatures themselves.
pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("signature");

/// Bytes of a name the client chooses: of a key, a nonce, a tag.
const LONGEST: usize = 256;
/// Parts of a request one signature may cover.
const MOST_COMPONENTS: usize = 64;
/// Signatures of one request.
const MOST_SIGNATURES: usize = 8;

const MALFORMED: Denied = Denied::wrong("signature_malformed");
const INCOMPLETE: Denied = Denied::wrong("signature_incomplete");
const SEVERAL: Denied = Denied::wrong("several_signatures");
const OTHER_TAG: Denied = Denied::wrong("wrong_tag");

/// One signature and what it is said to cover.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) components: Vec<Component>,
    pub(super) created: Option<i64>,
    pub(super) expires: Option<i64>,
    pub(super) nonce: Option<String>,
    pub(super) alg: Option<String>,
    pub(super) key: Option<String>,
    /// The value of `@signature-params`.
    pub(super) params: String,
    pub(super) signature: Vec<u8>,
}

/// A part of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Component {
    /// A name of a field in lower case, or of what is derived, with its `@`.
    pub(super) name: String,
    pub(super) form: Form,
    /// Name and parameters as they are signed.
    pub(super) id: String,
}

/// In which form a part is signed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is.
    Plain,
    /// `sf`: a structured field, written anew.
    Strict,
    /// `key`: one member of a dictionary.
    Member(String),
    /// `bs`: each line as bytes.
    Bytes,
    /// `name`: one parameter of the query.
    Parameter(String),
}

/// The one signature the policy is about.
pub(super) fn read(
    headers: &HeaderMap,
    label: Option<&str>,
    tag: Option<&str>,
) -> Result<Signed, Denied> {
    let (mut inputs, mut signatures) =
        match (dictionary(headers, &INPUT)?, dictionary(headers, &SIGNATURE)?) {
            (None, None) => return Err(Denied::NOTHING),
            (Some(inputs), Some(signatures)) => (inputs, signatures),
            _ => return Err(INCOMPLETE),
        };
    if inputs.len() > MOST_SIGNATURES || signatures.len() > MOST_SIGNATURES {
        return Err(MALFORMED);
    }
    let fits = |name: &str, entry: &ListEntry| {
        label.is_none_or(|label| label == name) && tagged(entry, tag)
    };
    let mut fitting = inputs.iter().filter(|(name, entry)| fits(name.as_str(), entry));
    let name = match (fitting.next(), fitting.next()) {
        (Some((name, _)), None) => name.clone(),
        (Some(_), Some(_)) => return Err(SEVERAL),
        (None, _) if label.is_some_and(|label| !inputs.contains_key(label)) => {
            return Err(Denied::NOTHING);
        }
        (None, _) => return Err(OTHER_TAG),
    };
    let Some(ListEntry::InnerList(input)) = inputs.swap_remove(&name) else {
        return Err(MALFORMED);
    };
    match signatures.swap_remove(&name) {
        Some(ListEntry::Item(Item { bare_item: BareItem::ByteSequence(signature), .. })) => {
            signed(input, signature)
        }
        Some(_) => Err(MALFORMED),
        None => Err(INCOMPLETE),
    }
}

fn tagged(entry: &ListEntry, tag: Option<&str>) -> bool {
    let params = match entry {
        ListEntry::InnerList(list) => &list.params,
        ListEntry::Item(item) => &item.params,
    };
    tag.is_none_or(|tag| text(params, "tag").is_ok_and(|it| it.as_deref() == Some(tag)))
}

fn signed(input: InnerList, signature: Vec<u8>) -> Result<Signed, Denied> {
    if input.items.len() > MOST_COMPONENTS {
        return Err(MALFORMED);
    }
    let mut components: Vec<Component> = Vec::with_capacity(input.items.len());
    for item in &input.items {
        let component = Component::read(item).ok_or(MALFORMED)?;
        if components.iter().any(|other| other.id == component.id) {
            return Err(MALFORMED);
        }
        components.push(component);
    }
    let params = &input.params;
    let signed = Signed {
        components,
        created: moment(params, "created")?,
        expires: moment(params, "expires")?,
        nonce: text(params, "nonce")?,
        alg: text(params, "alg")?,
        key: text(params, "keyid")?,
        params: String::new(),
        signature,
    };
    text(params, "tag")?;
    let list: List = vec![ListEntry::InnerList(input)];
    Ok(Signed { params: list.serialize().ok_or(MALFORMED)?, ..signed })
}

fn text(params: &Parameters, name: &str) -> Result<Option<String>, Denied> {
    match params.get(name) {
        None => Ok(None),
        Some(BareItem::String(text)) if text.as_str().len() <= LONGEST => {
            Ok(Some(text.as_str().to_owned()))
        }
        Some(_) => Err(MALFORMED),
    }
}

fn moment(params: &Parameters, name: &str) -> Result<Option<i64>, Denied> {
    match params.get(name) {
        None => Ok(None),
        Some(BareItem::Integer(seconds)) => Ok(Some(i64::from(*seconds))),
        Some(_) => Err(MALFORMED),
    }
}

// === impl Component ===

impl Component {
    /// `None`: no part of a request has such a name or such parameters. Those of answers (`req`) and of
    /// trailers (`tr`) are among them.
    fn read(item: &Item) -> Option<Self> {
        let BareItem::String(name) = &item.bare_item else { return None };
        let name = name.as_str().to_owned();
        let field = HeaderName::from_lowercase(name.as_bytes()).is_ok();
        if !(field || name.starts_with('@')) {
            return None;
        }
        let mut params = item.params.iter();
        let form = match (params.next().map(|(key, value)| (key.as_str(), value)), params.next()) {
            (None, _) => Form::Plain,
            (Some(("sf", BareItem::Boolean(true))), None) if field => Form::Strict,
            (Some(("bs", BareItem::Boolean(true))), None) if field => Form::Bytes,
            (Some(("key", BareItem::String(key))), None) if field => {
                Form::Member(key.as_str().to_owned())
            }
            (Some(("name", BareItem::String(key))), None) if name == "@query-param" => {
                Form::Parameter(key.as_str().to_owned())
            }
            _ => return None,
        };
        Some(Self { name, form, id: item.serialize() })
    }
}

// === structured fields ===

/// The lines of a field as one dictionary, in which no name and no parameter stands twice.
pub(super) fn dictionary(
    headers: &HeaderMap,
    name: &HeaderName,
) -> Result<Option<Dictionary>, Denied> {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(|value| value.as_bytes()).collect();
    if lines.is_empty() {
        return Ok(None);
    }
    let whole = lines.join(&b", "[..]);
    let dictionary: Dictionary = Parser::new(&whole).parse().map_err(|_| MALFORMED)?;
    let params: usize = dictionary.values().map(params_of).sum();
    let (commas, semicolons) = separators(&whole);
    let single = commas + 1 == dictionary.len() && semicolons == params;
    if single { Ok(Some(dictionary)) } else { Err(MALFORMED) }
}

fn params_of(entry: &ListEntry) -> usize {
    match entry {
        ListEntry::Item(item) => item.params.len(),
        ListEntry::InnerList(list) => {
            list.params.len() + list.items.iter().map(|item| item.params.len()).sum::<usize>()
        }
    }
}

/// Commas and semicolons outside of strings. In what has been parsed they separate members and
/// parameters, and nothing else.
fn separators(text: &[u8]) -> (usize, usize) {
    let (mut commas, mut semicolons, mut quoted) = (0, 0, false);
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if quoted => _ = bytes.next(),
            b'"' => quoted = !quoted,
            b',' if !quoted => commas += 1,
            b';' if !quoted => semicolons += 1,
            _ => {}
        }
    }
    (commas, semicolons)
}
