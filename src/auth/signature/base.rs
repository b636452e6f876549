//! What is signed (RFC 9421 section 2.5): the parts of the request that the signature names, one on each
//! line, as the gateway has understood them. The path is the canonical one, which is matched, logged and
//! sent: a signature of another spelling is not right.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header::COOKIE};
use sfv::{Dictionary, FieldType, Item, List, ListEntry, Parser};

use super::{
    super::Denied,
    input::{Component, Form, Signed, dictionary},
};

const ABSENT: Denied = Denied::wrong("component_absent");
const UNKNOWN: Denied = Denied::wrong("component_unknown");

/// What is known of a request.
#[derive(Debug)]
pub(super) struct Message<'m> {
    pub(super) method: &'m Method,
    pub(super) scheme: &'static str,
    pub(super) authority: Option<&'m HeaderValue>,
    /// Path and query.
    pub(super) uri: &'m Uri,
    pub(super) headers: &'m HeaderMap,
}

/// Structured fields that can be asked for with `sf` (those of RFC 9110's successors that have a type).
const DICTIONARIES: [&str; 7] = [
    "content-digest",
    "repr-digest",
    "want-content-digest",
    "want-repr-digest",
    "priority",
    "signature",
    "signature-input",
];
const LISTS: [&str; 3] = ["cache-status", "proxy-status", "accept-signature"];

impl Message<'_> {
    /// What the signature is of.
    pub(super) fn base(&self, signed: &Signed) -> Result<Vec<u8>, Denied> {
        let mut base = Vec::with_capacity(512);
        for component in &signed.components {
            base.extend_from_slice(component.id.as_bytes());
            base.extend_from_slice(b": ");
            base.extend_from_slice(&self.value(component)?);
            base.push(b'\n');
        }
        base.extend_from_slice(b"\"@signature-params\": ");
        base.extend_from_slice(signed.params.as_bytes());
        Ok(base)
    }

    fn value(&self, component: &Component) -> Result<Cow<'_, [u8]>, Denied> {
        if component.name.starts_with('@') {
            return self.derived(component).map(|text| match text {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            });
        }
        let name = HeaderName::from_lowercase(component.name.as_bytes()).map_err(|_| UNKNOWN)?;
        if !self.headers.contains_key(&name) {
            return Err(ABSENT);
        }
        match &component.form {
            Form::Plain => self.lines(&name).map(Cow::Owned),
            Form::Bytes => Ok(Cow::Owned(self.as_bytes(&name))),
            Form::Strict => self.strict(&name).map(|text| Cow::Owned(text.into_bytes())),
            Form::Member(key) => self.member(&name, key).map(|text| Cow::Owned(text.into_bytes())),
            Form::Parameter(_) => Err(UNKNOWN),
        }
    }

    fn derived(&self, component: &Component) -> Result<Cow<'_, str>, Denied> {
        let target = || self.uri.path_and_query().map_or("/", |target| target.as_str());
        match (component.name.as_str(), &component.form) {
            ("@method", Form::Plain) => Ok(self.method.as_str().into()),
            ("@scheme", Form::Plain) => Ok(self.scheme.into()),
            ("@authority", Form::Plain) => self.authority().map(Into::into),
            ("@path", Form::Plain) => Ok(self.uri.path().into()),
            ("@query", Form::Plain) => Ok(format!("?{}", self.uri.query().unwrap_or("")).into()),
            ("@request-target", Form::Plain) => Ok(target().into()),
            ("@target-uri", Form::Plain) => {
                Ok(format!("{}://{}{}", self.scheme, self.authority()?, target()).into())
            }
            ("@query-param", Form::Parameter(name)) => self.parameter(name).map(Into::into),
            _ => Err(UNKNOWN),
        }
    }

    /// In lower case and without the port that goes without saying.
    fn authority(&self) -> Result<String, Denied> {
        let text = self.authority.and_then(|value| value.to_str().ok()).ok_or(ABSENT)?;
        let port = if self.scheme == "https" { ":443" } else { ":80" };
        Ok(text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase())
    }

    /// A parameter of the query that is there once, written anew.
    fn parameter(&self, name: &str) -> Result<String, Denied> {
        let pairs = self.uri.query().unwrap_or("").split('&').filter(|pair| !pair.is_empty());
        let mut found = pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .filter(|(key, _)| written(key) == name)
            .map(|(_, value)| written(value));
        match (found.next(), found.next()) {
            (Some(value), None) => Ok(value),
            (None, _) => Err(ABSENT),
            (Some(_), Some(_)) => Err(Denied::wrong("component_twice")),
        }
    }

    /// All lines of a field in one.
    fn lines(&self, name: &HeaderName) -> Result<Vec<u8>, Denied> {
        let mut whole = Vec::new();
        // Over HTTP/2 one line of cookies comes in crumbs (RFC 9113 section 8.2.3).
        let comma: &[u8] = if *name == COOKIE { b"; " } else { b", " };
        for (index, value) in self.headers.get_all(name).iter().enumerate() {
            let value = value.as_bytes().trim_ascii();
            if !value.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
                return Err(UNKNOWN);
            }
            if index > 0 {
                whole.extend_from_slice(comma);
            }
            whole.extend_from_slice(value);
        }
        Ok(whole)
    }

    fn as_bytes(&self, name: &HeaderName) -> Vec<u8> {
        let lines = self.headers.get_all(name).iter();
        let lines =
            lines.map(|value| format!(":{}:", STANDARD.encode(value.as_bytes().trim_ascii())));
        lines.collect::<Vec<_>>().join(", ").into_bytes()
    }

    fn strict(&self, name: &HeaderName) -> Result<String, Denied> {
        if DICTIONARIES.contains(&name.as_str()) {
            let dictionary: Dictionary = dictionary(self.headers, name)?.ok_or(ABSENT)?;
            return dictionary.serialize().ok_or(UNKNOWN);
        }
        let whole = self.lines(name)?;
        if LISTS.contains(&name.as_str()) {
            let list: List = Parser::new(&whole).parse().map_err(|_| UNKNOWN)?;
            return list.serialize().ok_or(UNKNOWN);
        }
        Err(UNKNOWN)
    }

    fn member(&self, name: &HeaderName, key: &str) -> Result<String, Denied> {
        let mut dictionary = dictionary(self.headers, name)?.ok_or(ABSENT)?;
        match dictionary.swap_remove(key).ok_or(ABSENT)? {
            ListEntry::Item(item) => Ok(Item::serialize(&item)),
            list @ ListEntry::InnerList(_) => vec![list].serialize().ok_or(UNKNOWN),
        }
    }
}

/// Part of a query, decoded as a form and encoded as RFC 9421 section 2.2.8 wants it.
fn written(text: &str) -> String {
    use std::fmt::Write;
    let digit = |at: Option<&u8>| at.and_then(|byte| char::from(*byte).to_digit(16));
    let mut rest = text.as_bytes();
    let mut out = String::with_capacity(rest.len());
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let byte = match (first, digit(after.first()), digit(after.get(1))) {
            (b'%', Some(high), Some(low)) => {
                rest = &after[2..];
                u8::try_from(high << 4 | low).unwrap_or(b'%')
            }
            (b'+', ..) => b' ',
            _ => first,
        };
        if byte.is_ascii_alphanumeric() || b"*-._".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
