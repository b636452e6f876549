//! The one gate before routing, for both protocols: what must hold of a request head before
//! anybody matches, logs or forwards it. What may pass leaves with one host, one canonical path and
//! its hop-by-hop fields known.

mod fields;
mod host;
mod names;

#[cfg(test)]
mod tests;

use std::{borrow::Cow, sync::Arc};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, request::Parts, uri::PathAndQuery,
};

pub(crate) use self::{
    fields::{Fields, Noted, check_h2 as check_h2_field},
    names::{Rules, is_claim, is_override, is_written, may_pass},
};
use crate::{
    config::model::ListenerLimits,
    error::{Error, Reason},
    routing::canonical,
    server::scan,
};

/// Longest name of a header field: none in use has a quarter of it.
pub(crate) const NAME_LIMIT: usize = 256;

/// What the gate learned of a request.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Host without port, lower case.
    pub(crate) host: Arc<str>,
    /// Host as the client sent it, with its port.
    pub(crate) authority: Option<HeaderValue>,
    /// Canonical path and query.
    pub(crate) uri: Uri,
    /// Fields that need work.
    pub(crate) fields: Fields,
    /// Values the record wants.
    pub(crate) noted: Noted,
}

impl Checked {
    /// What is known of a request that was refused.
    pub(crate) fn nothing() -> Self {
        Self {
            host: Arc::default(),
            authority: None,
            uri: Uri::default(),
            fields: Fields::default(),
            noted: Noted::default(),
        }
    }
}

/// Checks a head, whose target is taken out, and fills in what is learned. The error is the answer, and
/// nothing that was learned before it is to be believed.
pub(crate) fn check(
    head: &mut Parts,
    limits: ListenerLimits,
    rules: &Rules,
    checked: &mut Checked,
) -> Result<(), Error> {
    let h2 = head.version == Version::HTTP_2;
    fields::look(&head.headers, h2, rules, checked)?;
    check_method(&head.method, h2, &head.extensions)?;
    if h2 {
        check_h2(head, limits)?;
    }
    let fields = &checked.fields;
    if fields.hosts > 1 {
        return Err(bad(Reason::BadHost, "more than one Host"));
    }
    if fields.lengths > 1 {
        return Err(bad(Reason::BadFraming, "more than one Content-Length"));
    }
    if fields.hosts == 0 && head.version == Version::HTTP_11 {
        // Not even an absolute target stands in for it (RFC 9112 section 3.2).
        return Err(bad(Reason::BadHost, "no Host"));
    }
    if fields.authorizations > 1 {
        return Err(bad(Reason::BadRequest, "more than one Authorization"));
    }
    host::agree(&head.uri, &mut checked.authority)?;
    match &checked.authority {
        Some(value) => checked.host = host::known(value)?,
        None if head.version == Version::HTTP_10 => {}
        None => return Err(bad(Reason::BadHost, "no Host")),
    }
    checked.uri = std::mem::take(&mut head.uri);
    canonical_uri(&mut checked.uri, &head.method, rules)
}

fn bad(reason: Reason, detail: &'static str) -> Error {
    Error::new(reason, detail).public(detail)
}

/// What the scan has checked of a head that came by HTTP/1.
fn check_h2(head: &Parts, limits: ListenerLimits) -> Result<(), Error> {
    // Crumbs of a cookie are fields of their own here.
    if head.headers.len() > limits.header_count {
        return Err(bad(Reason::HeaderTooLarge, "too many header fields"));
    }
    if head.uri.scheme_str().is_some_and(|scheme| !is_scheme(scheme)) {
        return Err(bad(Reason::BadRequest, "not a scheme"));
    }
    let target = head.uri.path_and_query().map_or("", PathAndQuery::as_str);
    if !(target.starts_with('/') || target == "*") {
        return Err(bad(Reason::BadRequest, "not a request target"));
    }
    if target.len() > limits.uri_length {
        return Err(bad(Reason::UriTooLong, "request target too long"));
    }
    let judged = scan::check_method(head.method.as_str().as_bytes())
        .and_then(|()| scan::check_target_bytes(target.as_bytes()));
    judged.map_err(|refusal| bad(refusal.reason, refusal.detail))
}

/// RFC 3986 section 3.1; the crate `http` takes `~` as well.
fn is_scheme(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    matches!(text, "http" | "https")
        || (text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(inner))
}

fn check_method(method: &Method, h2: bool, extensions: &http::Extensions) -> Result<(), Error> {
    if *method == Method::CONNECT {
        let websocket = extensions.get::<hyper::ext::Protocol>();
        if !h2 || websocket.is_none() {
            return Err(bad(Reason::UnsupportedMethod, "CONNECT"));
        }
    }
    Ok(())
}

/// Leaves the path and query as they are matched, logged and sent.
fn canonical_uri(uri: &mut Uri, method: &Method, rules: &Rules) -> Result<(), Error> {
    let Some(raw) = uri.path_and_query() else {
        *uri = Uri::default();
        return Ok(());
    };
    let path = raw.path();
    if path == "*" {
        let fits = *method == Method::OPTIONS;
        return if fits { Ok(()) } else { Err(bad(Reason::BadRequest, "not a request target")) };
    }
    let canonical = canonical(path, rules.normalize).map_err(|error| {
        let text = error.to_string();
        Error::new(Reason::BadPath, text.clone()).public(text)
    })?;
    match canonical {
        Cow::Borrowed(same) if same.len() == path.len() => {
            if uri.authority().is_some() {
                *uri = Uri::from(raw.clone());
            }
            // `http` drops fragments; of `:path: #x` that leaves nothing to send.
            if uri.path().is_empty() {
                return Err(bad(Reason::BadRequest, "not a request target"));
            }
        }
        path => {
            let text = match raw.query() {
                Some(query) => format!("{path}?{query}"),
                None => path.into_owned(),
            };
            *uri = Uri::try_from(text).map_err(|_| bad(Reason::BadPath, "bad path"))?;
        }
    }
    Ok(())
}

/// Fields that cannot be removed by naming them in `Connection`: those that frame and route.
const KEPT: [&str; 6] = ["host", "content-length", "close", "keep-alive", "upgrade", "via"];

/// Removes the fields named by `Connection`, whatever they are (RFC 9110 section 7.6.1), except what
/// frames a message and what says who asks: a client behind a careless proxy must not be able to
/// name that proxy's fields away.
pub(crate) fn remove_named(headers: &mut HeaderMap, tokens: &[HeaderValue]) {
    for value in tokens {
        let Ok(text) = value.to_str() else { continue };
        for token in text.split(',').map(str::trim).filter(|token| !token.is_empty()) {
            let Ok(name) = HeaderName::from_bytes(token.as_bytes()) else { continue };
            if !KEPT.contains(&name.as_str()) && !is_claim(name.as_str()) {
                headers.remove(name);
            }
        }
    }
}
