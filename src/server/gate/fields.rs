//! One pass over the fields of a head: which of them need work, which are wrong, and the values that
//! are wanted later.

use http::{HeaderMap, HeaderValue};

use super::{
    Checked, bad,
    names::{self, Rules},
};
use crate::error::{Error, Reason};

/// Which fields of interest a head has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fields {
    pub(crate) hosts: u8,
    pub(super) lengths: u8,
    pub(super) authorizations: u8,
    /// `Connection`.
    pub(crate) connection: bool,
    /// `Keep-Alive`, `Proxy-Connection`, `Proxy-Authorization`, `HTTP2-Settings`,
    /// `Transfer-Encoding`.
    pub(crate) hop: bool,
    /// `TE`.
    pub(crate) te: bool,
    /// `Upgrade`.
    pub(crate) upgrade: bool,
    /// `Expect`.
    pub(crate) expect: bool,
    /// `Forwarded`, `X-Forwarded-*` and other claims of who asks.
    pub(crate) claims: bool,
    /// `X-Original-URL`, `X-HTTP-Method-Override` and their kin.
    pub(crate) overrides: bool,
    /// `Via`.
    pub(crate) via: bool,
    /// A request id.
    pub(crate) id: bool,
}

/// Values of fields that are wanted later, picked up in the same pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noted {
    /// `User-Agent`.
    pub(crate) user_agent: Option<HeaderValue>,
    /// `Accept`.
    pub(crate) accept: Option<HeaderValue>,
    /// `Content-Type` says gRPC.
    pub(crate) grpc: bool,
}

/// Looks at every field once.
pub(super) fn look(
    headers: &HeaderMap,
    h2: bool,
    rules: &Rules,
    checked: &mut Checked,
) -> Result<(), Error> {
    let Checked { fields, noted, authority, .. } = checked;
    for (name, value) in headers {
        let name = name.as_str();
        // By length first: one comparison is left for nearly every name.
        match (name.len(), name) {
            (2, "te") => fields.te = true,
            (3, "via") => fields.via = true,
            (4, "host") => {
                fields.hosts = fields.hosts.saturating_add(1);
                *authority = Some(value.clone());
            }
            (6, "accept") => noted.accept = Some(value.clone()),
            (6, "expect") => fields.expect = true,
            (7, "upgrade") => fields.upgrade = true,
            (10, "user-agent") => noted.user_agent = Some(value.clone()),
            (10, "connection") => fields.connection = true,
            (12, "content-type") => noted.grpc = value.as_bytes().starts_with(b"application/grpc"),
            (13, "authorization") => {
                fields.authorizations = fields.authorizations.saturating_add(1);
            }
            (14, "content-length") => {
                fields.lengths = fields.lengths.saturating_add(1);
                // h2 checks the digits, but takes none of them for 0.
                if value.is_empty() {
                    return Err(bad(Reason::BadFraming, "bad Content-Length"));
                }
            }
            // Common, and nothing to us.
            (6, "cookie") | (13, "cache-control") | (15, "accept-encoding" | "accept-language") => {
            }
            (10, "keep-alive")
            | (14, "http2-settings")
            | (16, "proxy-connection")
            | (17, "transfer-encoding")
            | (19, "proxy-authorization") => fields.hop = true,
            _ => look_at_other(name, fields, rules)?,
        }
        if h2 {
            check_h2(name, value.as_bytes())?;
        }
    }
    Ok(())
}

/// Hardly any name in use is of interest here, so what is looked at first is what costs least.
fn look_at_other(name: &str, fields: &mut Fields, rules: &Rules) -> Result<(), Error> {
    if names::may_be_unwanted(name) {
        fields.claims |= names::is_claim(name);
        fields.overrides |= names::is_override(name);
    }
    fields.id |= name == rules.request_id.as_str();
    // Names are short: a loop is cheaper than what is made for long texts.
    if name.bytes().any(|byte| byte == b'_') && rules.is_alias(name) {
        return Err(bad(Reason::BadRequest, "underscore alias of a reserved header"));
    }
    Ok(())
}

/// What the scan has checked of a field that came by HTTP/1 (RFC 9113 section 8.2.1).
pub(crate) fn check_h2(name: &str, value: &[u8]) -> Result<(), Error> {
    if name.len() > super::NAME_LIMIT {
        return Err(bad(Reason::HeaderTooLarge, "header field name too long"));
    }
    // `http` takes it for a character of a token.
    if name.bytes().any(|byte| byte == b'"') {
        return Err(bad(Reason::BadRequest, "malformed header field name"));
    }
    if !value.is_ascii() {
        return Err(bad(Reason::BadRequest, "8-bit byte in a header value"));
    }
    if matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t']) {
        return Err(bad(Reason::BadRequest, "white space around a header value"));
    }
    Ok(())
}
